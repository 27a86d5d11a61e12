//! What the simulator needs of a journal beyond [`Journal`]: to make it take a step, to break it, and to look at what
//! the next process would find.

use sessile_journal::{Journal, RecoveredBatch, Recovery};
use sessile_keyspace::codec::BadEffect;

use crate::dice::Dice;
use crate::disk::{self, DiskImage};
use crate::remote::{self, RemoteStore};
use crate::tally::Tally;

/// Takes what recovery delivers.
pub type Deliver<'a> = &'a mut dyn FnMut(RecoveredBatch<'_>) -> Result<(), BadEffect>;

/// A journal that moves only when told to.
pub trait Backend: Journal {
    /// Does one random thing that a committer, or the far side, may do next.
    fn step(&self, dice: &mut Dice, now_ms: u64, tally: &mut Tally);

    /// Lets everything queued become durable, unless something is broken.
    fn settle(&self, now_ms: u64);

    /// Plans a random fault.
    fn break_something(&self, dice: &mut Dice, tally: &mut Tally);

    /// The next sync fails, where there is such a thing.
    fn fail_next_sync(&self) {}

    /// Ends a lack of space.
    fn make_room(&self) {}

    /// Whether the process died in an operation.
    fn is_dead(&self) -> bool {
        false
    }

    /// What the next process finds after a power cut; the seed decides what is there of what was in flight.
    fn after_power_cut(&self, seed: u64) -> Image;

    /// What the next process finds after this one was killed.
    fn after_kill(&self, seed: u64) -> Image;

    /// Changes whenever what is stored does.
    fn version(&self) -> u64;

    /// What was met since the last call.
    fn take_notes(&self) -> Vec<&'static str>;
}

/// What a process finds when it starts.
#[derive(Clone)]
pub enum Image {
    /// A disk, and how the log on it is cut.
    Disk(DiskImage),
    /// A database.
    Remote(RemoteStore),
}

impl Image {
    /// Recovers. Says why not, where it is refused.
    pub fn open(&self, entropy: u64, deliver: Deliver<'_>) -> Result<(Box<dyn Backend>, Recovery), String> {
        match self {
            Self::Disk(image) => {
                let (journal, recovery) = disk::open(image, entropy, deliver)?;
                Ok((Box::new(journal), recovery))
            }
            Self::Remote(store) => {
                let (journal, recovery) = remote::open(store, entropy, deliver)?;
                Ok((Box::new(journal), recovery))
            }
        }
    }
}
