// A model on disk: what its manifest says, with every file that is used checked first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace edge_tx {

struct Package {
    std::filesystem::path entry;  // the graph to open
    std::string task;
    std::vector<std::string> labels;  // names of a classifier's outputs, by index
    std::string prompt;               // goes before every text, of a pair before the first
    bool pair = false;                // whether the graph takes two texts
    std::int64_t max_length = 0;      // tokens of a row; longer texts are cut
    std::vector<std::string> inputs;  // of a graph that takes token ids; empty if it takes text
    std::vector<std::string> outputs;
};

// Both check the size and the sha256 of every file they name.

// Opens a folder of `edge-tx pack --text-in openvino`, by its text_in.json.
// Throws Error: corrupt, too_new or unsafe; usage where it was packed for something else.
[[nodiscard]] Package open_text_in(const std::filesystem::path& folder);

// Opens a bundle's folder by its manifest.json, for its first graph of a backend.
// Throws Error: corrupt, too_new or unsafe; usage where it has no such graph.
[[nodiscard]] Package open_bundle(const std::filesystem::path& folder, const std::string& backend);

}  // namespace edge_tx
