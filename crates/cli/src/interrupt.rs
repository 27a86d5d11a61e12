//! Ctrl-C at the prompt: it ends what is being shown, or else the program.

use std::{
    io, process,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use signal_hook::{consts::SIGINT, iterator::Signals};

use crate::connection::Hangup;

/// What Ctrl-C does.
#[derive(Default)]
struct State {
    /// The connection that it ends; none: it ends the program.
    stream: Option<Hangup>,
    was_pressed: bool,
}

/// Takes over the signal of Ctrl-C for the rest of the program.
pub(crate) struct Interrupts(Arc<Mutex<State>>);

impl Interrupts {
    pub(crate) fn watch() -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT])?;
        let state = Arc::new(Mutex::new(State::default()));
        let watched = Arc::clone(&state);
        thread::spawn(move || {
            for _ in signals.forever() {
                let mut state = watched.lock().unwrap_or_else(PoisonError::into_inner);
                match state.stream.take() {
                    Some(stream) => {
                        state.was_pressed = true;
                        stream.now();
                    }
                    None => process::exit(1),
                }
            }
        });
        Ok(Self(state))
    }

    /// From now on it ends this connection, once.
    pub(crate) fn will_end(&self, stream: Hangup) {
        self.set(State { stream: Some(stream), was_pressed: false });
    }

    /// From now on it ends the program.
    pub(crate) fn will_exit(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stream = None;
    }

    /// Whether it ended the connection that it last was to end.
    pub(crate) fn was_pressed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).was_pressed
    }

    /// A new command begins.
    pub(crate) fn forget(&self) {
        self.set(State::default());
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
