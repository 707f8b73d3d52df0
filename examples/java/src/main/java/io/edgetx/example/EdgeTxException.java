package io.edgetx.example;

/** A model cannot be opened or cannot answer; the message is one line that says why. */
public final class EdgeTxException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final int code;

    public EdgeTxException(String message, int code) {
        super(message);
        this.code = code;
    }

    /** The exit code that the edge-tx command line gives this kind of failure. */
    public int code() {
        return code;
    }
}
