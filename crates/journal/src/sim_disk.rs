//! A disk in memory that loses what a real one may lose: unsynced sectors in any combination, unsynced directory
//! operations, whole syncs. Copies share their sectors, so a crash copy costs little.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};
use crate::random::Random;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

type Sector = Arc<[u8; SECTOR_BYTES]>;

/// The kinds of operation that a fault can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// All of them.
    Any,
    /// Reading from a file.
    Read,
    /// Writing into a file.
    Write,
    /// Syncing a file.
    Sync,
    /// Creating or opening a file.
    Open,
    /// Renaming or removing a file.
    Rename,
    /// Syncing the directory.
    SyncDir,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// With this error. A failed sync keeps a random part, and forgets that the rest is not on the disk.
    Error(io::ErrorKind),
    /// A write keeps only its beginning; then there is no space.
    Short,
    /// The process dies: this operation happens or not, and every later one fails.
    Die,
}

/// A failure to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it strikes.
    pub operation: Operation,
    /// How many such operations pass unharmed first.
    pub after: u64,
    /// How it fails.
    pub kind: FaultKind,
}

/// The simulated disk; clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// A file on a [`SimDisk`].
#[derive(Clone, Debug)]
pub struct SimFile {
    state: Arc<Mutex<State>>,
    inode: u64,
}

/// The lock of a [`SimDisk`], held until dropped.
#[derive(Debug)]
pub struct SimLock(Arc<AtomicBool>);

#[derive(Clone, Debug)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    /// What `list` shows.
    names: BTreeMap<String, u64>,
    /// What a power cut leaves for certain.
    durable_names: BTreeMap<String, u64>,
    unsynced_names: Vec<NameChange>,
    faults: Vec<Fault>,
    dead: bool,
    capacity_bytes: u64,
    used_bytes: u64,
    operations: u64,
    random: Random,
    locked: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(String, u64),
    Rename(String, String, u64),
    Remove(String),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What readers see.
    live: Image,
    /// What a power cut leaves for certain.
    durable: Image,
    /// Sectors as they were after each write since the last sync, in order.
    unsynced: Vec<(usize, Sector)>,
}

#[derive(Clone, Debug, Default)]
struct Image {
    length: usize,
    sectors: Arc<Vec<Option<Sector>>>,
}

impl Image {
    fn sector(&self, index: usize) -> Option<&Sector> {
        self.sectors.get(index)?.as_ref()
    }

    /// Puts a sector in its place; true if the place was empty.
    fn put(&mut self, index: usize, sector: Sector) -> bool {
        let sectors = Arc::make_mut(&mut self.sectors);
        if sectors.len() <= index {
            sectors.resize(index + 1, None);
        }
        sectors[index].replace(sector).is_none()
    }

    fn read(&self, buffer: &mut [u8], offset: usize) -> usize {
        let end = self.length.min(offset.saturating_add(buffer.len()));
        let mut at = offset;
        while at < end {
            let (index, within) = (at / SECTOR_BYTES, at % SECTOR_BYTES);
            let take = (SECTOR_BYTES - within).min(end - at);
            let target = &mut buffer[at - offset..][..take];
            match self.sector(index) {
                Some(sector) => target.copy_from_slice(&sector[within..within + take]),
                None => target.fill(0),
            }
            at += take;
        }
        end.saturating_sub(offset)
    }

    fn allocated_bytes(&self) -> u64 {
        (self.sectors.iter().flatten().count() * SECTOR_BYTES) as u64
    }
}

impl SimDisk {
    /// An empty disk. The seed decides what failed operations leave behind.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::from_state(State {
            inodes: BTreeMap::new(),
            next_inode: 1,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            faults: Vec::new(),
            dead: false,
            capacity_bytes: u64::MAX,
            used_bytes: 0,
            operations: 0,
            random: Random::new(seed),
            locked: Arc::default(),
        })
    }

    fn from_state(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A copy as the next process finds it after this one was killed: what was written is there, synced or not.
    #[must_use]
    pub fn killed(&self) -> Self {
        let mut state = lock(&self.state).clone();
        state.revive();
        Self::from_state(state)
    }

    /// A copy as it is after a power cut: of what was not synced, the seed decides what is there.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut state = lock(&self.state).clone();
        state.revive();
        state.random = Random::new(seed);
        state.lose_power();
        Self::from_state(state)
    }

    /// Adds a failure to come.
    pub fn inject(&self, fault: Fault) {
        lock(&self.state).faults.push(fault);
    }

    /// Forgets failures that have not struck.
    pub fn clear_faults(&self) {
        lock(&self.state).faults.clear();
    }

    /// Sets how many bytes files may take; `u64::MAX` for no limit.
    pub fn set_capacity_bytes(&self, bytes: u64) {
        lock(&self.state).capacity_bytes = bytes;
    }

    /// Bytes that files take.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        lock(&self.state).used_bytes
    }

    /// Operations so far, reads excepted.
    #[must_use]
    pub fn operations(&self) -> u64 {
        lock(&self.state).operations
    }

    /// Whether [`FaultKind::Die`] has struck.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        lock(&self.state).dead
    }

    /// A file's bytes as readers see them.
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = lock(&self.state);
        let image = &state.inodes[state.names.get(name)?].live;
        let mut bytes = vec![0; image.length];
        image.read(&mut bytes, 0);
        Some(bytes)
    }

    /// Rot: changes one byte of a file, in the cache and on the medium.
    pub fn flip(&self, name: &str, offset: usize, mask: u8) {
        let mut state = lock(&self.state);
        let Some(&inode) = state.names.get(name) else { return };
        let Some(inode) = state.inodes.get_mut(&inode) else { return };
        for image in [&mut inode.live, &mut inode.durable] {
            let mut sector = image.sector(offset / SECTOR_BYTES).map_or([0; SECTOR_BYTES], |sector| **sector);
            sector[offset % SECTOR_BYTES] ^= mask;
            image.put(offset / SECTOR_BYTES, Arc::new(sector));
        }
    }
}

impl State {
    fn revive(&mut self) {
        self.locked = Arc::default();
        self.dead = false;
        self.faults.clear();
    }

    fn lose_power(&mut self) {
        // Whether much or little survives varies from crash to crash, so that all-or-nothing is as likely as a mix.
        let survival_percent = [0, 10, 50, 90, 100][self.random.below(5) as usize];
        let mut names = std::mem::take(&mut self.durable_names);
        for change in std::mem::take(&mut self.unsynced_names) {
            if self.random.chance(survival_percent) {
                change.apply(&mut names);
            }
        }
        self.inodes.retain(|inode, _| names.values().any(|used| used == inode));
        for inode in self.inodes.values_mut() {
            inode.lose_power(survival_percent, &mut self.random);
        }
        self.used_bytes = self.inodes.values().map(|inode| inode.live.allocated_bytes()).sum();
        self.names.clone_from(&names);
        self.durable_names = names;
    }

    /// Counts an operation and tells how it fails, if it does. `Ok(true)` means: let it happen, then fail.
    fn strike(&mut self, operation: Operation) -> Result<Option<FaultKind>, io::Error> {
        if self.dead {
            return Err(io::Error::other("the simulated process is dead"));
        }
        if operation != Operation::Read {
            self.operations += 1;
        }
        let mut struck = None;
        for (index, fault) in self.faults.iter_mut().enumerate() {
            let concerns = fault.operation == operation
                || (fault.operation == Operation::Any && operation != Operation::Read);
            if !concerns {
                continue;
            }
            if fault.after == 0 {
                struck = Some(index);
                break;
            }
            fault.after -= 1;
        }
        let Some(index) = struck else { return Ok(None) };
        let fault = self.faults.remove(index);
        if fault.kind == FaultKind::Die {
            self.dead = true;
        }
        Ok(Some(fault.kind))
    }

    /// For operations that happen whole or not at all.
    fn strike_whole(&mut self, operation: Operation) -> io::Result<()> {
        match self.strike(operation)? {
            None => Ok(()),
            Some(FaultKind::Error(kind)) => Err(kind.into()),
            Some(FaultKind::Short) => Err(io::ErrorKind::StorageFull.into()),
            Some(FaultKind::Die) => Err(io::Error::other("the simulated process dies")),
        }
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
        let used: Vec<u64> = self.names.values().copied().collect();
        let gone = |(inode, _): &(&u64, &Inode)| !used.contains(inode);
        let freed: u64 = self.inodes.iter().filter(gone).map(|(_, inode)| inode.live.allocated_bytes()).sum();
        let all: u64 = self.inodes.values().map(|inode| inode.live.allocated_bytes()).sum();
        self.used_bytes = all - freed;
    }

    fn write(&mut self, inode: u64, bytes: &[u8], offset: usize) -> io::Result<()> {
        let free = self.capacity_bytes.saturating_sub(self.used_bytes);
        let inode = self.inodes.get_mut(&inode).ok_or(io::ErrorKind::NotFound)?;
        let mut added = 0;
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done;
            let (index, within) = (at / SECTOR_BYTES, at % SECTOR_BYTES);
            let take = (SECTOR_BYTES - within).min(bytes.len() - done);
            let mut sector = inode.live.sector(index).map_or([0; SECTOR_BYTES], |sector| **sector);
            if inode.live.sector(index).is_none() && added + SECTOR_BYTES as u64 > free {
                self.used_bytes += added;
                return Err(io::ErrorKind::StorageFull.into());
            }
            sector[within..within + take].copy_from_slice(&bytes[done..done + take]);
            let sector = Arc::new(sector);
            if inode.live.put(index, Arc::clone(&sector)) {
                added += SECTOR_BYTES as u64;
            }
            inode.unsynced.push((index, sector));
            done += take;
            inode.live.length = inode.live.length.max(at + take);
        }
        self.used_bytes += added;
        Ok(())
    }
}

impl Inode {
    fn sync(&mut self) {
        for (index, sector) in self.unsynced.drain(..) {
            self.durable.put(index, sector);
        }
        self.durable.length = self.live.length;
    }

    /// A sync that failed: some sectors made it; the rest counts as clean, and no later sync writes it.
    fn sync_badly(&mut self, random: &mut Random) {
        let survival_percent = random.below(101);
        self.settle(survival_percent, random);
    }

    fn lose_power(&mut self, survival_percent: u64, random: &mut Random) {
        self.settle(survival_percent, random);
        self.live = self.durable.clone();
    }

    fn settle(&mut self, survival_percent: u64, random: &mut Random) {
        for (index, sector) in self.unsynced.drain(..) {
            if random.chance(survival_percent) {
                self.durable.put(index, sector);
            }
        }
        if random.chance(survival_percent) {
            self.durable.length = self.live.length;
        }
        // What lies beyond the length is not there, and reads as zeros if the file grows again.
        let sectors_kept = self.durable.length.div_ceil(SECTOR_BYTES);
        if self.durable.sectors.len() > sectors_kept {
            Arc::make_mut(&mut self.durable.sectors).truncate(sectors_kept);
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Create(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lock = SimLock;

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let mut state = lock(&self.state);
        state.strike_whole(Operation::Open)?;
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::default());
        state.change_name(NameChange::Create(name.to_owned(), inode));
        Ok(SimFile { state: Arc::clone(&self.state), inode })
    }

    fn open(&self, name: &str) -> io::Result<SimFile> {
        let mut state = lock(&self.state);
        state.strike_whole(Operation::Open)?;
        let inode = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(SimFile { state: Arc::clone(&self.state), inode })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.strike_whole(Operation::Rename)?;
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.strike_whole(Operation::Rename)?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = lock(&self.state);
        state.strike_whole(Operation::Read)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.strike_whole(Operation::SyncDir)?;
        state.durable_names = state.names.clone();
        state.unsynced_names.clear();
        let State { inodes, durable_names, .. } = &mut *state;
        inodes.retain(|inode, _| durable_names.values().any(|used| used == inode));
        Ok(())
    }

    fn try_lock(&self) -> io::Result<Option<SimLock>> {
        let flag = Arc::clone(&lock(&self.state).locked);
        Ok((!flag.swap(true, Ordering::SeqCst)).then_some(SimLock(flag)))
    }

    fn path_of(&self, name: &str) -> PathBuf {
        PathBuf::from("sim").join(name)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = lock(&self.state);
        state.strike_whole(Operation::Read)?;
        let inode = state.inodes.get(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        Ok(inode.live.read(buffer, offset as usize))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let offset = offset as usize;
        match state.strike(Operation::Write)? {
            None => state.write(self.inode, bytes, offset),
            Some(FaultKind::Error(kind)) => Err(kind.into()),
            Some(FaultKind::Short | FaultKind::Die) => {
                let kept = state.random.below(bytes.len() as u64 + 1) as usize;
                state.write(self.inode, &bytes[..kept], offset)?;
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        let struck = state.strike(Operation::Sync)?;
        let State { inodes, random, .. } = &mut *state;
        let inode = inodes.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        match struck {
            None => {
                inode.sync();
                Ok(())
            }
            Some(kind) => {
                inode.sync_badly(random);
                Err(match kind {
                    FaultKind::Error(kind) => kind.into(),
                    FaultKind::Short | FaultKind::Die => io::Error::other("the simulated sync failed"),
                })
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        let state = lock(&self.state);
        Ok(state.inodes.get(&self.inode).ok_or(io::ErrorKind::NotFound)?.live.length as u64)
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// A test that panicked elsewhere leaves the state as consistent as a real disk's.
fn lock(state: &Arc<Mutex<State>>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
