package io.edgetx.example

import android.os.Bundle
import android.os.SystemClock
import android.widget.Button
import android.widget.EditText
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.lifecycle.lifecycleScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import java.io.File

/** One text in, its answer out; the model works beside the screen. */
class MainActivity : ComponentActivity() {
    private var model: TextModel? = null
    private lateinit var result: TextView
    private lateinit var ask: Button

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        result = findViewById(R.id.result)
        ask = findViewById(R.id.ask)
        val question = findViewById<EditText>(R.id.question)
        ask.setOnClickListener { answer(question.text.toString()) }
        lifecycleScope.launch { load() }
    }

    override fun onDestroy() {
        model?.close()
        super.onDestroy()
    }

    private suspend fun load() {
        try {
            model =
                withContext(Dispatchers.IO) {
                    val folder = ModelFolder.unpack(assets, "model", File(filesDir, "model"))
                    openTextModel(this@MainActivity, folder)
                }
            result.setText(R.string.ready)
            ask.isEnabled = true
        } catch (problem: ModelException) {
            result.text = problem.message
        }
    }

    private fun answer(text: String) {
        val model = model ?: return
        ask.isEnabled = false
        lifecycleScope.launch {
            val start = SystemClock.elapsedRealtime()
            result.text =
                try {
                    val answer = withContext(Dispatchers.Default) { model.answer(text) }
                    getString(R.string.took, shown(answer), SystemClock.elapsedRealtime() - start)
                } catch (problem: ModelException) {
                    problem.message
                }
            ask.isEnabled = true
        }
    }

    private fun shown(answer: Answer): String =
        answer.values.entries.joinToString("\n") { (name, values) ->
            val few = values.take(SHOWN).joinToString(", ") { "%.4f".format(it) }
            "$name: $few" + if (values.size > SHOWN) ", … (${values.size})" else ""
        }

    private companion object {
        const val SHOWN = 6
    }
}
