//! Servers as `redis://` URIs.

use super::{Options, Refusal, leading_integer, no_tls, text};

impl Options {
    /// Takes `redis://[[user:]password@]host[:port][/db]`.
    pub(super) fn uri(&mut self, uri: &[u8]) -> Result<(), Refusal> {
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
    use super::super::{Parsed, parse};
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
}
