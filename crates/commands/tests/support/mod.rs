//! Runs lines of commands here and on a real redis-server, and compares the replies byte for byte.

use std::time::{SystemTime, UNIX_EPOCH};

use sessile_command::{
    Attempt, Command, Error, Flow, Frame, OwnedArgs, Proto, ReadCx, Reply, Rng, Run, Txn, WriteCx,
};
use sessile_keyspace::{Durability, Keyspace};
use sessile_oracle::{Connection, Oracle};
use sessile_values::HashKey;

/// Runs `lines` on both sides and compares each reply. Words are parted by spaces; `""` is the empty one. A line
/// that starts with `~` runs on both sides and is not compared. `hello 2` and `hello 3` choose the protocol.
pub(crate) fn check(lines: &[&str]) {
    let mut pair = Pair::start();
    lines.iter().for_each(|line| pair.check(line));
}

/// A keyspace of ours and a server of theirs.
pub(crate) struct Pair {
    pub(crate) keyspace: Keyspace,
    txn: Txn,
    rng: Rng,
    proto: Proto,
    link: Connection,
    _server: Oracle,
}

impl Pair {
    /// Starts the server; the keyspace is empty.
    pub(crate) fn start() -> Self {
        let server = Oracle::start(&[]);
        Self {
            keyspace: Keyspace::new(16, HashKey(1, 2)),
            txn: Txn::new(false, Durability::Durable),
            rng: Rng::new(1),
            proto: Proto::Resp2,
            link: server.connect(),
            _server: server,
        }
    }

    /// Runs one line on both sides; see [`check`].
    pub(crate) fn check(&mut self, line: &str) {
        let (compared, line) = line.strip_prefix('~').map_or((true, line), |line| (false, line));
        let words: Vec<&[u8]> =
            line.split_whitespace().map(|word| if word == "\"\"" { b"" } else { word.as_bytes() }).collect();
        let theirs = self.theirs(&words);
        if words[0] == b"hello" {
            self.proto = if words[1] == b"3" { Proto::Resp3 } else { Proto::Resp2 };
            return;
        }
        let ours = self.ours(&words);
        let show = |reply: &[u8]| reply.escape_ascii().to_string();
        assert!(!compared || ours == theirs, "{line}\n  ours: {}\ntheirs: {}", show(&ours), show(&theirs));
    }

    /// Our reply to a command.
    pub(crate) fn ours(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let args: OwnedArgs = words.iter().collect();
        let mut out = Vec::new();
        if let Err(error) = self.run(&args, &mut out) {
            out.clear();
            Reply::new(&mut out, self.proto).error(error.as_bytes());
        }
        self.txn.finish();
        out
    }

    fn run(&mut self, args: &OwnedArgs, out: &mut Vec<u8>) -> Result<(), Error> {
        let args = args.as_args();
        let name = String::from_utf8_lossy(&args[0]).to_lowercase();
        let (command, full_name) = find(&name, args.get(1));
        if !command.arity.admits(args.len()) {
            return Err(Error::arity(&full_name));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch");
        let frame = Frame::new(0, now.as_millis() as u64, Attempt::TimedOut);
        let mut reply = Reply::new(out, self.proto);
        let flow = match command.run {
            Run::Read(run) => run(ReadCx::new(&self.keyspace, &frame), args, &mut reply).map(|()| Flow::Done),
            Run::BlockingRead(run) => run(ReadCx::new(&self.keyspace, &frame), args, &mut reply),
            Run::Write(run) => {
                let mut cx = WriteCx::new(&mut self.keyspace, &frame, &mut self.txn, &mut self.rng);
                run(&mut cx, args, &mut reply).map(|()| Flow::Done)
            }
            Run::BlockingWrite(run) => {
                let mut cx = WriteCx::new(&mut self.keyspace, &frame, &mut self.txn, &mut self.rng);
                run(&mut cx, args, &mut reply)
            }
            Run::Container(_) | Run::Session => panic!("{full_name} is no data command"),
        };
        let due = frame.take_due();
        let mut cx = WriteCx::new(&mut self.keyspace, &frame, &mut self.txn, &mut self.rng);
        due.iter().for_each(|(db, key)| cx.expire(*db, key));
        assert!(matches!(flow?, Flow::Done), "a command that must answer does");
        Ok(())
    }

    /// The server's reply to a command.
    pub(crate) fn theirs(&mut self, words: &[&[u8]]) -> Vec<u8> {
        self.link.raw(words)
    }
}

fn find(name: &str, second: Option<&[u8]>) -> (&'static Command, String) {
    let command =
        sessile_commands::all().find(|it| it.name == name).unwrap_or_else(|| panic!("no command {name}"));
    let Run::Container(subs) = command.run else { return (command, name.to_owned()) };
    let word = String::from_utf8_lossy(second.unwrap_or_default()).to_lowercase();
    let sub = subs.iter().find(|it| it.name == word).unwrap_or_else(|| panic!("no command {name} {word}"));
    (sub, format!("{name}|{word}"))
}
