package sessile;

import io.lettuce.core.ClientOptions;
import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisURI;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.api.sync.RedisCommands;
import io.lettuce.core.codec.ByteArrayCodec;
import io.lettuce.core.codec.RedisCodec;
import io.lettuce.core.codec.StringCodec;
import io.lettuce.core.output.ArrayOutput;
import io.lettuce.core.protocol.CommandArgs;
import io.lettuce.core.protocol.ProtocolKeyword;
import io.lettuce.core.protocol.ProtocolVersion;
import io.lettuce.core.resource.ClientResources;
import io.lettuce.core.resource.Delay;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;

/** What a case gets: the server, the variant, and connections that end with the case. */
final class Context implements AutoCloseable {
    /** Which of Lettuce's interfaces is called. */
    enum Kind {
        SYNC, ASYNC
    }

    private static final long REPLY_LIMIT_S = 40;

    final Server server;
    final Kind kind;
    final ProtocolVersion protocol;
    private final ClientResources resources;
    private final Deque<RedisClient> clients = new ArrayDeque<>();

    Context(Server server, Kind kind, ProtocolVersion protocol, ClientResources resources) {
        this.server = server;
        this.kind = kind;
        this.protocol = protocol;
        this.resources = resources;
    }

    static ClientResources resources() {
        return ClientResources.builder().reconnectDelay(Delay.constant(Duration.ofMillis(20))).build();
    }

    /** A client of the variant's protocol, with what a case wants beside it. */
    RedisClient client(UnaryOperator<RedisURI.Builder> address, boolean reconnects) {
        RedisURI uri = address.apply(RedisURI.Builder.redis("127.0.0.1", server.port())).build();
        RedisClient client = RedisClient.create(resources, uri);
        client.setOptions(ClientOptions.builder().protocolVersion(protocol).autoReconnect(reconnects).build());
        clients.push(client);
        return client;
    }

    RedisCommands<String, String> connect() {
        return connect(address -> address);
    }

    RedisCommands<String, String> connect(UnaryOperator<RedisURI.Builder> address) {
        return face(client(address, true).connect());
    }

    RedisCommands<byte[], byte[]> connectBinary() {
        return face(client(address -> address, true).connect(ByteArrayCodec.INSTANCE));
    }

    /** Lettuce's blocking interface, or the same one answered by the futures of the asynchronous interface. */
    @SuppressWarnings("unchecked")
    <K> RedisCommands<K, K> face(StatefulRedisConnection<K, K> connection) {
        if (kind == Kind.SYNC) {
            return connection.sync();
        }
        Object async = connection.async();
        return (RedisCommands<K, K>) Proxy.newProxyInstance(
                Context.class.getClassLoader(), new Class<?>[] {RedisCommands.class}, (proxy, method, args) -> {
                    if (method.getName().equals("getStatefulConnection")) {
                        return connection;
                    }
                    Object result = call(async, method, args);
                    // What is queued in MULTI has no reply of its own before EXEC; MULTI itself has one.
                    if (connection.isMulti() && !method.getName().equals("multi")) {
                        return null;
                    }
                    return result instanceof Future<?> future ? reply(future) : result;
                });
    }

    private static Object call(Object async, Method method, Object[] args) throws Throwable {
        Method same = async.getClass().getMethod(method.getName(), method.getParameterTypes());
        try {
            return same.invoke(async, args);
        } catch (InvocationTargetException error) {
            throw error.getCause();
        }
    }

    private static Object reply(Future<?> future) throws Throwable {
        try {
            return future.get(REPLY_LIMIT_S, TimeUnit.SECONDS);
        } catch (ExecutionException error) {
            throw error.getCause();
        }
    }

    /** A command from its words, for what Lettuce has no method for; the elements of its reply, or the reply alone. */
    static List<Object> raw(RedisCommands<String, String> r, String name, Object... words) {
        RedisCodec<String, String> codec = StringCodec.UTF8;
        CommandArgs<String, String> args = new CommandArgs<>(codec);
        for (Object word : words) {
            args.add(word.toString());
        }
        return r.dispatch(new Keyword(name), new ArrayOutput<>(codec), args);
    }

    private record Keyword(String name) implements ProtocolKeyword {
        @Override
        public byte[] getBytes() {
            return name.getBytes(StandardCharsets.US_ASCII);
        }
    }

    /** Waits until one client is blocked in the server. */
    static void waitForBlocked(RedisCommands<String, String> r) throws Exception {
        Check.eventually("a blocked client", () -> r.info("clients").contains("blocked_clients:1\r"));
    }

    @Override
    public void close() {
        for (RedisClient client : clients) {
            client.shutdown(Duration.ZERO, Duration.ofSeconds(5));
        }
    }
}
