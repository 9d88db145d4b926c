//! Collects the records of a presence channel.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::name::{ChannelName, InvalidName};
use crate::time::Moment;
use crate::wire::Codec;

use super::PRESENCE_CAP;
use super::bad_presence::BadPresence;
use super::identity::WorkerId;
use super::rates::Rates;
use super::record::{Record, WorkerState};

/// After this time without a record, a worker counts as silent: it has missed three.
pub const SILENT_AFTER: Duration = Duration::from_secs(50);
/// After this time without a record, a worker is forgotten.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// The most workers that are remembered.
const MOST_WORKERS: usize = 5_000;
/// The maximum number of bytes of their records, as they were published.
const MOST_BYTES: usize = 32 << 20;

/// Collects the records of a presence channel, without IO. The driver subscribes to
/// [`channel`](Listener::channel) and reports what it hears.
///
/// Memory is bounded: at most 5,000 workers and 32 MiB of records are remembered. Beyond that, the
/// workers that have been silent for longest are dropped.
#[derive(Debug)]
pub struct Listener {
    codec: Codec,
    channel: ChannelName,
    workers: BTreeMap<WorkerId, Known>,
    bytes: usize,
    /// When the subscription came up, if it is up.
    up_since: Option<Moment>,
    listened: Duration,
    ignored: u64,
    last_ignored: Option<BadPresence>,
    evicted: u64,
}

/// A worker that was heard.
#[derive(Debug)]
struct Known {
    record: Record,
    size: usize,
    heard_at: Moment,
    missed: u64,
    rates: Option<Rates>,
}

/// What a listener has heard.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Heard {
    /// The workers, by host, process and id.
    pub workers: Vec<HeardWorker>,
    /// How long the subscription was up.
    pub listened: Duration,
    /// How long the present subscription has been up; zero if it is not. After
    /// [`LISTEN_FOR`](super::LISTEN_FOR), every worker that publishes was heard.
    pub up: Duration,
    /// How many publications were no records, or could not be opened.
    pub ignored: u64,
    /// Why the last one of them was ignored.
    pub last_ignored: Option<BadPresence>,
    /// How many workers were dropped because there were too many.
    pub evicted: u64,
}

/// A worker that was heard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HeardWorker {
    /// Its last record.
    pub record: Record,
    /// Whether it is still there, as far as is known.
    pub liveness: Liveness,
    /// The time since its last record.
    pub silence: Duration,
    /// How many of its records were lost so far, by their numbers.
    pub missed: u64,
    /// The difference between its last two records; `None` after the first one.
    pub rates: Option<Rates>,
}

/// Whether a worker is still there, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Liveness {
    /// It was heard lately.
    Alive,
    /// It has missed three records. That does not mean that it ended: it may have lost its notifier.
    Silent,
    /// It has drained, by its own last record.
    Gone,
}

impl Listener {
    /// A listener for workers of this notification channel. `codec` opens sealed records.
    ///
    /// # Errors
    /// If the name of the presence channel would be too long.
    pub fn new(codec: Codec, prefix: &ChannelName) -> Result<Self, InvalidName> {
        Ok(Listener {
            codec,
            channel: prefix.presence()?,
            workers: BTreeMap::new(),
            bytes: 0,
            up_since: None,
            listened: Duration::ZERO,
            ignored: 0,
            last_ignored: None,
            evicted: 0,
        })
    }

    /// The channel to subscribe to.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// The subscription is up.
    pub fn subscribed(&mut self, now: Moment) {
        self.up_since.get_or_insert(now);
    }

    /// The subscription was lost.
    pub fn lost(&mut self, now: Moment) {
        self.listened = self.listened_until(now);
        self.up_since = None;
    }

    /// Handles a publication on the channel, and returns the record. One that arrives after a later
    /// one of the same worker changes nothing.
    ///
    /// # Errors
    /// If it is not a record, or cannot be opened here. It is counted and ignored.
    pub fn hear(&mut self, payload: &[u8], now: Moment) -> Result<&Record, BadPresence> {
        let record = match Record::open(payload, &self.channel, &self.codec) {
            Ok(record) => record,
            Err(bad) => {
                self.ignored = self.ignored.saturating_add(1);
                self.last_ignored = Some(bad.clone());
                return Err(bad);
            }
        };
        let worker = record.worker;
        let size = payload.len().min(PRESENCE_CAP);
        match self.workers.get_mut(&worker) {
            Some(known) if known.record.seq >= record.seq => {}
            Some(known) => {
                known.missed = known.missed.saturating_add(record.seq - known.record.seq - 1);
                known.rates = Rates::between(&known.record, &record);
                self.bytes = self.bytes - known.size + size;
                (known.size, known.heard_at, known.record) = (size, now, record);
            }
            None => {
                self.bytes += size;
                let known = Known { record, size, heard_at: now, missed: 0, rates: None };
                self.workers.insert(worker, known);
            }
        }
        self.make_room(worker, now);
        // It was inserted just now, and the newest is never dropped.
        self.workers
            .get(&worker)
            .map(|known| &known.record)
            .ok_or(BadPresence::Invalid("there is no room for it"))
    }

    /// What was heard so far.
    #[must_use]
    pub fn heard(&mut self, now: Moment) -> Heard {
        self.forget_old(now);
        let mut workers: Vec<HeardWorker> =
            self.workers.values().map(|known| known.at(now)).collect();
        workers.sort_by(|one, other| {
            let key = |worker: &HeardWorker| {
                let Record { identity, worker, .. } = &worker.record;
                (identity.host.clone(), identity.pid, *worker)
            };
            key(one).cmp(&key(other))
        });
        Heard {
            workers,
            listened: self.listened_until(now),
            up: self.up_for(now),
            ignored: self.ignored,
            last_ignored: self.last_ignored.clone(),
            evicted: self.evicted,
        }
    }

    fn up_for(&self, now: Moment) -> Duration {
        self.up_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    fn listened_until(&self, now: Moment) -> Duration {
        self.listened.saturating_add(self.up_for(now))
    }

    fn forget_old(&mut self, now: Moment) {
        let (workers, bytes) = (&mut self.workers, &mut self.bytes);
        workers.retain(|_, known| {
            let stays = now.since(known.heard_at) < FORGOTTEN_AFTER;
            *bytes -= if stays { 0 } else { known.size };
            stays
        });
    }

    /// Drops the workers that have been silent for longest, except this one, until the others fit.
    fn make_room(&mut self, newest: WorkerId, now: Moment) {
        if self.workers.len() <= MOST_WORKERS && self.bytes <= MOST_BYTES {
            return;
        }
        self.forget_old(now);
        while self.workers.len() > MOST_WORKERS || self.bytes > MOST_BYTES {
            let others = self.workers.iter().filter(|(worker, _)| **worker != newest);
            let Some((oldest, _)) = others.min_by_key(|(_, known)| known.heard_at) else { return };
            let oldest = *oldest;
            if let Some(known) = self.workers.remove(&oldest) {
                self.bytes -= known.size;
                self.evicted = self.evicted.saturating_add(1);
            }
        }
    }
}

impl Known {
    fn at(&self, now: Moment) -> HeardWorker {
        let silence = now.since(self.heard_at);
        let liveness = match self.record.state {
            WorkerState::Gone => Liveness::Gone,
            _ if silence >= SILENT_AFTER => Liveness::Silent,
            _ => Liveness::Alive,
        };
        let (record, rates) = (self.record.clone(), self.rates.clone());
        HeardWorker { record, liveness, silence, missed: self.missed, rates }
    }
}
