package io.edgetx.example

import android.content.res.AssetManager
import org.json.JSONException
import org.json.JSONObject
import java.io.File
import java.io.IOException
import java.security.DigestOutputStream
import java.security.MessageDigest

/**
 * A folder that `edge-tx pack --text-in` wrote, checked and laid out as files.
 *
 * @property entry the graph to open
 * @property task for example `sentence-embedding`
 * @property labels names of a classifier's outputs, by index
 * @property outputs names of the graph's outputs
 * @property prompt goes before every text
 * @property prepare how texts are changed before MediaPipe sees them; empty for not at all
 */
data class ModelFolder(
    val entry: File,
    val task: String,
    val labels: List<String>,
    val outputs: List<String>,
    val prompt: String,
    val prepare: String,
) {
    companion object {
        private const val SCHEMA = 1
        private const val CARD = "text_in.json"

        /**
         * Copies an asset folder to [target], as runtimes open files, and checks the sha256 of each.
         *
         * @throws ModelException a file is missing or damaged, or the folder is of a newer version
         */
        fun unpack(assets: AssetManager, folder: String, target: File): ModelFolder =
            try {
                val card = JSONObject(assets.open("$folder/$CARD").use { it.reader().readText() })
                val schema = card.getInt("schema")
                if (schema > SCHEMA) {
                    throw ModelException("$CARD has schema $schema: update the app")
                }
                target.mkdirs()
                val files = card.getJSONArray("files")
                for (i in 0 until files.length()) {
                    copy(assets, folder, target, files.getJSONObject(i))
                }
                read(card, target)
            } catch (problem: IOException) {
                throw ModelException("the model cannot be read: ${problem.message}", problem)
            } catch (problem: JSONException) {
                throw ModelException("$CARD is damaged: ${problem.message}", problem)
            }

        private fun read(card: JSONObject, target: File) =
            ModelFolder(
                entry = File(target, card.getString("entry")),
                task = card.getString("task"),
                labels = card.getJSONArray("labels").let { list ->
                    List(list.length(), list::getString)
                },
                outputs =
                card.getJSONArray("outputs").let { list ->
                    List(list.length()) { list.getJSONObject(it).getString("name") }
                },
                prompt = card.getString("prompt"),
                prepare = card.getString("prepare"),
            )

        private fun copy(assets: AssetManager, folder: String, target: File, record: JSONObject) {
            val name = record.getString("path")
            if (name.isEmpty() || name.startsWith(".") || '/' in name) {
                throw ModelException("$CARD names '$name', which is no file of the folder")
            }
            val file = File(target, name)
            val digest = MessageDigest.getInstance("SHA-256")
            assets.open("$folder/$name").use { input ->
                DigestOutputStream(file.outputStream(), digest).use(input::copyTo)
            }
            val sha256 = digest.digest().joinToString("") { "%02x".format(it) }
            if (sha256 != record.getString("sha256")) {
                file.delete()
                throw ModelException("$name is damaged: pack the model anew")
            }
        }
    }
}
