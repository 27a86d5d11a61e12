package sessile;

import io.lettuce.core.protocol.ProtocolVersion;
import io.lettuce.core.resource.ClientResources;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.logging.LogManager;

/** Lettuce, blocking and asynchronous, each in RESP2 and RESP3, through everything that ../covered lists. */
final class Main {
    /** One name of the list. */
    interface Case {
        void run(Context context) throws Exception;
    }

    private static final int NAME_COLUMNS = 17;
    private static final long CASE_LIMIT_S = 60;

    private Main() {
    }

    public static void main(String[] parts) throws Exception {
        List<String> covered = Files.readAllLines(Path.of("../covered")).stream()
                .filter(line -> !line.isEmpty() && !line.startsWith("#"))
                .map(line -> line.substring(0, NAME_COLUMNS).trim())
                .toList();
        Map<String, Case> cases = new HashMap<>(Types.CASES);
        cases.putAll(Streams.CASES);
        cases.putAll(Flow.CASES);
        Check.equal(new TreeSet<>(cases.keySet()), new TreeSet<>(covered));
        int failed = 0;
        // A killed server is what Lettuce would report here.
        LogManager.getLogManager().reset();
        ClientResources resources = Context.resources();
        // Threads that a stuck case leaves behind do not keep the program from its end.
        ExecutorService threads = Executors.newCachedThreadPool(task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
        });
        for (Context.Kind kind : Context.Kind.values()) {
            for (ProtocolVersion protocol : new ProtocolVersion[] {ProtocolVersion.RESP2, ProtocolVersion.RESP3}) {
                System.out.println("libraries/lettuce-" + kind.name().toLowerCase() + "-" + protocol.name().toLowerCase());
                int passed = 0;
                int failedHere = 0;
                try (Server server = new Server()) {
                    for (String name : covered) {
                        if (parts.length > 0 && Arrays.stream(parts).noneMatch(name::contains)) {
                            continue;
                        }
                        String failure = failure(threads, cases.get(name), new Context(server, kind, protocol, resources));
                        System.out.println(failure == null ? "  ok   " + name : "  FAIL " + name + "\n       " + failure);
                        passed += failure == null ? 1 : 0;
                        failedHere += failure == null ? 0 : 1;
                        // The case may have failed between a kill and a restart.
                        server.start();
                    }
                }
                System.out.println(passed + " passed, " + failedHere + " failed\n");
                failed += failedHere;
            }
        }
        resources.shutdown(0, 1, TimeUnit.SECONDS);
        System.exit(failed == 0 ? 0 : 1);
    }

    /** Runs one case on an empty server and returns what went wrong, or null. */
    private static String failure(ExecutorService threads, Case run, Context context) throws InterruptedException {
        Future<?> running = threads.submit(() -> {
            context.connect().flushall();
            run.run(context);
            return null;
        });
        try (context) {
            running.get(CASE_LIMIT_S, TimeUnit.SECONDS);
            return null;
        } catch (TimeoutException late) {
            return "takes longer than " + CASE_LIMIT_S + " s";
        } catch (ExecutionException error) {
            StackTraceElement at = Arrays.stream(error.getCause().getStackTrace())
                    .filter(frame -> frame.getClassName().matches("sessile\\.(Types|Streams|Flow).*"))
                    .findFirst().orElse(null);
            return Check.texts(error.getCause()) + " at " + at;
        }
    }
}
