import EdgeTxText
import SwiftUI

@main
struct ExampleApp: App {
    @StateObject private var state = AppState()

    var body: some Scene {
        WindowGroup {
            ContentView(state: state).task { await state.load() }
        }
    }
}

/// What the screen shows; the model works beside it.
@MainActor
final class AppState: ObservableObject {
    @Published private(set) var shown = "Opening the model…"
    @Published private(set) var isReady = false
    private var model: TextModel?

    func load() async {
        do {
            model = try await Task.detached { try Self.bundled() }.value
            shown = "Ready."
            isReady = true
        } catch {
            shown = String(describing: error)
        }
    }

    func ask(_ text: String) async {
        guard let model else { return }
        isReady = false
        defer { isReady = true }
        do {
            let answer = try await Task.detached { try model.answer(text) }.value
            shown = Self.told(answer)
        } catch {
            shown = String(describing: error)
        }
    }

    nonisolated private static func bundled() throws -> TextModel {
        guard let root = Bundle.main.url(forResource: "Model", withExtension: nil) else {
            throw ModelError.damaged("there is no model in the app")
        }
        return try MediaPipe.open(ModelFolder(root))
    }

    private static func told(_ answer: [String: [Float]]) -> String {
        answer.sorted { $0.key < $1.key }
            .map { name, values in
                let few = values.prefix(6).map { String(format: "%.4f", $0) }
                return "\(name): \(few.joined(separator: ", "))"
                    + (values.count > 6 ? ", … (\(values.count))" : "")
            }
            .joined(separator: "\n")
    }
}

struct ContentView: View {
    @ObservedObject var state: AppState
    @State private var question = ""

    var body: some View {
        VStack(alignment: .leading, spacing: 16) {
            TextField("A text", text: $question, axis: .vertical)
                .textFieldStyle(.roundedBorder)
            Button("Answer") {
                Task { await state.ask(question) }
            }
            .buttonStyle(.borderedProminent)
            .disabled(!state.isReady)
            ScrollView {
                Text(state.shown).textSelection(.enabled)
            }
            Spacer()
        }
        .padding()
    }
}
