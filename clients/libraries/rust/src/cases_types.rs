//! Type by type: what each family of commands gives back through redis-rs.

use std::collections::{HashMap, HashSet};

use redis::{
    Cmd, CopyOptions, Direction, ExistenceCheck, Expiry, IntegerReplyOrNoOp, LposOptions, RedisResult,
    Script, SetExpiry, SetOptions, Value, ValueType,
    geo::{Coord, RadiusOptions, RadiusOrder, RadiusSearchResult, Unit},
    streams::{
        StreamAddOptions, StreamAutoClaimOptions, StreamAutoClaimReply, StreamClaimReply, StreamId,
        StreamInfoConsumersReply, StreamInfoGroupsReply, StreamInfoStreamReply, StreamMaxlen,
        StreamPendingCountReply, StreamPendingReply, StreamRangeReply, StreamReadOptions, StreamReadReply,
        StreamTrimOptions, StreamTrimmingMode,
    },
};

use crate::{
    Run,
    client::{Connection, Context, words},
    expect, refuse,
};

type Text = Option<String>;
type Texts = Vec<String>;
type TextSet = HashSet<String>;
type Scored = Vec<(String, f64)>;

const WRONG_TYPE: &str = "Operation against a key holding the wrong kind of value";

pub const CASES: &[(&str, Run)] = &[
    ("strings", |context| Box::pin(strings(context))),
    ("keys", |context| Box::pin(keys(context))),
    ("hashes", |context| Box::pin(hashes(context))),
    ("lists", |context| Box::pin(lists(context))),
    ("sets", |context| Box::pin(sets(context))),
    ("sorted sets", |context| Box::pin(sorted_sets(context))),
    ("streams", |context| Box::pin(streams(context))),
    ("stream groups", |context| Box::pin(stream_groups(context))),
    ("bits", |context| Box::pin(bits(context))),
    ("hyperloglog", |context| Box::pin(hyperloglog(context))),
    ("geo", |context| Box::pin(geo(context))),
    ("scripts", |context| Box::pin(scripts(context))),
    ("errors", |context| Box::pin(errors(context))),
];

async fn strings(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    let set = |value, options| Cmd::set_options("k", value, options);
    expect!(r, Cmd::set("k", 1), String, "OK");
    expect!(r, set("2", SetOptions::default().conditional_set(ExistenceCheck::NX)), Text, None);
    expect!(
        r,
        Cmd::set_options("absent", 1, SetOptions::default().conditional_set(ExistenceCheck::XX)),
        Text,
        None
    );
    expect!(r, set("2", SetOptions::default().get(true)), Text, Some("1".into()));
    expect!(r, set("3", SetOptions::default().with_expiration(SetExpiry::EX(100))), String, "OK");
    expect!(r, set("4", SetOptions::default().with_expiration(SetExpiry::KEEPTTL)), String, "OK");
    assert!(matches!(r.run(Cmd::ttl("k")).await?, IntegerReplyOrNoOp::IntegerReply(1..=100)));
    expect!(r, Cmd::get_ex("k", Expiry::PERSIST), Text, Some("4".into()));
    expect!(r, Cmd::ttl("k"), i64, -1);
    expect!(r, Cmd::get("absent"), Text, None);
    expect!(r, Cmd::incr("n", 5), i64, 5);
    expect!(r, Cmd::decr("n", 7), i64, -2);
    expect!(r, Cmd::incr("f", 10.5), f64, 10.5);
    expect!(r, Cmd::incr("f", 0.1), f64, 10.6);
    expect!(r, Cmd::append("s", "Hello"), usize, 5);
    expect!(r, Cmd::append("s", " World"), usize, 11);
    expect!(r, Cmd::getrange("s", -5, -1), String, "World");
    expect!(r, Cmd::setrange("s", 6, "Redis"), usize, 11);
    expect!(r, Cmd::strlen("s"), usize, 11);
    expect!(r, Cmd::get_del("s"), Text, Some("Hello Redis".into()));
    expect!(r, Cmd::get("s"), Text, None);
    expect!(r, Cmd::mset(&[("a", "1"), ("b", "2")]), String, "OK");
    expect!(r, Cmd::mget(&["a", "absent", "b"]), Vec<Text>, [Some("1".into()), None, Some("2".into())]);
    expect!(r, Cmd::mset_nx(&[("b", "3"), ("c", "3")]), bool, false);
    expect!(r, Cmd::del(&["a", "b", "c"]), usize, 2);
    let every_byte: Vec<u8> = (0..=255).cycle().take(76_800).collect();
    expect!(r, Cmd::set(&every_byte[..256], &every_byte[..]), String, "OK");
    expect!(r, Cmd::get(&every_byte[..256]), Vec<u8>, every_byte);
    r.run::<()>(Cmd::mset(&[("x", "ohmytext"), ("y", "mynewtext")])).await?;
    expect!(r, words("LCS x y"), String, "mytext");
    expect!(r, words("LCS x y LEN"), usize, 6);
    Ok(())
}

async fn keys(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    let pairs: Vec<_> = (0..500).map(|n| (format!("key:{n}"), n)).collect();
    r.run::<()>(Cmd::mset(&pairs)).await?;
    expect!(r, Cmd::exists(&["key:1", "key:2", "key:1", "absent"]), usize, 3);
    expect!(r, words("DBSIZE"), usize, 500);
    r.run::<()>(Cmd::rpush("list", 1)).await?;
    expect!(r, Cmd::key_type("key:1"), ValueType, ValueType::String);
    expect!(r, Cmd::key_type("list"), ValueType, ValueType::List);
    expect!(r, Cmd::key_type("absent"), ValueType, ValueType::None);
    expect!(r, Cmd::rename("key:0", "renamed"), String, "OK");
    expect!(r, Cmd::rename_nx("renamed", "key:1"), bool, false);
    let replace = || CopyOptions::default().replace(true);
    expect!(r, Cmd::copy("key:1", "copy", CopyOptions::default()), bool, true);
    expect!(r, Cmd::copy("key:2", "copy", CopyOptions::default()), bool, false);
    expect!(r, Cmd::copy("key:2", "copy", replace()), bool, true);
    expect!(r, Cmd::get("copy"), String, "2");
    expect!(r, Cmd::expire("copy", 1000), bool, true);
    expect!(r, words("EXPIRE copy 2000 NX"), bool, false);
    assert!(matches!(r.run(Cmd::pttl("copy")).await?, IntegerReplyOrNoOp::IntegerReply(1..=1_000_000)));
    expect!(r, Cmd::persist("copy"), bool, true);
    expect!(r, Cmd::ttl("copy"), IntegerReplyOrNoOp, IntegerReplyOrNoOp::ExistsButNotRelevant);
    expect!(r, Cmd::ttl("absent"), IntegerReplyOrNoOp, IntegerReplyOrNoOp::NotExists);
    expect!(r, Cmd::expire_at("copy", 4_000_000_000), bool, true);
    expect!(r, Cmd::expire_time("copy"), i64, 4_000_000_000);
    expect!(r, Cmd::pexpire_time("copy"), i64, 4_000_000_000_000);
    expect!(r, Cmd::unlink(&["copy", "list"]), usize, 2);
    let (mut cursor, mut found) = (0_u64, TextSet::new());
    loop {
        let (next, some): (u64, Texts) =
            r.run(words(&format!("SCAN {cursor} MATCH key:* COUNT 100"))).await?;
        found.extend(some);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(found, (1..500).map(|n| format!("key:{n}")).collect());
    assert_eq!(r.run::<Texts>(Cmd::keys("key:1?")).await?.len(), 10);
    expect!(r, words("TOUCH key:1 absent"), usize, 1);
    assert!(r.run::<String>(words("RANDOMKEY")).await?.contains("e"));
    r.run::<()>(Cmd::rpush("numbers", &[3, 1, 2])).await?;
    expect!(r, words("SORT numbers DESC"), Vec<u8>, [3, 2, 1]);
    assert!(["listpack", "quicklist"].contains(&&*r.run::<String>(Cmd::object_encoding("numbers")).await?));
    let payload: Vec<u8> = r.run(words("DUMP numbers")).await?;
    let restore = || words("RESTORE restored 0").arg(&payload[..]).to_owned();
    expect!(r, restore(), String, "OK");
    expect!(r, Cmd::lrange("restored", 0, -1), Vec<i64>, [3, 1, 2]);
    refuse!(r, restore(), "Target key name already exists.");
    Ok(())
}

async fn hashes(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    expect!(r, words("HSET h a 1 b 2 c 3"), usize, 3);
    expect!(r, Cmd::hset("h", "a", 0), usize, 0);
    expect!(r, Cmd::hset_nx("h", "a", 9), bool, false);
    expect!(r, Cmd::hget("h", "a"), Text, Some("0".into()));
    expect!(r, Cmd::hget("h", "absent"), Text, None);
    expect!(r, Cmd::hmget("h", &["a", "absent", "c"]), Vec<Text>, [Some("0".into()), None, Some("3".into())]);
    let all: HashMap<String, i64> =
        [("a", 0), ("b", 2), ("c", 3)].map(|(field, value)| (field.to_owned(), value)).into();
    expect!(r, Cmd::hgetall("h"), HashMap<String, i64>, all);
    expect!(r, Cmd::hgetall("absent"), HashMap<String, i64>, HashMap::new());
    expect!(r, Cmd::hincr("h", "a", 5), i64, 5);
    expect!(r, Cmd::hincr("h", "b", 0.5), f64, 2.5);
    expect!(r, Cmd::hexists("h", "a"), bool, true);
    expect!(r, Cmd::hexists("h", "absent"), bool, false);
    expect!(r, Cmd::hdel("h", &["a", "absent"]), usize, 1);
    expect!(r, Cmd::hlen("h"), usize, 2);
    expect!(r, words("HSTRLEN h b"), usize, 3);
    expect!(r, Cmd::hkeys("h"), TextSet, set_of(&["b", "c"]));
    expect!(r, Cmd::hvals("h"), TextSet, set_of(&["2.5", "3"]));
    let big: Vec<_> = (0..2000).map(|n| (format!("field:{n}"), n)).collect();
    expect!(r, Cmd::hset_multiple("big", &big), String, "OK");
    let (mut cursor, mut found) = (0_u64, HashMap::<String, i32>::new());
    loop {
        let (next, some): (u64, Vec<(String, i32)>) =
            r.run(words(&format!("HSCAN big {cursor} COUNT 200"))).await?;
        found.extend(some);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(found, big.into_iter().collect());
    assert!(["b", "c"].contains(&&*r.run::<String>(words("HRANDFIELD h")).await?));
    let mut picked: Scored = r.run(words("HRANDFIELD h 5 WITHVALUES")).await?;
    picked.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(picked, scored(&[("b", 2.5), ("c", 3.0)]));
    Ok(())
}

async fn lists(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    expect!(r, Cmd::rpush("l", &["b", "c"]), usize, 2);
    expect!(r, Cmd::lpush("l", "a"), usize, 3);
    expect!(r, Cmd::rpush_exists("absent", "x"), usize, 0);
    expect!(r, Cmd::linsert_before("l", "c", "bb"), isize, 4);
    expect!(r, Cmd::lrange("l", 0, -1), Texts, ["a", "b", "bb", "c"]);
    expect!(r, Cmd::lrange("absent", 0, -1), Texts, Texts::new());
    expect!(r, Cmd::lindex("l", -1), Text, Some("c".into()));
    expect!(r, Cmd::lindex("l", 9), Text, None);
    expect!(r, Cmd::llen("l"), usize, 4);
    expect!(r, Cmd::lset("l", 0, "A"), String, "OK");
    expect!(r, Cmd::lpos("l", "c", LposOptions::default()), Option<usize>, Some(3));
    expect!(r, Cmd::lpos("l", "absent", LposOptions::default()), Option<usize>, None);
    expect!(r, Cmd::lpos("l", "c", LposOptions::default().count(0)), Vec<usize>, [3]);
    expect!(r, Cmd::lrem("l", 0, "bb"), usize, 1);
    expect!(r, Cmd::lmove("l", "other", Direction::Left, Direction::Right), String, "A");
    expect!(r, Cmd::rpoplpush("l", "other"), String, "c");
    expect!(r, Cmd::lrange("other", 0, -1), Texts, ["c", "A"]);
    let popped = Some(("other".to_owned(), vec!["c".to_owned(), "A".to_owned()]));
    expect!(r, Cmd::lmpop(2, &["absent", "other"], Direction::Left, 5), Option<(String, Texts)>, popped);
    expect!(r, Cmd::lmpop(1, "absent", Direction::Left, 1), Option<(String, Texts)>, None);
    r.run::<()>(Cmd::rpush("n", (0..100).collect::<Vec<_>>())).await?;
    expect!(r, Cmd::ltrim("n", 10, 12), String, "OK");
    expect!(r, Cmd::lrange("n", 0, -1), Vec<i64>, [10, 11, 12]);
    expect!(r, Cmd::lpop("n", None), i64, 10);
    expect!(r, Cmd::rpop("n", std::num::NonZeroUsize::new(5)), Vec<i64>, [12, 11]);
    expect!(r, Cmd::lpop("n", None), Text, None);
    Ok(())
}

async fn sets(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    expect!(r, Cmd::sadd("s", &["a", "b", "c"]), usize, 3);
    expect!(r, Cmd::sadd("s", "a"), usize, 0);
    expect!(r, Cmd::sadd("t", &["b", "c", "d"]), usize, 3);
    expect!(r, Cmd::smembers("s"), TextSet, set_of(&["a", "b", "c"]));
    expect!(r, Cmd::smembers("absent"), TextSet, TextSet::new());
    expect!(r, Cmd::sismember("s", "a"), bool, true);
    expect!(r, Cmd::smismember("s", &["a", "z"]), Vec<bool>, [true, false]);
    expect!(r, Cmd::sinter(&["s", "t"]), TextSet, set_of(&["b", "c"]));
    expect!(r, Cmd::sdiff(&["s", "t"]), TextSet, set_of(&["a"]));
    expect!(r, Cmd::sunion(&["s", "t"]), TextSet, set_of(&["a", "b", "c", "d"]));
    expect!(r, Cmd::sinterstore("u", &["s", "t"]), usize, 2);
    expect!(r, words("SINTERCARD 2 s t LIMIT 1"), usize, 1);
    expect!(r, Cmd::scard("u"), usize, 2);
    expect!(r, Cmd::smove("s", "t", "a"), bool, true);
    expect!(r, Cmd::srem("s", &["b", "z"]), usize, 1);
    expect!(r, Cmd::spop("s"), Text, Some("c".into()));
    expect!(r, Cmd::spop("s"), Text, None);
    expect!(r, words("SPOP t 9"), TextSet, set_of(&["a", "b", "c", "d"]));
    let numbers: HashSet<i64> = (0..1000).collect();
    r.run::<()>(Cmd::sadd("n", numbers.iter().copied().collect::<Vec<_>>())).await?;
    let (mut cursor, mut found) = (0_u64, HashSet::<i64>::new());
    loop {
        let (next, some): (u64, Vec<i64>) = r.run(words(&format!("SSCAN n {cursor} COUNT 100"))).await?;
        found.extend(some);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(found, numbers);
    assert_eq!(r.run::<HashSet<i64>>(Cmd::srandmember_multiple("n", 10)).await?.len(), 10);
    assert_eq!(r.run::<Vec<i64>>(Cmd::srandmember_multiple("n", -2000)).await?.len(), 2000);
    Ok(())
}

async fn sorted_sets(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    let items = [(1.0, "a"), (2.5, "b"), (f64::INFINITY, "c"), (f64::NEG_INFINITY, "d")];
    expect!(r, Cmd::zadd_multiple("z", &items), usize, 4);
    let all = scored(&[("d", f64::NEG_INFINITY), ("a", 1.0), ("b", 2.5), ("c", f64::INFINITY)]);
    expect!(r, Cmd::zrange_withscores("z", 0, -1), Scored, all);
    expect!(r, words("ZADD z GT CH 0.5 a"), usize, 0);
    expect!(r, words("ZADD z XX CH 3 a"), usize, 1);
    expect!(r, words("ZADD z INCR 0.25 a"), f64, 3.25);
    expect!(r, words("ZADD z NX INCR 1 a"), Option<f64>, None);
    let exact = 7_147_483_648_000_001.0;
    r.run::<()>(Cmd::zadd_multiple("exact", &[(exact, "job"), (0.1, "tenth")])).await?;
    expect!(r, Cmd::zscore("exact", "job"), f64, exact);
    expect!(r, Cmd::zscore("exact", "tenth"), f64, 0.1);
    expect!(r, Cmd::zscore("z", "absent"), Option<f64>, None);
    expect!(r, Cmd::zscore_multiple("z", &["a", "absent"]), Vec<Option<f64>>, [Some(3.25), None]);
    expect!(r, Cmd::zrank("z", "a"), Option<usize>, Some(2));
    expect!(r, Cmd::zrevrank("z", "a"), Option<usize>, Some(1));
    expect!(r, Cmd::zrank("z", "absent"), Option<usize>, None);
    expect!(r, words("ZRANGE z (1 +inf BYSCORE LIMIT 0 1"), Texts, ["b"]);
    expect!(r, Cmd::zrevrange("z", 0, 1), Texts, ["c", "a"]);
    expect!(r, Cmd::zcount("z", 2, 3), usize, 1);
    r.run::<()>(Cmd::zadd_multiple("lex", &[(0, "a"), (0, "b"), (0, "c"), (0, "d")])).await?;
    expect!(r, Cmd::zrangebylex("lex", "[b", "(d"), Texts, ["b", "c"]);
    expect!(r, Cmd::zlexcount("lex", "-", "+"), usize, 4);
    expect!(r, Cmd::zincr("z", "a", 0.75), f64, 4.0);
    expect!(r, Cmd::zcard("z"), usize, 4);
    expect!(r, Cmd::zrem("z", &["d", "x"]), usize, 1);
    expect!(r, Cmd::zpopmin("z", 1), Scored, scored(&[("b", 2.5)]));
    expect!(r, Cmd::zpopmax("z", 2), Scored, scored(&[("c", f64::INFINITY), ("a", 4.0)]));
    expect!(r, Cmd::zpopmin("absent", 1), Scored, Scored::new());
    more_sorted_sets(&mut r).await
}

async fn more_sorted_sets(r: &mut Connection) -> RedisResult<()> {
    r.run::<()>(Cmd::zadd_multiple("x", &[(1, "a"), (2, "b")])).await?;
    r.run::<()>(Cmd::zadd_multiple("y", &[(3, "b"), (4, "c")])).await?;
    expect!(r, words("ZUNION 2 x y WITHSCORES"), Scored, scored(&[("a", 1.0), ("c", 4.0), ("b", 5.0)]));
    expect!(r, words("ZINTER 2 x y"), Texts, ["b"]);
    expect!(r, words("ZDIFF 2 x y"), Texts, ["a"]);
    expect!(r, words("ZINTERCARD 2 x y"), usize, 1);
    expect!(r, Cmd::zunionstore_max_weights("u", &[("x", 2), ("y", 1)]), usize, 3);
    let popped = Some(("u".to_owned(), scored(&[("c", 4.0), ("b", 4.0)])));
    expect!(r, Cmd::zmpop_max(&["absent", "u"], 2), Option<(String, Scored)>, popped);
    expect!(r, words("ZRANGESTORE v x 0 0"), usize, 1);
    expect!(r, Cmd::zrembyscore("x", 1, 2), usize, 2);
    let big: Vec<_> = (0..1000).map(|n| (n, format!("m{n}"))).collect();
    r.run::<()>(Cmd::zadd_multiple("big", &big)).await?;
    let (mut cursor, mut found) = (0_u64, HashMap::<String, i32>::new());
    loop {
        let (next, some): (u64, Vec<(String, i32)>) =
            r.run(words(&format!("ZSCAN big {cursor} COUNT 100"))).await?;
        found.extend(some);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(found, big.into_iter().map(|(score, member)| (member, score)).collect());
    expect!(r, Cmd::zrandmember("u", None), String, "a");
    expect!(r, Cmd::zrandmember_withscores("u", 2), Scored, scored(&[("a", 2.0)]));
    Ok(())
}

async fn streams(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    expect!(r, Cmd::xadd("x", "1-1", &[("f", "1"), ("g", "v")]), String, "1-1");
    expect!(r, Cmd::xadd("x", "1-*", &[("f", "2")]), String, "1-2");
    expect!(r, Cmd::xadd("x", "2-0", &[("f", "3")]), String, "2-0");
    refuse!(r, Cmd::xadd("x", "1-1", &[("f", "0")]), "equal or smaller than the target stream top item");
    let nomkstream = StreamAddOptions::default().nomkstream();
    expect!(r, Cmd::xadd_options("absent", "*", &[("f", "1")], &nomkstream), Text, None);
    expect!(r, Cmd::xlen("x"), usize, 3);
    let range = |reply: StreamRangeReply| entries(&reply.ids);
    let first = ("1-1".to_owned(), vec![("f".to_owned(), "1".to_owned()), ("g".to_owned(), "v".to_owned())]);
    assert_eq!(
        range(r.run(Cmd::xrange_count("x", "-", "+", 2)).await?),
        [first.clone(), entry("1-2", "f", "2")]
    );
    assert_eq!(range(r.run(Cmd::xrange("x", "(1-1", "1-2")).await?), [entry("1-2", "f", "2")]);
    assert_eq!(range(r.run(Cmd::xrevrange_count("x", "+", "-", 1)).await?), [entry("2-0", "f", "3")]);
    let read: StreamReadReply = r.run(Cmd::xread(&["x", "absent"], &["1-2", "0"])).await?;
    assert_eq!(read.keys.len(), 1);
    assert_eq!((&*read.keys[0].key, entries(&read.keys[0].ids)), ("x", vec![entry("2-0", "f", "3")]));
    let nothing: Option<StreamReadReply> = r.run(Cmd::xread(&["x"], &["$"])).await?;
    assert!(nothing.is_none_or(|reply| reply.keys.is_empty()));
    let info: StreamInfoStreamReply = r.run(Cmd::xinfo_stream("x")).await?;
    assert_eq!((info.length, &*info.last_generated_id), (3, "2-0"));
    assert_eq!(entries(&[info.first_entry]), [first]);
    expect!(r, Cmd::xdel("x", &["1-2", "9-9"]), usize, 1);
    let minid = StreamTrimOptions::minid(StreamTrimmingMode::Exact, "2");
    expect!(r, Cmd::xtrim_options("x", &minid), usize, 1);
    expect!(r, Cmd::xlen("x"), usize, 1);
    for n in 0..250 {
        r.run::<String>(Cmd::xadd_maxlen("capped", StreamMaxlen::Approx(100), "*", &[("n", n)])).await?;
    }
    assert!((100..=250).contains(&r.run::<usize>(Cmd::xlen("capped")).await?));
    assert!(r.run::<usize>(Cmd::xtrim("capped", StreamMaxlen::Equals(10))).await? >= 90);
    let left: StreamRangeReply = r.run(Cmd::xrange_all("capped")).await?;
    assert_eq!(
        left.ids.iter().filter_map(|id| id.get::<i32>("n")).collect::<Vec<_>>(),
        (240..250).collect::<Vec<_>>()
    );
    Ok(())
}

async fn stream_groups(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    let numbered = |numbers: &[u8]| -> Vec<_> {
        numbers.iter().map(|n| entry(&format!("{n}-0"), "n", &n.to_string())).collect()
    };
    let reading = |consumer, count| StreamReadOptions::default().group("g", consumer).count(count);
    let found = |reply: StreamReadReply| entries(&reply.keys[0].ids);
    expect!(r, Cmd::xgroup_create_mkstream("x", "g", "0"), String, "OK");
    refuse!(r, Cmd::xgroup_create("x", "g", "$"), "Consumer Group name already exists");
    for n in 1..6 {
        r.run::<String>(Cmd::xadd("x", format!("{n}-0"), &[("n", n)])).await?;
    }
    let (alice, bob) = (reading("alice", 2), reading("bob", 2));
    assert_eq!(found(r.run(Cmd::xread_options(&["x"], &[">"], &alice)).await?), numbered(&[1, 2]));
    assert_eq!(found(r.run(Cmd::xread_options(&["x"], &[">"], &bob)).await?), numbered(&[3, 4]));
    expect!(r, Cmd::xack("x", "g", &["1-0", "9-0"]), usize, 1);
    let StreamPendingReply::Data(pending) = r.run(Cmd::xpending("x", "g")).await? else {
        panic!("nothing is pending");
    };
    assert_eq!((pending.count, &*pending.start_id, &*pending.end_id), (3, "2-0", "4-0"));
    let consumers: Vec<_> = pending.consumers.iter().map(|c| (&*c.name, c.pending)).collect();
    assert_eq!(consumers, [("alice", 1), ("bob", 2)]);
    let detail: StreamPendingCountReply =
        r.run(Cmd::xpending_consumer_count("x", "g", "-", "+", 10, "bob")).await?;
    let detail: Vec<_> = detail.ids.iter().map(|p| (&*p.id, &*p.consumer, p.times_delivered)).collect();
    assert_eq!(detail, [("3-0", "bob", 1), ("4-0", "bob", 1)]);
    let claimed: StreamClaimReply = r.run(Cmd::xclaim("x", "g", "alice", 0, &["3-0"])).await?;
    assert_eq!(entries(&claimed.ids), numbered(&[3]));
    expect!(r, words("XCLAIM x g alice 0 4-0 JUSTID"), Texts, ["4-0"]);
    let options = StreamAutoClaimOptions::default().count(2);
    let claimed: StreamAutoClaimReply =
        r.run(Cmd::xautoclaim_options("x", "g", "carol", 0, "0", options)).await?;
    assert_eq!((&*claimed.next_stream_id, entries(&claimed.claimed)), ("4-0", numbered(&[2, 3])));
    assert!(claimed.deleted_ids.is_empty());
    assert_eq!(
        found(r.run(Cmd::xread_options(&["x"], &["0"], &reading("carol", 9))).await?),
        numbered(&[2, 3])
    );
    let groups: StreamInfoGroupsReply = r.run(Cmd::xinfo_groups("x")).await?;
    let group = &groups.groups[0];
    assert_eq!((&*group.name, group.consumers, group.pending), ("g", 3, 3));
    assert_eq!((&*group.last_delivered_id, group.entries_read, group.lag), ("4-0", Some(4), Some(1)));
    let consumers: StreamInfoConsumersReply = r.run(Cmd::xinfo_consumers("x", "g")).await?;
    let consumers: Vec<_> = consumers.consumers.iter().map(|c| (&*c.name, c.pending)).collect();
    assert_eq!(consumers, [("alice", 1), ("bob", 0), ("carol", 2)]);
    expect!(r, Cmd::xgroup_delconsumer("x", "g", "carol"), usize, 2);
    expect!(r, Cmd::xgroup_createconsumer("x", "g", "dave"), bool, true);
    expect!(r, Cmd::xgroup_setid("x", "g", "0"), String, "OK");
    expect!(r, Cmd::xgroup_destroy("x", "g"), bool, true);
    refuse!(r, Cmd::xread_options(&["x"], &[">"], &alice), "No such key 'x' or consumer group 'g'");
    Ok(())
}

async fn bits(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    expect!(r, Cmd::setbit("b", 7, true), bool, false);
    expect!(r, Cmd::setbit("b", 7, false), bool, true);
    expect!(r, Cmd::getbit("b", 7), bool, false);
    r.run::<()>(Cmd::set("f", "foobar")).await?;
    expect!(r, Cmd::bitcount("f"), usize, 26);
    expect!(r, Cmd::bitcount_range("f", 1, 1), usize, 6);
    expect!(r, words("BITCOUNT f 5 30 BIT"), usize, 17);
    r.run::<()>(Cmd::setbit("p", 100, true)).await?;
    expect!(r, words("BITPOS p 1"), i64, 100);
    expect!(r, words("BITPOS absent 1"), i64, -1);
    r.run::<()>(Cmd::mset(&[("a", "abc"), ("c", "abd")])).await?;
    expect!(r, Cmd::bit_xor("x", &["a", "c"]), usize, 3);
    expect!(r, Cmd::get("x"), Vec<u8>, [0, 0, 7]);
    let steps = "BITFIELD bf SET u8 0 255 GET u4 0 INCRBY u8 0 10 OVERFLOW SAT INCRBY i5 #3 100 OVERFLOW FAIL INCRBY i5 #3 1";
    expect!(r, words(steps), Vec<Option<i64>>, [Some(0), Some(15), Some(9), Some(15), None]);
    expect!(r, words("BITFIELD_RO bf GET u8 0"), Vec<i64>, [9]);
    Ok(())
}

async fn hyperloglog(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    expect!(r, Cmd::pfadd("a", (0..1000).collect::<Vec<_>>()), bool, true);
    expect!(r, Cmd::pfadd("a", 1), bool, false);
    expect!(r, Cmd::pfcount("a"), usize, 1001);
    expect!(r, Cmd::pfadd("b", (500..1500).collect::<Vec<_>>()), bool, true);
    expect!(r, Cmd::pfmerge("c", &["a", "b"]), String, "OK");
    expect!(r, Cmd::pfcount("c"), usize, 1512);
    expect!(r, Cmd::pfcount(&["a", "b"]), usize, 1512);
    Ok(())
}

async fn geo(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    let members = [
        (Coord::lon_lat(13.361389, 38.115556), "Palermo"),
        (Coord::lon_lat(15.087269, 37.502669), "Catania"),
    ];
    expect!(r, Cmd::geo_add("g", &members[..]), usize, 2);
    expect!(r, Cmd::geo_dist("g", "Palermo", "Catania", Unit::Kilometers), f64, 166.2742);
    expect!(r, Cmd::geo_dist("g", "Palermo", "absent", Unit::Kilometers), Option<f64>, None);
    expect!(r, Cmd::geo_hash("g", &["Palermo", "absent"]), Vec<Text>, [Some("sqc8b49rny0".into()), None]);
    let at = Coord::lon_lat(13.361_389_338_970_184, 38.115_556_395_496_3);
    let positions: Vec<Option<Coord<f64>>> = r.run(Cmd::geo_pos("g", &["Palermo", "absent"])).await?;
    assert!(is_near(positions[0].as_ref(), &at), "{positions:?}");
    assert_eq!(positions[1], None);
    let by_radius = "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC";
    expect!(r, words(by_radius), Texts, ["Catania", "Palermo"]);
    let options = RadiusOptions::default().with_dist().with_coord().order(RadiusOrder::Asc);
    let found: Vec<RadiusSearchResult> =
        r.run(Cmd::geo_radius("g", 15.0, 37.0, 200.0, Unit::Kilometers, options)).await?;
    let names: Vec<_> = found.iter().map(|result| (&*result.name, result.dist)).collect();
    assert_eq!(names, [("Catania", Some(56.4413)), ("Palermo", Some(190.4424))]);
    assert!(is_near(found[1].coord.as_ref(), &at), "{found:?}");
    let by_box = "GEOSEARCH g FROMMEMBER Palermo BYBOX 400 400 km DESC WITHDIST WITHHASH";
    let boxed = vec![
        ("Catania".to_owned(), 166.2742, 3_479_447_370_796_909),
        ("Palermo".to_owned(), 0.0, 3_479_099_956_230_698),
    ];
    expect!(r, words(by_box), Vec<(String, f64, i64)>, boxed);
    expect!(r, words("GEOSEARCHSTORE h g FROMLONLAT 15 37 BYRADIUS 100 km STOREDIST"), usize, 1);
    assert!((r.run::<f64>(Cmd::zscore("h", "Catania")).await? - 56.441_257_870_158_2).abs() < 1e-9);
    Ok(())
}

async fn scripts(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    let eval = |lua: &str, keys: &[&str], args: &[&str]| {
        redis::cmd("EVAL").arg(lua).arg(keys.len()).arg(keys).arg(args).to_owned()
    };
    let (text, number, short, nil, nested): (Texts, i64, i64, Text, Texts) =
        r.run(eval("return {{KEYS[1], ARGV[1]}, 7, 1.9, false, {'x'}}", &["k"], &["v"])).await?;
    assert_eq!((text, number, short, nil, nested), (texts(&["k", "v"]), 7, 1, None, texts(&["x"])));
    expect!(
        r,
        eval("return redis.status_reply('FINE')", &[], &[]),
        Value,
        Value::SimpleString("FINE".into())
    );
    refuse!(r, eval("return redis.error_reply('MY error')", &[], &[]), "error");
    let half = "redis.call('SET', KEYS[1], 'x'); return redis.call('LPUSH', KEYS[1], 'y')";
    refuse!(r, eval(half, &["k"], &[]), WRONG_TYPE);
    expect!(r, Cmd::get("k"), String, "x");
    let sha: String = r
        .run(redis::cmd("SCRIPT").arg("LOAD").arg("return redis.call('INCRBY', KEYS[1], ARGV[1])").to_owned())
        .await?;
    expect!(r, words(&format!("EVALSHA {sha} 1 n 5")), i64, 5);
    expect!(r, words(&format!("SCRIPT EXISTS {sha} {}", "0".repeat(40))), Vec<bool>, [true, false]);
    expect!(r, words("SCRIPT FLUSH"), String, "OK");
    let error = r.run::<i64>(words(&format!("EVALSHA {sha} 1 n 5"))).await.expect_err("no script");
    assert_eq!(error.code(), Some("NOSCRIPT"));
    let script = Script::new(
        "redis.call('SET', KEYS[1], cjson.encode({n = tonumber(ARGV[1])})); return redis.call('GET', KEYS[1])",
    );
    for _ in 0..2 {
        assert_eq!(r.invoke::<String>(&script, "json", "12").await?, "{\"n\":12}");
    }
    r.run::<()>(Cmd::hset("h", "a", 1)).await?;
    expect!(
        r,
        eval("redis.setresp(3); local m = redis.call('HGETALL', KEYS[1]); return m.map.a", &["h"], &[]),
        String,
        "1"
    );
    expect!(
        r,
        redis::cmd("EVAL_RO").arg("return redis.call('GET', KEYS[1])").arg(1).arg("n").to_owned(),
        i64,
        5
    );
    let writes =
        redis::cmd("EVAL_RO").arg("return redis.call('SET', KEYS[1], '6')").arg(1).arg("n").to_owned();
    refuse!(r, writes, "Write commands are not allowed from read-only scripts");
    Ok(())
}

async fn errors(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    r.run::<()>(Cmd::set("k", "text")).await?;
    let error = r.run::<i64>(Cmd::lpush("k", "x")).await.expect_err("a wrong type");
    assert_eq!((error.code(), error.detail()), (Some("WRONGTYPE"), Some(WRONG_TYPE)));
    refuse!(r, Cmd::incr("k", 1), "value is not an integer or out of range");
    refuse!(r, words("NOSUCH a b"), "unknown command 'NOSUCH', with args beginning with: 'a' 'b'");
    refuse!(r, words("GET"), "wrong number of arguments for 'get' command");
    expect!(r, Cmd::get("k"), String, "text");
    Ok(())
}

fn texts(list: &[&str]) -> Texts {
    list.iter().map(|&text| text.to_owned()).collect()
}

fn set_of(list: &[&str]) -> TextSet {
    texts(list).into_iter().collect()
}

fn scored(list: &[(&str, f64)]) -> Scored {
    list.iter().map(|&(member, score)| (member.to_owned(), score)).collect()
}

type Entry = (String, Vec<(String, String)>);

fn entry(id: &str, field: &str, value: &str) -> Entry {
    (id.to_owned(), vec![(field.to_owned(), value.to_owned())])
}

/// Entries with their fields in order of their names.
fn entries(ids: &[StreamId]) -> Vec<Entry> {
    let fields = |id: &StreamId| {
        let mut fields: Vec<_> =
            id.map.keys().map(|field| (field.clone(), id.get(field).expect("a text"))).collect();
        fields.sort();
        fields
    };
    ids.iter().map(|id| (id.id.clone(), fields(id))).collect()
}

/// Positions are doubles, whose last digit depends on who printed them.
fn is_near(position: Option<&Coord<f64>>, at: &Coord<f64>) -> bool {
    position.is_some_and(|p| {
        (p.longitude - at.longitude).abs() < 1e-12 && (p.latitude - at.latitude).abs() < 1e-12
    })
}
