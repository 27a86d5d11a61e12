//! How commands travel: connections, pipelines, transactions, pub/sub, blocking calls, and a server that is killed.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::mpsc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt};
use redis::{
    AsyncConnectionConfig, Cmd, ProtocolVersion, PushInfo, PushKind, RedisResult, Script, Value,
    aio::ConnectionManagerConfig, from_redis_value, pipe, streams::StreamReadOptions,
    streams::StreamReadReply,
};
use tokio::task::{block_in_place, yield_now};

use crate::{
    Run,
    client::{Connection, Context, Kind, eventually, words},
    expect, refuse,
};

const PASSWORD: &str = "a secret of sixteen";
const MESSAGE_LIMIT: Duration = Duration::from_secs(20);

pub const CASES: &[(&str, Run)] = &[
    ("handshake", |context| Box::pin(handshake(context))),
    ("pipeline", |context| Box::pin(pipeline(context))),
    ("transaction", |context| Box::pin(transaction(context))),
    ("watch conflict", |context| Box::pin(watch_conflict(context))),
    ("pub/sub", |context| Box::pin(pubsub(context))),
    ("blocking calls", |context| Box::pin(blocking(context))),
    ("reconnection", |context| Box::pin(reconnection(context))),
    ("many at once", |context| Box::pin(many_at_once(context))),
];

async fn handshake(context: &Context) -> RedisResult<()> {
    let mut admin = context.connect().await?;
    let info: String = admin.run(words("INFO server")).await?;
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).expect("a version");
    let knows_libraries = {
        let mut numbers = version.split('.').map(|number| number.trim().parse::<u32>().expect("a number"));
        (numbers.next(), numbers.next()) >= (Some(7), Some(2))
    };
    let protect =
        |password: &str| redis::cmd("CONFIG").arg("SET").arg("requirepass").arg(password).to_owned();
    admin.run::<()>(protect(PASSWORD)).await?;
    // The password goes whatever happens: the cases after this one know none.
    let outcome = AssertUnwindSafe(handshakes(context, &mut admin, knows_libraries)).catch_unwind().await;
    admin.run::<()>(protect("")).await?;
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

async fn handshakes(context: &Context, admin: &mut Connection, knows_libraries: bool) -> RedisResult<()> {
    let without_password = match context.connect().await {
        Ok(mut connection) => connection.run::<()>(Cmd::get("k")).await.expect_err("a refusal"),
        Err(refusal) => refusal,
    };
    assert!(without_password.to_string().contains("NOAUTH"), "{without_password}");
    let refusal =
        context.connect_with(|settings| settings.set_password("wrong")).await.err().expect("a refusal");
    // In RESP2 the library says it in words of its own.
    let text = if context.protocol == ProtocolVersion::RESP3 { "WRONGPASS" } else { "authentication failed" };
    assert!(refusal.to_string().contains(text), "{refusal}");
    let mut r = context.connect_with(|settings| settings.set_password(PASSWORD).set_db(2)).await?;
    r.run::<()>(Cmd::client_setname("a-name")).await?;
    expect!(r, Cmd::set("k", "v"), String, "OK");
    expect!(admin, Cmd::get("k"), Option<String>, None);
    let mine: String = r.run(words("CLIENT INFO")).await?;
    assert!(mine.contains(" name=a-name ") && mine.contains(" db=2 "), "{mine}");
    if knows_libraries {
        let protocol = if context.protocol == ProtocolVersion::RESP3 { " resp=3" } else { " resp=2" };
        assert!(mine.contains(protocol) && mine.contains(" lib-name=redis-rs lib-ver=1.8.1"), "{mine}");
    }
    let mut named = context.connect_with(|s| s.set_username("default").set_password(PASSWORD)).await?;
    expect!(named, Cmd::ping(), String, "PONG");
    let refusal =
        context.connect_with(|s| s.set_password(PASSWORD).set_db(4711)).await.err().expect("a refusal");
    assert!(refusal.to_string().contains("DB index") || refusal.to_string().contains("switch"), "{refusal}");
    Ok(())
}

async fn pipeline(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    let mut many = pipe();
    for n in 0..1000 {
        many.set(format!("k{n}"), n).ignore().get(format!("k{n}"));
    }
    assert_eq!(r.run_all::<Vec<i32>>(&many).await?, (0..1000).collect::<Vec<_>>());
    let mut mixed = pipe();
    mixed
        .set("text", "t")
        .lpush("text", "x")
        .hset("h", "f", "v")
        .hget("h", "f")
        .zadd("z", "m", 1.5)
        .zscore("z", "m")
        .get("absent");
    // The whole pipeline is executed; the library reports the first error.
    let error = r.run_all::<Vec<Value>>(&mixed).await.expect_err("a wrong type");
    assert!(error.to_string().contains("wrong kind of value"), "{error}");
    expect!(r, Cmd::hget("h", "f"), String, "v");
    let replies: Vec<RedisResult<Value>> = r.run_all(mixed.ignore_errors()).await?;
    assert_eq!(
        replies.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true, true, true, true, true]
    );
    let score: f64 = from_redis_value(replies[5].clone()?)?;
    assert_eq!((score, replies[6].clone()?), (1.5, Value::Nil));
    Ok(())
}

async fn transaction(context: &Context) -> RedisResult<()> {
    let mut r = context.connect().await?;
    let mut pipe_line = pipe();
    pipe_line.atomic().set("a", 1).incr("a", 1).lrange("absent", 0, -1).hset("h", "f", "v").hgetall("h");
    type Replies = (String, i64, Vec<String>, i64, Vec<(String, String)>);
    let replies: Replies = r.run_all(&pipe_line).await?;
    assert_eq!(replies, ("OK".into(), 2, vec![], 1, vec![("f".into(), "v".into())]));
    let error = r.run_all::<Value>(pipe().atomic().set("a", "text").incr("a", 1).set("b", "after")).await;
    assert!(error.expect_err("an error").to_string().contains("not an integer"));
    expect!(r, Cmd::mget(&["a", "b"]), Vec<String>, ["text", "after"]);
    let refused =
        r.run_all::<Value>(pipe().atomic().set("a", "never").cmd("NOSUCH")).await.expect_err("a refusal");
    assert!(
        refused.to_string().contains("discarded") || refused.to_string().contains("unknown command"),
        "{refused}"
    );
    expect!(r, Cmd::get("a"), String, "text");
    expect!(r, words("MULTI"), String, "OK");
    expect!(r, Cmd::set("a", "never"), String, "QUEUED");
    expect!(r, words("DISCARD"), String, "OK");
    expect!(r, Cmd::get("a"), String, "text");
    Ok(())
}

async fn watch_conflict(context: &Context) -> RedisResult<()> {
    let (mut r, mut other) = (context.connect().await?, context.connect().await?);
    r.run::<()>(Cmd::set("balance", 10)).await?;
    let add = |before: i64| pipe().atomic().set("balance", before + 100).to_owned();
    r.run::<()>(words("WATCH balance")).await?;
    let before: i64 = r.run(Cmd::get("balance")).await?;
    other.run::<()>(Cmd::set("balance", 11)).await?;
    assert_eq!(r.run_all::<Option<(String,)>>(&add(before)).await?, None);
    expect!(r, Cmd::get("balance"), i64, 11);
    r.run::<()>(words("WATCH balance")).await?;
    let before: i64 = r.run(Cmd::get("balance")).await?;
    assert_eq!(r.run_all::<Option<(String,)>>(&add(before)).await?, Some(("OK".into(),)));
    expect!(r, Cmd::get("balance"), i64, 111);
    // A key that comes into being counts as changed too.
    r.run::<()>(words("WATCH absent")).await?;
    other.run::<()>(Cmd::set("absent", "no more")).await?;
    assert_eq!(r.run_all::<Option<(String,)>>(&add(0)).await?, None);
    expect!(r, Cmd::get("balance"), i64, 111);
    Ok(())
}

/// A message: its channel, its pattern if that is why it came, its text.
type Message = (String, Option<String>, String);

fn message(channel: &str, pattern: Option<&str>, text: &str) -> Message {
    (channel.to_owned(), pattern.map(str::to_owned), text.to_owned())
}

async fn pubsub(context: &Context) -> RedisResult<()> {
    let mut publisher = context.connect().await?;
    let client = context.client(|settings| settings)?;
    // The library has a connection for subscriptions alone; RESP3 has pushes on any connection besides.
    match context.kind {
        Kind::Tokio => {
            let mut subscriber = client.get_async_pubsub().await?;
            subscriber.subscribe(&["news", "other"]).await?;
            subscriber.psubscribe("n?ws*").await?;
            publish_both(&mut publisher).await?;
            let received: Vec<_> = subscriber.on_message().take(2).map(read).collect().await;
            assert_eq!(received, [message("news", None, "both"), message("news", Some("n?ws*"), "both")]);
            subscriber.punsubscribe("n?ws*").await?;
            subscriber.unsubscribe("other").await?;
            publish_numbers(&mut publisher).await?;
            let received: Vec<_> = subscriber.on_message().take(200).map(|m| read(m).2).collect().await;
            assert_eq!(received, numbers(200));
        }
        Kind::Sync => {
            let mut connection = client.get_connection()?;
            connection.set_read_timeout(Some(MESSAGE_LIMIT))?;
            let mut subscriber = connection.as_pubsub();
            subscriber.subscribe(&["news", "other"])?;
            subscriber.psubscribe("n?ws*")?;
            publish_both(&mut publisher).await?;
            let received = [read(subscriber.get_message()?), read(subscriber.get_message()?)];
            assert_eq!(received, [message("news", None, "both"), message("news", Some("n?ws*"), "both")]);
            subscriber.punsubscribe("n?ws*")?;
            subscriber.unsubscribe("other")?;
            publish_numbers(&mut publisher).await?;
            let received: RedisResult<Vec<_>> =
                (0..200).map(|_| Ok(read(subscriber.get_message()?).2)).collect();
            assert_eq!(received?, numbers(200));
        }
    }
    if context.protocol == ProtocolVersion::RESP3 { pushes(context, &mut publisher).await } else { Ok(()) }
}

fn read(received: redis::Msg) -> Message {
    let pattern = received.get_pattern().expect("a pattern or none");
    (received.get_channel_name().to_owned(), pattern, received.get_payload().expect("a text"))
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

async fn publish_both(publisher: &mut Connection) -> RedisResult<()> {
    expect!(
        publisher,
        words("PUBSUB NUMSUB news nobody"),
        (String, i64, String, i64),
        ("news".into(), 1, "nobody".into(), 0)
    );
    expect!(publisher, words("PUBSUB NUMPAT"), i64, 1);
    expect!(publisher, Cmd::publish("news", "both"), i64, 2);
    expect!(publisher, Cmd::publish("nobody", "x"), i64, 0);
    Ok(())
}

async fn publish_numbers(publisher: &mut Connection) -> RedisResult<()> {
    expect!(publisher, words("PUBSUB CHANNELS"), Vec<String>, ["news"]);
    for number in numbers(200) {
        expect!(publisher, Cmd::publish("news", number), i64, 1);
    }
    Ok(())
}

/// RESP3: pushes of classic and sharded channels arrive on a connection that runs commands too.
async fn pushes(context: &Context, publisher: &mut Connection) -> RedisResult<()> {
    let client = context.client(|settings| settings)?;
    let mut taken: Box<dyn FnMut() -> Option<PushInfo> + Send>;
    let mut r = if context.kind == Kind::Tokio {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new().set_push_sender(sender);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        connection.subscribe("news").await?;
        taken = Box::new(move || receiver.try_recv().ok());
        Connection::Tokio(connection)
    } else {
        let (sender, receiver) = mpsc::channel();
        let mut connection = client.get_connection()?;
        connection.set_push_sender(sender);
        connection.subscribe_resp3("news")?;
        let receiver = std::sync::Mutex::new(receiver);
        taken = Box::new(move || receiver.lock().ok()?.try_recv().ok());
        Connection::Sync(connection)
    };
    r.run::<Value>(words("SSUBSCRIBE shard").set_no_response(context.kind == Kind::Sync).to_owned()).await?;
    eventually("the sharded subscription", async || {
        let (_, count): (String, i64) = publisher.run(words("PUBSUB SHARDNUMSUB shard")).await.ok()?;
        (count == 1).then_some(())
    })
    .await;
    expect!(publisher, Cmd::publish("news", "n"), i64, 1);
    expect!(publisher, Cmd::spublish("shard", "s"), i64, 1);
    expect!(publisher, Cmd::publish("shard", "classic"), i64, 0);
    let mut received = Vec::new();
    eventually("two pushes", async || {
        // A connection that blocks takes pushes in while it reads a reply.
        r.run::<String>(Cmd::ping()).await.ok()?;
        yield_now().await;
        while let Some(push) = taken() {
            if matches!(push.kind, PushKind::Message | PushKind::SMessage) {
                let texts: Vec<String> =
                    push.data.into_iter().filter_map(|v| from_redis_value(v).ok()).collect();
                received.push((push.kind, texts.join(" ")));
            }
        }
        (received.len() == 2).then_some(())
    })
    .await;
    received.sort_by(|(_, a), (_, b)| a.cmp(b));
    assert_eq!(
        received,
        [(PushKind::Message, "news n".to_owned()), (PushKind::SMessage, "shard s".to_owned())]
    );
    Ok(())
}

/// Runs a blocking command on a connection of its own, wakes it once it is blocked, and returns its reply.
async fn woken<T: redis::FromRedisValue + Send + 'static>(
    context: &Context,
    other: &mut Connection,
    cmd: Cmd,
    wake: Cmd,
) -> RedisResult<T> {
    let mut own = context.connect().await?;
    let task = tokio::spawn(async move { own.run::<T>(cmd).await });
    other.wait_for_blocked().await?;
    other.run::<Value>(wake).await?;
    task.await.expect("the blocked call")
}

async fn blocking(context: &Context) -> RedisResult<()> {
    type Pair = Option<(String, String)>;
    let pair = |key: &str, value: &str| Some((key.to_owned(), value.to_owned()));
    let left = || redis::Direction::Left;
    let (mut r, mut other) = (context.connect().await?, context.connect().await?);
    expect!(r, Cmd::blpop("l", 0.05), Pair, None);
    expect!(r, Cmd::bzpopmin("z", 0.05), Option<(String, String, f64)>, None);
    expect!(r, Cmd::blmove("l", "m", left(), left(), 0.05), Option<String>, None);
    let block = StreamReadOptions::default().block(20);
    let nothing: Option<StreamReadReply> = r.run(Cmd::xread_options(&["x"], &["$"], &block)).await?;
    assert!(nothing.is_none_or(|reply| reply.keys.is_empty()));
    other.run::<()>(Cmd::rpush("second", "s")).await?;
    expect!(r, Cmd::blpop(&["first", "second"], 5.0), Pair, pair("second", "s"));

    let c = context;
    let o = &mut other;
    assert_eq!(
        woken::<Pair>(c, o, Cmd::blpop(&["l", "m"], 0.0), Cmd::rpush("m", "a")).await?,
        pair("m", "a")
    );
    assert_eq!(woken::<String>(c, o, Cmd::brpoplpush("l", "m", 30.0), Cmd::lpush("l", "b")).await?, "b");
    assert_eq!(
        woken::<String>(c, o, Cmd::blmove("l", "m", left(), left(), 30.0), Cmd::lpush("l", "c")).await?,
        "c"
    );
    expect!(o, Cmd::lrange("m", 0, -1), Vec<String>, ["c", "b"]);
    type Popped = (String, String, f64);
    let popped: Popped = woken(c, o, Cmd::bzpopmin(&["z", "y"], 30.0), Cmd::zadd("y", "one", 1.5)).await?;
    assert_eq!(popped, ("y".into(), "one".into(), 1.5));
    type Many<T> = (String, Vec<T>);
    let popped: Many<String> =
        woken(c, o, Cmd::blmpop(30.0, 2, &["l", "l2"], left(), 2), Cmd::rpush("l2", &["p", "q"])).await?;
    assert_eq!(popped, ("l2".into(), vec!["p".into(), "q".into()]));
    let popped: Many<(String, f64)> =
        woken(c, o, Cmd::bzmpop_min(30.0, "z", 1), Cmd::zadd("z", "m", 2)).await?;
    assert_eq!(popped, ("z".into(), vec![("m".into(), 2.0)]));
    let block = StreamReadOptions::default().block(30_000);
    let read: StreamReadReply =
        woken(c, o, Cmd::xread_options(&["x"], &["$"], &block), Cmd::xadd("x", "1-0", &[("n", 1)])).await?;
    assert_eq!((&*read.keys[0].key, &*read.keys[0].ids[0].id), ("x", "1-0"));
    o.run::<()>(Cmd::xgroup_create("x", "g", "$")).await?;
    let block = StreamReadOptions::default().group("g", "c").block(30_000);
    let read: StreamReadReply =
        woken(c, o, Cmd::xread_options(&["x"], &[">"], &block), Cmd::xadd("x", "2-0", &[("n", 2)])).await?;
    assert_eq!(read.keys[0].ids[0].get::<i64>("n"), Some(2));
    // A script with several pushes wakes once they are all there.
    let both = redis::cmd("EVAL")
        .arg("redis.call('RPUSH', 'l', '1'); return redis.call('LPUSH', 'l', '0')")
        .arg(0)
        .to_owned();
    assert_eq!(woken::<Pair>(c, o, Cmd::blpop("l", 30.0), both).await?, pair("l", "0"));
    Ok(())
}

/// A connection that survives its server: tokio's manager does so by itself, the one that blocks is made anew by its user.
async fn lasting(context: &Context) -> RedisResult<Connection> {
    if context.kind == Kind::Sync {
        return context.connect().await;
    }
    let config =
        ConnectionManagerConfig::new().set_number_of_retries(200).set_max_delay(Duration::from_millis(50));
    let client = context.client(|settings| settings)?;
    Ok(Connection::Manager(client.get_connection_manager_with_config(config).await?))
}

async fn reconnection(context: &Context) -> RedisResult<()> {
    let mut r = lasting(context).await?;
    let mut hasty = context.connect().await?;
    let script = Script::new("return redis.call('RPUSH', KEYS[1], ARGV[1])");
    r.run::<()>(Cmd::set("k", "v")).await?;
    assert_eq!(r.invoke::<i64>(&script, "l", "1").await?, 1);
    let mut worker = context.connect().await?;
    let waiting = tokio::spawn(async move { worker.run::<Value>(Cmd::blpop("queue", 0.0)).await });
    hasty.wait_for_blocked().await?;

    block_in_place(|| context.server().kill());
    let lost = waiting.await.expect("the blocked call").expect_err("a lost connection");
    assert!(lost.is_connection_dropped() || lost.is_io_error(), "{lost}");
    let lost = hasty.run::<()>(Cmd::get("k")).await.expect_err("a lost connection");
    assert!(lost.is_connection_dropped() || lost.is_io_error(), "{lost}");
    assert!(context.connect().await.is_err(), "nobody listens");
    block_in_place(|| context.server().start());

    if context.kind == Kind::Sync {
        assert!(r.run::<()>(Cmd::get("k")).await.is_err());
        r = lasting(context).await?;
    }
    let value: String = eventually("the connection", async || r.run(Cmd::get("k")).await.ok()).await;
    assert_eq!(value, "v");
    assert_eq!(r.invoke::<i64>(&script, "l", "2").await?, 2);
    expect!(r, Cmd::lrange("l", 0, -1), Vec<String>, ["1", "2"]);
    let popped: (String, String) =
        woken(context, &mut r, Cmd::blpop("queue", 30.0), Cmd::rpush("queue", "job")).await?;
    assert_eq!(popped, ("queue".into(), "job".into()));
    resubscription(context, &mut r).await?;
    refuse!(r, words("NOSUCH"), "unknown command");
    Ok(())
}

/// RESP3 with tokio: the manager takes its subscriptions up again; every other connection is made anew.
async fn resubscription(context: &Context, publisher: &mut Connection) -> RedisResult<()> {
    if context.kind == Kind::Sync || context.protocol != ProtocolVersion::RESP3 {
        return Ok(());
    }
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(200)
        .set_max_delay(Duration::from_millis(50))
        .set_push_sender(sender)
        .set_automatic_resubscription();
    let client = context.client(|settings| settings)?;
    let mut manager = client.get_connection_manager_with_config(config).await?;
    manager.subscribe("news").await?;
    block_in_place(|| {
        context.server().kill();
        context.server().start();
    });
    eventually("the subscription", async || {
        let count: i64 = publisher.run(Cmd::publish("news", "after")).await.ok()?;
        (count == 1).then_some(())
    })
    .await;
    eventually("the message", async || {
        let push: PushInfo = receiver.try_recv().ok()?;
        (push.kind == PushKind::Message && push.data[1] == Value::BulkString(b"after".to_vec())).then_some(())
    })
    .await;
    Ok(())
}

async fn many_at_once(context: &Context) -> RedisResult<()> {
    let shared = context.connect().await?;
    let mut tasks = Vec::new();
    for chunk in 0..8 {
        // Tokio's connection is shared by its clones; one that blocks belongs to its thread.
        let mut own = match &shared {
            Connection::Tokio(connection) => Connection::Tokio(connection.clone()),
            _ => context.connect().await?,
        };
        tasks.push(tokio::spawn(async move {
            let mut counts = Vec::new();
            for n in chunk * 50..(chunk + 1) * 50 {
                own.run::<()>(Cmd::set(format!("k{n}"), n)).await?;
                expect!(own, Cmd::get(format!("k{n}")), i32, n);
                counts.push(own.run::<i32>(Cmd::incr("count", 1)).await?);
            }
            RedisResult::Ok(counts)
        }));
    }
    let mut counts = Vec::new();
    for task in tasks {
        counts.extend(task.await.expect("a task")?);
    }
    counts.sort_unstable();
    assert_eq!(counts, (1..=400).collect::<Vec<_>>());
    Ok(())
}
