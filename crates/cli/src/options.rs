//! The command line. `redis-cli` reads it word by word: options end at the first word without a dash, and an
//! option that lacks its value is an unknown one.

use std::{fmt, time::Duration};

/// What the command line asks for.
pub(crate) enum Parsed {
    Run(Box<Options>),
    Help,
    Version,
}

/// The settings of a run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) host: String,
    pub(crate) port: u32,
    pub(crate) socket: Option<String>,
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) auth: Option<Vec<u8>>,
    pub(crate) no_auth_warning: bool,
    pub(crate) db: i64,
    pub(crate) resp3: Resp3,
    pub(crate) output: Output,
    pub(crate) show_pushes: bool,
    /// Written between the elements of a raw reply.
    pub(crate) element_delimiter: Vec<u8>,
    /// Written behind each raw reply.
    pub(crate) reply_delimiter: Vec<u8>,
    /// Negative: for ever.
    pub(crate) repeat: i64,
    pub(crate) interval: Duration,
    pub(crate) last_arg_from_stdin: bool,
    pub(crate) tag_from_stdin: Option<Vec<u8>>,
    pub(crate) quoted_input: bool,
    pub(crate) error_exit_code: bool,
    pub(crate) follow_redirects: bool,
    pub(crate) scan: bool,
    pub(crate) pattern: Option<Vec<u8>>,
    pub(crate) script: Option<Vec<u8>>,
    /// The command and its arguments; empty for commands from standard input.
    pub(crate) command: Vec<Vec<u8>>,
}

/// Whether to ask for RESP3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Resp3 {
    No,
    Yes,
    /// If the server knows it.
    Try,
}

/// The format of replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Output {
    Standard,
    Raw,
    Csv,
    Json,
}

/// Why the command line cannot be obeyed, in one sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Options {
    fn new(stdout_is_terminal: bool) -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 6379,
            socket: None,
            user: None,
            auth: None,
            no_auth_warning: false,
            db: 0,
            resp3: Resp3::No,
            output: if stdout_is_terminal { Output::Standard } else { Output::Raw },
            show_pushes: stdout_is_terminal,
            element_delimiter: b"\n".to_vec(),
            reply_delimiter: b"\n".to_vec(),
            repeat: 1,
            interval: Duration::ZERO,
            last_arg_from_stdin: false,
            tag_from_stdin: None,
            quoted_input: false,
            error_exit_code: false,
            follow_redirects: false,
            scan: false,
            pattern: None,
            script: None,
            command: Vec::new(),
        }
    }
}

/// Reads the command line `args`, the program's name not included.
pub(crate) fn parse(args: Vec<Vec<u8>>, stdout_is_terminal: bool) -> Result<Parsed, Refusal> {
    let mut options = Options::new(stdout_is_terminal);
    let (mut resp2, mut args) = (false, args.into_iter().peekable());
    while let Some(arg) = args.next_if(|arg| arg.first() == Some(&b'-')) {
        match &arg[..] {
            b"--help" => return Ok(Parsed::Help),
            b"-h" if args.peek().is_none() => return Ok(Parsed::Help),
            b"-v" | b"--version" => return Ok(Parsed::Version),
            b"-2" => resp2 = true,
            arg if options.flag(arg) => {}
            arg => match args.next() {
                Some(value) => options.valued(arg, value)?,
                None => return Err(unrecognized(arg)),
            },
        }
    }
    options.command = args.collect();
    if resp2 && options.resp3 == Resp3::Yes {
        return Err(Refusal("Options -2 and -3 are mutually exclusive.".to_owned()));
    }
    if resp2 {
        options.resp3 = Resp3::No;
    }
    if options.socket.is_some() && options.follow_redirects {
        return Err(Refusal("Options -c and -s are mutually exclusive.".to_owned()));
    }
    Ok(Parsed::Run(Box::new(options)))
}

/// The help text.
pub(crate) fn usage(program_name: &str) -> String {
    format!(
        "Usage: {program_name} [OPTIONS] [cmd [arg [arg ...]]]
  -h <host>            Server host name (default: 127.0.0.1).
  -p <port>            Server port (default: 6379).
  -s <socket>          Unix socket of the server; overrides host and port.
  -a, --pass <pw>      Password. The variable REDISCLI_AUTH is a safer way to give it.
  --user <name>        ACL user; needs a password.
  -u <uri>             redis://[[user:]password@]host[:port][/db]
  -n <db>              Database number.
  -r <count>           Run the command this many times; negative: for ever.
  -i <seconds>         Wait between repetitions; fractions are allowed.
  -2, -3               Speak RESP2 or RESP3.
  -x                   Read the last argument from standard input.
  -X <tag>             Read the argument that equals <tag> from standard input.
  -d <delimiter>       Between the elements of a raw reply (default: newline).
  -D <delimiter>       Behind each raw reply (default: newline).
  -c                   Follow -MOVED and -ASK redirections.
  -e                   Exit with an error code when the command fails.
  --raw, --no-raw      Plain or typed replies (default: typed on a terminal).
  --csv, --json        Replies as CSV or JSON.
  --quoted-input       Arguments are quoted strings.
  --show-pushes <yn>   Whether to show RESP3 push messages (default: on a terminal).
  --scan               List the keys; --pattern <pattern> to select.
  --eval <file>        Run the Lua script: --eval <file> key1 key2 , arg1 arg2
  --no-auth-warning    Do not warn about a password on the command line.
  --help, --version    Show this text, or the version.

Without a command, commands are read from standard input, one a line."
    )
}

impl Options {
    /// Takes an option without a value; false if `arg` is none.
    fn flag(&mut self, arg: &[u8]) -> bool {
        match arg {
            b"-x" => self.last_arg_from_stdin = true,
            b"-c" => self.follow_redirects = true,
            b"-e" => self.error_exit_code = true,
            b"-3" => self.resp3 = Resp3::Yes,
            b"--raw" => self.output = Output::Raw,
            b"--no-raw" => self.output = Output::Standard,
            b"--csv" => self.output = Output::Csv,
            b"--json" => {
                self.output = Output::Json;
                if self.resp3 == Resp3::No {
                    self.resp3 = Resp3::Try;
                }
            }
            b"--quoted-input" => self.quoted_input = true,
            b"--no-auth-warning" => self.no_auth_warning = true,
            b"--scan" => self.scan = true,
            b"--verbose" => {}
            _ => return false,
        }
        true
    }

    /// Takes an option with its value.
    fn valued(&mut self, arg: &[u8], value: Vec<u8>) -> Result<(), Refusal> {
        match arg {
            b"-h" => self.host = text(&value),
            b"-p" => {
                self.port = u32::try_from(leading_integer(&value))
                    .ok()
                    .filter(|port| *port <= 65535)
                    .ok_or_else(|| Refusal("Invalid server port.".to_owned()))?;
            }
            b"-s" => self.socket = Some(text(&value)),
            b"-a" | b"--pass" => self.auth = Some(value),
            b"--user" => self.user = Some(value),
            b"-u" => self.uri(&value)?,
            b"-n" => self.db = leading_integer(&value),
            b"-r" => self.repeat = leading_integer(&value),
            b"-i" => {
                let seconds: f64 = text(&value).trim().parse().unwrap_or(0.0);
                self.interval = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
            }
            b"-X" => self.tag_from_stdin = Some(value),
            b"-d" => self.element_delimiter = value,
            b"-D" => self.reply_delimiter = value,
            b"--pattern" => self.pattern = Some(value),
            b"--eval" => self.script = Some(value),
            b"--show-pushes" => {
                self.show_pushes = match value.first() {
                    Some(b'y' | b'Y') => true,
                    Some(b'n' | b'N') => false,
                    _ => {
                        let value = text(&value);
                        return Err(Refusal(format!(
                            "Unknown --show-pushes value '{value}' (valid: '[y]es', '[n]o')"
                        )));
                    }
                };
            }
            _ => return Err(unrecognized(arg)),
        }
        Ok(())
    }

    /// Takes `redis://[[user:]password@]host[:port][/db]`.
    fn uri(&mut self, uri: &[u8]) -> Result<(), Refusal> {
        const SCHEME: &[u8] = b"redis://";

        if uri.get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"rediss://")) {
            return Err(no_tls("rediss://"));
        }
        let mut rest = match uri.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            _ => return Err(Refusal("Invalid URI scheme".to_owned())),
        };
        if let Some((info, behind)) = split_once(rest, b'@') {
            rest = behind;
            self.auth = Some(match split_once(info, b':') {
                None => percent_decode(info)?,
                Some((user, password)) => {
                    self.user = Some(percent_decode(user)?);
                    percent_decode(password)?
                }
            });
        }
        let (authority, path) = split_once(rest, b'/').unwrap_or((rest, b""));
        if !authority.is_empty() {
            let (host, port) = match authority.strip_prefix(b"[") {
                Some(bracketed) => {
                    let (host, behind) = split_once(bracketed, b']').unwrap_or((bracketed, b""));
                    (host, behind.strip_prefix(b":"))
                }
                None => {
                    split_once(authority, b':').map_or((authority, None), |(host, port)| (host, Some(port)))
                }
            };
            self.host = text(host);
            if let Some(port) = port {
                self.port = u32::try_from(leading_integer(port)).unwrap_or(0);
            }
        }
        if !path.is_empty() {
            self.db = leading_integer(path);
        }
        Ok(())
    }
}

fn unrecognized(arg: &[u8]) -> Refusal {
    const TLS: [&[u8]; 8] = [
        b"--tls",
        b"--sni",
        b"--cacert",
        b"--cacertdir",
        b"--insecure",
        b"--cert",
        b"--key",
        b"--tls-ciphers",
    ];
    let name = text(arg);
    if TLS.contains(&arg) {
        return no_tls(&name);
    }
    Refusal(format!("Unrecognized option or bad number of args for: '{name}'"))
}

fn no_tls(what: &str) -> Refusal {
    Refusal(format!("{what} is not supported yet: connect without TLS, or through a TLS tunnel."))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The number that `text` starts with; 0 if it starts with none.
pub(crate) fn leading_integer(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let value = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    if negative { -value } else { value }
}

fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

fn percent_decode(mut text: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut decoded = Vec::new();
    while let Some((&byte, rest)) = text.split_first() {
        text = rest;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let [high, low, rest @ ..] = text else {
            return Err(Refusal("Incomplete URI encoding".to_owned()));
        };
        let hex = |digit: u8| char::from(digit).to_digit(16);
        let (Some(high), Some(low)) = (hex(*high), hex(*low)) else {
            return Err(Refusal("Illegal character in URI encoding".to_owned()));
        };
        decoded.push((high << 4 | low) as u8);
        text = rest;
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, Refusal> {
        let args = line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect();
        match parse(args, true)? {
            Parsed::Run(options) => Ok(*options),
            Parsed::Help | Parsed::Version => panic!("{line} asks for a run"),
        }
    }

    fn check_uri(uri: &str, expected: (Option<&str>, Option<&str>, &str, u32, i64)) {
        let options = parsed(&format!("-u {uri}")).unwrap();
        let user = options.user.as_deref().map(text);
        let auth = options.auth.as_deref().map(text);
        let actual = (user.as_deref(), auth.as_deref(), &options.host[..], options.port, options.db);
        assert_eq!(actual, expected, "{uri}");
    }

    #[test]
    fn uris() {
        check_uri("redis://", (None, None, "127.0.0.1", 6379, 0));
        check_uri("REDIS://a.example", (None, None, "a.example", 6379, 0));
        check_uri("redis://u:p%40s@a:7/3", (Some("u"), Some("p@s"), "a", 7, 3));
        check_uri("redis://:p@a", (Some(""), Some("p"), "a", 6379, 0));
        check_uri("redis://p@/2", (None, Some("p"), "127.0.0.1", 6379, 2));
        check_uri("redis://[::1]:7/2", (None, None, "::1", 7, 2));
        for (uri, sentence) in [
            ("http://a", "Invalid URI scheme"),
            ("redis://%4@a", "Incomplete URI encoding"),
            ("redis://%zz@a", "Illegal character in URI encoding"),
            ("rediss://a", "rediss:// is not supported yet: connect without TLS, or through a TLS tunnel."),
        ] {
            assert_eq!(parsed(&format!("-u {uri}")).unwrap_err().to_string(), sentence);
        }
    }

    #[test]
    fn options_end_at_the_command() {
        let options = parsed("-h a -p 7 -3 -r -1 -i 0.1 get -x").unwrap();
        assert_eq!((&options.host[..], options.port, options.repeat), ("a", 7, -1));
        assert_eq!((options.resp3, options.interval), (Resp3::Yes, Duration::from_millis(100)));
        assert_eq!(options.command, [b"get".to_vec(), b"-x".to_vec()]);
        assert!(!options.last_arg_from_stdin);
    }
}
