//! The help text.

/// The help text.
pub(crate) fn usage(program_name: &str) -> String {
    format!(
        "Usage: {program_name} [OPTIONS] [cmd [arg [arg ...]]]
  -h <host>            Server host name (default: 127.0.0.1).
  -p <port>            Server port (default: 6379).
  -s <socket>          Unix socket of the server; overrides host and port.
  -a, --pass <pw>      Password. The variable REDISCLI_AUTH is a safer way to give it.
  --user <name>        ACL user; needs a password.
  --askpass            Ask for the password.
  -u <uri>             redis://[[user:]password@]host[:port][/db]
  -n <db>              Database number.
  -r <count>           Run the command this many times; negative: for ever.
  -i <seconds>         Wait between repetitions; fractions are allowed. The interval of --stat and --latency too.
  -2, -3               Speak RESP2 or RESP3.
  -x                   Read the last argument from standard input.
  -X <tag>             Read the argument that equals <tag> from standard input.
  -d <delimiter>       Between the elements of a raw reply (default: newline).
  -D <delimiter>       Behind each raw reply (default: newline).
  -c                   Follow -MOVED and -ASK redirections.
  -e                   Exit with an error code when the command fails.
  --raw, --no-raw      Plain or typed replies (default: typed on a terminal).
  --csv, --json        Replies as CSV or JSON.
  --quoted-json        As --json, in ASCII.
  --quoted-input       Arguments are quoted strings.
  --show-pushes <yn>   Whether to show RESP3 push messages (default: on a terminal).
  --scan               List the keys.
  --bigkeys, --memkeys Report the keys of each type that have most elements, or take most memory.
  --memkeys-samples <n>  As --memkeys; look at <n> elements of each value (0: at all).
  --hotkeys            Report the keys that are used most; needs an LFU maxmemory-policy.
  --pattern <pattern>  The keys that these look at; --quoted-pattern for a quoted one.
  --count <n>          How many keys they ask for at a time.
  --pipe               Send what comes on standard input, in the protocol, and count the replies.
  --pipe-timeout <s>   Seconds to wait for replies once all is sent (default: 30; 0: for ever).
  --stat               Print the server's figures, a line every second.
  --latency            Measure the time that a PING takes, until stopped; for a second if not on a terminal.
  --latency-history    As --latency, beginning anew every 15 seconds.
  --latency-dist       Show the distribution as a coloured line every second.
  --intrinsic-latency <s>  Measure this machine's own delays for some seconds, without a server.
  --eval <file>        Run the Lua script: --eval <file> key1 key2 , arg1 arg2
  --no-auth-warning    Do not warn about a password on the command line.
  --help, --version    Show this text, or the version.

Without a command, commands are read from standard input, one a line."
    )
}
