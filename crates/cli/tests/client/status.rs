//! `sessile status`, asked of a server that is no Sessile; the server's crate asks one that is.

use crate::{oracle::Oracle, support::status};

#[test]
fn a_server_that_is_no_sessile() {
    let oracle = Oracle::start(&["--requirepass", "sesame"]);
    let port = oracle.port();
    let (code, out, err) = status(&["-p", &port, "-a", "sesame", "--no-auth-warning"]);
    assert_eq!((code, &err[..]), (0, ""));
    assert!(out.starts_with("server           no Sessile: Redis 7"), "{out}");
    assert!(out.contains("\nacknowledgement  the server does not say what it is worth\n"), "{out}");
    let (code, out, _) = status(&["-p", &port, "-a", "sesame", "--no-auth-warning", "--json"]);
    assert!(code == 0 && out.starts_with('{') && out.contains(r#""acknowledgement":"unknown""#), "{out}");
}

#[test]
fn no_server_and_no_sense() {
    let oracle = Oracle::start(&["--requirepass", "sesame"]);
    let port = oracle.port();
    let (code, out, err) = status(&["-p", "1"]);
    assert_eq!(
        (code, &out[..], &err[..]),
        (1, "", "Could not connect to Redis at 127.0.0.1:1: Connection refused\n")
    );
    let (code, _, err) = status(&["-p", &port]);
    assert_eq!((code, &err[..]), (1, "INFO was refused: NOAUTH Authentication required.\n"));
    assert_eq!(status(&["-p", &port, "-a", "wrong"]).0, 1);
    for args in [&["ping"][..], &["--bigkeys"], &["--no-such-option"]] {
        assert_eq!(status(args).0, 1, "{args:?}");
    }
    let (code, out, _) = status(&["--help"]);
    assert!(code == 0 && out.starts_with("Usage: sessile status"), "{out}");
}
