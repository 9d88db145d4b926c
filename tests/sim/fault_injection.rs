//! Random choices: each component has its own streams of random numbers.
//!
//! Each component draws from two streams, one for natural variation (how long something takes) and
//! one for faults. So one more draw does not change the draws of other components. The faults that
//! occur are listed, and such a list can replace the random ones.

use std::collections::BTreeMap;

use ivy_proto::Rng;
use serde::{Deserialize, Serialize};

use crate::choices::Chooser;
use crate::fault::{Class, FAULTS, Fault, Opportunity};

/// Random numbers are below this.
const PARTS: u32 = 1 << 20;

/// A fault at an opportunity, with a source for its details.
#[derive(Clone, Debug)]
pub(crate) struct InjectedFault {
    pub(crate) fault: Fault,
    pub(crate) detail: Rng,
}

/// A fault, where it occurs, and at which opportunity of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedFault {
    pub(crate) host: usize,
    pub(crate) opportunity: Opportunity,
    pub(crate) nth: u32,
    pub(crate) fault: Fault,
    /// The number that determines its details.
    pub(crate) detail: u64,
}

/// How often faults occur: at one of this many opportunities of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FaultRates {
    pub(crate) one_request_in: u32,
    pub(crate) one_step_in: u32,
    pub(crate) one_handler_in: u32,
    pub(crate) one_publish_in: u32,
}

/// Where faults come from.
pub(crate) enum Source {
    /// Random.
    Drawn,
    /// Decided in advance.
    Listed(BTreeMap<(usize, Opportunity, u32), (Fault, u64)>),
    /// All possibilities, one run after the other.
    Chosen(Chooser),
}

struct Stream {
    variation: Rng,
    faults: Rng,
    /// How many opportunities of each kind there were.
    opportunities: [u32; Opportunity::ALL.len()],
}

/// The thresholds of a menu: a number below a threshold selects its fault.
#[derive(Default)]
struct Odds {
    bounds: Vec<(u32, Fault)>,
    total: u32,
}

pub(crate) struct FaultInjector {
    streams: Vec<Stream>,
    odds: [Odds; Opportunity::ALL.len()],
    pub(crate) source: Source,
    /// The faults that occurred.
    pub(crate) faults: Vec<PlannedFault>,
    /// Whether faults occur at all: there are none after the fault phase.
    quiet_phase: bool,
}

impl Source {
    pub(crate) fn listed(faults: &[PlannedFault]) -> Source {
        let listed = faults
            .iter()
            .map(|fault| ((fault.host, fault.opportunity, fault.nth), (fault.fault, fault.detail)));
        Source::Listed(listed.collect())
    }
}

impl FaultInjector {
    pub(crate) fn new(
        seed: u64,
        components: usize,
        classes: &[Class],
        fault_rates: FaultRates,
    ) -> Self {
        let stream = |who: usize| Stream {
            variation: stream_of(seed, 2 * who as u64),
            faults: stream_of(seed, 2 * who as u64 + 1),
            opportunities: [0; Opportunity::ALL.len()],
        };
        FaultInjector {
            streams: (0..components).map(stream).collect(),
            odds: Opportunity::ALL.map(|opportunity| Odds::new(opportunity, classes, fault_rates)),
            source: Source::Drawn,
            faults: Vec::new(),
            quiet_phase: false,
        }
    }

    /// Ends the faults.
    pub(crate) fn stop_faults(&mut self) {
        self.quiet_phase = true;
    }

    /// The stream of natural variation of this component.
    pub(crate) fn variation(&mut self, who: usize) -> &mut Rng {
        &mut self.streams[who].variation
    }

    /// Decides whether a fault occurs at this opportunity.
    pub(crate) fn draw_fault(
        &mut self,
        who: usize,
        opportunity: Opportunity,
    ) -> Option<InjectedFault> {
        if self.quiet_phase {
            return None;
        }
        let stream = &mut self.streams[who];
        let nth = stream.opportunities[opportunity as usize];
        stream.opportunities[opportunity as usize] += 1;
        let (fault, detail) = match &mut self.source {
            Source::Drawn => {
                let number = stream.faults.next_u64();
                let fault = self.odds[opportunity as usize].pick((number as u32) % PARTS)?;
                (fault, number >> 20)
            }
            Source::Listed(listed) => *listed.get(&(who, opportunity, nth))?,
            Source::Chosen(chooser) => chooser.choose(opportunity)?,
        };
        self.faults.push(PlannedFault { host: who, opportunity, nth, fault, detail });
        Some(InjectedFault { fault, detail: Rng::from_number(detail) })
    }
}

impl Odds {
    fn new(opportunity: Opportunity, classes: &[Class], fault_rates: FaultRates) -> Self {
        let one_in = match opportunity {
            Opportunity::Request
            | Opportunity::Touch
            | Opportunity::DeadLetter
            | Opportunity::Reserve
            | Opportunity::Batch
            | Opportunity::Delivery => fault_rates.one_request_in,
            Opportunity::Step | Opportunity::Server => fault_rates.one_step_in,
            Opportunity::Handler => fault_rates.one_handler_in,
            Opportunity::Publish | Opportunity::Subscribe => fault_rates.one_publish_in,
        };
        let listed = FAULTS
            .iter()
            .filter(|entry| entry.opportunity == opportunity && classes.contains(&entry.class));
        let weights: u32 = listed.clone().map(|entry| entry.weight).sum();
        let mut odds = Odds::default();
        for entry in listed {
            odds.total += PARTS / one_in.max(1) / weights.max(1) * entry.weight;
            odds.bounds.push((odds.total, entry.fault));
        }
        odds
    }

    fn pick(&self, drawn: u32) -> Option<Fault> {
        if drawn >= self.total {
            return None;
        }
        self.bounds.iter().find(|(bound, _)| drawn < *bound).map(|(_, fault)| *fault)
    }
}

/// A stream of random numbers: one of many that a seed determines.
pub(crate) fn stream_of(seed: u64, number: u64) -> Rng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    Rng::from_seed(bytes)
}

/// Whether an event occurs that has this probability.
pub(crate) fn one_in(rng: &mut Rng, times: u64) -> bool {
    rng.up_to(times.saturating_sub(1)) == 0
}

/// One of several, each equally likely.
pub(crate) fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.up_to(choices.len() as u64 - 1) as usize]
}
