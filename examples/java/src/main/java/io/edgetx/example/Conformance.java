package io.edgetx.example;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;

/** Answers the questions of {@code edge-tx conformance}: {@code Conformance FOLDER}. */
public final class Conformance {
    private static final int USAGE = 2;
    private static final Gson JSON = new Gson();

    private Conformance() {}

    public static void main(String[] arguments) throws IOException {
        if (arguments.length != 1) {
            System.err.println("usage: Conformance FOLDER");
            System.exit(USAGE);
        }
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        try (TextModel model = TextModel.open(Path.of(arguments[0]));
                BufferedReader in =
                        new BufferedReader(
                                new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                out.println(answered(model, line));
            }
        } catch (EdgeTxException problem) {
            System.err.println(problem.getMessage());
            System.exit(problem.code());
        }
    }

    private static String answered(TextModel model, String line) {
        try {
            return JSON.toJson(told(model.answer(text(line))));
        } catch (EdgeTxException | JsonParseException | IllegalArgumentException problem) {
            return JSON.toJson(Map.of("error", String.valueOf(problem.getMessage())));
        }
    }

    private static String text(String line) {
        JsonElement question = JsonParser.parseString(line);
        JsonElement text = question.isJsonObject() ? question.getAsJsonObject().get("text") : null;
        if (text == null
                || !text.isJsonPrimitive()
                || !text.getAsJsonPrimitive().isString()
                || question.getAsJsonObject().has("pair")) {
            throw new IllegalArgumentException("a question is an object with one text");
        }
        return text.getAsString();
    }

    private static Map<String, Object> told(Answer answer) {
        return Map.of(
                "ids", answer.ids(),
                "type_ids", answer.typeIds(),
                "outputs", Map.of(answer.output(), answer.values()));
    }
}
