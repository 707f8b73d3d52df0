import EdgeTxText
import Foundation
import OnnxRuntimeBindings
import OnnxRuntimeExtensions

/// A folder of `edge-tx pack --text-in onnx`: ONNX Runtime with its extensions' tokenizer.
public final class OnnxTextModel: TextModel {
    private static let input = "text"

    private let folder: ModelFolder
    private let environment: ORTEnv
    private let session: ORTSession

    /// Opens the graph.
    ///
    /// - Throws: `ModelError.runtime` if ONNX Runtime refuses it.
    public init(_ folder: ModelFolder) throws {
        self.folder = folder
        do {
            // ONNX Runtime 1.29 and later report every process to their maker unless this is set
            // before they start.
            setenv("ORT_DISABLE_TELEMETRY", "1", 0)
            environment = try ORTEnv(loggingLevel: .error)
            let options = try ORTSessionOptions()
            try options.registerCustomOps(
                functionPointer: OrtExt.getRegisterCustomOpsFunctionPointer()
            )
            session = try ORTSession(
                env: environment,
                modelPath: folder.entry.path,
                sessionOptions: options
            )
        } catch {
            throw ModelError.runtime("the model cannot be opened: \(error.localizedDescription)")
        }
    }

    public func answer(_ text: String) throws -> [String: [Float]] {
        do {
            let asked = try ORTValue(tensorStringData: [folder.card.prompt + text], shape: [1])
            let names = Set(folder.card.outputs.map(\.name))
            let found = try session.run(
                withInputs: [Self.input: asked],
                outputNames: names,
                runOptions: nil
            )
            return try found.mapValues(Self.floats)
        } catch {
            throw ModelError.runtime("the text cannot be answered: \(error.localizedDescription)")
        }
    }

    private static func floats(_ value: ORTValue) throws -> [Float] {
        let data = try value.tensorData() as Data
        return data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }
}
