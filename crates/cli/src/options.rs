//! The command line. `redis-cli` reads it word by word: options end at the first word without a dash, and an
//! option that lacks its value is an unknown one.

mod uri;
mod usage;

use std::{fmt, time::Duration};

use sessile_resp::split_args;

pub(crate) use self::usage::usage;

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
    /// What was said and is not obeyed.
    pub(crate) warning: Option<String>,
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
    pub(crate) ask_password: bool,
    pub(crate) mode: Mode,
    pub(crate) pattern: Option<Vec<u8>>,
    /// How many keys a SCAN is asked for; the server's default where none are.
    pub(crate) scan_count: Option<u64>,
    /// Elements that `MEMORY USAGE` looks at; 0 for all.
    pub(crate) memory_samples: Option<i64>,
    /// How long `--pipe` waits for replies once all is sent; zero: for ever.
    pub(crate) pipe_timeout: Duration,
    pub(crate) script: Option<Vec<u8>>,
    /// The command and its arguments; empty for commands from standard input.
    pub(crate) command: Vec<Vec<u8>>,
}

/// What a run does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// The command, or those on standard input.
    Commands,
    Scan,
    Pipe,
    Stat,
    Latency,
    LatencyHistory,
    LatencyDistribution,
    /// For so many seconds.
    IntrinsicLatency(u64),
    BigKeys,
    MemoryKeys,
    HotKeys,
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
    /// JSON in ASCII.
    QuotedJson,
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
            warning: None,
            element_delimiter: b"\n".to_vec(),
            reply_delimiter: b"\n".to_vec(),
            repeat: 1,
            interval: Duration::ZERO,
            last_arg_from_stdin: false,
            tag_from_stdin: None,
            quoted_input: false,
            error_exit_code: false,
            follow_redirects: false,
            ask_password: false,
            mode: Mode::Commands,
            pattern: None,
            scan_count: None,
            memory_samples: None,
            pipe_timeout: Duration::from_secs(30),
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
    if options.last_arg_from_stdin && options.tag_from_stdin.is_some() {
        return Err(Refusal("Options -x and -X are mutually exclusive.".to_owned()));
    }
    if options.socket.is_some() && options.follow_redirects {
        return Err(Refusal("Options -c and -s are mutually exclusive.".to_owned()));
    }
    Ok(Parsed::Run(Box::new(options)))
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
            b"--json" | b"--quoted-json" => {
                self.output = if arg == b"--json" { Output::Json } else { Output::QuotedJson };
                if self.resp3 == Resp3::No {
                    self.resp3 = Resp3::Try;
                }
            }
            b"--quoted-input" => self.quoted_input = true,
            b"--no-auth-warning" => self.no_auth_warning = true,
            b"--askpass" => self.ask_password = true,
            b"--verbose" => {}
            _ => match mode(arg) {
                Some(mode) => self.mode = mode,
                None => return false,
            },
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
            b"--quoted-pattern" => {
                let pattern = unquote(&value);
                self.pattern = Some(pattern.ok_or_else(|| {
                    Refusal("Invalid quoted string specified for --quoted-pattern.".to_owned())
                })?);
            }
            b"--count" => {
                let count = u64::try_from(leading_integer(&value)).ok().filter(|count| *count > 0);
                self.scan_count = Some(count.ok_or_else(|| Refusal("Invalid --count value.".to_owned()))?);
            }
            b"--memkeys-samples" => {
                self.mode = Mode::MemoryKeys;
                self.memory_samples = Some(leading_integer(&value));
            }
            b"--pipe-timeout" => {
                self.pipe_timeout = Duration::from_secs(leading_integer(&value).try_into().unwrap_or(0));
            }
            b"--intrinsic-latency" => {
                self.mode = Mode::IntrinsicLatency(leading_integer(&value).try_into().unwrap_or(0));
            }
            b"--eval" => self.script = Some(value),
            b"--show-pushes" => match value.first() {
                Some(b'y' | b'Y') => self.show_pushes = true,
                Some(b'n' | b'N') => self.show_pushes = false,
                _ => {
                    self.warning = Some(format!(
                        "Unknown --show-pushes value '{}' (valid: '[y]es', '[n]o')",
                        text(&value)
                    ));
                }
            },
            _ => return Err(unrecognized(arg)),
        }
        Ok(())
    }
}

/// The mode that an option chooses.
fn mode(arg: &[u8]) -> Option<Mode> {
    Some(match arg {
        b"--scan" => Mode::Scan,
        b"--pipe" => Mode::Pipe,
        b"--stat" => Mode::Stat,
        b"--latency" => Mode::Latency,
        b"--latency-history" => Mode::LatencyHistory,
        b"--latency-dist" => Mode::LatencyDistribution,
        b"--bigkeys" => Mode::BigKeys,
        b"--memkeys" => Mode::MemoryKeys,
        b"--hotkeys" => Mode::HotKeys,
        _ => return None,
    })
}

/// The one argument that a quoted string stands for.
pub(crate) fn unquote(arg: &[u8]) -> Option<Vec<u8>> {
    match arg.first() {
        Some(b'"' | b'\'') => {
            let mut args = split_args(arg)?;
            if args.len() == 1 { args.pop() } else { None }
        }
        _ => Some(arg.to_vec()),
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

    #[test]
    fn options_end_at_the_command() {
        let options = parsed("-h a -p 7 -3 -r -1 -i 0.1 get -x").unwrap();
        assert_eq!((&options.host[..], options.port, options.repeat), ("a", 7, -1));
        assert_eq!((options.resp3, options.interval), (Resp3::Yes, Duration::from_millis(100)));
        assert_eq!(options.command, [b"get".to_vec(), b"-x".to_vec()]);
        assert!(!options.last_arg_from_stdin);
    }
}
