#include <openvino/openvino.hpp>
#include <optional>

#include "edge_tx/engine.hpp"
#include "edge_tx/error.hpp"

namespace edge_tx {
namespace {

namespace fs = std::filesystem;

constexpr const char* ids_name = "input_ids";
constexpr const char* type_ids_name = "token_type_ids";

// What OpenVINO throws has many lines; the last one says what happened.
template <typename Call>
auto mapped(const std::string& doing, const Call& call) {
    try {
        return call();
    } catch (const ov::Exception& problem) {
        std::string text = problem.what();
        text.erase(text.find_last_not_of(" \n") + 1);
        throw Error(Failure::runtime, doing + ": " + text.substr(text.rfind('\n') + 1));
    }
}

// A core that knows the operations of tokenizers.
ov::Core with_extension(const fs::path& extension) {
    ov::Core core;
    core.add_extension(extension.string());
    return core;
}

// The tokenizer's ends keep their names inside the joined graph.
std::optional<ov::Output<ov::Node>> find(const ov::Model& model, const std::string& name) {
    for (const auto& node : model.get_ordered_ops()) {
        for (const auto& output : node->outputs()) {
            if (output.get_names().count(name) > 0) {
                return output;
            }
        }
    }
    return std::nullopt;
}

ov::InferRequest compiled(ov::Core& core, const std::shared_ptr<ov::Model>& model) {
    return core
        .compile_model(model, "CPU", ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
                       ov::hint::inference_precision(ov::element::f32))
        .create_infer_request();
}

// The inputs are in the order of the texts: the text, and its pair.
void feed(ov::InferRequest& request, const Texts& texts) {
    for (std::size_t place = 0; place < texts.size(); ++place) {
        ov::Tensor input(ov::element::string, ov::Shape{1});
        *input.data<std::string>() = texts[place];
        request.set_input_tensor(place, input);
    }
    request.infer();
}

std::vector<std::int64_t> integers(const ov::Tensor& tensor) {
    const auto* first = tensor.data<const std::int64_t>();
    return {first, first + tensor.get_size()};
}

Array floats(const std::string& name, const ov::Tensor& tensor) {
    const auto& shape = tensor.get_shape();
    const auto* first = tensor.data<const float>();
    return {name, {shape.begin() + 1, shape.end()}, {first, first + tensor.get_size()}};
}

// Text to token ids, and type ids where the model has them: the first part of the joined graph.
class OpenVinoTokenizer : public Tokenizer {
public:
    OpenVinoTokenizer(const Package& package, const fs::path& extension)
        : core_(with_extension(extension)) {
        const auto joined = core_.read_model(package.entry.string());
        ov::OutputVector ends;
        for (const auto* name : {ids_name, type_ids_name}) {
            if (const auto end = find(*joined, name)) {
                ends.push_back(*end);
            }
        }
        if (ends.empty()) {
            throw Error(Failure::runtime, package.entry.string() + " has no tokenizer inside");
        }
        // The sinks hold the vocabulary: without them the first call fails.
        const auto alone =
            std::make_shared<ov::Model>(ends, joined->get_sinks(), joined->get_parameters());
        count_ = ends.size();
        request_ = compiled(core_, alone);
    }

    Tokens encode(const Texts& texts) override {
        return mapped("cannot tokenize", [&] {
            feed(request_, texts);
            Tokens tokens{integers(request_.get_output_tensor(0)), {}};
            if (count_ > 1) {
                tokens.type_ids = integers(request_.get_output_tensor(1));
            }
            return tokens;
        });
    }

private:
    // Goes last: with it goes the extension, whose code the compiled model calls.
    ov::Core core_;
    std::size_t count_ = 0;
    ov::InferRequest request_;
};

class OpenVinoEngine : public Engine {
public:
    OpenVinoEngine(const Package& package, const fs::path& extension)
        : core_(with_extension(extension)), names_(package.outputs) {
        const auto model = core_.read_model(package.entry.string());
        for (const auto* name : {ids_name, type_ids_name}) {
            if (find(*model, name)) {
                model->add_output(name);
                told_.emplace_back(name);
            }
        }
        request_ = compiled(core_, model);
    }

    Answer answer(const Texts& texts) override {
        return mapped("cannot answer", [&] {
            feed(request_, texts);
            Answer answer;
            for (const auto& name : told_) {
                (name == ids_name ? answer.tokens.ids : answer.tokens.type_ids) =
                    integers(request_.get_tensor(name));
            }
            for (const auto& name : names_) {
                answer.outputs.push_back(floats(name, request_.get_tensor(name)));
            }
            return answer;
        });
    }

private:
    ov::Core core_;  // see OpenVinoTokenizer
    std::vector<std::string> names_;
    std::vector<std::string> told_;
    ov::InferRequest request_;
};

}  // namespace

std::unique_ptr<Engine> open_openvino(const Package& package, const fs::path& extension) {
    return mapped("cannot open " + package.entry.string(), [&]() -> std::unique_ptr<Engine> {
        return std::make_unique<OpenVinoEngine>(package, extension);
    });
}

std::unique_ptr<Tokenizer> open_tokenizer(const Package& package, const fs::path& extension) {
    return mapped("cannot open " + package.entry.string(), [&]() -> std::unique_ptr<Tokenizer> {
        return std::make_unique<OpenVinoTokenizer>(package, extension);
    });
}

}  // namespace edge_tx
