//! Delta debugging: the shortest sequence of steps that still shows the same failure on emptied servers.

use std::time::{Duration, Instant};

use crate::execute::{Executor, Failure, FailureKind, Setup, Totals};
use crate::step::{Cmd, Inner, Step};

/// Replays the steps on emptied servers, and compares the datasets at the end where `deep`.
pub type Replay<'a> = dyn FnMut(&[Step], bool) -> Option<Failure> + 'a;

/// A failure with the steps that lead to it.
#[derive(Clone, Debug)]
pub struct Minimal {
    /// What is left of the steps.
    pub steps: Vec<Step>,
    /// The failure that they end in.
    pub failure: Failure,
    /// Whether a replay showed the failure at all.
    pub reproduced: bool,
}

/// Runs steps on emptied servers once.
pub fn replay_once(setup: &Setup, steps: &[Step], deep: bool) -> Option<Failure> {
    let mut totals = Totals::default();
    let mut executor = match Executor::fresh(setup) {
        Ok(executor) => executor,
        Err(failure) => return Some(failure),
    };
    if let Err(failure) = executor.run(steps, &mut totals) {
        return Some(failure);
    }
    if deep { crate::dataset::compare(&mut executor, steps.len(), setup.newer).err() } else { None }
}

/// Shortens `steps`, which ended in `failure`, for at most `budget`.
pub fn minimise(steps: &[Step], failure: Failure, budget: Duration, replay: &mut Replay<'_>) -> Minimal {
    let mut search = Search {
        deep: failure.kind == FailureKind::Dataset,
        deadline: Instant::now() + budget,
        best: Minimal { steps: upto(steps, &failure), failure, reproduced: false },
        replay,
    };
    let whole = search.best.steps.clone();
    // The second try is for data that only later steps bring to light.
    if !search.try_steps(&whole) && !search.try_steps(steps) {
        return search.best;
    }
    search.best.reproduced = true;
    search.chunks();
    search.commands();
    search.one_connection();
    search.words();
    search.chunks();
    search.best
}

/// The steps that can have caused the failure. A server that ends takes earlier replies of the same
/// round trip with it, so there the first missing reply says nothing about the cause.
fn upto(steps: &[Step], failure: &Failure) -> Vec<Step> {
    let end = if failure.kind == FailureKind::Reply { failure.step + 1 } else { steps.len() };
    steps[..steps.len().min(end)].to_vec()
}

struct Search<'a, 'b> {
    deep: bool,
    deadline: Instant,
    best: Minimal,
    replay: &'a mut Replay<'b>,
}

impl Search<'_, '_> {
    /// Keeps the candidate where it still fails in the same way.
    fn try_steps(&mut self, candidate: &[Step]) -> bool {
        if Instant::now() > self.deadline {
            return false;
        }
        match (self.replay)(candidate, self.deep) {
            Some(failure) if failure.same_as(&self.best.failure) => {
                self.best.steps = upto(candidate, &failure);
                self.best.failure = failure;
                true
            }
            _ => false,
        }
    }

    /// Removes runs of steps, from halves down to single ones.
    fn chunks(&mut self) {
        let mut size = (self.best.steps.len() / 2).max(1);
        loop {
            let mut at = 0;
            let mut removed = false;
            while at < self.best.steps.len() {
                let mut candidate = self.best.steps.clone();
                candidate.drain(at..(at + size).min(candidate.len()));
                if !candidate.is_empty() && self.try_steps(&candidate) {
                    removed = true;
                } else {
                    at += size;
                }
            }
            if size > 1 {
                size = size.div_ceil(2);
            } else if !removed || Instant::now() > self.deadline {
                return;
            }
        }
    }

    /// Removes single commands from steps; a repair stays with its command.
    fn commands(&mut self) {
        let mut at = 0;
        while at < self.best.steps.len() {
            let mut inside = 0;
            while let Some(Step::Run { conn, cmds }) = self.best.steps.get(at).cloned() {
                if inside >= cmds.len() || cmds.len() < 2 {
                    break;
                }
                let mut fewer = cmds.clone();
                fewer.remove(inside);
                let orphan = cmds.iter().any(|c| {
                    crate::rules::repair(&c.words).is_some_and(|r| !fewer.iter().any(|f| f.words == r))
                }) && fewer.iter().any(|c| crate::rules::repair(&c.words).is_some());
                let mut candidate = self.best.steps.clone();
                candidate[at] = Step::Run { conn, cmds: fewer };
                if orphan || !self.try_steps(&candidate) {
                    inside += 1;
                }
            }
            at += 1;
        }
    }

    /// Moves everything to the first connection.
    fn one_connection(&mut self) {
        let mut candidate = self.best.steps.clone();
        for step in &mut candidate {
            if let Step::Run { conn, .. } = step {
                *conn = 0;
            }
        }
        if candidate != self.best.steps {
            self.try_steps(&candidate);
        }
    }

    /// Drops and shortens words of commands that run no inner commands.
    fn words(&mut self) {
        let mut at = 0;
        while at < self.best.steps.len() {
            let count = match &self.best.steps[at] {
                Step::Run { cmds, .. } => cmds.len(),
                _ => 0,
            };
            for inside in 0..count {
                self.words_of(at, inside);
            }
            at += 1;
        }
    }

    fn words_of(&mut self, at: usize, inside: usize) {
        for size in [64, 8, 2, 1] {
            let mut word = 1;
            while let Some(cmd) = self.command(at, inside) {
                if word >= cmd.words.len() || cmd.inner != Inner::None {
                    break;
                }
                let mut fewer = cmd.words.clone();
                fewer.drain(word..(word + size).min(fewer.len()));
                if size > 1 && cmd.words.len() <= size || !self.replace(at, inside, fewer) {
                    word += size;
                }
            }
        }
        let mut word = 1;
        while let Some(cmd) = self.command(at, inside) {
            if word >= cmd.words.len() || cmd.inner != Inner::None {
                break;
            }
            if cmd.words[word].len() > 8 {
                let mut shorter = cmd.words.clone();
                shorter[word] = b"x".to_vec();
                if !self.replace(at, inside, shorter) {
                    let mut halved = cmd.words.clone();
                    let len = halved[word].len() / 2;
                    halved[word].truncate(len);
                    self.replace(at, inside, halved);
                }
            }
            word += 1;
        }
    }

    fn command(&self, at: usize, inside: usize) -> Option<Cmd> {
        match self.best.steps.get(at) {
            Some(Step::Run { cmds, .. }) => cmds.get(inside).cloned(),
            _ => None,
        }
    }

    fn replace(&mut self, at: usize, inside: usize, words: Vec<Vec<u8>>) -> bool {
        // A changed random command would need another repair.
        let before = self.command(at, inside).map(|c| crate::rules::repair(&c.words));
        if before != Some(crate::rules::repair(&words)) {
            return false;
        }
        let mut candidate = self.best.steps.clone();
        if let Some(Step::Run { cmds, .. }) = candidate.get_mut(at) {
            cmds[inside] = Cmd::plain(words);
        }
        self.try_steps(&candidate)
    }
}
