// What can go wrong for a user, with the exit codes of the edge-tx command line.
#pragma once

#include <stdexcept>
#include <string>

namespace edge_tx {

enum class Failure : int {
    usage = 2,
    corrupt = 8,
    too_new = 9,
    unsafe = 10,
    input = 11,
    runtime = 14,
};

class Error : public std::runtime_error {
public:
    Error(Failure kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}

    [[nodiscard]] Failure kind() const noexcept { return kind_; }
    [[nodiscard]] int exit_code() const noexcept { return static_cast<int>(kind_); }

private:
    Failure kind_;
};

}  // namespace edge_tx
