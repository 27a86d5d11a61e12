package sessile;

import static sessile.Check.equal;
import static sessile.Check.refused;
import static sessile.Check.that;
import static sessile.Context.raw;

import io.lettuce.core.BitFieldArgs;
import io.lettuce.core.CopyArgs;
import io.lettuce.core.ExpireArgs;
import io.lettuce.core.GeoArgs;
import io.lettuce.core.GeoCoordinates;
import io.lettuce.core.GeoSearch;
import io.lettuce.core.GeoValue;
import io.lettuce.core.GeoWithin;
import io.lettuce.core.GetExArgs;
import io.lettuce.core.KeyValue;
import io.lettuce.core.LMPopArgs;
import io.lettuce.core.LMoveArgs;
import io.lettuce.core.LcsArgs;
import io.lettuce.core.Limit;
import io.lettuce.core.Range;
import io.lettuce.core.ScanArgs;
import io.lettuce.core.ScanIterator;
import io.lettuce.core.ScoredValue;
import io.lettuce.core.ScriptOutputType;
import io.lettuce.core.SetArgs;
import io.lettuce.core.SortArgs;
import io.lettuce.core.Value;
import io.lettuce.core.ZAddArgs;
import io.lettuce.core.ZPopArgs;
import io.lettuce.core.ZStoreArgs;
import io.lettuce.core.api.sync.RedisCommands;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Type by type: what each family of commands gives back through Lettuce. Streams have a file of their own. */
final class Types {
    static final Map<String, Main.Case> CASES = Map.ofEntries(
            Map.entry("strings", Types::strings),
            Map.entry("keys", Types::keys),
            Map.entry("hashes", Types::hashes),
            Map.entry("lists", Types::lists),
            Map.entry("sets", Types::sets),
            Map.entry("sorted sets", Types::sortedSets),
            Map.entry("bits", Types::bits),
            Map.entry("hyperloglog", Types::hyperloglog),
            Map.entry("geo", Types::geo),
            Map.entry("scripts", Types::scripts),
            Map.entry("errors", Types::errors));

    static final String WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";

    private Types() {
    }

    private static void strings(Context context) {
        var r = context.connect();
        equal(r.set("k", "1"), "OK");
        equal(r.set("k", "2", SetArgs.Builder.nx()), null);
        equal(r.set("absent", "2", SetArgs.Builder.xx()), null);
        equal(r.setGet("k", "2"), "1");
        equal(r.set("k", "3", SetArgs.Builder.ex(100)), "OK");
        equal(r.set("k", "4", SetArgs.Builder.keepttl()), "OK");
        that(r.ttl("k") > 0, r.ttl("k"));
        equal(r.getex("k", GetExArgs.Builder.persist()), "4");
        equal(r.ttl("k"), -1L);
        equal(r.get("absent"), null);
        equal(List.of(r.incrby("n", 5), r.decrby("n", 7)), List.of(5L, -2L));
        equal(List.of(r.incrbyfloat("f", 10.5), r.incrbyfloat("f", 0.1)), List.of(10.5, 10.6));
        equal(List.of(r.append("s", "Hello"), r.append("s", " World")), List.of(5L, 11L));
        equal(r.getrange("s", -5, -1), "World");
        equal(List.of(r.setrange("s", 6, "Redis"), r.strlen("s")), List.of(11L, 11L));
        equal(r.getdel("s"), "Hello Redis");
        equal(r.get("s"), null);
        equal(r.mset(Map.of("a", "1", "b", "2")), "OK");
        equal(values(r.mget("a", "absent", "b")), Arrays.asList("1", null, "2"));
        equal(r.msetnx(Map.of("b", "3", "c", "3")), false);
        equal(r.del("a", "b", "c"), 2L);
        byte[] everyByte = new byte[76_800];
        for (int n = 0; n < everyByte.length; n++) {
            everyByte[n] = (byte) n;
        }
        var binary = context.connectBinary();
        byte[] key = Arrays.copyOf(everyByte, 256);
        equal(binary.set(key, everyByte), "OK");
        that(Arrays.equals(binary.get(key), everyByte), "another value");
        r.mset(Map.of("x", "ohmytext", "y", "mynewtext"));
        equal(r.lcs(LcsArgs.Builder.keys("x", "y")).getMatchString(), "mytext");
        equal(r.lcs(LcsArgs.Builder.keys("x", "y").justLen()).getLen(), 6L);
    }

    private static void keys(Context context) throws Exception {
        var r = context.connect();
        r.mset(numbers(500).stream().collect(Collectors.toMap(n -> "key:" + n, n -> n)));
        equal(List.of(r.exists("key:1", "key:2", "key:1", "absent"), r.dbsize()), List.of(3L, 500L));
        r.rpush("list", "1");
        equal(List.of(r.type("key:1"), r.type("list"), r.type("absent")), List.of("string", "list", "none"));
        equal(r.rename("key:0", "renamed"), "OK");
        equal(r.renamenx("renamed", "key:1"), false);
        equal(List.of(r.copy("key:1", "copy"), r.copy("key:2", "copy")), List.of(true, false));
        equal(r.copy("key:2", "copy", CopyArgs.Builder.replace(true)), true);
        equal(r.get("copy"), "2");
        equal(List.of(r.expire("copy", 1000), r.expire("copy", 2000, ExpireArgs.Builder.nx())), List.of(true, false));
        long ttl_ms = r.pttl("copy");
        that(0 < ttl_ms && ttl_ms <= 1_000_000, ttl_ms);
        equal(r.persist("copy"), true);
        equal(List.of(r.ttl("copy"), r.ttl("absent")), List.of(-1L, -2L));
        equal(r.expireat("copy", 4_000_000_000L), true);
        equal(List.of(r.expiretime("copy"), r.pexpiretime("copy")), List.of(4_000_000_000L, 4_000_000_000_000L));
        equal(r.unlink("copy", "list"), 2L);
        Set<String> found = ScanIterator.scan(r, new ScanArgs().match("key:*").limit(100)).stream().collect(Collectors.toSet());
        equal(found, IntStream.range(1, 500).mapToObj(n -> "key:" + n).collect(Collectors.toSet()));
        equal(r.keys("key:1?").size(), 10);
        equal(r.touch("key:1", "absent"), 1L);
        that(r.randomkey().matches("key:.*|renamed"), "another key");
        r.rpush("numbers", "3", "1", "2");
        equal(r.sort("numbers", SortArgs.Builder.desc()), List.of("3", "2", "1"));
        that(List.of("listpack", "quicklist").contains(r.objectEncoding("numbers")), r.objectEncoding("numbers"));
        byte[] payload = r.dump("numbers");
        equal(r.restore("restored", 0, payload), "OK");
        equal(r.lrange("restored", 0, -1), List.of("3", "1", "2"));
        refused(() -> r.restore("restored", 0, payload), "BUSYKEY Target key name already exists.");
    }

    private static void hashes(Context context) {
        var r = context.connect();
        equal(r.hset("h", Map.of("a", "1", "b", "2", "c", "3")), 3L);
        equal(List.of(r.hset("h", "a", "0"), r.hsetnx("h", "a", "9")), List.of(false, false));
        equal(r.hget("h", "a"), "0");
        equal(r.hget("h", "absent"), null);
        equal(values(r.hmget("h", "a", "absent", "c")), Arrays.asList("0", null, "3"));
        equal(r.hgetall("h"), Map.of("a", "0", "b", "2", "c", "3"));
        equal(r.hgetall("absent"), Map.of());
        equal(r.hincrby("h", "a", 5), 5L);
        equal(r.hincrbyfloat("h", "b", 0.5), 2.5);
        equal(List.of(r.hexists("h", "a"), r.hexists("h", "absent")), List.of(true, false));
        equal(List.of(r.hdel("h", "a", "absent"), r.hlen("h"), r.hstrlen("h", "b")), List.of(1L, 2L, 3L));
        equal(new HashSet<>(r.hkeys("h")), Set.of("b", "c"));
        equal(new HashSet<>(r.hvals("h")), Set.of("2.5", "3"));
        Map<String, String> big = numbers(2000).stream().collect(Collectors.toMap(n -> "field:" + n, n -> n));
        equal(r.hset("big", big), 2000L);
        Map<String, String> found = new HashMap<>();
        ScanIterator.hscan(r, "big", new ScanArgs().limit(200)).forEachRemaining(kv -> found.put(kv.getKey(), kv.getValue()));
        equal(found, big);
        that(List.of("b", "c").contains(r.hrandfield("h")), "another field");
        equal(new HashSet<>(r.hrandfieldWithvalues("h", 5)), Set.of(KeyValue.just("b", "2.5"), KeyValue.just("c", "3")));
    }

    private static void lists(Context context) {
        var r = context.connect();
        equal(List.of(r.rpush("l", "b", "c"), r.lpush("l", "a"), r.rpushx("absent", "x")), List.of(2L, 3L, 0L));
        equal(r.linsert("l", true, "c", "bb"), 4L);
        equal(r.lrange("l", 0, -1), List.of("a", "b", "bb", "c"));
        equal(r.lrange("absent", 0, -1), List.of());
        equal(r.lindex("l", -1), "c");
        equal(r.lindex("l", 9), null);
        equal(r.llen("l"), 4L);
        equal(r.lset("l", 0, "A"), "OK");
        equal(r.lpos("l", "c"), 3L);
        equal(r.lpos("l", "absent"), null);
        equal(r.lpos("l", "c", 0), List.of(3L));
        equal(r.lrem("l", 0, "bb"), 1L);
        equal(List.of(r.lmove("l", "other", LMoveArgs.Builder.leftRight()), r.rpoplpush("l", "other")), List.of("A", "c"));
        equal(r.lrange("other", 0, -1), List.of("c", "A"));
        equal(r.lmpop(LMPopArgs.Builder.left().count(5), "absent", "other"), KeyValue.just("other", List.of("c", "A")));
        equal(r.lmpop(LMPopArgs.Builder.left(), "absent"), null);
        r.rpush("n", numbers(100).toArray(String[]::new));
        equal(r.ltrim("n", 10, 12), "OK");
        equal(r.lrange("n", 0, -1), List.of("10", "11", "12"));
        equal(r.lpop("n"), "10");
        equal(r.rpop("n", 5), List.of("12", "11"));
        equal(r.lpop("n"), null);
    }

    private static void sets(Context context) {
        var r = context.connect();
        equal(List.of(r.sadd("s", "a", "b", "c"), r.sadd("s", "a"), r.sadd("t", "b", "c", "d")), List.of(3L, 0L, 3L));
        equal(r.smembers("s"), Set.of("a", "b", "c"));
        equal(r.smembers("absent"), Set.of());
        equal(r.sismember("s", "a"), true);
        equal(r.smismember("s", "a", "z"), List.of(true, false));
        equal(r.sinter("s", "t"), Set.of("b", "c"));
        equal(r.sdiff("s", "t"), Set.of("a"));
        equal(r.sunion("s", "t"), Set.of("a", "b", "c", "d"));
        equal(List.of(r.sinterstore("u", "s", "t"), r.sintercard(1, "s", "t"), r.scard("u")), List.of(2L, 1L, 2L));
        equal(r.smove("s", "t", "a"), true);
        equal(r.srem("s", "b", "z"), 1L);
        equal(r.spop("s"), "c");
        equal(r.spop("s"), null);
        equal(r.spop("t", 9), Set.of("a", "b", "c", "d"));
        r.sadd("n", numbers(1000).toArray(String[]::new));
        Set<String> found = ScanIterator.sscan(r, "n", new ScanArgs().limit(100)).stream().collect(Collectors.toSet());
        equal(found, new HashSet<>(numbers(1000)));
        equal(new HashSet<>(r.srandmember("n", 10)).size(), 10);
        equal(r.srandmember("n", -2000).size(), 2000);
    }

    private static ScoredValue<String> scored(String member, double score) {
        return ScoredValue.just(score, member);
    }

    @SuppressWarnings("unchecked")
    private static void sortedSets(Context context) {
        var r = context.connect();
        double most = Double.POSITIVE_INFINITY;
        equal(r.zadd("z", scored("a", 1), scored("b", 2.5), scored("c", most), scored("d", -most)), 4L);
        equal(r.zrangeWithScores("z", 0, -1), List.of(scored("d", -most), scored("a", 1), scored("b", 2.5), scored("c", most)));
        equal(r.zadd("z", ZAddArgs.Builder.gt().ch(), 0.5, "a"), 0L);
        equal(r.zadd("z", ZAddArgs.Builder.xx().ch(), 3, "a"), 1L);
        equal(r.zaddincr("z", 0.25, "a"), 3.25);
        equal(r.zaddincr("z", ZAddArgs.Builder.nx(), 1, "a"), null);
        double exact = 7_147_483_648_000_001.0;
        r.zadd("exact", scored("job", exact), scored("tenth", 0.1));
        equal(List.of(r.zscore("exact", "job"), r.zscore("exact", "tenth")), List.of(exact, 0.1));
        equal(r.zscore("z", "absent"), null);
        equal(r.zmscore("z", "a", "absent"), Arrays.asList(3.25, null));
        equal(List.of(r.zrank("z", "a"), r.zrevrank("z", "a")), List.of(2L, 1L));
        equal(r.zrank("z", "absent"), null);
        Range<Double> above = Range.from(Range.Boundary.excluding(1.0), Range.Boundary.unbounded());
        equal(r.zrangebyscore("z", above, Limit.create(0, 1)), List.of("b"));
        equal(r.zrevrange("z", 0, 1), List.of("c", "a"));
        equal(r.zcount("z", Range.create(2, 3)), 1L);
        r.zadd("lex", scored("a", 0), scored("b", 0), scored("c", 0), scored("d", 0));
        equal(r.zrangebylex("lex", Range.from(Range.Boundary.including("b"), Range.Boundary.excluding("d"))), List.of("b", "c"));
        equal(r.zlexcount("lex", Range.unbounded()), 4L);
        equal(r.zincrby("z", 0.75, "a"), 4.0);
        equal(List.of(r.zcard("z"), r.zrem("z", "d", "x")), List.of(4L, 1L));
        equal(r.zpopmin("z"), scored("b", 2.5));
        equal(r.zpopmax("z", 2), List.of(scored("c", most), scored("a", 4)));
        equal(r.zpopmin("absent", 1), List.of());
        r.zadd("x", scored("a", 1), scored("b", 2));
        r.zadd("y", scored("b", 3), scored("c", 4));
        equal(r.zunionWithScores("x", "y"), List.of(scored("a", 1), scored("c", 4), scored("b", 5)));
        equal(List.of(r.zinter("x", "y"), r.zdiff("x", "y")), List.of(List.of("b"), List.of("a")));
        equal(r.zintercard("x", "y"), 1L);
        equal(r.zunionstore("u", ZStoreArgs.Builder.weights(2.0, 1.0).max(), "x", "y"), 3L);
        equal(r.zmpop(2, ZPopArgs.Builder.max(), "absent", "u"), KeyValue.just("u", List.of(scored("c", 4), scored("b", 4))));
        equal(r.zrangestore("v", "x", Range.create(0L, 0L)), 1L);
        equal(r.zremrangebyscore("x", Range.create(1, 2)), 2L);
        Map<String, Double> big = numbers(1000).stream().collect(Collectors.toMap(n -> "m" + n, Double::valueOf));
        r.zadd("big", big.entrySet().stream().map(e -> scored(e.getKey(), e.getValue())).toArray(ScoredValue[]::new));
        Map<String, Double> found = new HashMap<>();
        ScanIterator.zscan(r, "big", new ScanArgs().limit(100)).forEachRemaining(v -> found.put(v.getValue(), v.getScore()));
        equal(found, big);
        equal(r.zrandmember("u"), "a");
        equal(r.zrandmemberWithScores("u", 2), List.of(scored("a", 2)));
    }

    private static void bits(Context context) {
        var r = context.connect();
        equal(List.of(r.setbit("b", 7, 1), r.setbit("b", 7, 0), r.getbit("b", 7)), List.of(0L, 1L, 0L));
        r.set("f", "foobar");
        equal(List.of(r.bitcount("f"), r.bitcount("f", 1, 1), raw(r, "BITCOUNT", "f", 5, 30, "BIT")), List.of(26L, 6L, List.of(17L)));
        r.setbit("p", 100, 1);
        equal(List.of(r.bitpos("p", true), r.bitpos("absent", true)), List.of(100L, -1L));
        r.mset(Map.of("a", "abc", "c", "abd"));
        equal(r.bitopXor("x", "a", "c"), 3L);
        equal(r.get("x"), "\0\0\7");
        BitFieldArgs.BitFieldType byteWide = BitFieldArgs.unsigned(8);
        BitFieldArgs.BitFieldType five = BitFieldArgs.signed(5);
        BitFieldArgs.Offset third = BitFieldArgs.typeWidthBasedOffset(3);
        BitFieldArgs steps = new BitFieldArgs().set(byteWide, 0, 255).get(BitFieldArgs.unsigned(4), 0).incrBy(byteWide, 0, 10)
                .overflow(BitFieldArgs.OverflowType.SAT).incrBy(five, third, 100)
                .overflow(BitFieldArgs.OverflowType.FAIL).incrBy(five, third, 1);
        equal(r.bitfield("bf", steps), Arrays.asList(0L, 15L, 9L, 15L, null));
        equal(raw(r, "BITFIELD_RO", "bf", "GET", "u8", 0), List.of(9L));
    }

    private static void hyperloglog(Context context) {
        var r = context.connect();
        equal(r.pfadd("a", numbers(1000).toArray(String[]::new)), 1L);
        equal(List.of(r.pfadd("a", "1"), r.pfcount("a")), List.of(0L, 1001L));
        equal(r.pfadd("b", numbers(1500).subList(500, 1500).toArray(String[]::new)), 1L);
        equal(r.pfmerge("c", "a", "b"), "OK");
        equal(List.of(r.pfcount("c"), r.pfcount("a", "b")), List.of(1512L, 1512L));
    }

    @SuppressWarnings("unchecked")
    private static void geo(Context context) {
        var r = context.connect();
        equal(r.geoadd("g", GeoValue.just(13.361389, 38.115556, "Palermo"), GeoValue.just(15.087269, 37.502669, "Catania")), 2L);
        equal(r.geodist("g", "Palermo", "Catania", GeoArgs.Unit.km), 166.2742);
        equal(r.geodist("g", "Palermo", "absent", GeoArgs.Unit.km), null);
        equal(values(r.geohash("g", "Palermo", "absent")), Arrays.asList("sqc8b49rny0", null));
        List<GeoCoordinates> positions = r.geopos("g", "Palermo", "absent");
        near(positions.get(0));
        equal(positions.get(1), null);
        var centre = GeoSearch.<String>fromCoordinates(15, 37);
        var names = r.geosearch("g", centre, GeoSearch.byRadius(200, GeoArgs.Unit.km), new GeoArgs().asc());
        equal(names.stream().map(GeoWithin::getMember).toList(), List.of("Catania", "Palermo"));
        var all = new GeoArgs().withDistance().withHash().withCoordinates().desc();
        var found = r.geosearch("g", GeoSearch.fromMember("Palermo"), GeoSearch.byBox(400, 400, GeoArgs.Unit.km), all);
        equal(found.stream().map(GeoWithin::getMember).toList(), List.of("Catania", "Palermo"));
        equal(found.stream().map(GeoWithin::getDistance).toList(), List.of(166.2742, 0.0));
        equal(found.stream().map(GeoWithin::getGeohash).toList(), List.of(3479447370796909L, 3479099956230698L));
        near(found.get(1).getCoordinates());
        var within = GeoSearch.byRadius(100, GeoArgs.Unit.km);
        equal(r.geosearchstore("h", "g", centre, within, new GeoArgs(), true), 1L);
        that(Math.abs(r.zscore("h", "Catania") - 56.4412578701582) < 1e-9, r.zscore("h", "Catania"));
    }

    /** Positions are doubles, whose last digit depends on who printed them. */
    private static void near(GeoCoordinates position) {
        double longitude = position.getX().doubleValue() - 13.361389338970184;
        double latitude = position.getY().doubleValue() - 38.1155563954963;
        that(Math.abs(longitude) < 1e-12 && Math.abs(latitude) < 1e-12, position);
    }

    private static void scripts(Context context) throws Exception {
        var r = context.connect();
        String[] none = {};
        String all = "return {KEYS[1], ARGV[1], 7, 1.9, false, {'x'}}";
        List<Object> reply = r.eval(all, ScriptOutputType.MULTI, new String[] {"k"}, "v");
        equal(reply, Arrays.asList("k", "v", 7L, 1L, null, List.of("x")));
        equal(r.eval("return redis.status_reply('FINE')", ScriptOutputType.STATUS), "FINE");
        refused(() -> r.eval("return redis.error_reply('MY error')", ScriptOutputType.VALUE), "MY error");
        String half = "redis.call('SET', KEYS[1], 'x'); return redis.call('LPUSH', KEYS[1], 'y')";
        refused(() -> r.eval(half, ScriptOutputType.INTEGER, "k"), WRONG_TYPE);
        equal(r.get("k"), "x");
        String sha = r.scriptLoad("return redis.call('INCRBY', KEYS[1], ARGV[1])");
        String[] n = {"n"};
        equal(r.evalsha(sha, ScriptOutputType.INTEGER, n, "5"), 5L);
        equal(r.scriptExists(sha, "0".repeat(40)), List.of(true, false));
        equal(r.scriptFlush(), "OK");
        refused(() -> r.evalsha(sha, ScriptOutputType.INTEGER, n, "5"), "NOSCRIPT No matching script");
        // Lettuce has no script object; the digest that it computes is what the server knows a script by.
        String lua = "redis.call('SET', KEYS[1], cjson.encode({n = tonumber(ARGV[1])})); return redis.call('GET', KEYS[1])";
        for (int round = 0; round < 2; round++) {
            String digest = r.digest(lua);
            equal(r.scriptExists(digest), List.of(round == 1));
            equal(r.eval(lua, ScriptOutputType.VALUE, new String[] {"json"}, "12"), "{\"n\":12}");
            equal(r.evalsha(digest, ScriptOutputType.VALUE, new String[] {"json"}, "12"), "{\"n\":12}");
        }
        r.hset("h", "a", "1");
        String resp3 = "redis.setresp(3); local m = redis.call('HGETALL', KEYS[1]); return m.map.a";
        equal(r.eval(resp3, ScriptOutputType.VALUE, "h"), "1");
        equal(r.evalReadOnly("return redis.call('GET', KEYS[1])", ScriptOutputType.VALUE, n, none), "5");
        refused(() -> r.evalReadOnly("return redis.call('SET', KEYS[1], '6')", ScriptOutputType.STATUS, n, none),
                "Write commands are not allowed from read-only scripts");
    }

    private static void errors(Context context) throws Exception {
        RedisCommands<String, String> r = context.connect();
        r.set("k", "text");
        refused(() -> r.lpush("k", "x"), WRONG_TYPE);
        refused(() -> r.incr("k"), "ERR value is not an integer or out of range");
        refused(() -> raw(r, "NOSUCH", "a", "b"), "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b'");
        refused(() -> raw(r, "GET"), "ERR wrong number of arguments for 'get' command");
        equal(r.get("k"), "text");
    }

    static List<String> numbers(int count) {
        return IntStream.range(0, count).mapToObj(Integer::toString).toList();
    }

    /** What the holders hold, null where they are empty. */
    private static List<String> values(List<? extends Value<String>> holders) {
        return holders.stream().map(holder -> holder.getValueOrElse(null)).collect(Collectors.toList());
    }
}
