/// A model that answers texts.
public protocol TextModel {
    /// Answers a text; one that is longer than the model reads is cut.
    ///
    /// - Returns: Numbers by name: an embedding under its output's name, or a classifier's score
    ///   under each label.
    /// - Throws: `ModelError` if the runtime fails.
    func answer(_ text: String) throws -> [String: [Float]]
}

/// A model cannot be opened or cannot answer; the description is one line that says why.
public enum ModelError: Error, Equatable, CustomStringConvertible {
    case damaged(String)
    case tooNew(schema: Int)
    case unsupported(String)
    case runtime(String)

    public var description: String {
        switch self {
        case .damaged(let what): return "\(what); pack the model anew"
        case .tooNew(let schema): return "the model has schema \(schema): update the app"
        case .unsupported(let what): return what
        case .runtime(let what): return what
        }
    }
}
