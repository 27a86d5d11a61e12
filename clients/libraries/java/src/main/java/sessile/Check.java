package sessile;

import java.util.Objects;
import java.util.concurrent.Callable;

/** Expectations, and waiting for what no reply tells. */
final class Check {
    private static final long WAIT_LIMIT_MS = 20_000;
    private static final long POLL_MS = 10;

    private Check() {
    }

    static void equal(Object actual, Object expected) {
        if (!Objects.equals(actual, expected)) {
            throw new AssertionError(actual + ", not " + expected);
        }
    }

    static void that(boolean holds, Object shown) {
        if (!holds) {
            throw new AssertionError("unexpected: " + shown);
        }
    }

    /** The call must fail, and the text must stand in its error or in one of the causes. */
    static void refused(Callable<?> call, String text) throws Exception {
        Object reply;
        try {
            reply = call.call();
        } catch (RuntimeException error) {
            that(texts(error).contains(text), texts(error));
            return;
        }
        throw new AssertionError("no error, but " + reply);
    }

    static String texts(Throwable error) {
        return error == null ? "" : error + "; " + texts(error.getCause());
    }

    /** Polls until the probe holds. */
    static void eventually(String what, Callable<Boolean> probe) throws Exception {
        long deadline_ms = System.nanoTime() / 1_000_000 + WAIT_LIMIT_MS;
        while (!probe.call()) {
            that(System.nanoTime() / 1_000_000 < deadline_ms, what + " takes longer than " + WAIT_LIMIT_MS + " ms");
            Thread.sleep(POLL_MS);
        }
    }
}
