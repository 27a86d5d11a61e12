//! The metrics page: `metrics-port` serves `/metrics`, `/health/live` and `/health/ready` from a thread of its own.
//!
//! That thread asks the data thread for numbers and renders them itself, so that a scrape costs the data thread a copy
//! of its counters. The page is there before recovery begins, and while the journal is stuck.

mod families;
mod page;
mod process;
mod table;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use sessile_config::{Config, table as names};
use sessile_engine::{ClientSums, Figures, Refusal};
use tokio::sync::{mpsc, oneshot};

use crate::reactor::Alarm;
use crate::shard::Shard;

/// Questions that may wait for the data thread; more wait at their sender.
const ASKS_MAX: usize = 16;
/// Connections that are added up before others have a turn.
const CLIENTS_A_TURN: usize = 256;

/// What the page asks the data thread.
enum Ask {
    Numbers(oneshot::Sender<Box<Numbers>>),
    /// Why the node is not ready, in one sentence.
    Ready(oneshot::Sender<Option<String>>),
}

/// Everything that the page shows.
struct Numbers {
    engine: Figures,
    clients: ClientSums,
    journal: Option<Journal>,
    not_ready: Option<String>,
}

/// The journal's part.
struct Journal {
    figures: sessile_journal::Figures,
    progress: sessile_journal::Progress,
    sizes: sessile_journal::Sizes,
}

/// The data thread's end of the page.
pub(crate) struct Page {
    asks: mpsc::Receiver<Ask>,
    gathering: Option<Gathering>,
}

/// Numbers that are being gathered: adding up ten thousand clients takes several turns.
struct Gathering {
    clients: ClientSums,
    /// The connection that comes next.
    next: usize,
    reply: oneshot::Sender<Box<Numbers>>,
}

/// Opens the page, if `metrics-port` asks for one.
pub(crate) fn open(config: &Config, alarm: &Arc<Alarm>) -> Result<Option<Page>, String> {
    let port = config.port(names::METRICS_PORT);
    if port == 0 {
        return Ok(None);
    }
    let host = config.text(names::METRICS_BIND).into_owned();
    let address = if host == "*" { "0.0.0.0" } else { &host };
    let listener = TcpListener::bind((address, port)).map_err(|error| {
        format!("cannot serve metrics on {host}:{port}: {error}; check `metrics-bind` and `metrics-port`")
    })?;
    let (sender, asks) = mpsc::channel(ASKS_MAX);
    page::start(listener, page::Door { asks: sender, alarm: Arc::clone(alarm) })
        .map_err(|error| format!("cannot serve metrics on {host}:{port}: {error}"))?;
    tracing::info!("metrics and health are on http://{host}:{port}/metrics, /health/live and /health/ready");
    Ok(Some(Page { asks, gathering: None }))
}

impl Page {
    /// Whether [`gather`] has to go on.
    pub(crate) fn is_gathering(&self) -> bool {
        self.gathering.is_some()
    }
}

/// Answers what was asked, on the data thread. Whoever asked may have given up.
pub(crate) fn answer(shard: &mut Shard) {
    while let Some(page) = shard.metrics.as_mut().filter(|page| !page.is_gathering()) {
        match page.asks.try_recv() {
            Ok(Ask::Numbers(reply)) => {
                page.gathering = Some(Gathering { clients: ClientSums::default(), next: 0, reply });
            }
            Ok(Ask::Ready(reply)) => drop(reply.send(why_not_ready(shard))),
            Err(_) => return,
        }
    }
}

/// Goes on with the numbers that were asked for.
pub(crate) fn gather(shard: &mut Shard) {
    let Some(page) = shard.metrics.as_mut() else { return };
    let Some(mut gathering) = page.gathering.take() else { return };
    if let Some(next) = shard.engine.add_up_clients(gathering.next, CLIENTS_A_TURN, &mut gathering.clients) {
        gathering.next = next;
        page.gathering = Some(gathering);
        return;
    }
    let Gathering { clients, reply, .. } = gathering;
    let journal = shard.journal.as_ref().map(|link| Journal {
        figures: link.disk.figures(),
        progress: sessile_journal::Journal::progress(&link.disk),
        sizes: sessile_journal::Journal::sizes(&link.disk),
    });
    let engine = shard.engine.figures();
    drop(reply.send(Box::new(Numbers { engine, clients, journal, not_ready: why_not_ready(shard) })));
    answer(shard);
}

fn why_not_ready(shard: &Shard) -> Option<String> {
    match shard.engine.refusal() {
        Some(Refusal::Journal(why)) => return Some(format!("writes are refused: {why}")),
        Some(Refusal::Dump) => {
            return Some(
                "writes are refused: the last dump.rdb could not be written, see the log for why".into(),
            );
        }
        Some(Refusal::Stopping) => return Some(STOPPING.into()),
        None if shard.ending.is_some() => return Some(STOPPING.into()),
        None => {}
    }
    let under_way = shard.journal.as_ref()?.disk.figures().sync_under_way?;
    is_stuck(under_way, shard.wait_max).then(|| {
        format!(
            "an fsync of the journal has taken {} s so far: no write is acknowledged",
            under_way.as_secs()
        )
    })
}

const STOPPING: &str = "the node is stopping";

/// Whether an fsync takes longer than writes would wait for it.
fn is_stuck(under_way: Duration, wait_max: Duration) -> bool {
    under_way > wait_max
}
