// The protocol of `edge-tx conformance`: one question a line in, one answer a line out.
#pragma once

#include <functional>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>

#include "edge_tx/engine.hpp"

namespace edge_tx {

// Answers every line of `in`; a question that cannot be answered gets {"error": ...} and the next
// one is read. Throws Error if `out` cannot be written.
void answer_lines(std::istream& in, std::ostream& out,
                  const std::function<Answer(const nlohmann::json&)>& answer);

// The question's text after the model's prompt, and its second text if the package is for pairs.
// Throws Error: input.
[[nodiscard]] Texts texts_of(const nlohmann::json& question, const Package& package);

// Says on `log` that a text may have been cut: the graph does not tell.
void warn_if_full(const Tokens& tokens, const Package& package, std::ostream& log);

// Runs a program's body: an exception becomes one line on stderr and an exit code.
[[nodiscard]] int guarded(const std::function<void()>& body) noexcept;

}  // namespace edge_tx
