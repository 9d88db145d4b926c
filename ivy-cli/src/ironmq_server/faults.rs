//! Injected faults, to test how clients behave under failures.

use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use ivy_proto::Rng;

/// A `--fault` option: a kind of fault and its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    kind: FaultKind,
    /// From 0, never, to 1, always.
    chance: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultKind {
    Slow(Duration),
    ResponseFault(ResponseFault),
}

/// How a response is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseFault {
    /// The request is not executed, and this status is returned.
    Status(StatusCode),
    /// The request is executed, and the connection closed without a response.
    DropReply,
    /// The request is executed, and the response has an empty body.
    EmptyReply,
    /// The request is executed, and the connection closed in the middle of the response.
    PartialReply,
    /// The request is executed, and an array of messages is returned as `null`, as old servers did.
    NullMessages,
}

/// The faults of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InjectedFaults {
    /// How long the response is delayed.
    pub(crate) delay: Duration,
    /// How the response is damaged.
    pub(crate) fault: Option<ResponseFault>,
}

/// All faults, and their random number generator.
#[derive(Debug)]
pub(crate) struct Faults {
    faults: Vec<Fault>,
    rng: Mutex<Rng>,
}

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>, seed: u64) -> Self {
        Faults { faults, rng: Mutex::new(Rng::from_number(seed)) }
    }

    /// Draws the faults of one request: one random number per fault, whatever the other faults are,
    /// so that the same seed gives the same faults for the same sequence of requests.
    pub(crate) fn draw(&self) -> InjectedFaults {
        let mut injected = InjectedFaults::default();
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        for fault in &self.faults {
            if !occurs(&mut rng, fault.chance) {
                continue;
            }
            match fault.kind {
                FaultKind::Slow(delay) => injected.delay += delay,
                FaultKind::ResponseFault(fault) => injected.fault = injected.fault.or(Some(fault)),
            }
        }
        injected
    }
}

/// Whether an event of this probability occurs, with a resolution of a millionth.
fn occurs(rng: &mut Rng, chance: f64) -> bool {
    const PARTS: u64 = 1_000_000;
    let drawn = rng.up_to(PARTS - 1);
    (drawn as f64) < chance * PARTS as f64
}

/// Why a text is not a valid fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidFault {
    #[error(
        "the fault must be one of status=CODE, drop-reply, slow, empty-reply, partial-reply, \
         null-messages"
    )]
    Kind,
    #[error("the status must be from 400 to 599")]
    Status,
    #[error("the chance must be a number from 0 to 1")]
    Chance,
    #[error("the delay must be a whole number of ms or s, such as 250ms or 2s")]
    Delay,
    #[error("slow needs a delay, such as slow,delay=250ms")]
    NoDelay,
    #[error("only slow takes a delay")]
    NeedlessDelay,
    #[error("after the fault only chance=P and delay=D can follow, each once")]
    Option,
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let (mut chance, mut delay) = (None, None);
        for part in parts {
            match part.split_once('=') {
                Some(("chance", value)) if chance.is_none() => chance = Some(parse_chance(value)?),
                Some(("delay", value)) if delay.is_none() => delay = Some(parse_delay(value)?),
                _ => return Err(InvalidFault::Option),
            }
        }
        let kind = match (name, delay) {
            ("slow", Some(delay)) => FaultKind::Slow(delay),
            ("slow", None) => return Err(InvalidFault::NoDelay),
            (_, None) => FaultKind::ResponseFault(parse_response_fault(name)?),
            (_, Some(_)) => return Err(InvalidFault::NeedlessDelay),
        };
        Ok(Fault { kind, chance: chance.unwrap_or(1.0) })
    }
}

fn parse_response_fault(name: &str) -> Result<ResponseFault, InvalidFault> {
    match name.split_once('=') {
        Some(("status", code)) => match code.parse() {
            Ok(code) if (400..600).contains(&code) => {
                let status = StatusCode::from_u16(code).map_err(|_| InvalidFault::Status)?;
                Ok(ResponseFault::Status(status))
            }
            _ => Err(InvalidFault::Status),
        },
        Some(_) => Err(InvalidFault::Kind),
        None => match name {
            "drop-reply" => Ok(ResponseFault::DropReply),
            "empty-reply" => Ok(ResponseFault::EmptyReply),
            "partial-reply" => Ok(ResponseFault::PartialReply),
            "null-messages" => Ok(ResponseFault::NullMessages),
            _ => Err(InvalidFault::Kind),
        },
    }
}

fn parse_chance(text: &str) -> Result<f64, InvalidFault> {
    match text.parse() {
        Ok(chance) if (0.0..=1.0).contains(&chance) => Ok(chance),
        _ => Err(InvalidFault::Chance),
    }
}

fn parse_delay(text: &str) -> Result<Duration, InvalidFault> {
    let (number, unit): (_, fn(u64) -> Duration) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis),
        None => (text.strip_suffix('s').ok_or(InvalidFault::Delay)?, Duration::from_secs),
    };
    // An hour is longer than any client waits, and small enough to be added up.
    let number: u32 = number.parse().map_err(|_| InvalidFault::Delay)?;
    Ok(unit(number.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(texts: &[&str], seed: u64) -> Faults {
        Faults::new(texts.iter().map(|text| text.parse().unwrap()).collect(), seed)
    }

    #[test]
    fn a_fault_without_a_chance_always_happens() {
        let injected = faults(&["drop-reply"], 1).draw();
        assert_eq!(
            injected,
            InjectedFaults { delay: Duration::ZERO, fault: Some(ResponseFault::DropReply) }
        );
    }

    #[test]
    fn the_first_response_fault_applies_and_delays_add_up() {
        let injected =
            faults(&["slow,delay=250ms", "status=503", "drop-reply", "slow,delay=2s"], 1).draw();
        let unavailable = ResponseFault::Status(StatusCode::SERVICE_UNAVAILABLE);
        let delay = Duration::from_millis(2250);
        assert_eq!(injected, InjectedFaults { delay, fault: Some(unavailable) });
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let draw = |seed| {
            let faults = faults(&["status=503,chance=0.3", "drop-reply,chance=0.3"], seed);
            (0..100).map(|_| faults.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn a_chance_is_the_frequency_of_a_fault() {
        for (chance, from, to) in [("0", 0, 0), ("0.1", 800, 1200), ("1", 10_000, 10_000)] {
            let faults = faults(&[&format!("drop-reply,chance={chance}")], 1);
            let hits = (0..10_000).filter(|_| faults.draw().fault.is_some()).count();
            assert!((from..=to).contains(&hits), "{chance}: {hits}");
        }
    }

    #[test]
    fn an_invalid_fault_is_refused_with_the_reason() {
        for (text, error) in [
            ("", InvalidFault::Kind),
            ("explode", InvalidFault::Kind),
            ("explode=1", InvalidFault::Kind),
            ("status", InvalidFault::Kind),
            ("status=200", InvalidFault::Status),
            ("status=abc", InvalidFault::Status),
            ("status=600", InvalidFault::Status),
            ("drop-reply,chance=2", InvalidFault::Chance),
            ("drop-reply,chance=NaN", InvalidFault::Chance),
            ("drop-reply,often", InvalidFault::Option),
            ("drop-reply,chance=1,chance=1", InvalidFault::Option),
            ("drop-reply,delay=1s", InvalidFault::NeedlessDelay),
            ("slow", InvalidFault::NoDelay),
            ("slow,delay=5", InvalidFault::Delay),
            ("slow,delay=-5s", InvalidFault::Delay),
            ("slow,delay=1.5s", InvalidFault::Delay),
        ] {
            assert_eq!(text.parse::<Fault>(), Err(error), "{text:?}");
        }
    }
}
