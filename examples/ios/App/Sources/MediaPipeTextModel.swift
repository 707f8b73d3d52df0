import EdgeTxText
import Foundation
import MediaPipeTasksText

/// A folder of `edge-tx pack --text-in mediapipe`: LiteRT with a tokenizer, by MediaPipe.
enum MediaPipe {
    private static let tasks: [String: (ModelFolder) throws -> TextModel] = [
        "sentence-embedding": MediaPipeEmbedder.init,
        "text-classification": MediaPipeClassifier.init,
    ]

    static func open(_ folder: ModelFolder) throws -> TextModel {
        guard let make = tasks[folder.card.task] else {
            throw ModelError.unsupported("MediaPipe has nothing for '\(folder.card.task)'")
        }
        return try runtime("the model cannot be opened") { try make(folder) }
    }

    fileprivate static func runtime<T>(_ doing: String, _ call: () throws -> T) throws -> T {
        do {
            return try call()
        } catch let problem as ModelError {
            throw problem
        } catch {
            throw ModelError.runtime("\(doing): \(error.localizedDescription)")
        }
    }
}

private final class MediaPipeEmbedder: TextModel {
    private let folder: ModelFolder
    private let form: Prepared
    private let embedder: TextEmbedder

    init(_ folder: ModelFolder) throws {
        self.folder = folder
        form = try Prepared.named(folder.card.prepare)
        let options = TextEmbedderOptions()
        options.baseOptions.modelAssetPath = folder.entry.path
        embedder = try TextEmbedder(options: options)
    }

    func answer(_ text: String) throws -> [String: [Float]] {
        try MediaPipe.runtime("the text cannot be embedded") {
            let result = try embedder.embed(text: form.apply(folder.card.prompt + text))
            guard let vector = result.embeddingResult.embeddings.first?.floatEmbedding,
                let name = folder.card.outputs.first?.name
            else {
                throw ModelError.runtime("MediaPipe gave no embedding")
            }
            return [name: vector.map(\.floatValue)]
        }
    }
}

private final class MediaPipeClassifier: TextModel {
    private let folder: ModelFolder
    private let form: Prepared
    private let classifier: TextClassifier

    init(_ folder: ModelFolder) throws {
        self.folder = folder
        form = try Prepared.named(folder.card.prepare)
        let options = TextClassifierOptions()
        options.baseOptions.modelAssetPath = folder.entry.path
        classifier = try TextClassifier(options: options)
    }

    func answer(_ text: String) throws -> [String: [Float]] {
        try MediaPipe.runtime("the text cannot be classified") {
            let result = try classifier.classify(text: form.apply(folder.card.prompt + text))
            let found = result.classificationResult.classifications.first?.categories ?? []
            let scores = found.map { ($0.categoryName ?? "", [$0.score]) }
            return Dictionary(scores) { first, _ in first }
        }
    }
}
