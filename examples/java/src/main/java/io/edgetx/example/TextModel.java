package io.edgetx.example;

import java.lang.ref.Cleaner;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.stream.Stream;

/**
 * A model that answers texts, from a folder that {@code edge-tx pack --text-in openvino} wrote.
 *
 * <p>Safe to share between threads, which take turns. Close it, or use it in a try block: the
 * model's memory is not Java's.
 */
public final class TextModel implements AutoCloseable {
    static {
        System.loadLibrary("edge_tx_jni");
    }

    private static final Cleaner CLEANER = Cleaner.create();

    private final Native model;
    private final Cleaner.Cleanable cleanable;
    private final List<String> labels;
    // Answers hold it for reading, close() for writing: nothing is freed under a running answer.
    private final ReadWriteLock lock = new ReentrantReadWriteLock();
    private boolean closed;

    private TextModel(long handle) {
        model = new Native(handle);
        cleanable = CLEANER.register(this, model);
        labels =
                Stream.of(labelsNative(handle))
                        .map(bytes -> new String(bytes, StandardCharsets.UTF_8))
                        .toList();
    }

    /**
     * Opens a folder, after checking the size and the sha256 of its files.
     *
     * @throws EdgeTxException the folder is damaged or of a newer version, or the graph is refused
     */
    public static TextModel open(Path folder) {
        return new TextModel(openNative(utf8(folder.toString()), new byte[0]));
    }

    /**
     * Opens a folder where openvino-tokenizers' library lies elsewhere than when this was built, as
     * in an Android app's {@code nativeLibraryDir}.
     *
     * @throws EdgeTxException the folder is damaged or of a newer version, or the graph is refused
     */
    public static TextModel open(Path folder, Path tokenizersLibrary) {
        return new TextModel(
                openNative(utf8(folder.toString()), utf8(tokenizersLibrary.toString())));
    }

    /** Names of a classifier's outputs, by index; empty for other models. */
    public List<String> labels() {
        return labels;
    }

    /**
     * Answers a text; one that is longer than the model reads is cut.
     *
     * @throws EdgeTxException the graph failed
     * @throws IllegalStateException the model is closed
     */
    public Answer answer(String text) {
        byte[] question = utf8(Objects.requireNonNull(text, "text"));
        lock.readLock().lock();
        try {
            if (closed) {
                throw new IllegalStateException("the model is closed");
            }
            return answerNative(model.handle, question);
        } finally {
            lock.readLock().unlock();
        }
    }

    /** Frees the model, after the answers under way. Closing twice is allowed. */
    @Override
    public void close() {
        lock.writeLock().lock();
        try {
            closed = true;
            cleanable.clean();
        } finally {
            lock.writeLock().unlock();
        }
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static native long openNative(byte[] folder, byte[] tokenizersLibrary);

    private static native byte[][] labelsNative(long handle);

    private static native Answer answerNative(long handle, byte[] text);

    private static native void closeNative(long handle);

    /** Frees the native model once; must not refer to the TextModel, or that is never collected. */
    private record Native(long handle) implements Runnable {
        @Override
        public void run() {
            closeNative(handle);
        }
    }
}
