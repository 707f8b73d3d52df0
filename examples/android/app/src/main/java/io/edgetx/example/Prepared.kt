package io.edgetx.example

import java.text.Normalizer

/**
 * What is done to a text before MediaPipe's BERT tokenizer, which does not normalise, sees it.
 *
 * It is BERT's own normalisation, as `edge_tx.runtimes.mediapipe_text.prepare` has it.
 */
enum class Prepared(val lowercase: Boolean) {
    CASED(false),
    UNCASED(true),
    ;

    /** The text without control characters and with Chinese characters set apart by spaces. */
    fun apply(text: String): String {
        val spaced = buildString { text.codePoints().forEach { append(spaced(it)) } }
        if (!lowercase) return spaced
        val plain =
            Normalizer.normalize(spaced, Normalizer.Form.NFD)
                .codePoints()
                .filter { Character.getType(it) != Character.NON_SPACING_MARK.toInt() }
        // Each character alone: a word's last sigma stays the one that the vocabulary has.
        return buildString { plain.forEach { append(lower(it)) } }
    }

    private fun lower(code: Int): String = String(Character.toChars(code)).lowercase()

    private fun spaced(code: Int): String {
        val char = String(Character.toChars(code))
        return when {
            code in SPACES -> " "
            code == REPLACEMENT || Character.getType(code) in CONTROLS -> ""
            Character.isWhitespace(code) || Character.isSpaceChar(code) -> " "
            CHINESE.any { code in it } -> " $char "
            else -> char
        }
    }

    companion object {
        private const val REPLACEMENT = 0xFFFD
        private val SPACES = setOf('\t'.code, '\n'.code, '\r'.code)
        private val CONTROLS =
            setOf(Character.CONTROL, Character.FORMAT, Character.PRIVATE_USE).map { it.toInt() }

        /** Blocks of Chinese characters; kana and hangul are written with words and not split. */
        private val CHINESE =
            listOf(
                0x4E00..0x9FFF,
                0x3400..0x4DBF,
                0x20000..0x2A6DF,
                0x2A700..0x2B73F,
                0x2B740..0x2B81F,
                0x2B920..0x2CEAF,
                0xF900..0xFAFF,
                0x2F800..0x2FA1F,
            )

        /** The form that `prepare` in text_in.json names. */
        fun of(name: String): Prepared =
            when (name) {
                "bert-uncased" -> UNCASED
                "bert-cased" -> CASED
                else -> throw ModelException("texts cannot be prepared as '$name': update the app")
            }
    }
}
