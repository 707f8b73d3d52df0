package io.edgetx.example

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import java.io.File
import kotlin.math.abs
import kotlin.math.max

/** The phone's answers against golden.json of the model in the app: docs/bundle.md has the rules. */
@RunWith(AndroidJUnit4::class)
class GoldenTest {
    private val context = InstrumentationRegistry.getInstrumentation().targetContext

    private fun text(name: String): String =
        context.assets.open("model/$name").use { it.reader().readText() }

    @Test
    fun everyGoldenAnswerIsRight() {
        val golden = JSONObject(text("golden.json"))
        val parity = JSONObject(text("text_in.json")).getJSONObject("parity")
        val folder = ModelFolder.unpack(context.assets, "model", File(context.cacheDir, "model"))
        openTextModel(context, folder).use { model ->
            for (case in objects(golden.getJSONArray("cases"))) {
                val answer = model.answer(case.getString("input"))
                val limit = Limit(golden.getDouble("tolerance"), parity.getDouble("max_abs_error"))
                check(case, answer, limit)
            }
        }
    }

    private class Limit(val tolerance: Double, val error: Double) {
        fun of(peak: Double) = max(tolerance * peak, 2 * error)
    }

    /** Numbers of an output, or, from runtimes that give nothing else, scores by label. */
    private fun check(case: JSONObject, answer: Answer, limit: Limit) {
        val outputs = case.getJSONArray("rows").getJSONObject(0).getJSONObject("outputs")
        for (name in outputs.keys()) {
            val wanted = numbers(outputs.getJSONObject(name).getJSONArray("values"))
            val allowed = limit.of(wanted.maxOf { abs(it) })
            val got = answer.values[name]
            if (got != null) {
                assertEquals(case.getString("input"), wanted.size, got.size)
                val off = wanted.indices.maxOf { abs(wanted[it] - got[it]) }
                assertTrue("${case.getString("input")}: off by $off", off <= allowed)
            } else {
                checkScores(case, answer, allowed)
            }
        }
    }

    private fun checkScores(case: JSONObject, answer: Answer, allowed: Double) {
        val scores = case.getJSONObject("result").getJSONObject("scores")
        for (label in scores.keys()) {
            val got = answer.values.getValue(label).single()
            val off = abs(scores.getDouble(label) - got)
            assertTrue("${case.getString("input")}: $label is off by $off", off <= allowed)
        }
    }

    private fun objects(list: JSONArray) = List(list.length(), list::getJSONObject)

    private fun numbers(list: JSONArray) = List(list.length(), list::getDouble)
}
