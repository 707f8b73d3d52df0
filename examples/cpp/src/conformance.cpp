#include "edge_tx/conformance.hpp"

#include <iostream>
#include <nlohmann/json.hpp>

#include "edge_tx/error.hpp"

namespace edge_tx {
namespace {

using nlohmann::json;

constexpr std::size_t longest_text_bytes = 1'000'000;

json told(const Answer& answer) {
    json line{{"ids", answer.tokens.ids}, {"outputs", json::object()}};
    if (!answer.tokens.type_ids.empty()) {
        line["type_ids"] = answer.tokens.type_ids;
    }
    for (const auto& array : answer.outputs) {
        line["outputs"][array.name] = array.values;
    }
    return line;
}

json answered(const std::string& line, const std::function<Answer(const json&)>& answer) {
    try {
        const auto question = json::parse(line);
        if (!question.is_object()) {
            throw Error(Failure::input, "a question is a JSON object");
        }
        return told(answer(question));
    } catch (const json::exception& problem) {
        return {{"error", problem.what()}};
    } catch (const Error& problem) {
        return {{"error", problem.what()}};
    }
}

std::string checked(const json& given) {
    auto text = given.get<std::string>();
    if (text.size() > longest_text_bytes) {
        throw Error(Failure::input, "the text has " + std::to_string(text.size()) +
                                        " bytes; at most " + std::to_string(longest_text_bytes) +
                                        " are read: send a part of it");
    }
    return text;
}

}  // namespace

void answer_lines(std::istream& in, std::ostream& out,
                  const std::function<Answer(const json&)>& answer) {
    std::string line;
    while (std::getline(in, line)) {
        // A message of a library may hold anything: what is not UTF-8 is replaced.
        const auto text =
            answered(line, answer).dump(-1, ' ', false, json::error_handler_t::replace);
        if (!(out << text << '\n' << std::flush)) {
            throw Error(Failure::runtime, "nobody reads the answers any more");
        }
    }
}

Texts texts_of(const json& question, const Package& package) {
    if (question.contains("pair") != package.pair) {
        throw Error(Failure::input, package.pair ? "this graph takes a text and its pair"
                                                 : "this graph takes one text, not a pair");
    }
    Texts texts{package.prompt + checked(question.at("text"))};
    if (package.pair) {
        texts.push_back(checked(question.at("pair")));
    }
    return texts;
}

void warn_if_full(const Tokens& tokens, const Package& package, std::ostream& log) {
    const auto limit = static_cast<std::size_t>(package.max_length);
    if (tokens.ids.size() >= limit) {
        log << "a text fills all " << limit << " tokens that the model reads; its end may be cut\n";
    }
}

int guarded(const std::function<void()>& body) noexcept {
    try {
        body();
        return 0;
    } catch (const Error& problem) {
        std::cerr << problem.what() << '\n';
        return problem.exit_code();
    } catch (const std::exception& problem) {
        std::cerr << "unexpected: " << problem.what() << '\n';
        return static_cast<int>(Failure::runtime);
    }
}

}  // namespace edge_tx
