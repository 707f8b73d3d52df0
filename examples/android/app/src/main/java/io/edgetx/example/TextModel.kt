package io.edgetx.example

/** A model that answers texts. Close it: its memory is not Kotlin's. */
interface TextModel : AutoCloseable {
    /**
     * Answers a text; one that is longer than the model reads is cut.
     *
     * @return for an embedding its numbers under the output's name, for a classifier a score or
     *   logit under each label
     * @throws ModelException the runtime failed
     */
    fun answer(text: String): Answer
}

/** @property values numbers by name: one name for an embedding, one per label for a classifier */
data class Answer(val values: Map<String, FloatArray>)

/** A model cannot be opened or cannot answer; the message is one line that says why. */
class ModelException(message: String, cause: Throwable? = null) : Exception(message, cause)
