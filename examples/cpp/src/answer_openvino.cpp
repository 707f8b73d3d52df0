// answer_openvino FOLDER: texts to answers by one graph, tokenizer included.
#include <iostream>
#include <nlohmann/json.hpp>

#include "edge_tx/conformance.hpp"
#include "edge_tx/error.hpp"
#include "edge_tx/extension.hpp"

int main(int count, char** words) {
    return edge_tx::guarded([&] {
        if (count != 2) {
            throw edge_tx::Error(
                edge_tx::Failure::usage,
                "usage: answer_openvino FOLDER, as edge-tx pack --text-in openvino writes it");
        }
        const auto package = edge_tx::open_text_in(words[1]);
        const auto engine = edge_tx::open_openvino(package, edge_tx::tokenizers_extension());
        edge_tx::answer_lines(std::cin, std::cout, [&](const nlohmann::json& question) {
            auto answer = engine->answer(edge_tx::texts_of(question, package));
            edge_tx::warn_if_full(answer.tokens, package, std::cerr);
            return answer;
        });
    });
}
