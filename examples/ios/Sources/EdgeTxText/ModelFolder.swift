import CryptoKit
import Foundation

/// A folder that `edge-tx pack --text-in` wrote, with every file checked.
public struct ModelFolder {
    /// What text_in.json says.
    public struct Card: Decodable {
        public struct File: Decodable {
            public let path: String
            public let size: Int
            public let sha256: String
        }

        public struct Output: Decodable {
            public let name: String
        }

        public struct Parity: Decodable {
            public let maxAbsError: Double
        }

        public let schema: Int
        public let entry: String
        public let task: String
        public let labels: [String]
        public let outputs: [Output]
        public let prompt: String
        public let prepare: String
        public let parity: Parity
        public let files: [File]
    }

    private struct Version: Decodable {
        let schema: Int
    }

    private static let schema = 1
    private static let chunkBytes = 1 << 20

    public let root: URL
    public let card: Card

    /// The graph to open.
    public var entry: URL { root.appendingPathComponent(card.entry) }

    /// The golden answers to single texts.
    public var golden: URL { root.appendingPathComponent("golden.json") }

    /// Opens a folder, after checking the size and the sha256 of its files.
    ///
    /// - Throws: `ModelError.damaged` or `ModelError.tooNew`.
    public init(_ root: URL) throws {
        self.root = root
        card = try Self.read(root.appendingPathComponent("text_in.json"))
        for file in card.files {
            try Self.check(file, in: root)
        }
        guard card.files.contains(where: { $0.path == card.entry }) else {
            throw ModelError.damaged("text_in.json does not list \(card.entry)")
        }
    }

    private static func read(_ url: URL) throws -> Card {
        guard let data = try? Data(contentsOf: url) else {
            throw ModelError.damaged("\(url.lastPathComponent) is missing")
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            // The version first: a newer card may have other keys.
            let version = try decoder.decode(Version.self, from: data)
            guard version.schema <= schema else {
                throw ModelError.tooNew(schema: version.schema)
            }
            return try decoder.decode(Card.self, from: data)
        } catch let problem as DecodingError {
            throw ModelError.damaged("\(url.lastPathComponent) is no card: \(problem)")
        }
    }

    private static func check(_ file: Card.File, in root: URL) throws {
        guard !file.path.isEmpty, !file.path.hasPrefix("."), !file.path.contains("/") else {
            throw ModelError.damaged("'\(file.path)' is no file of the folder")
        }
        guard let handle = try? FileHandle(forReadingFrom: root.appendingPathComponent(file.path))
        else {
            throw ModelError.damaged("\(file.path) is missing")
        }
        defer { try? handle.close() }
        var hasher = SHA256()
        var size = 0
        while let chunk = try? handle.read(upToCount: chunkBytes), !chunk.isEmpty {
            hasher.update(data: chunk)
            size += chunk.count
        }
        let digest = hasher.finalize().map { String(format: "%02x", $0) }.joined()
        guard size == file.size, digest == file.sha256 else {
            throw ModelError.damaged("\(file.path) is damaged")
        }
    }
}
