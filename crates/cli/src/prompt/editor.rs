//! Typing on a terminal: editing, history, completion, hints.

use std::{borrow::Cow, io};

use rustyline::{
    ColorMode, CompletionType, Config, Context, Editor, Helper,
    completion::Completer,
    error::ReadlineError,
    highlight::{CmdKind, Highlighter},
    hint::{Hint, Hinter},
    history::MemHistory,
    validate::Validator,
};

use super::{
    hints,
    history::{History, LINES_MAX},
};
use crate::docs::CommandDoc;

/// The line editor of a prompt.
pub(super) struct LineEditor {
    editor: Editor<Assistant, MemHistory>,
    history: History,
}

/// What was typed.
pub(super) enum Typed {
    Line(String),
    /// The input ended, or someone wants to leave.
    End,
}

/// What helps the one who types.
#[derive(Default)]
struct Assistant {
    docs: Vec<CommandDoc>,
    shows_hints: bool,
    hides_line: bool,
    /// How many characters fit beside the prompt.
    columns: usize,
}

/// Text that is shown and not taken over.
struct Preview(String);

impl LineEditor {
    pub(super) fn new(history: History, docs: Vec<CommandDoc>) -> io::Result<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::Circular)
            .max_history_size(LINES_MAX)
            .map_err(into_io)?
            // Lines that are pasted are commands, one each.
            .bracketed_paste(false)
            .build();
        let memory = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, memory).map_err(into_io)?;
        for line in history.lines() {
            editor.add_history_entry(line).map_err(into_io)?;
        }
        editor.set_helper(Some(Assistant { docs, shows_hints: true, ..Assistant::default() }));
        Ok(Self { editor, history })
    }

    /// Whether to show the arguments of the command that is being typed.
    pub(super) fn show_hints(&mut self, shows_hints: bool) {
        if let Some(helper) = self.editor.helper_mut() {
            helper.shows_hints = shows_hints;
        }
    }

    /// Lets someone type a line, and keeps it for later.
    pub(super) fn read(&mut self, prompt: &str) -> io::Result<Typed> {
        let columns = self.editor.dimensions().map_or(80, |(columns, _)| usize::from(columns));
        if let Some(helper) = self.editor.helper_mut() {
            helper.columns = columns.saturating_sub(prompt.chars().count() + 1);
        }
        let line = match self.editor.readline(prompt) {
            Ok(line) => line,
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(Typed::End),
            Err(error) => return Err(into_io(error)),
        };
        if !line.trim().is_empty() && self.history.add(&line) {
            self.editor.add_history_entry(&line).map_err(into_io)?;
        }
        Ok(Typed::Line(line))
    }
}

/// Lets someone type a password, of which only the length is seen. `None`: they would rather not.
pub(crate) fn read_password(prompt: &str) -> io::Result<Option<String>> {
    let config = Config::builder().color_mode(ColorMode::Forced).bracketed_paste(false).build();
    let mut editor = Editor::with_history(config, MemHistory::new()).map_err(into_io)?;
    editor.set_helper(Some(Assistant { hides_line: true, ..Assistant::default() }));
    match editor.readline(prompt) {
        Ok(line) => Ok(Some(line)),
        Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
        Err(error) => Err(into_io(error)),
    }
}

fn into_io(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error.to_string()),
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let completions = if pos == line.len() { hints::completions(&self.docs, line) } else { Vec::new() };
        Ok((0, completions))
    }
}

impl Hinter for Assistant {
    type Hint = Preview;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Preview> {
        if !self.shows_hints || self.hides_line || pos < line.len() {
            return None;
        }
        let hint = hints::hint(&self.docs, line)?;
        // It stays on the line that is typed.
        let room = self.columns.saturating_sub(line.chars().count());
        Some(Preview(hint.chars().take(room).collect())).filter(|hint| !hint.0.is_empty())
    }
}

impl Hint for Preview {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.hides_line { "*".repeat(line.chars().count()).into() } else { line.into() }
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.hides_line && kind != CmdKind::MoveCursor
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        format!("\x1b[0;90;49m{hint}\x1b[0m").into()
    }
}

impl Validator for Assistant {}

impl Helper for Assistant {}
