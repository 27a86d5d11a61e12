//! TLS: what asks for it stops the start, what only describes it is read and kept.

use super::{BOOL, I32, OPTIONAL, PORT_NUMBER, accepted, cluster, rows, stops};
use crate::directive::Kind;

const NO_TLS: &str = "no port speaks TLS";

rows! { from cluster::NEXT;
    TLS_PORT = "tls-port", PORT_NUMBER, "0", [],
        stops("this version does not speak TLS, and would leave that port closed or in the clear",
            "set it to 0 and put a TLS proxy in front");
    TLS_REPLICATION = "tls-replication", BOOL, "no", [],
        stops("this version does not speak TLS", "set it to `no`");
    TLS_CLUSTER = "tls-cluster", BOOL, "no", [],
        stops("this version does not speak TLS", "set it to `no`");
    TLS_AUTH_CLIENTS = "tls-auth-clients", Kind::Enum(&["no", "yes", "optional"]), "yes", [],
        accepted(NO_TLS);
    TLS_CERT_FILE = "tls-cert-file", OPTIONAL, "", [], accepted(NO_TLS);
    TLS_KEY_FILE = "tls-key-file", OPTIONAL, "", [], accepted(NO_TLS);
    TLS_KEY_FILE_PASS = "tls-key-file-pass", OPTIONAL, "", [SENSITIVE], accepted(NO_TLS);
    TLS_CLIENT_CERT_FILE = "tls-client-cert-file", OPTIONAL, "", [], accepted(NO_TLS);
    TLS_CLIENT_KEY_FILE = "tls-client-key-file", OPTIONAL, "", [], accepted(NO_TLS);
    TLS_CLIENT_KEY_FILE_PASS = "tls-client-key-file-pass", OPTIONAL, "", [SENSITIVE], accepted(NO_TLS);
    TLS_DH_PARAMS_FILE = "tls-dh-params-file", OPTIONAL, "", [], accepted(NO_TLS);
    TLS_CA_CERT_FILE = "tls-ca-cert-file", OPTIONAL, "", [], accepted(NO_TLS);
    TLS_CA_CERT_DIR = "tls-ca-cert-dir", OPTIONAL, "", [], accepted(NO_TLS);
    TLS_PROTOCOLS = "tls-protocols", OPTIONAL, "", [], accepted(NO_TLS);
    TLS_CIPHERS = "tls-ciphers", OPTIONAL, "", [], accepted(NO_TLS);
    TLS_CIPHERSUITES = "tls-ciphersuites", OPTIONAL, "", [], accepted(NO_TLS);
    TLS_PREFER_SERVER_CIPHERS = "tls-prefer-server-ciphers", BOOL, "no", [], accepted(NO_TLS);
    TLS_SESSION_CACHING = "tls-session-caching", BOOL, "yes", [], accepted(NO_TLS);
    TLS_SESSION_CACHE_SIZE = "tls-session-cache-size", I32, "20480", [], accepted(NO_TLS);
    TLS_SESSION_CACHE_TIMEOUT = "tls-session-cache-timeout", I32, "300", [], accepted(NO_TLS);
}
