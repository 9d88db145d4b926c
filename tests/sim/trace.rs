//! The history of a run, as a hash that distinguishes runs, and in words if requested.

use ivy_proto::Moment;
use serde_json::json;

use crate::fault_injection::PlannedFault;
use crate::laws::Breach;
use crate::setup::SECRETS;
use crate::task::{ProcessId, number_in};

#[derive(Default)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<Line>>,
}

struct Line {
    at: Moment,
    actor: Option<ProcessId>,
    what: What,
}

enum What {
    Event(String),
    PlannedFault(PlannedFault),
}

impl Trace {
    /// Records the words too, from now on.
    pub(crate) fn keep_words(&mut self) {
        self.lines.get_or_insert_default();
    }

    /// Adds a number to the hash.
    pub(crate) fn mix(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// Adds an input and its receiver to the hash.
    pub(crate) fn mix_name(&mut self, who: ProcessId, name: &str) {
        let sum =
            name.bytes().fold(who.host as u64, |sum, byte| sum.wrapping_mul(31) ^ u64::from(byte));
        self.mix(sum);
    }

    /// An event of one process, or of all.
    pub(crate) fn note(
        &mut self,
        at: Moment,
        actor: impl Into<Option<ProcessId>>,
        words: impl FnOnce() -> String,
    ) {
        if let Some(lines) = &mut self.lines {
            lines.push(Line { at, actor: actor.into(), what: What::Event(words()) });
        }
    }

    /// A fault of a process.
    pub(crate) fn decide(&mut self, at: Moment, actor: Option<ProcessId>, fault: &PlannedFault) {
        self.mix(u64::from(fault.nth) << 8 ^ fault.fault as u64);
        if let Some(lines) = &mut self.lines {
            lines.push(Line { at, actor, what: What::PlannedFault(fault.clone()) });
        }
    }

    /// A secret that the words contain although they must not.
    pub(crate) fn secrets(&self) -> Option<Breach> {
        let lines = self.lines.iter().flatten();
        let mut words = lines.filter_map(|line| match &line.what {
            What::Event(words) => Some(words),
            What::PlannedFault(_) => None,
        });
        let text = words.find(|words| {
            number_in(words).is_some() || SECRETS.iter().any(|secret| words.contains(secret))
        })?;
        Some(Breach {
            law: "S12",
            what: format!("the output contains a secret or an argument: {text}"),
        })
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The words as JSON lines.
    pub(crate) fn to_json_lines(&self) -> String {
        let lines = self.lines.iter().flatten().map(|line| {
            let mut entry = json!({"t": line.at.as_nanos() as f64 / 1e9});
            if let Some(who) = line.actor {
                entry["actor"] =
                    json!(format!("host {}, incarnation {}", who.host, who.incarnation));
            }
            match &line.what {
                What::Event(words) => entry["event"] = json!(words),
                What::PlannedFault(fault) => entry["fault"] = json!(fault),
            }
            format!("{entry}\n")
        });
        lines.collect()
    }
}
