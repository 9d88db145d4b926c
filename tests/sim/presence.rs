//! S18: presence records are true, one at a time, and end with their worker.

use std::collections::BTreeMap;

use ivy_proto::OpId;
use ivy_proto::notify::Publication;
use ivy_proto::presence::{Identity, Listener, Record, WorkerState};

use crate::setup::shared_channel;
use crate::task::ProcessId;
use crate::world::World;

/// What the world knows about the presence of each process.
pub(crate) struct Presence {
    known: BTreeMap<ProcessId, Known>,
    /// Hears every record that reaches the notifier.
    listener: Listener,
}

#[derive(Default)]
struct Known {
    /// The number of its last record.
    seq: u64,
    in_flight: Option<OpId>,
    /// Whether its last record was published, by the reply that reached it.
    is_published: bool,
    /// Handlers that it has started.
    started: u64,
    is_gone: bool,
}

impl Presence {
    pub(crate) fn new(codec: ivy_proto::wire::Codec) -> Presence {
        let listener = Listener::new(codec, &shared_channel()).expect("the name is short");
        Presence { known: BTreeMap::new(), listener }
    }

    /// What a worker of the simulation publishes about its process.
    pub(crate) fn identity() -> Identity {
        Identity::new("0", "simulation").with_process(Some("sim"), 1)
    }

    /// A process starts a handler.
    pub(crate) fn started(&mut self, who: ProcessId) {
        self.known.entry(who).or_default().started += 1;
    }

    /// The reply to a record has reached its process.
    pub(crate) fn replied(&mut self, who: ProcessId, op: OpId, is_published: bool) {
        if let Some(known) = self.known.get_mut(&who)
            && known.in_flight == Some(op)
        {
            (known.in_flight, known.is_published) = (None, is_published);
        }
    }

    /// Whether a worker that ends now should have published a last record: not if its notifier
    /// fails or does not reply.
    fn owes_last_record(&self, who: ProcessId) -> bool {
        let known = self.known.get(&who);
        known.is_some_and(|known| known.is_published && known.in_flight.is_none() && !known.is_gone)
    }
}

impl World {
    /// Whether a publication is a presence record.
    pub(crate) fn is_record(&self, publication: &Publication) -> bool {
        publication.channel == *self.presence.listener.channel()
    }

    /// A worker publishes a presence record.
    pub(crate) fn check_record(&mut self, who: ProcessId, op: OpId, publication: &Publication) {
        let payload = publication.payload.as_str().as_bytes();
        // A worker that was started for the quiet phase has the reader's keys.
        let open = |codec| Record::open(payload, &publication.channel, codec);
        let opened = open(&self.keys.codec_of(who.host)).or_else(|_| open(self.keys.reader()));
        let known = self.presence.known.entry(who).or_default();
        let problem = match &opened {
            Err(bad) => Some(format!("a record that does not open: {bad}")),
            Ok(_) if known.in_flight.is_some() => Some("a second record at a time".to_owned()),
            Ok(_) if known.is_gone => Some("a record after its last one".to_owned()),
            Ok(record) if record.seq != known.seq + 1 => {
                Some(format!("record {} after {}", record.seq, known.seq))
            }
            Ok(record) => {
                let started: u64 = record.counts.values().map(|counts| counts.started).sum();
                let is_true = started == known.started
                    && record.slots == self.setup.concurrency as u64
                    && record.running <= record.slots
                    && record.longest.len() as u64 == record.running.min(20);
                (!is_true).then(|| format!("{record:?} after {} starts", known.started))
            }
        };
        known.seq += 1;
        known.in_flight = Some(op);
        known.is_gone = opened.is_ok_and(|record| record.state == WorkerState::Gone);
        if let Some(problem) = problem {
            self.checker.broken("S18", || format!("{who:?} publishes {problem}"));
        }
    }

    /// A worker has drained within its limit, undisturbed.
    pub(crate) fn check_last_record(&mut self, who: ProcessId) {
        if self.presence.owes_last_record(who) {
            self.checker.broken("S18", || format!("{who:?} has drained without a last record"));
        }
    }

    /// A record has reached the notifier. Returns how many subscribers received it.
    pub(crate) fn record_arrives(&mut self, publication: &Publication) -> u64 {
        let payload = publication.payload.as_str().as_bytes();
        // A worker may have keys that this reader does not have yet, or no more.
        let _ = self.presence.listener.hear(payload, self.now);
        u64::from(self.setup.watched && self.quiet_phase.is_none())
    }
}
