package io.edgetx.example

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import ai.onnxruntime.extensions.OrtxPackage
import android.content.Context
import android.system.Os

/** Opens a folder of `edge-tx pack --text-in onnx`: ONNX Runtime with its extensions' tokenizer. */
@Suppress("UNUSED_PARAMETER") // as the other variant's
fun openTextModel(context: Context, folder: ModelFolder): TextModel =
    runtime("the model cannot be opened") { OnnxTextModel(folder) }

private class OnnxTextModel(private val folder: ModelFolder) : TextModel {
    private val environment = silentEnvironment()
    private val session: OrtSession =
        OrtSession.SessionOptions().use { options ->
            options.registerCustomOpLibrary(OrtxPackage.getLibraryPath())
            environment.createSession(folder.entry.absolutePath, options)
        }
    private val input = session.inputNames.first()

    override fun answer(text: String): Answer =
        runtime("the text cannot be answered") {
            OnnxTensor.createTensor(environment, arrayOf(folder.prompt + text)).use { tensor ->
                session.run(mapOf(input to tensor)).use(::read)
            }
        }

    private fun read(result: OrtSession.Result): Answer =
        Answer(
            folder.outputs.associateWith { name ->
                val tensor = result.get(name).get() as OnnxTensor
                val numbers = tensor.floatBuffer
                FloatArray(numbers.remaining()).also { numbers.get(it) }
            },
        )

    override fun close() = session.close()
}

// ONNX Runtime 1.29 and later report every process to their maker unless this is set before they
// start.
private fun silentEnvironment(): OrtEnvironment {
    Os.setenv("ORT_DISABLE_TELEMETRY", "1", false)
    return OrtEnvironment.getEnvironment()
}

private inline fun <T> runtime(doing: String, call: () -> T): T =
    try {
        call()
    } catch (problem: OrtException) {
        throw ModelException("$doing: ${problem.message?.lineSequence()?.firstOrNull()}", problem)
    }
