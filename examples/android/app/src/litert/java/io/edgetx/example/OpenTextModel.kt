package io.edgetx.example

import android.content.Context
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.text.textclassifier.TextClassifier
import com.google.mediapipe.tasks.text.textembedder.TextEmbedder

/** Opens a folder of `edge-tx pack --text-in mediapipe`: LiteRT with a tokenizer, by MediaPipe. */
fun openTextModel(context: Context, folder: ModelFolder): TextModel {
    val opener =
        TASKS[folder.task] ?: throw ModelException("MediaPipe has nothing for '${folder.task}'")
    return runtime("the model cannot be opened") { opener(context, folder) }
}

private typealias Opener = (Context, ModelFolder) -> TextModel

private val TASKS: Map<String, Opener> =
    mapOf("sentence-embedding" to ::Embedder, "text-classification" to ::Classifier)

private class Embedder(context: Context, private val folder: ModelFolder) : TextModel {
    private val form = Prepared.of(folder.prepare)
    private val embedder =
        TextEmbedder.createFromOptions(
            context,
            TextEmbedder.TextEmbedderOptions.builder().setBaseOptions(base(folder)).build(),
        )

    override fun answer(text: String): Answer =
        runtime("the text cannot be embedded") {
            val result = embedder.embed(form.apply(folder.prompt + text))
            val vector = result.embeddingResult().embeddings().first().floatEmbedding()
            Answer(mapOf(folder.outputs.first() to vector))
        }

    override fun close() = embedder.close()
}

private class Classifier(context: Context, private val folder: ModelFolder) : TextModel {
    private val form = Prepared.of(folder.prepare)
    private val classifier =
        TextClassifier.createFromOptions(
            context,
            TextClassifier.TextClassifierOptions.builder().setBaseOptions(base(folder)).build(),
        )

    override fun answer(text: String): Answer =
        runtime("the text cannot be classified") {
            val result = classifier.classify(form.apply(folder.prompt + text))
            val categories = result.classificationResult().classifications().first().categories()
            Answer(categories.associate { it.categoryName() to floatArrayOf(it.score()) })
        }

    override fun close() = classifier.close()
}

private fun base(folder: ModelFolder): BaseOptions =
    BaseOptions.builder().setModelAssetPath(folder.entry.absolutePath).build()

/** MediaPipe throws its own runtime exceptions, and IllegalArgumentException for a bad file. */
private inline fun <T> runtime(doing: String, call: () -> T): T =
    try {
        call()
    } catch (problem: RuntimeException) {
        throw ModelException("$doing: ${problem.message?.lineSequence()?.firstOrNull()}", problem)
    }
