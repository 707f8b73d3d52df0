// From a text to its answer. An engine is made once; answer() is not for several threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "edge_tx/package.hpp"

namespace edge_tx {

// A UTF-8 text, or two where the package is for pairs.
using Texts = std::vector<std::string>;

struct Tokens {
    std::vector<std::int64_t> ids;       // special tokens included, no padding
    std::vector<std::int64_t> type_ids;  // as many, or none if the model has no use for them
};

struct Array {
    std::string name;
    std::vector<std::size_t> shape;  // without the batch dimension
    std::vector<float> values;       // in C order
};

struct Answer {
    Tokens tokens;
    std::vector<Array> outputs;
};

class Engine {
public:
    Engine() = default;
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;
    virtual ~Engine() = default;

    // Throws Error: input or runtime.
    [[nodiscard]] virtual Answer answer(const Texts& texts) = 0;
};

class Tokenizer {
public:
    Tokenizer() = default;
    Tokenizer(const Tokenizer&) = delete;
    Tokenizer& operator=(const Tokenizer&) = delete;
    virtual ~Tokenizer() = default;

    [[nodiscard]] virtual Tokens encode(const Texts& texts) = 0;
};

class IdsEngine {
public:
    IdsEngine() = default;
    IdsEngine(const IdsEngine&) = delete;
    IdsEngine& operator=(const IdsEngine&) = delete;
    virtual ~IdsEngine() = default;

    [[nodiscard]] virtual std::vector<Array> run(const Tokens& tokens) = 0;
};

// All three throw Error: runtime, if the vendor's library refuses the graph.
// `extension` is openvino-tokenizers' shared library.
[[nodiscard]] std::unique_ptr<Engine> open_openvino(const Package& package,
                                                    const std::filesystem::path& extension);
[[nodiscard]] std::unique_ptr<Tokenizer> open_tokenizer(const Package& package,
                                                        const std::filesystem::path& extension);
[[nodiscard]] std::unique_ptr<IdsEngine> open_onnx(const Package& package);

}  // namespace edge_tx
