package sessile;

import static sessile.Check.equal;
import static sessile.Check.refused;
import static sessile.Check.that;

import io.lettuce.core.Consumer;
import io.lettuce.core.Limit;
import io.lettuce.core.Range;
import io.lettuce.core.StreamMessage;
import io.lettuce.core.XAddArgs;
import io.lettuce.core.XAutoClaimArgs;
import io.lettuce.core.XClaimArgs;
import io.lettuce.core.XGroupCreateArgs;
import io.lettuce.core.XReadArgs;
import io.lettuce.core.XReadArgs.StreamOffset;
import io.lettuce.core.XTrimArgs;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Streams, and their consumer groups. */
final class Streams {
    static final Map<String, Main.Case> CASES = Map.of("streams", Streams::streams, "stream groups", Streams::groups);

    private Streams() {
    }

    @SuppressWarnings("unchecked")
    private static void streams(Context context) throws Exception {
        var r = context.connect();
        equal(r.xadd("x", new XAddArgs().id("1-1"), Map.of("f", "1", "g", "v")), "1-1");
        equal(r.xadd("x", new XAddArgs().id("1-*"), Map.of("f", "2")), "1-2");
        equal(r.xadd("x", new XAddArgs().id("2-0"), Map.of("f", "3")), "2-0");
        refused(() -> r.xadd("x", new XAddArgs().id("1-1"), Map.of("f", "0")), "equal or smaller than the target stream top item");
        equal(r.xadd("absent", new XAddArgs().nomkstream(), Map.of("f", "1")), null);
        equal(r.xlen("x"), 3L);
        var first = new StreamMessage<>("x", "1-1", Map.of("f", "1", "g", "v"));
        var second = new StreamMessage<>("x", "1-2", Map.of("f", "2"));
        var third = new StreamMessage<>("x", "2-0", Map.of("f", "3"));
        equal(r.xrange("x", Range.unbounded(), Limit.create(0, 2)), List.of(first, second));
        Range<String> after = Range.from(Range.Boundary.excluding("1-1"), Range.Boundary.including("1-2"));
        equal(r.xrange("x", after), List.of(second));
        equal(r.xrevrange("x", Range.unbounded(), Limit.create(0, 1)), List.of(third));
        equal(r.xread(StreamOffset.from("x", "1-2"), StreamOffset.from("absent", "0")), List.of(third));
        equal(r.xread(StreamOffset.latest("x")), List.of());
        Map<String, Object> info = fields(r.xinfoStream("x"));
        equal(List.of(info.get("length"), info.get("last-generated-id")), List.of(3L, "2-0"));
        that(info.get("first-entry").toString().startsWith("[1-1, "), info.get("first-entry"));
        equal(r.xdel("x", "1-2", "9-9"), 1L);
        equal(r.xtrim("x", new XTrimArgs().minId("2").exactTrimming()), 1L);
        equal(r.xlen("x"), 1L);
        for (String n : Types.numbers(250)) {
            r.xadd("capped", new XAddArgs().maxlen(100).approximateTrimming(), Map.of("n", n));
        }
        long length = r.xlen("capped");
        that(100 <= length && length <= 250, length);
        that(r.xtrim("capped", 10) >= 90, "too few are gone");
        var left = r.xrange("capped", Range.unbounded()).stream().map(message -> message.getBody().get("n")).toList();
        equal(left, Types.numbers(250).subList(240, 250));
    }

    @SuppressWarnings("unchecked")
    private static void groups(Context context) throws Exception {
        var r = context.connect();
        StreamOffset<String> fresh = StreamOffset.lastConsumed("x");
        Consumer<String> alice = Consumer.from("g", "alice");
        Consumer<String> bob = Consumer.from("g", "bob");
        Consumer<String> carol = Consumer.from("g", "carol");
        equal(r.xgroupCreate(StreamOffset.from("x", "0"), "g", XGroupCreateArgs.Builder.mkstream()), "OK");
        refused(() -> r.xgroupCreate(StreamOffset.latest("x"), "g"), "BUSYGROUP Consumer Group name already exists");
        for (int n = 1; n < 6; n++) {
            r.xadd("x", new XAddArgs().id(n + "-0"), Map.of("n", Integer.toString(n)));
        }
        equal(r.xreadgroup(alice, XReadArgs.Builder.count(2), fresh), numbered(1, 2));
        equal(r.xreadgroup(bob, XReadArgs.Builder.count(2), fresh), numbered(3, 4));
        equal(r.xack("x", "g", "1-0", "9-0"), 1L);
        var pending = r.xpending("x", "g");
        equal(List.of(pending.getCount(), pending.getMessageIds()), List.of(3L, Range.create("2-0", "4-0")));
        equal(pending.getConsumerMessageCount(), Map.of("alice", 1L, "bob", 2L));
        var detail = r.xpending("x", bob, Range.unbounded(), Limit.from(10));
        equal(detail.stream().map(p -> p.getId() + " " + p.getConsumer() + " " + p.getRedeliveryCount()).toList(),
                List.of("3-0 bob 1", "4-0 bob 1"));
        equal(r.xclaim("x", alice, 0, "3-0"), numbered(3));
        equal(r.xclaim("x", alice, XClaimArgs.Builder.justid(), "4-0").stream().map(StreamMessage::getId).toList(), List.of("4-0"));
        var claimed = r.xautoclaim("x", XAutoClaimArgs.Builder.xautoclaim(carol, 0, "0").count(2));
        equal(List.of(claimed.getId(), claimed.getMessages()), List.of("4-0", numbered(2, 3)));
        equal(r.xreadgroup(carol, StreamOffset.from("x", "0")), numbered(2, 3));
        Map<String, Object> group = fields((List<Object>) r.xinfoGroups("x").get(0));
        equal(List.of(group.get("name"), group.get("consumers"), group.get("pending")), List.of("g", 3L, 3L));
        equal(List.of(group.get("last-delivered-id"), group.get("entries-read"), group.get("lag")), List.of("4-0", 4L, 1L));
        Map<Object, Object> consumers = new HashMap<>();
        for (Object consumer : r.xinfoConsumers("x", "g")) {
            Map<String, Object> one = fields((List<Object>) consumer);
            consumers.put(one.get("name"), one.get("pending"));
        }
        equal(consumers, Map.of("alice", 1L, "bob", 0L, "carol", 2L));
        equal(r.xgroupDelconsumer("x", carol), 2L);
        equal(r.xgroupCreateconsumer("x", Consumer.from("g", "dave")), true);
        equal(r.xgroupSetid(StreamOffset.from("x", "0"), "g"), "OK");
        equal(r.xgroupDestroy("x", "g"), true);
        refused(() -> r.xreadgroup(alice, fresh), "NOGROUP No such key 'x' or consumer group 'g'");
    }

    /** The messages that the group's case wrote under these numbers. */
    private static List<StreamMessage<String, String>> numbered(int... numbers) {
        return Arrays.stream(numbers)
                .mapToObj(n -> new StreamMessage<>("x", n + "-0", Map.of("n", Integer.toString(n))))
                .toList();
    }

    /** XINFO's replies are flat lists in either protocol. */
    private static Map<String, Object> fields(List<Object> flat) {
        Map<String, Object> fields = new HashMap<>();
        for (int n = 0; n + 1 < flat.size(); n += 2) {
            fields.put((String) flat.get(n), flat.get(n + 1));
        }
        return fields;
    }
}
