//! Chance: one stream of random numbers for each component.
//!
//! Each component draws from two streams of its own, one for what is natural (how long something
//! takes) and one for faults. So a draw more in one place does not shift the others.

use std::collections::BTreeMap;

use ivy_proto::Rng;
use serde::{Deserialize, Serialize};

use crate::fault::{Class, FAULTS, Fault, Menu};

/// Thrown numbers are below this.
const PARTS: u32 = 1 << 20;

/// A fault at an opportunity, with a source for its details.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) fault: Fault,
    pub(crate) detail: Rng,
}

/// How often faults come: of so many opportunities of each kind, one has a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Weather {
    pub(crate) one_request_in: u32,
    pub(crate) one_step_in: u32,
    pub(crate) one_handler_in: u32,
    pub(crate) one_publish_in: u32,
}

struct Stream {
    nature: Rng,
    faults: Rng,
}

/// What is to be thrown at a menu: below each bound comes its fault.
#[derive(Default)]
struct Odds {
    bounds: Vec<(u32, Fault)>,
    total: u32,
}

pub(crate) struct Dice {
    streams: Vec<Stream>,
    odds: BTreeMap<Menu, Odds>,
    /// Once the storm is over there are no faults.
    calm: bool,
}

impl Dice {
    pub(crate) fn new(seed: u64, components: usize, classes: &[Class], weather: Weather) -> Self {
        let stream = |who: usize| Stream {
            nature: stream_of(seed, 2 * who as u64),
            faults: stream_of(seed, 2 * who as u64 + 1),
        };
        let odds = Menu::ALL.map(|menu| (menu, Odds::new(menu, classes, weather)));
        Dice { streams: (0..components).map(stream).collect(), odds: odds.into(), calm: false }
    }

    /// No faults from now on.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
    }

    /// What is natural for this component.
    pub(crate) fn nature(&mut self, who: usize) -> &mut Rng {
        &mut self.streams[who].nature
    }

    /// Whether something goes wrong at this opportunity.
    pub(crate) fn throw(&mut self, who: usize, menu: Menu) -> Option<Hit> {
        if self.calm {
            return None;
        }
        let stream = &mut self.streams[who];
        let number = stream.faults.next_u64();
        let fault = self.odds.get(&menu)?.pick((number as u32) % PARTS)?;
        Some(Hit { fault, detail: Rng::from_number(number >> 20) })
    }
}

impl Odds {
    fn new(menu: Menu, classes: &[Class], weather: Weather) -> Self {
        let one_in = match menu {
            Menu::Request | Menu::Touch | Menu::PutAside | Menu::Reserve | Menu::Delivery => {
                weather.one_request_in
            }
            Menu::Step => weather.one_step_in,
            Menu::Handler => weather.one_handler_in,
            Menu::Publish | Menu::Subscribe => weather.one_publish_in,
        };
        let listed =
            FAULTS.iter().filter(|entry| entry.menu == menu && classes.contains(&entry.class));
        let weights: u32 = listed.clone().map(|entry| entry.weight).sum();
        let mut odds = Odds::default();
        for entry in listed {
            odds.total += PARTS / one_in.max(1) / weights.max(1) * entry.weight;
            odds.bounds.push((odds.total, entry.fault));
        }
        odds
    }

    fn pick(&self, thrown: u32) -> Option<Fault> {
        if thrown >= self.total {
            return None;
        }
        self.bounds.iter().find(|(bound, _)| thrown < *bound).map(|(_, fault)| *fault)
    }
}

/// A stream of random numbers: one of many that follow from one seed.
pub(crate) fn stream_of(seed: u64, number: u64) -> Rng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    Rng::from_seed(bytes)
}

/// Whether something happens that happens once in so many times.
pub(crate) fn one_in(rng: &mut Rng, times: u64) -> bool {
    rng.up_to(times.saturating_sub(1)) == 0
}

/// One of several, each equally likely.
pub(crate) fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.up_to(choices.len() as u64 - 1) as usize]
}
