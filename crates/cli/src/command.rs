//! The command that the command line gives.

use std::{
    fs,
    io::{self, Read, Write},
};

use crate::{connection::system_words, options::unquote, session::Session};

impl Session<'_> {
    /// The command that the options give, with what they say to take from elsewhere. `None`: it cannot be made,
    /// and why has been said.
    pub(crate) fn command(&mut self) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut args = std::mem::take(&mut self.options.command);
        if self.options.quoted_input {
            let Some(unquoted) = args.iter().map(|arg| unquote(arg)).collect() else {
                writeln!(self.console.stdout, "Invalid quoted string")?;
                return Ok(None);
            };
            args = unquoted;
        }
        if let Some(path) = self.options.script.take() {
            return self.eval_command(&path, &args);
        }
        if self.options.last_arg_from_stdin {
            args.push(self.read_stdin()?);
        } else if let Some(tag) = self.options.tag_from_stdin.take() {
            let Some(at) = args.iter().position(|arg| *arg == tag) else {
                writeln!(self.console.stderr, "Using -X option but stdin tag not match.")?;
                return Ok(None);
            };
            args[at] = self.read_stdin()?;
        }
        Ok(Some(args))
    }

    fn read_stdin(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.console.stdin.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn eval_command(&mut self, path: &[u8], args: &[Vec<u8>]) -> io::Result<Option<Vec<Vec<u8>>>> {
        let path = String::from_utf8_lossy(path);
        let script = match fs::read(&*path) {
            Ok(script) => script,
            Err(error) => {
                let words = system_words(&error);
                writeln!(self.console.stderr, "Can't open file '{path}': {words}")?;
                return Ok(None);
            }
        };
        let keys = args.iter().take_while(|arg| *arg != b",").count();
        let mut command = vec![b"EVAL".to_vec(), script, keys.to_string().into_bytes()];
        command.extend(args.iter().filter(|arg| *arg != b",").cloned());
        Ok(Some(command))
    }
}
