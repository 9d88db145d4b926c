//! What happened, as a number that tells two runs apart, and in words if somebody wants to read.

use ivy_proto::Moment;
use serde_json::json;

use crate::fault_injection::Decision;
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
    Decision(Decision),
}

impl Trace {
    /// Keeps the words too, from now on.
    pub(crate) fn keep_words(&mut self) {
        self.lines.get_or_insert_default();
    }

    /// Takes a number into the hash.
    pub(crate) fn mix(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// Takes into the hash what came to whom.
    pub(crate) fn mix_name(&mut self, who: ProcessId, name: &str) {
        let sum =
            name.bytes().fold(who.host as u64, |sum, byte| sum.wrapping_mul(31) ^ u64::from(byte));
        self.mix(sum);
    }

    /// Something happens to somebody, or to all.
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

    /// A fault comes to somebody.
    pub(crate) fn decide(&mut self, at: Moment, actor: Option<ProcessId>, decision: &Decision) {
        self.mix(u64::from(decision.nth) << 8 ^ decision.fault as u64);
        if let Some(lines) = &mut self.lines {
            lines.push(Line { at, actor, what: What::Decision(decision.clone()) });
        }
    }

    /// What nobody may read and stands in the words all the same.
    pub(crate) fn secrets(&self) -> Option<Breach> {
        let lines = self.lines.iter().flatten();
        let mut words = lines.filter_map(|line| match &line.what {
            What::Event(words) => Some(words),
            What::Decision(_) => None,
        });
        let told = words.find(|words| {
            number_in(words).is_some() || SECRETS.iter().any(|secret| words.contains(secret))
        })?;
        Some(Breach { law: "S12", what: format!("a secret or an argument was told: {told}") })
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The words as JSON lines.
    pub(crate) fn to_json_lines(&self) -> String {
        let lines = self.lines.iter().flatten().map(|line| {
            let mut entry = json!({"t": line.at.as_nanos() as f64 / 1e9});
            if let Some(who) = line.actor {
                entry["actor"] = json!(format!("host {}, life {}", who.host, who.life));
            }
            match &line.what {
                What::Event(words) => entry["event"] = json!(words),
                What::Decision(decision) => entry["decision"] = json!(decision),
            }
            format!("{entry}\n")
        });
        lines.collect()
    }
}
