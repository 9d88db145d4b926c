//! Every choice there is, one run after the other.
//!
//! A run asks `choose(n)` wherever it could go on in `n` ways. [`Choices::next`] goes to the next
//! run that has not been made, until all have been made: an odometer whose places are the
//! questions that the run asks.

use crate::fault::{Fault, Opportunity};

/// The way through one run.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    /// What was chosen, of how many.
    path: Vec<(u32, u32)>,
    asked: usize,
}

impl Choices {
    /// One of `of` ways: the first when this question is asked for the first time.
    pub(crate) fn choose(&mut self, of: u32) -> u32 {
        if self.asked == self.path.len() {
            self.path.push((0, of));
        }
        let (chosen, before) = self.path[self.asked];
        assert_eq!(before, of, "the same way leads to the same questions");
        self.asked += 1;
        chosen
    }

    /// How many questions were asked since the last way began.
    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// Goes to the next way. Says whether there is one.
    pub(crate) fn next(&mut self) -> bool {
        self.path.truncate(self.asked);
        self.asked = 0;
        while let Some((chosen, of)) = self.path.pop() {
            if chosen + 1 < of {
                self.path.push((chosen + 1, of));
                return true;
            }
        }
        false
    }
}

/// Chooses faults: at each opportunity none or one of those that are offered, until there were so
/// many.
#[derive(Debug)]
pub(crate) struct Chooser {
    pub(crate) choices: Choices,
    left: u32,
    offered: Vec<(Opportunity, Vec<(Fault, u64)>)>,
}

impl Chooser {
    pub(crate) fn new(
        choices: Choices,
        most: u32,
        offered: Vec<(Opportunity, Vec<(Fault, u64)>)>,
    ) -> Chooser {
        Chooser { choices, left: most, offered }
    }

    pub(crate) fn choose(&mut self, opportunity: Opportunity) -> Option<(Fault, u64)> {
        if self.left == 0 {
            return None;
        }
        let (_, faults) = self.offered.iter().find(|(offered, _)| *offered == opportunity)?;
        let chosen = self.choices.choose(faults.len() as u32 + 1).checked_sub(1)?;
        self.left -= 1;
        Some(faults[chosen as usize])
    }
}

#[test]
fn every_way_is_gone_once() {
    let mut choices = Choices::default();
    let mut ways = Vec::new();
    loop {
        let first = choices.choose(3);
        let second = if first == 1 { choices.choose(2) } else { 0 };
        ways.push((first, second));
        if !choices.next() {
            break;
        }
    }
    assert_eq!(ways, [(0, 0), (1, 0), (1, 1), (2, 0)]);
}
