import EdgeTxText
import XCTest

@testable import Example

/// The device's answers against golden.json of the model in the app.
final class GoldenTests: XCTestCase {
    func testEveryGoldenAnswerIsRight() throws {
        let root = try XCTUnwrap(Bundle.main.url(forResource: "Model", withExtension: nil))
        let folder = try ModelFolder(root)
        let model = try MediaPipe.open(folder)
        let exam = try GoldenExam(folder)
        XCTAssertFalse(exam.cases.isEmpty)
        let error = folder.card.parity.maxAbsError
        XCTAssertEqual(try exam.failures(of: model, maxAbsError: error), [])
    }
}
