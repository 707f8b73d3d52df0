import XCTest

@testable import EdgeTxText

final class PreparedTests: XCTestCase {
    func testAccentsAndCapitalsGo() {
        XCTAssertEqual(Prepared.uncased.apply("Ångström Übung"), "angstrom ubung")
        XCTAssertEqual(Prepared.cased.apply("Ångström"), "Ångström")
    }

    func testChineseCharactersStandApart() {
        XCTAssertEqual(Prepared.uncased.apply("东京Tower"), " 东  京 tower")
    }

    func testControlCharactersGoAndSpacesStay() {
        XCTAssertEqual(Prepared.uncased.apply("a\tb\u{a0}c\u{2003}d\u{7}\u{fffd}"), "a b c d")
    }

    func testAnUnknownFormIsTold() {
        XCTAssertThrowsError(try Prepared.named("klingon"))
    }
}
