//! `help`: what commands do, and how the prompt is used.

use std::io::{self, Write};

use crate::{REDIS_VERSION, docs::CommandDoc, session::Session};

impl Session<'_> {
    /// Helps with a command, with the commands of an `@group`, or with the prompt.
    pub(crate) fn help(&mut self, topic: &[Vec<u8>]) -> io::Result<()> {
        let topic: Vec<String> =
            topic.iter().map(|word| String::from_utf8_lossy(word).to_uppercase()).collect();
        let Some(first) = topic.first() else { return self.help_with_prompt() };
        let mut out = String::from("\r\n");
        for doc in self.docs() {
            if let Some(group) = first.strip_prefix('@') {
                if doc.group.eq_ignore_ascii_case(group) {
                    describe(doc, false, &mut out);
                }
            } else if begins(&doc.name, &topic) {
                describe(doc, true, &mut out);
            }
        }
        self.console.stdout.write_all(out.as_bytes())?;
        self.console.stdout.flush()
    }

    fn help_with_prompt(&mut self) -> io::Result<()> {
        writeln!(
            self.console.stdout,
            "{} {REDIS_VERSION}
Type a command and its arguments, with quotes around what holds blanks. At the prompt:
      \"help <command>\" describes a command
      \"help @<group>\" describes the commands of a group, such as @hash
      \"help <tab>\" goes through commands and groups
      \"<number> <command>\" runs a command that many times
      \"connect <host> <port>\" goes to another server
      \"clear\" clears the screen
      \"quit\" to exit

Preferences, also from ~/.redisclirc:
      \":set hints\" shows a command's arguments while it is typed
      \":set nohints\" does not",
            self.program_name
        )?;
        self.console.stdout.flush()
    }
}

/// Whether a command's name begins with these words.
fn begins(name: &str, words: &[String]) -> bool {
    let mut name = name.split(' ');
    words.iter().all(|word| name.next() == Some(word))
}

fn describe(doc: &CommandDoc, with_group: bool, out: &mut String) {
    let CommandDoc { name, syntax, summary, since, group } = doc;
    out.push_str(&format!("  \x1b[1m{name}\x1b[0m \x1b[90m{syntax}\x1b[0m\r\n"));
    out.push_str(&format!("  \x1b[33msummary:\x1b[0m {summary}\r\n"));
    out.push_str(&format!("  \x1b[33msince:\x1b[0m {since}\r\n"));
    if with_group {
        out.push_str(&format!("  \x1b[33mgroup:\x1b[0m {group}\r\n"));
    }
    out.push_str("\r\n");
}
