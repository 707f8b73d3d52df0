import CryptoKit
import XCTest

@testable import EdgeTxText

final class ModelFolderTests: XCTestCase {
    private var root: URL!

    override func setUpWithError() throws {
        root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        try Data("graph".utf8).write(to: root.appendingPathComponent("model.tflite"))
        try write()
    }

    override func tearDownWithError() throws {
        try FileManager.default.removeItem(at: root)
    }

    private func write(schema: Int = 1, path: String = "model.tflite") throws {
        let digest = SHA256.hash(data: Data("graph".utf8)).map { String(format: "%02x", $0) }
        let card: [String: Any] = [
            "schema": schema, "entry": path, "task": "sentence-embedding", "labels": [],
            "outputs": [["name": "sentence_embedding"]], "prompt": "", "prepare": "bert-uncased",
            "parity": ["max_abs_error": 1e-6],
            "files": [["path": path, "size": 5, "sha256": digest.joined()]],
        ]
        let data = try JSONSerialization.data(withJSONObject: card)
        try data.write(to: root.appendingPathComponent("text_in.json"))
    }

    func testAWholeFolderOpens() throws {
        let folder = try ModelFolder(root)
        XCTAssertEqual(folder.entry.lastPathComponent, "model.tflite")
        XCTAssertEqual(folder.card.parity.maxAbsError, 1e-6)
    }

    func testADamagedFileIsTold() throws {
        try Data("grapf".utf8).write(to: root.appendingPathComponent("model.tflite"))
        XCTAssertThrowsError(try ModelFolder(root)) { problem in
            XCTAssertEqual(problem as? ModelError, .damaged("model.tflite is damaged"))
        }
    }

    func testANewerFolderIsTold() throws {
        try write(schema: 2)
        XCTAssertThrowsError(try ModelFolder(root)) { problem in
            XCTAssertEqual(problem as? ModelError, .tooNew(schema: 2))
        }
    }

    func testAPathOutOfTheFolderIsRefused() throws {
        try write(path: "../model.tflite")
        XCTAssertThrowsError(try ModelFolder(root))
    }
}
