//! The thread that writes `dump.rdb` from what the snapshot's cursor encodes.
//!
//! The file is written beside the old one, and takes its place once it is durable and the journal holds everything
//! in it: a copy must not know what a crash could still undo.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use sessile_keyspace::export::{Framing, Piece};
use sessile_rdb::{Facts, Writer, put_entry_head, put_select_db};

/// Encoded bytes that may wait for the disk. Beyond it the cursor rests.
const QUEUE_BYTES_MAX: usize = 4 << 20;
/// What is gathered before it is written to the file.
const BUFFER_BYTES: usize = 1 << 20;

/// Puts entries into the parts of an RDB file.
#[derive(Default)]
pub(crate) struct RdbFraming {
    db: Option<u32>,
}

impl Framing for RdbFraming {
    fn piece(&mut self, out: &mut Vec<u8>, piece: Piece<'_>) {
        if !piece.first {
            out.extend_from_slice(piece.payload);
            return;
        }
        // Entries that writers saved come between those of the walk, whatever their db.
        if self.db != Some(piece.db) {
            put_select_db(out, piece.db);
            self.db = Some(piece.db);
        }
        let (number, body) = piece.payload.split_first().expect("a payload starts with its type");
        put_entry_head(out, piece.key, piece.expire_ms, *number);
        out.extend_from_slice(body);
    }
}

enum Message {
    Bytes(Vec<u8>),
    /// All bytes were sent, and everything in them is durable.
    Publish,
}

/// A file that is being written.
pub(crate) struct DumpWriter {
    /// The LSN that the journal must have made durable before the file counts.
    pub lsn: u64,
    /// Entries in it, once all are encoded.
    pub entries: Option<u64>,
    messages: Option<Sender<Message>>,
    queued_bytes: Arc<AtomicUsize>,
    thread: JoinHandle<io::Result<u64>>,
    path: String,
}

impl DumpWriter {
    /// Starts the thread. `path` is where the file will be; an error is one sentence.
    pub(crate) fn start(path: String, facts: Facts, lsn: u64) -> Result<Self, String> {
        let (sender, receiver) = channel();
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let (target, queued) = (path.clone(), Arc::clone(&queued_bytes));
        let thread = std::thread::Builder::new()
            .name("dump".into())
            .spawn(move || write(&target, facts, &receiver, &queued))
            .map_err(|error| format!("cannot start the thread that writes {path}: {error}"))?;
        Ok(Self { lsn, entries: None, messages: Some(sender), queued_bytes, thread, path })
    }

    /// Whether more bytes may be given.
    pub(crate) fn has_room(&self) -> bool {
        self.queued_bytes.load(Ordering::Relaxed) < QUEUE_BYTES_MAX
    }

    /// Gives bytes. Those for a thread that has failed are dropped: [`DumpWriter::outcome`] says why.
    pub(crate) fn write(&self, bytes: Vec<u8>) {
        self.queued_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        self.send(Message::Bytes(bytes));
    }

    /// All bytes were given, and what they hold is durable: the file may take its place.
    pub(crate) fn publish(&mut self) {
        self.send(Message::Publish);
        self.messages = None;
    }

    /// Whether the thread still works, or waits for bytes.
    pub(crate) fn is_writing(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Whether [`DumpWriter::publish`] was called.
    pub(crate) fn is_published(&self) -> bool {
        self.messages.is_none()
    }

    /// How it went, the file's bytes; waits for the thread. A file that was not published is given up.
    pub(crate) fn outcome(mut self) -> Result<u64, String> {
        self.messages = None;
        let ended = self.thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread panicked")));
        ended.map_err(|error| format!("cannot write {}: {error}", self.path))
    }

    fn send(&self, message: Message) {
        if let Some(messages) = &self.messages {
            let _ = messages.send(message);
        }
    }
}

fn write(path: &str, facts: Facts, messages: &Receiver<Message>, queued: &AtomicUsize) -> io::Result<u64> {
    let beside = format!("temp-{}.rdb", std::process::id());
    let written = write_beside(&beside, facts, messages, queued).and_then(|bytes| {
        std::fs::rename(&beside, path)?;
        File::open(".")?.sync_all()?;
        Ok(bytes)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

fn write_beside(
    path: &str,
    facts: Facts,
    messages: &Receiver<Message>,
    queued: &AtomicUsize,
) -> io::Result<u64> {
    let mut writer = Writer::new(BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?), facts)?;
    loop {
        match messages.recv() {
            Ok(Message::Bytes(bytes)) => {
                writer.framed(&bytes)?;
                queued.fetch_sub(bytes.len(), Ordering::Relaxed);
            }
            Ok(Message::Publish) => break,
            Err(_) => return Err(io::Error::new(io::ErrorKind::Interrupted, "it was given up")),
        }
    }
    let mut out = writer.finish()?;
    out.flush()?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}
