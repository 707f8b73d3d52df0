import Foundation

/// Holds a model to golden.json: docs/bundle.md has the rules.
public struct GoldenExam: Decodable {
    public struct Case: Decodable {
        public let input: String
        public let rows: [Row]
        public let result: Result
    }

    public struct Row: Decodable {
        public let outputs: [String: Output]
    }

    public struct Output: Decodable {
        public let values: [Float]
    }

    public struct Result: Decodable {
        public let scores: [String: Float]?
    }

    public let cases: [Case]
    public let tolerance: Double

    /// Reads the golden answers of a folder.
    public init(_ folder: ModelFolder) throws {
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: folder.golden))
        } catch {
            throw ModelError.damaged("golden.json cannot be read: \(error)")
        }
    }

    /// What is wrong with a model's answers, one line per case; nothing if all are right.
    ///
    /// - Parameter maxAbsError: The graph's own, `parity.max_abs_error` of its card.
    public func failures(of model: TextModel, maxAbsError: Double) throws -> [String] {
        try cases.compactMap { item in
            let answer = try model.answer(item.input)
            return failure(of: answer, for: item, maxAbsError: maxAbsError)
        }
    }

    func failure(of answer: [String: [Float]], for item: Case, maxAbsError: Double) -> String? {
        for (name, wanted) in item.rows.first?.outputs ?? [:] {
            let peak = Double(wanted.values.map(abs).max() ?? 0)
            let limit = max(tolerance * peak, 2 * maxAbsError)
            // A classifier of MediaPipe gives scores in place of logits.
            let pairs = answer[name].map { [(name, wanted.values, $0)] } ?? scored(answer, item)
            guard !pairs.isEmpty else { return "\(item.input): no \(name)" }
            for (what, values, got) in pairs {
                guard values.count == got.count else { return "\(item.input): \(what) is cut" }
                let off = zip(values, got).map { Double(abs($0 - $1)) }.max() ?? 0
                // Written so that NaN fails too.
                guard off <= limit else { return "\(item.input): \(what) is off by \(off)" }
            }
        }
        return nil
    }

    private func scored(_ answer: [String: [Float]], _ item: Case) -> [(String, [Float], [Float])] {
        (item.result.scores ?? [:]).map { ($0.key, [$0.value], answer[$0.key] ?? []) }
    }
}
