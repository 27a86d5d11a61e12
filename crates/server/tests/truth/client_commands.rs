//! What the subcommands of CLIENT bring about.

use std::time::Duration;

use sessile_crash::client::{Conn, Lost, number as whole, words};
use sessile_crash::server::until;
use sessile_resp::Value;

use crate::client_fields::seen;
use crate::support::{LIMIT, Node, Said, each, number, send};

fn id(conn: &mut Conn) -> i64 {
    whole(&conn.ask_line("CLIENT ID").expect("an answer")).expect("a number")
}

fn said(conn: &mut Conn, line: &str) -> String {
    conn.ask_line(line).expect("an answer").text()
}

/// Waits until a connection's command waits.
fn waits(node: &mut Node, conn: i64) {
    let waiting = until(LIMIT, || (seen(node, conn)?["flags"] == "b").then_some(()));
    assert!(waiting.is_some(), "connection {conn} does not wait");
}

fn is_gone(conn: &mut Conn) -> bool {
    conn.receive() == Err(Lost::Ended)
}

/// Filters of CLIENT KILL: which of two connections they end. The second is a subscriber. `{id}`, `{addr}` and
/// `{laddr}` stand for what the first has.
const KILLS: &[(&str, [bool; 2])] = &[
    ("ID {id}", [true, false]),
    ("ADDR {addr}", [true, false]),
    ("{addr}", [true, false]),
    ("TYPE PUBSUB", [false, true]),
    ("TYPE NORMAL", [true, false]),
    ("TYPE MASTER", [false, false]),
    ("TYPE REPLICA", [false, false]),
    ("USER default", [true, true]),
    ("LADDR {laddr}", [true, true]),
    ("LADDR 127.0.0.1:1", [false, false]),
    ("TYPE NORMAL SKIPME YES", [true, false]),
    ("ID {id} ADDR 127.0.0.1:1", [false, false]),
    ("ID {id} TYPE PUBSUB", [false, false]),
    ("TYPE PUBSUB USER default LADDR {laddr}", [false, true]),
];

#[test]
fn kill_ends_whom_its_filters_name() {
    let mut node = Node::start(&[]);
    each(KILLS.iter().map(|(filter, ends)| (*filter, ends)), |filter, ends| {
        let mut two = [node.connect(), node.connect()];
        let ids = [id(&mut two[0]), id(&mut two[1])];
        two[1].ask_line("SUBSCRIBE c").expect("an answer");
        let first = seen(&mut node, ids[0]).expect("it is connected");
        let mut line = format!("CLIENT KILL {filter}");
        for (name, value) in [
            ("{id}", ids[0].to_string()),
            ("{addr}", first["addr"].clone()),
            ("{laddr}", first["laddr"].clone()),
        ] {
            line = line.replace(name, &value);
        }
        let count = ends.iter().filter(|ended| **ended).count();
        let reply = node.ask(&line);
        let expected = if filter == "{addr}" { "\"OK\"".to_owned() } else { format!("Int({count})") };
        assert_eq!(reply, expected, "{line}");
        for ((conn, id), ended) in two.iter_mut().zip(ids).zip(ends.iter()) {
            assert_eq!(seen(&mut node, id).is_none(), *ended, "{line} of {id}");
            assert_eq!(if *ended { is_gone(conn) } else { conn.ask_line("PING").is_err() }, *ended, "{line}");
        }
    });
    // Whoever was killed is gone for the very next command.
    let mut other = node.connect();
    let of_other = id(&mut other);
    node.conn.push(&words(&format!("CLIENT KILL ID {of_other}")));
    node.conn.push(&words(&format!("CLIENT LIST ID {of_other}")));
    node.conn.flush().expect("it takes requests");
    let replies = [node.conn.receive(), node.conn.receive()].map(|reply| reply.expect("an answer").text());
    assert_eq!(replies, ["Int(1)", "\"\""]);
    // The one that asks ends only where it does not skip itself.
    assert_eq!(node.ask("CLIENT KILL TYPE NORMAL SKIPME NO"), "Int(1)");
    assert!(is_gone(&mut node.conn));
}

#[test]
fn pause_holds_up_and_unpause_lets_go() {
    let mut node = Node::start(&[]);
    let mut other = node.connect();
    let of_other = id(&mut other);
    said(&mut other, "SET a 0");

    // WRITE: reads go on, and so does a transaction that only reads.
    node.all(&["CLIENT PAUSE 100000 WRITE"]);
    assert_eq!(said(&mut other, "GET a"), "\"0\"");
    for line in ["SET a 1", "PUBLISH c m", "EVAL return(1) 0", "PFCOUNT h"] {
        send(&mut other, line);
        waits(&mut node, of_other);
        node.all(&["CLIENT UNPAUSE"]);
        other.receive().expect("an answer");
        node.all(&["CLIENT PAUSE 100000 WRITE"]);
    }
    assert_eq!(node.ask("GET a"), "\"1\"");
    node.all(&["CLIENT UNPAUSE"]);

    // ALL: nothing runs until the time is over, the command that would end it included.
    node.all(&["CLIENT PAUSE 300 ALL"]);
    assert_eq!(said(&mut other, "GET a"), "\"1\"");
    node.all(&["CLIENT PAUSE 300"]);
    send(&mut other, "SET a 2");
    assert_eq!(node.ask("GET a"), "\"1\"");
    other.receive().expect("an answer");
}

#[test]
fn reply_is_silent_as_asked() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    for line in ["CLIENT REPLY OFF", "SET a 1", "GET a", "CLIENT REPLY ON"] {
        send(&mut conn, line);
    }
    assert_eq!(conn.receive().expect("an answer").text(), "\"OK\"");
    for line in ["CLIENT REPLY SKIP", "GET a", "ECHO seen"] {
        send(&mut conn, line);
    }
    assert_eq!(conn.receive().expect("an answer").text(), "\"seen\"");
    assert_eq!(said(&mut conn, "GET a"), "\"1\"");
}

/// More than a connection's input holds while its command waits, so that its socket is left unread.
#[test]
fn who_wants_no_reply_is_read_again_after_a_wait() {
    let mut node = Node::start(&[]);
    let mut other = node.connect();
    let of_other = id(&mut other);
    for line in ["CLIENT REPLY OFF", "BLPOP none 0"] {
        send(&mut other, line);
    }
    waits(&mut node, of_other);
    let requests = 8000;
    (0..requests).for_each(|_| other.push(&words("INCR counted")));
    other.flush().expect("the sockets take it");
    until(LIMIT, || (number(&seen(&mut node, of_other)?["qbuf"]) > 64.0 * 1024.0).then_some(()))
        .expect("its input is full");
    assert_eq!(node.ask("LPUSH none a"), "Int(1)");
    let all = format!("\"{requests}\"");
    until(LIMIT, || (node.ask("GET counted") == all).then_some(())).expect("every request runs");
}

#[test]
fn unblock_ends_a_wait() {
    let mut node = Node::start(&[]);
    for (how, reply) in [
        ("", "NullArray"),
        ("TIMEOUT", "NullArray"),
        ("ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        let mut other = node.connect();
        let of_other = id(&mut other);
        assert_eq!(node.ask(&format!("CLIENT UNBLOCK {of_other} {how}")), "Int(0)");
        send(&mut other, "BLPOP none 0");
        waits(&mut node, of_other);
        assert_eq!(node.ask(&format!("CLIENT UNBLOCK {of_other} {how}")), "Int(1)");
        assert_eq!(other.receive().expect("an answer").text(), reply, "{how}");
        assert_eq!(said(&mut other, "PING"), "\"PONG\"");
    }
}

#[test]
fn no_evict_and_no_touch_are_kept_to() {
    let mut node = Node::start(&[]);
    node.fill("large", 1, 40 << 20);
    node.fill("small", 1, 16 << 20);
    let mut two = [node.connect(), node.connect()];
    let ids = [id(&mut two[0]), id(&mut two[1])];
    said(&mut two[0], "CLIENT NO-EVICT ON");
    // The one that may not be closed takes more, and without the other all is well.
    send(&mut two[0], "GET large0");
    send(&mut two[1], "GET small0");
    let bytes = ids.map(|id| {
        let full = until(LIMIT, || {
            let all = seen(&mut node, id)?;
            (number(&all["obl"]) > f64::from(4 << 20)).then(|| number(&all["tot-mem"]))
        });
        full.expect("its output is that long")
    });
    assert!(bytes[0] > bytes[1], "{bytes:?}");
    node.set("maxmemory-clients", &format!("{}", (bytes[0] + bytes[1] / 2.0) as u64));
    let closed = until(LIMIT, || seen(&mut node, ids[1]).is_none().then_some(()));
    assert!(closed.is_some() && seen(&mut node, ids[0]).is_some());
    assert_eq!(node.info("evicted_clients"), "1");
    node.set("maxmemory-clients", "0");

    let mut quiet = node.connect();
    said(&mut quiet, "CLIENT NO-TOUCH ON");
    node.all(&["SET a 1"]);
    let idle = until(LIMIT, || {
        said(&mut quiet, "GET a");
        (node.ask("OBJECT IDLETIME a") != "Int(0)").then_some(())
    });
    assert!(idle.is_some(), "a read under NO-TOUCH counts as an access");
    said(&mut quiet, "CLIENT NO-TOUCH OFF");
    said(&mut quiet, "GET a");
    assert_eq!(node.ask("OBJECT IDLETIME a"), "Int(0)");
}

#[test]
fn what_is_said_of_tracking_is_that_there_is_none() {
    let mut node = Node::start(&[]);
    assert_eq!(node.ask("CLIENT GETREDIR"), "Int(-1)");
    let text = |text: &str| Value::Bulk(text.into());
    let off = [
        text("flags"),
        Value::Array(vec![text("off")]),
        text("redirect"),
        Value::Int(-1),
        text("prefixes"),
        Value::Array(Vec::new()),
    ];
    assert_eq!(node.value("CLIENT TRACKINGINFO"), Value::Array(off.to_vec()));
    assert!(node.ask("CLIENT CACHING YES").starts_with("-ERR CLIENT CACHING can be called only when"));
    assert!(node.ask("CLIENT TRACKING ON").starts_with("-ERR CLIENT TRACKING is not offered"));
    assert_eq!(node.ask("CLIENT TRACKING OFF"), "\"OK\"");
}

#[test]
fn names_and_attributes_are_kept_and_checked() {
    let mut node = Node::start(&[]);
    assert_eq!(node.ask("CLIENT GETNAME"), "Null");
    node.all(&["CLIENT SETNAME me", "CLIENT SETINFO LIB-NAME lib", "CLIENT SETINFO LIB-VER 1"]);
    assert_eq!(node.ask("CLIENT GETNAME"), "\"me\"");
    assert_eq!(
        node.args(&["CLIENT", "SETNAME", "a b"]),
        "-ERR Client names cannot contain spaces, newlines or special characters."
    );
    assert_eq!(
        node.args(&["CLIENT", "SETINFO", "LIB-NAME", "a b"]),
        "-ERR lib-name cannot contain spaces, newlines or special characters."
    );
    let own = node.ask("CLIENT INFO");
    assert!(own.starts_with("\"id=") && own.contains(" name=me "), "{own}");
    // RESET forgets the name and everything else that was chosen, not the library.
    node.all(&["SELECT 3", "CLIENT NO-EVICT ON", "RESET"]);
    let of_mine = id(&mut node.conn);
    let line = seen(&mut node, of_mine).expect("it asks");
    assert_eq!([&*line["name"], &*line["db"], &*line["flags"], &*line["lib-name"]], ["", "0", "N", "lib"]);
    let quiet = Conn::open(node.server.port, Duration::from_secs(1)).expect("a connection").receive();
    assert_eq!(quiet, Err(Lost::Silent), "nothing is sent to who asks nothing");
}
