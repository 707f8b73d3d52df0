// A model on disk: what its manifest says, with every file that is used checked first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace edge_tx {

struct Package {
    std::filesystem::path entry;       // the graph to open
    std::string task;
    std::vector<std::string> labels;   // names of a classifier's outputs, by index
    std::string prompt;                // goes before every text
    std::int64_t max_length = 0;       // tokens of a row; longer texts are cut
    std::vector<std::string> inputs;
    bool takes_text = false;           // the graph has a tokenizer inside
    std::vector<std::string> outputs;
};

// Opens a folder by its manifest.json, for its first graph of a backend: a bundle, or what
// `edge-tx pack --text-in` writes. The size and sha256 of each of the graph's files are checked.
// Throws Error: corrupt, too_new, unsafe, or usage where it has no such graph.
[[nodiscard]] Package open_package(const std::filesystem::path& folder, const std::string& backend);

}  // namespace edge_tx
