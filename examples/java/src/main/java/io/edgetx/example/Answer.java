package io.edgetx.example;

/**
 * What a model says of a text.
 *
 * @param ids token ids of the text, special tokens included
 * @param typeIds token type ids, as many, or none if the model has no use for them
 * @param output name of the graph's output, for example {@code sentence_embedding} or {@code logits}
 * @param values the output's numbers, in C order
 */
public record Answer(long[] ids, long[] typeIds, String output, float[] values) {}
