//! A terminal that a test sits at.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Child,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

/// Rows and columns.
const SIZE: (u16, u16) = (40, 100);

/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A program on a terminal; ended when dropped.
pub(crate) struct Terminal {
    name: String,
    child: Child,
    keyboard: File,
    shared: Arc<Shared>,
    /// What is not to be compared, such as the server's port, and what stands for it.
    hidden: (String, String),
}

struct Shared {
    shown: Mutex<Shown>,
    changed: Condvar,
}

struct Shown {
    screen: vt100::Parser,
    /// All bytes that came.
    bytes: Vec<u8>,
    has_ended: bool,
}

impl Terminal {
    /// Starts `program` on a terminal of the kind `term`, with these variables.
    pub(crate) fn start(program: &Path, args: &[&str], term: &str, variables: &[(&str, &str)]) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(SIZE.0, SIZE.1)).unwrap();
        let command = pty_process::blocking::Command::new(program)
            .args(args)
            .env_remove("REDISCLI_AUTH")
            .env_remove("FAKETTY")
            .env_remove("NO_COLOR")
            .env("REDISCLI_HISTFILE", "/dev/null")
            .env("REDISCLI_RCFILE", "/dev/null")
            .env("TERM", term)
            .envs(variables.iter().copied());
        let child = command.spawn(pts).unwrap();
        let keyboard = File::from(OwnedFd::from(pty));
        let mut output = keyboard.try_clone().unwrap();
        let size = |n| NonZeroU16::new(n).unwrap();
        let screen = vt100::Parser::new(size(SIZE.0), size(SIZE.1), 0);
        let shown = Shown { screen, bytes: Vec::new(), has_ended: false };
        let shared = Arc::new(Shared { shown: Mutex::new(shown), changed: Condvar::new() });
        let writer = Arc::clone(&shared);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            loop {
                // A terminal whose programs are gone gives an error.
                let len = output.read(&mut piece).unwrap_or(0);
                let mut shown = writer.shown.lock().unwrap();
                shown.screen.process(&piece[..len]);
                shown.bytes.extend_from_slice(&piece[..len]);
                shown.has_ended = len == 0;
                writer.changed.notify_all();
                if len == 0 {
                    return;
                }
            }
        });
        let name = program.display().to_string();
        Self { name, child, keyboard, shared, hidden: (String::new(), String::new()) }
    }

    /// The client under test.
    pub(crate) fn ours() -> PathBuf {
        let tests = std::env::current_exe().unwrap();
        let program = tests.parent().unwrap().with_file_name("examples").join("redis-cli");
        assert!(program.exists(), "cargo test builds it, with --examples if targets are chosen");
        program
    }

    /// Shows `with` in place of `what`.
    pub(crate) fn hide(mut self, what: &str, with: &str) -> Self {
        self.hidden = (what.to_owned(), with.to_owned());
        self
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Presses keys, and waits until they have worked and the screen ends with this text.
    /// Keys that come before their prompt are lost, so that each line waits for the one behind it.
    pub(crate) fn press_until(&mut self, keys: &str, end: &str) {
        let prompts = |screen: &str| screen.matches("> ").count();
        let clears = keys.starts_with("clear");
        let before = prompts(&self.screen());
        assert!(!clears || before > 1, "clearing one prompt cannot be seen");
        let lines = if end.ends_with("> _") { keys.matches('\r').count() } else { 0 };
        self.press(keys);
        self.wait_until(&format!("{end:?} at the end"), |screen| {
            let prompts = prompts(screen);
            screen.ends_with(end)
                && if clears { prompts == 1 } else { prompts >= before + lines || lines == 0 }
        });
    }

    /// What stands on the screen, with the cursor as `_` where nothing stands.
    pub(crate) fn screen(&self) -> String {
        self.text(&self.shared.shown.lock().unwrap())
    }

    /// All that was ever shown, escapes included.
    pub(crate) fn transcript(&self) -> String {
        let text = String::from_utf8_lossy(&self.shared.shown.lock().unwrap().bytes).into_owned();
        text.replace(&self.hidden.0, &self.hidden.1)
    }

    fn text(&self, shown: &Shown) -> String {
        let screen = shown.screen.screen();
        let (row, column) = screen.cursor_position();
        let mut rows: Vec<String> = screen.rows(0, SIZE.1).collect();
        rows.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
        let line = &mut rows[usize::from(row)];
        while line.chars().count() < usize::from(column) {
            line.push(' ');
        }
        if line.chars().count() == usize::from(column) {
            line.push('_');
        }
        let text = rows.join("\n");
        let text = text.trim_end();
        if self.hidden.0.is_empty() { text.to_owned() } else { text.replace(&self.hidden.0, &self.hidden.1) }
    }

    /// Waits until the screen is as `is` wants it.
    pub(crate) fn wait_until(&self, what: &str, is: impl Fn(&str) -> bool) {
        let started = Instant::now();
        let mut shown = self.shared.shown.lock().unwrap();
        while !is(&self.text(&shown)) {
            let left = LIMIT.checked_sub(started.elapsed());
            let left = left.unwrap_or_else(|| panic!("{}: no {what} on\n{}", self.name, self.text(&shown)));
            shown = self.shared.changed.wait_timeout(shown, left).unwrap().0;
        }
    }

    /// Waits until the program ends; gives its exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let started = Instant::now();
        let mut shown = self.shared.shown.lock().unwrap();
        while !shown.has_ended {
            let left = LIMIT.checked_sub(started.elapsed()).expect("the program should end");
            shown = self.shared.changed.wait_timeout(shown, left).unwrap().0;
        }
        drop(shown);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
