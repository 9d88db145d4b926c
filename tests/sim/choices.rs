//! Every possible sequence of choices, one run after the other.
//!
//! A run calls `choose(n)` wherever it could continue in `n` ways. [`Choices::next`] selects the
//! next run that has not been made, until all have been made: an odometer whose digits are the
//! choices of the run.

use crate::fault::{Fault, Opportunity};

/// The choices of one run.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    /// What was chosen, out of how many.
    path: Vec<(u32, u32)>,
    made: usize,
}

impl Choices {
    /// One of `of` ways: the first way when this choice is made for the first time.
    pub(crate) fn choose(&mut self, of: u32) -> u32 {
        if self.made == self.path.len() {
            self.path.push((0, of));
        }
        let (chosen, before) = self.path[self.made];
        assert_eq!(before, of, "equal choices lead to equal further choices");
        self.made += 1;
        chosen
    }

    /// How many choices were made in this run so far.
    pub(crate) fn made(&self) -> usize {
        self.made
    }

    /// Advances to the next run. Returns whether there is one.
    pub(crate) fn next(&mut self) -> bool {
        self.path.truncate(self.made);
        self.made = 0;
        while let Some((chosen, of)) = self.path.pop() {
            if chosen + 1 < of {
                self.path.push((chosen + 1, of));
                return true;
            }
        }
        false
    }
}

/// Chooses faults: at each opportunity none or one of the offered ones, up to a maximum number of
/// faults.
#[derive(Debug)]
pub(crate) struct Chooser {
    pub(crate) choices: Choices,
    left: u32,
    offered: Vec<(Opportunity, Vec<(Fault, u64)>)>,
}

impl Chooser {
    pub(crate) fn new(
        choices: Choices,
        max: u32,
        offered: Vec<(Opportunity, Vec<(Fault, u64)>)>,
    ) -> Chooser {
        Chooser { choices, left: max, offered }
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
fn every_sequence_of_choices_comes_once() {
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
