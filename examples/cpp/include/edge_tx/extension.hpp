// Where openvino-tokenizers' library lies.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace edge_tx {

// EDGE_TX_TOKENIZERS names it; else it is where it was found when this was built.
[[nodiscard]] inline std::filesystem::path tokenizers_extension() {
    const char* named = std::getenv("EDGE_TX_TOKENIZERS");  // NOLINT(concurrency-mt-unsafe)
    return named != nullptr ? named : EDGE_TX_TOKENIZERS_LIBRARY;
}

}  // namespace edge_tx
