import Foundation

/// What is done to a text before MediaPipe's BERT tokenizer, which does not normalise, sees it.
///
/// It is BERT's own normalisation, as `edge_tx.runtimes.mediapipe_text.prepare` has it.
public enum Prepared: String {
    case cased = "bert-cased"
    case uncased = "bert-uncased"

    /// Blocks of Chinese characters; kana and hangul are written with words and not split.
    private static let chinese: [ClosedRange<UInt32>] = [
        0x4E00...0x9FFF,
        0x3400...0x4DBF,
        0x20000...0x2A6DF,
        0x2A700...0x2B73F,
        0x2B740...0x2B81F,
        0x2B920...0x2CEAF,
        0xF900...0xFAFF,
        0x2F800...0x2FA1F,
    ]
    private static let controls: Set<Unicode.GeneralCategory> = [.control, .format, .privateUse]
    private static let spaces: Set<Unicode.Scalar> = ["\t", "\n", "\r"]
    private static let replacement: Unicode.Scalar = "\u{FFFD}"

    /// The form that `prepare` in text_in.json names.
    ///
    /// - Throws: `ModelError.unsupported` for a name that this app does not know.
    public static func named(_ name: String) throws -> Prepared {
        guard let form = Prepared(rawValue: name) else {
            throw ModelError.unsupported("texts cannot be prepared as '\(name)': update the app")
        }
        return form
    }

    /// The text without control characters and with Chinese characters set apart by spaces, and
    /// for an uncased model in lower case and without accents.
    public func apply(_ text: String) -> String {
        let spaced = text.unicodeScalars.map(Self.spaced).joined()
        guard self == .uncased else { return spaced }
        // Each character alone: a word's last sigma stays the one that the vocabulary has.
        return spaced.decomposedStringWithCanonicalMapping.unicodeScalars
            .filter { $0.properties.generalCategory != .nonspacingMark }
            .map { $0.properties.lowercaseMapping }
            .joined()
    }

    private static func spaced(_ scalar: Unicode.Scalar) -> String {
        if spaces.contains(scalar) { return " " }
        if scalar == replacement || controls.contains(scalar.properties.generalCategory) {
            return ""
        }
        if scalar.properties.isWhitespace { return " " }
        let isChinese = chinese.contains { $0.contains(scalar.value) }
        return isChinese ? " \(scalar) " : String(scalar)
    }
}
