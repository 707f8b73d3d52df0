#include "edge_tx/package.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <iomanip>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "edge_tx/error.hpp"

namespace edge_tx {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int known_schema = 1;
constexpr std::size_t chunk_bytes = 1U << 20U;
constexpr std::uintmax_t largest_manifest_bytes = 16U << 20U;

[[noreturn]] void corrupt(const fs::path& file, const std::string& why) {
    throw Error(Failure::corrupt,
                file.string() + ": " + why + "; copy the folder anew from where it was made");
}

json read_manifest(const fs::path& file) {
    std::error_code failed;
    const auto size = fs::file_size(file, failed);
    if (failed) {
        throw Error(Failure::corrupt, file.string() + " cannot be read: " + failed.message());
    }
    if (size > largest_manifest_bytes) {
        corrupt(file, "too large to be a manifest");
    }
    std::ifstream stream(file, std::ios::binary);
    auto manifest = json::parse(stream, nullptr, /*allow_exceptions=*/false);
    if (!manifest.is_object() || !manifest.contains("schema") ||
        !manifest["schema"].is_number_integer()) {
        corrupt(file, "not a manifest");
    }
    const auto schema = manifest["schema"].get<std::int64_t>();
    if (schema > known_schema) {
        throw Error(Failure::too_new, file.string() + " has schema " + std::to_string(schema) +
                                          ", and this program reads " +
                                          std::to_string(known_schema) + ": update the program");
    }
    return manifest;
}

std::string sha256(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                          EVP_MD_CTX_free);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int length = 0;
    bool fine = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
    std::vector<char> chunk(chunk_bytes);
    while (fine && stream) {
        stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
        const auto count = static_cast<std::size_t>(stream.gcount());
        fine = EVP_DigestUpdate(context.get(), chunk.data(), count) == 1;
    }
    if (!fine || !stream.eof() || EVP_DigestFinal_ex(context.get(), digest.data(), &length) != 1) {
        corrupt(file, "cannot be read");
    }
    std::ostringstream text;
    for (unsigned int i = 0; i < length; ++i) {
        text << std::hex << std::setw(2) << std::setfill('0') << int{digest.at(i)};
    }
    return text.str();
}

// A path out of a file never leads out of the folder.
fs::path inside(const fs::path& folder, const std::string& name) {
    const fs::path path(name);
    const auto bad = [](const fs::path& part) { return part == ".." || part == "."; };
    if (name.empty() || path.is_absolute() || std::any_of(path.begin(), path.end(), bad) ||
        fs::is_symlink(folder / path)) {
        throw Error(Failure::unsafe, folder.string() + " names the file '" + name +
                                         "', which may lie outside of it: do not use it");
    }
    return folder / path;
}

void check_files(const fs::path& folder, const json& files) {
    for (const auto& file : files) {
        const auto path = inside(folder, file.at("path").get<std::string>());
        std::error_code failed;
        const auto size = fs::file_size(path, failed);
        if (failed) {
            corrupt(path, "missing");
        }
        if (size != file.at("size").get<std::uintmax_t>() ||
            sha256(path) != file.at("sha256").get<std::string>()) {
            corrupt(path, "damaged, its size or sha256 is not the manifest's");
        }
    }
}

std::vector<std::string> names(const json& specs) {
    std::vector<std::string> found;
    for (const auto& spec : specs) {
        found.push_back(spec.at("name").get<std::string>());
    }
    return found;
}

// Calls `read`, and tells what a missing or mistyped key means.
template <typename Read>
Package reading(const fs::path& file, const Read& read) {
    try {
        return read(read_manifest(file));
    } catch (const json::exception& problem) {
        corrupt(file, problem.what());
    }
}

}  // namespace

Package open_text_in(const fs::path& folder) {
    return reading(folder / "text_in.json", [&](const json& card) {
        // Some string-in graphs want their texts changed before; those of OpenVINO do not.
        if (!card.at("prepare").get<std::string>().empty()) {
            throw Error(Failure::usage, folder.string() + " wants its texts prepared (" +
                                            card.at("prepare").get<std::string>() +
                                            "): pack it for openvino");
        }
        check_files(folder, card.at("files"));
        Package package;
        package.entry = inside(folder, card.at("entry").get<std::string>());
        package.task = card.at("task").get<std::string>();
        package.labels = card.at("labels").get<std::vector<std::string>>();
        package.prompt = card.at("prompt").get<std::string>();
        package.max_length = card.at("max_length").get<std::int64_t>();
        package.pair = card.value("pair", false);
        package.outputs = names(card.at("outputs"));
        return package;
    });
}

Package open_bundle(const fs::path& folder, const std::string& backend) {
    return reading(folder / "manifest.json", [&](const json& manifest) {
        const auto& graphs = manifest.at("graphs");
        const auto graph = std::find_if(graphs.begin(), graphs.end(), [&](const json& one) {
            return one.at("backend").get<std::string>() == backend;
        });
        if (graph == graphs.end()) {
            throw Error(Failure::usage, folder.string() + " has no graph for " + backend +
                                            ": edge-tx export --to " + backend + " makes one");
        }
        check_files(folder, graph->at("files"));
        const auto& settings = manifest.at("settings");
        const auto& policy = manifest.at("tokenizer");
        Package package;
        package.entry = inside(folder, graph->at("entry").get<std::string>());
        package.task = manifest.at("task").get<std::string>();
        package.labels = settings.at("labels").get<std::vector<std::string>>();
        package.prompt = settings.at("prompts").value(
            settings.at("default_prompt").get<std::string>(), std::string());
        package.max_length = policy.at("max_length").get<std::int64_t>();
        package.inputs = names(graph->at("inputs"));
        package.outputs = names(graph->at("outputs"));
        return package;
    });
}

}  // namespace edge_tx
