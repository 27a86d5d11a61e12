//! What the tests share: a redis-server to compare with, and hosts that scripts run against.

use sessile_oracle::{Connection, Oracle};
use sessile_resp::{Args, Proto};
use sessile_script::{AclVerdict, Host, Interrupt};

/// Runs the commands of scripts on a redis-server, as the engine's checks for scripts would let them through.
pub(crate) struct ForwardingHost {
    resp2: Connection,
    resp3: Connection,
}

/// A connection that speaks `proto`.
pub(crate) fn connect(server: &Oracle, proto: Proto) -> Connection {
    let mut connection = server.connect();
    if proto == Proto::Resp3 {
        connection.call(["HELLO", "3"]);
    }
    connection
}

impl ForwardingHost {
    pub(crate) fn new(server: &Oracle) -> Self {
        Self { resp2: connect(server, Proto::Resp2), resp3: connect(server, Proto::Resp3) }
    }
}

impl Host for ForwardingHost {
    fn call(&mut self, args: Args<'_>, proto: Proto, out: &mut Vec<u8>) {
        const REFUSED: [&str; 4] = ["SUBSCRIBE", "MULTI", "DEBUG", "BLPOP"];
        let name = args[0].to_ascii_uppercase();
        if REFUSED.iter().any(|refused| refused.as_bytes() == name) {
            return out.extend_from_slice(b"-ERR This Redis command is not allowed from script\r\n");
        }
        let connection = if proto == Proto::Resp2 { &mut self.resp2 } else { &mut self.resp3 };
        let reply = connection.raw(&args.iter().collect::<Vec<_>>());
        if reply.starts_with(b"-ERR unknown command") {
            out.extend_from_slice(b"-ERR Unknown Redis command called from script\r\n");
        } else if reply.starts_with(b"-ERR wrong number of arguments") {
            out.extend_from_slice(b"-ERR Wrong number of args calling Redis command from script\r\n");
        } else {
            out.extend_from_slice(&reply);
        }
    }

    fn log(&mut self, _level: i64, _message: &[u8]) {}

    fn interrupt(&mut self) -> Interrupt {
        Interrupt::Continue
    }

    fn acl_check(&mut self, args: Args<'_>) -> AclVerdict {
        if args[0].eq_ignore_ascii_case(b"get") { AclVerdict::Allowed } else { AclVerdict::UnknownCommand }
    }
}
