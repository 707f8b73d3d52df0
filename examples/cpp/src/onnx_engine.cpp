#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "edge_tx/engine.hpp"
#include "edge_tx/error.hpp"

namespace edge_tx {
namespace {

template <typename Call>
auto mapped(const std::string& doing, const Call& call) {
    try {
        return call();
    } catch (const Ort::Exception& problem) {
        throw Error(Failure::runtime, doing + ": " + problem.what());
    }
}

std::vector<const char*> pointers(const std::vector<std::string>& names) {
    std::vector<const char*> found(names.size());
    std::transform(names.begin(), names.end(), found.begin(),
                   [](const std::string& name) { return name.c_str(); });
    return found;
}

Array floats(const std::string& name, const Ort::Value& value) {
    const auto info = value.GetTensorTypeAndShapeInfo();
    if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
        throw Error(Failure::runtime, "the output " + name + " is not float32");
    }
    const auto shape = info.GetShape();
    const auto* first = value.GetTensorData<float>();
    return {name, {shape.begin() + 1, shape.end()}, {first, first + info.GetElementCount()}};
}

// ONNX Runtime 1.29 and later report every process to their maker unless this is set before they
// start. What the user has set stays.
Ort::Env silent_environment() {
#ifdef _WIN32
    if (std::getenv("ORT_DISABLE_TELEMETRY") == nullptr) {
        _putenv_s("ORT_DISABLE_TELEMETRY", "1");
    }
#else
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
#endif
    return Ort::Env(ORT_LOGGING_LEVEL_ERROR, "edge_tx");
}

class OnnxEngine : public IdsEngine {
public:
    explicit OnnxEngine(const Package& package)
        : inputs_(package.inputs),
          outputs_(package.outputs),
          session_(environment_, package.entry.c_str(), Ort::SessionOptions()) {}

    std::vector<Array> run(const Tokens& tokens) override {
        return mapped("cannot answer", [&] { return outputs(feeds(tokens)); });
    }

private:
    // A row alone: nothing is padded, so the mask is ones.
    [[nodiscard]] std::vector<std::vector<std::int64_t>> feeds(const Tokens& tokens) const {
        const auto size = tokens.ids.size();
        const auto types =
            tokens.type_ids.empty() ? std::vector<std::int64_t>(size, 0) : tokens.type_ids;
        const std::map<std::string, std::vector<std::int64_t>> rows{
            {"input_ids", tokens.ids},
            {"attention_mask", std::vector<std::int64_t>(size, 1)},
            {"token_type_ids", types},
        };
        std::vector<std::vector<std::int64_t>> fed;
        for (const auto& name : inputs_) {
            const auto row = rows.find(name);
            if (row == rows.end() || row->second.size() != size) {
                throw Error(Failure::input, "there is nothing to feed the input " + name);
            }
            fed.push_back(row->second);
        }
        return fed;
    }

    std::vector<Array> outputs(std::vector<std::vector<std::int64_t>> rows) {
        const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
        std::vector<Ort::Value> values;
        for (auto& row : rows) {
            const std::vector<std::int64_t> shape{1, static_cast<std::int64_t>(row.size())};
            values.push_back(Ort::Value::CreateTensor<std::int64_t>(memory, row.data(), row.size(),
                                                                    shape.data(), shape.size()));
        }
        const auto names = pointers(inputs_);
        const auto wanted = pointers(outputs_);
        const auto found = session_.Run(Ort::RunOptions(), names.data(), values.data(),
                                        values.size(), wanted.data(), wanted.size());
        std::vector<Array> arrays;
        for (std::size_t i = 0; i < found.size(); ++i) {
            arrays.push_back(floats(outputs_[i], found[i]));
        }
        return arrays;
    }

    std::vector<std::string> inputs_;
    std::vector<std::string> outputs_;
    Ort::Env environment_ = silent_environment();
    Ort::Session session_;
};

}  // namespace

std::unique_ptr<IdsEngine> open_onnx(const Package& package) {
    return mapped("cannot open " + package.entry.string(), [&]() -> std::unique_ptr<IdsEngine> {
        return std::make_unique<OnnxEngine>(package);
    });
}

}  // namespace edge_tx
