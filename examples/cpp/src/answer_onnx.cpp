// answer_onnx BUNDLE [TOKENIZER]: answers by ONNX Runtime, token ids by openvino-tokenizers or
// out of the questions.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "edge_tx/conformance.hpp"
#include "edge_tx/error.hpp"
#ifdef EDGE_TX_TOKENIZERS_LIBRARY
#include "edge_tx/extension.hpp"
#endif

namespace {

using nlohmann::json;
using Encode = std::function<edge_tx::Tokens(const json&)>;

// {"ids": [...], "type_ids": [...]}: whoever asks has a tokenizer of their own.
edge_tx::Tokens told(const json& question) {
    edge_tx::Tokens tokens{question.at("ids").get<std::vector<std::int64_t>>(), {}};
    if (tokens.ids.empty()) {
        throw edge_tx::Error(edge_tx::Failure::input, "a question has one token id or more");
    }
    if (question.contains("type_ids")) {
        tokens.type_ids = question.at("type_ids").get<std::vector<std::int64_t>>();
    }
    return tokens;
}

Encode encoder(const char* folder) {
    if (folder == nullptr) {
        return told;
    }
#ifdef EDGE_TX_TOKENIZERS_LIBRARY
    const auto package = edge_tx::open_text_in(folder);
    std::shared_ptr<edge_tx::Tokenizer> tokenizer =
        edge_tx::open_tokenizer(package, edge_tx::tokenizers_extension());
    return [package, tokenizer](const json& question) {
        return tokenizer->encode(edge_tx::texts_of(question, package));
    };
#else
    throw edge_tx::Error(edge_tx::Failure::usage, "this program was built without OpenVINO");
#endif
}

}  // namespace

int main(int count, char** words) {
    return edge_tx::guarded([&] {
        if (count != 2 && count != 3) {
            throw edge_tx::Error(edge_tx::Failure::usage,
                                 "usage: answer_onnx BUNDLE [FOLDER of a tokenizer]");
        }
        const auto package = edge_tx::open_bundle(words[1], "onnx");
        const auto encode = encoder(count == 3 ? words[2] : nullptr);
        const auto engine = edge_tx::open_onnx(package);
        edge_tx::answer_lines(std::cin, std::cout, [&](const json& question) {
            auto tokens = encode(question);
            edge_tx::warn_if_full(tokens, package, std::cerr);
            auto outputs = engine->run(tokens);
            return edge_tx::Answer{std::move(tokens), std::move(outputs)};
        });
    });
}
