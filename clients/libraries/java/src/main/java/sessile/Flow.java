package sessile;

import static sessile.Check.equal;
import static sessile.Check.eventually;
import static sessile.Check.refused;
import static sessile.Check.that;
import static sessile.Context.raw;
import static sessile.Context.waitForBlocked;

import io.lettuce.core.Consumer;
import io.lettuce.core.KeyValue;
import io.lettuce.core.LMPopArgs;
import io.lettuce.core.LMoveArgs;
import io.lettuce.core.LettuceFutures;
import io.lettuce.core.RedisCommandExecutionException;
import io.lettuce.core.RedisFuture;
import io.lettuce.core.ScoredValue;
import io.lettuce.core.ScriptOutputType;
import io.lettuce.core.TransactionResult;
import io.lettuce.core.XAddArgs;
import io.lettuce.core.XReadArgs;
import io.lettuce.core.XReadArgs.StreamOffset;
import io.lettuce.core.ZPopArgs;
import io.lettuce.core.api.sync.RedisCommands;
import io.lettuce.core.protocol.ProtocolVersion;
import io.lettuce.core.pubsub.RedisPubSubAdapter;
import io.lettuce.core.pubsub.StatefulRedisPubSubConnection;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import reactor.core.publisher.Flux;

/** How commands travel: connections, pipelines, transactions, pub/sub, blocking calls, and a server that is killed. */
final class Flow {
    static final Map<String, Main.Case> CASES = Map.of(
            "handshake", Flow::handshake,
            "pipeline", Flow::pipeline,
            "transaction", Flow::transaction,
            "watch conflict", Flow::watchConflict,
            "pub/sub", Flow::pubsub,
            "blocking calls", Flow::blocking,
            "reconnection", Flow::reconnection,
            "many at once", Flow::manyAtOnce);

    private static final String PASSWORD = "a secret of sixteen";
    private static final long LIMIT_S = 30;

    private Flow() {
    }

    private static void handshake(Context context) throws Exception {
        var admin = context.connect();
        String version = admin.info("server").lines().filter(line -> line.startsWith("redis_version:")).findFirst().orElseThrow();
        String[] numbers = version.substring("redis_version:".length()).split("\\.");
        boolean knowsLibraries = Integer.parseInt(numbers[0]) * 100 + Integer.parseInt(numbers[1]) >= 702;
        admin.configSet("requirepass", PASSWORD);
        try {
            // Of a refused handshake Lettuce does not always know more than that the connection came to nothing.
            refused(context::connect, "Unable to connect");
            refused(() -> context.connect(address -> address.withPassword("wrong".toCharArray())), "Unable to connect");
            var r = context.connect(address ->
                    address.withPassword(PASSWORD.toCharArray()).withDatabase(2).withClientName("a-name"));
            equal(r.set("k", "v"), "OK");
            equal(admin.get("k"), null);
            String mine = r.clientInfo();
            that(mine.contains(" name=a-name ") && mine.contains(" db=2 "), mine);
            if (knowsLibraries) {
                that(mine.contains(context.protocol == ProtocolVersion.RESP3 ? " resp=3" : " resp=2"), mine);
                that(mine.contains(" lib-name=Lettuce lib-ver=7.7.0.RELEASE"), mine);
            }
            var named = context.connect(address -> address.withAuthentication("default", PASSWORD.toCharArray()));
            equal(named.ping(), "PONG");
            refused(() -> named.auth("wrong"), "WRONGPASS");
            refused(() -> named.select(4711), "DB index is out of range");
            equal(named.ping(), "PONG");
        } finally {
            admin.configSet("requirepass", "");
        }
    }

    /** Lettuce's pipeline: the connection holds commands back until it is told to send them. */
    private static void pipeline(Context context) throws Exception {
        var connection = context.client(address -> address, true).connect();
        var async = connection.async();
        connection.setAutoFlushCommands(false);
        List<RedisFuture<?>> futures = new ArrayList<>();
        List<Object> expected = new ArrayList<>();
        for (String n : Types.numbers(1000)) {
            futures.add(async.set("k" + n, n));
            futures.add(async.get("k" + n));
            expected.addAll(List.of("OK", n));
        }
        connection.flushCommands();
        that(LettuceFutures.awaitAll(Duration.ofSeconds(LIMIT_S), futures.toArray(RedisFuture[]::new)), "some are late");
        equal(replies(futures), expected);
        List<RedisFuture<?>> mixed = List.of(async.set("text", "t"), async.lpush("text", "x"), async.hset("h", "f", "v"),
                async.hgetall("h"), async.zadd("z", 1.5, "m"), async.zscore("z", "m"), async.get("absent"));
        connection.flushCommands();
        equal(replies(mixed), Arrays.asList("OK", Types.WRONG_TYPE, true, Map.of("f", "v"), 1L, 1.5, null));
    }

    /** Every reply, or the text of its error. */
    private static List<Object> replies(List<RedisFuture<?>> futures) throws Exception {
        List<Object> replies = new ArrayList<>();
        for (RedisFuture<?> future : futures) {
            that(future.await(LIMIT_S, TimeUnit.SECONDS), "a late reply");
            replies.add(future.getError() == null ? future.get() : future.getError());
        }
        return replies;
    }

    private static void transaction(Context context) throws Exception {
        var r = context.connect();
        equal(r.multi(), "OK");
        r.set("a", "1");
        r.incr("a");
        r.lrange("absent", 0, -1);
        r.hset("h", "f", "v");
        r.hgetall("h");
        equal(r.exec().stream().toList(), List.of("OK", 2L, List.of(), true, Map.of("f", "v")));
        r.multi();
        r.set("a", "text");
        r.incr("a");
        r.set("b", "after");
        TransactionResult halved = r.exec();
        that(halved.get(1) instanceof RedisCommandExecutionException, halved);
        equal(List.of(halved.get(0), halved.get(2), r.get("a"), r.get("b")), List.of("OK", "OK", "text", "after"));
        r.multi();
        r.set("a", "never");
        raw(r, "NOSUCH");
        refused(r::exec, "EXECABORT Transaction discarded because of previous errors.");
        equal(r.get("a"), "text");
        r.multi();
        r.set("a", "never");
        equal(r.discard(), "OK");
        equal(r.get("a"), "text");
    }

    private static void watchConflict(Context context) {
        var r = context.connect();
        var other = context.connect();
        r.set("balance", "10");
        r.watch("balance");
        int before = Integer.parseInt(r.get("balance"));
        other.set("balance", "11");
        equal(add(r, before).wasDiscarded(), true);
        equal(r.get("balance"), "11");
        r.watch("balance");
        before = Integer.parseInt(r.get("balance"));
        equal(add(r, before).stream().toList(), List.of("OK"));
        equal(r.get("balance"), "111");
        // A key that comes into being counts as changed too.
        r.watch("absent");
        other.set("absent", "no more");
        equal(add(r, 0).wasDiscarded(), true);
        equal(r.get("balance"), "111");
    }

    private static TransactionResult add(RedisCommands<String, String> r, int before) {
        r.multi();
        r.set("balance", Integer.toString(before + 100));
        return r.exec();
    }

    /** A subscriber that keeps what it hears. */
    private static StatefulRedisPubSubConnection<String, String> subscriber(Context context, List<String> heard) {
        var connection = context.client(address -> address, true).connectPubSub();
        connection.addListener(new RedisPubSubAdapter<String, String>() {
            @Override
            public void message(String channel, String message) {
                heard.add("message " + channel + " " + message);
            }

            @Override
            public void message(String pattern, String channel, String message) {
                heard.add("pmessage " + pattern + " " + channel + " " + message);
            }

            @Override
            public void smessage(String channel, String message) {
                heard.add("smessage " + channel + " " + message);
            }
        });
        return connection;
    }

    private static void pubsub(Context context) throws Exception {
        var publisher = context.connect();
        List<String> heard = Collections.synchronizedList(new ArrayList<>());
        var subscriber = subscriber(context, heard).sync();
        subscriber.subscribe("news", "other");
        subscriber.psubscribe("n?ws*");
        subscriber.ssubscribe("shard");
        eventually("the subscriptions", () -> publisher.pubsubNumpat() == 1
                && publisher.pubsubNumsub("news", "nobody").equals(Map.of("news", 1L, "nobody", 0L))
                && publisher.pubsubShardNumsub("shard").equals(Map.of("shard", 1L)));
        equal(List.of(publisher.publish("news", "both"), publisher.publish("nobody", "x")), List.of(2L, 0L));
        equal(List.of(publisher.spublish("shard", "s"), publisher.publish("shard", "classic")), List.of(1L, 0L));
        eventually("three messages", () -> heard.size() == 3);
        equal(heard, List.of("message news both", "pmessage n?ws* news both", "smessage shard s"));
        subscriber.punsubscribe("n?ws*");
        subscriber.unsubscribe("other");
        eventually("the unsubscriptions", () -> publisher.pubsubNumpat() == 0 && publisher.pubsubChannels().equals(List.of("news")));
        heard.clear();
        for (String n : Types.numbers(200)) {
            equal(publisher.publish("news", n), 1L);
        }
        eventually("all messages", () -> heard.size() == 200);
        equal(heard, Types.numbers(200).stream().map(n -> "message news " + n).toList());
    }

    /** Runs a blocking call in a thread of its own, wakes it once it is blocked, and returns its reply. */
    private static <T> T woken(RedisCommands<String, String> other, Callable<T> call, Callable<?> wake) throws Exception {
        CompletableFuture<T> reply = inThread(call);
        waitForBlocked(other);
        wake.call();
        return reply.get(LIMIT_S, TimeUnit.SECONDS);
    }

    private static <T> CompletableFuture<T> inThread(Callable<T> call) {
        CompletableFuture<T> reply = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try {
                reply.complete(call.call());
            } catch (Exception error) {
                reply.completeExceptionally(error);
            }
        });
        thread.setDaemon(true);
        thread.start();
        return reply;
    }

    @SuppressWarnings("unchecked")
    private static void blocking(Context context) throws Exception {
        var r = context.connect();
        var other = context.connect();
        equal(r.blpop(0.05, "l"), null);
        equal(r.bzpopmin(0.05, "z"), null);
        equal(r.blmove("l", "m", LMoveArgs.Builder.leftLeft(), 0.05), null);
        equal(r.xread(XReadArgs.Builder.block(20), StreamOffset.latest("x")), List.of());
        other.rpush("second", "s");
        equal(r.blpop(5, "first", "second"), KeyValue.just("second", "s"));
        equal(woken(other, () -> r.blpop(0, "l", "m"), () -> other.rpush("m", "a")), KeyValue.just("m", "a"));
        equal(woken(other, () -> r.brpoplpush(30, "l", "m"), () -> other.lpush("l", "b")), "b");
        equal(woken(other, () -> r.blmove("l", "m", LMoveArgs.Builder.leftLeft(), 30), () -> other.lpush("l", "c")), "c");
        equal(other.lrange("m", 0, -1), List.of("c", "b"));
        equal(woken(other, () -> r.bzpopmin(30, "z", "y"), () -> other.zadd("y", 1.5, "one")),
                KeyValue.just("y", ScoredValue.just(1.5, "one")));
        equal(woken(other, () -> r.blmpop(30, LMPopArgs.Builder.left().count(2), "l", "l2"), () -> other.rpush("l2", "p", "q")),
                KeyValue.just("l2", List.of("p", "q")));
        equal(woken(other, () -> r.bzmpop(30, ZPopArgs.Builder.min(), "z"), () -> other.zadd("z", 2, "m")),
                KeyValue.just("z", ScoredValue.just(2, "m")));
        XReadArgs block = XReadArgs.Builder.block(30_000);
        var read = woken(other, () -> r.xread(block, StreamOffset.latest("x")),
                () -> other.xadd("x", new XAddArgs().id("1-0"), Map.of("n", "1")));
        equal(List.of(read.get(0).getId(), read.get(0).getBody()), List.of("1-0", Map.of("n", "1")));
        other.xgroupCreate(StreamOffset.latest("x"), "g");
        var grouped = woken(other, () -> r.xreadgroup(Consumer.from("g", "c"), block, StreamOffset.lastConsumed("x")),
                () -> other.xadd("x", new XAddArgs().id("2-0"), Map.of("n", "2")));
        equal(List.of(grouped.get(0).getId(), other.xpending("x", "g").getCount()), List.of("2-0", 1L));
        // A transaction with several pushes wakes once they are all there.
        equal(woken(other, () -> r.blpop(30, "l"), () -> {
            other.multi();
            other.rpush("l", "1");
            other.lpush("l", "0");
            return other.exec();
        }), KeyValue.just("l", "0"));
    }

    private static void reconnection(Context context) throws Exception {
        var r = context.connect();
        var hasty = context.face(context.client(address -> address, false).connect());
        var worker = context.connect();
        List<String> heard = Collections.synchronizedList(new ArrayList<>());
        subscriber(context, heard).sync().subscribe("news");
        String lua = "return redis.call('RPUSH', KEYS[1], ARGV[1])";
        String[] list = {"l"};
        equal(r.set("k", "v"), "OK");
        equal(hasty.get("k"), "v");
        equal(r.eval(lua, ScriptOutputType.INTEGER, list, "1"), 1L);
        CompletableFuture<KeyValue<String, String>> waiting = inThread(() -> worker.blpop(0, "queue"));
        waitForBlocked(r);

        context.server.kill();
        refused(() -> hasty.get("k"), "Exception");
        CompletableFuture<Long> early = inThread(() -> onceLoaded(() -> r.incr("n")));
        context.server.start();
        equal(early.get(LIMIT_S, TimeUnit.SECONDS), 1L);
        equal(r.get("k"), "v");
        equal(r.eval(lua, ScriptOutputType.INTEGER, list, "2"), 2L);
        equal(r.lrange("l", 0, -1), List.of("1", "2"));

        // The call that was blocked is sent again by itself.
        waitForBlocked(r);
        equal(r.rpush("queue", "job"), 1L);
        equal(waiting.get(LIMIT_S, TimeUnit.SECONDS), KeyValue.just("queue", "job"));
        eventually("the subscription", () -> r.publish("news", "after") == 1);
        eventually("the message", () -> !heard.isEmpty());
        equal(heard, List.of("message news after"));
    }

    /** LOADING says that a command was refused unexecuted; Lettuce leaves it to its caller. */
    private static <T> T onceLoaded(Callable<T> call) throws Exception {
        while (true) {
            try {
                return call.call();
            } catch (RedisCommandExecutionException error) {
                if (!error.getMessage().startsWith("LOADING")) {
                    throw error;
                }
            }
        }
    }

    /** All calls of the asynchronous interface share one connection, and so do those of the reactive one. */
    private static void manyAtOnce(Context context) throws Exception {
        var connection = context.client(address -> address, true).connect();
        var async = connection.async();
        List<CompletableFuture<Long>> counts = Types.numbers(400).stream()
                .map(n -> async.set("k" + n, n)
                        .thenCompose(ok -> async.get("k" + n))
                        .thenCompose(value -> {
                            equal(value, n);
                            return async.incr("count");
                        })
                        .toCompletableFuture())
                .toList();
        List<Long> sorted = new ArrayList<>();
        for (CompletableFuture<Long> count : counts) {
            sorted.add(count.get(LIMIT_S, TimeUnit.SECONDS));
        }
        Collections.sort(sorted);
        equal(sorted, Types.numbers(401).subList(1, 401).stream().map(Long::valueOf).toList());
        var reactive = connection.reactive();
        List<String> values = Flux.fromIterable(Types.numbers(400))
                .flatMapSequential(n -> reactive.append("k" + n, "!").then(reactive.get("k" + n)))
                .collectList().block(Duration.ofSeconds(LIMIT_S));
        equal(values, Types.numbers(400).stream().map(n -> n + "!").toList());
    }
}
