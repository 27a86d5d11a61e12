//! Passwords, users, renamed commands, what may be changed while running.

use super::{BOOL, HONOURED, I64, OPTIONAL, TEXT, accepted, general, rows, stops};
use crate::{
    choice::{AclPubsubDefault, Choice, ProtectedAction, SanitizeDump},
    directive::Kind,
};

rows! { from general::NEXT;
    REQUIREPASS = "requirepass", OPTIONAL, "", [SENSITIVE], HONOURED;
    RENAME_COMMAND = "rename-command", Kind::Row { min: 2, max: 2 }, "", [FILE_ONLY], HONOURED;
    USER = "user", Kind::Row { min: 1, max: usize::MAX }, "", [FILE_ONLY SENSITIVE],
        stops("users in the configuration file are not enforced by this version",
            "protect the store with `requirepass`, or remove the line");
    ACLFILE = "aclfile", TEXT, "", [IMMUTABLE],
        stops("users in an ACL file are not enforced by this version",
            "protect the store with `requirepass`, or remove the line");
    ACL_PUBSUB_DEFAULT = "acl-pubsub-default", Kind::Enum(AclPubsubDefault::NAMES), "resetchannels", [],
        accepted("there is one user, `default`, and no other to be given channels");
    ACLLOG_MAX_LEN = "acllog-max-len", I64, "128", [],
        accepted("there is no log of what users were denied");
    ENABLE_PROTECTED_CONFIGS = "enable-protected-configs", Kind::Enum(ProtectedAction::NAMES), "no",
        [IMMUTABLE], HONOURED;
    ENABLE_DEBUG_COMMAND = "enable-debug-command", Kind::Enum(ProtectedAction::NAMES), "no", [IMMUTABLE],
        HONOURED;
    ENABLE_MODULE_COMMAND = "enable-module-command", Kind::Enum(ProtectedAction::NAMES), "no", [IMMUTABLE],
        accepted("there are no modules to load");
    ENABLE_DEBUG_ASSERT = "enable-debug-assert", BOOL, "no", [IMMUTABLE HIDDEN],
        accepted("assertions are always on");
    SANITIZE_DUMP_PAYLOAD = "sanitize-dump-payload", Kind::Enum(SanitizeDump::NAMES), "no", [],
        accepted("what RESTORE is given is always checked in full");
}
