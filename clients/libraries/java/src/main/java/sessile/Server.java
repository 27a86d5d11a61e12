package sessile;

import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * The server under test as a child process: started on a free loopback port with a folder of its own, killed with SIGKILL,
 * started again on both. SERVER_BIN names the binary; CONTROL=1 takes redis-server instead, with an fsync for every write.
 */
final class Server implements AutoCloseable {
    private static final long START_LIMIT_MS = 30_000;
    private static final long POLL_MS = 10;
    private static final int PING_LIMIT_MS = 1_000;
    private static final byte[] PING = "*1\r\n$4\r\nPING\r\n".getBytes(StandardCharsets.US_ASCII);

    private final Path dir;
    private final int port;
    private Process child;

    /** Starts the server that the environment names and waits until it answers PING. */
    Server() throws IOException, InterruptedException {
        dir = Files.createTempDirectory("sessile-clients-java-");
        Files.createDirectory(dir.resolve("data"));
        try (ServerSocket probe = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = probe.getLocalPort();
        }
        start();
    }

    int port() {
        return port;
    }

    /** Starts the server on its folder and port, unless it runs. */
    void start() throws IOException, InterruptedException {
        if (child != null) {
            return;
        }
        File log = dir.resolve("server.log").toFile();
        Process started = new ProcessBuilder(command())
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log))
                .redirectInput(new File("/dev/null"))
                .start();
        long began_ms = System.nanoTime() / 1_000_000;
        while (!answers()) {
            boolean isLate = System.nanoTime() / 1_000_000 - began_ms > START_LIMIT_MS;
            if (isLate || !started.isAlive()) {
                started.destroyForcibly().waitFor();
                throw new IOException("the server did not start\n" + Files.readString(log.toPath()));
            }
            Thread.sleep(POLL_MS);
        }
        child = started;
    }

    /** kill -9: nothing is flushed, no connection is closed in good order. */
    void kill() throws IOException, InterruptedException {
        if (!child.isAlive()) {
            throw new IOException("the server had ended by itself\n" + Files.readString(dir.resolve("server.log")));
        }
        child.destroyForcibly().waitFor();
        child = null;
    }

    @Override
    public void close() throws IOException, InterruptedException {
        if (child != null) {
            child.destroyForcibly().waitFor();
        }
        try (var files = Files.walk(dir)) {
            files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        }
    }

    private List<String> command() {
        List<String> command = new ArrayList<>();
        String bin = System.getenv().getOrDefault("SERVER_BIN", "../../../target/release/sessile");
        boolean isControl = "1".equals(System.getenv("CONTROL"));
        command.add(isControl ? "/usr/bin/redis-server" : bin);
        // Under the name redis-server the program takes the options alone.
        if (!isControl && Path.of(bin).getFileName().toString().startsWith("sessile")) {
            command.add("server");
        }
        command.addAll(List.of("--port", Integer.toString(port), "--bind", "127.0.0.1"));
        command.addAll(List.of("--dir", dir.resolve("data").toString()));
        if (isControl) {
            command.addAll(List.of("--appendonly", "yes", "--appendfsync", "always", "--save", ""));
        }
        return command;
    }

    /** Whether PING is answered with PONG; LOADING counts as no. */
    private boolean answers() {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), PING_LIMIT_MS);
            socket.setSoTimeout(PING_LIMIT_MS);
            socket.getOutputStream().write(PING);
            byte[] reply = socket.getInputStream().readNBytes("+PONG\r\n".length());
            return new String(reply, StandardCharsets.US_ASCII).equals("+PONG\r\n");
        } catch (IOException refused) {
            return false;
        }
    }
}
