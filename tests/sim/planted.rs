//! Each planted bug is found: a simulator that finds no bug proves nothing.
//!
//! Built only with `--cfg ivy_planted`: see `tests/run`.

use ivy_proto::planted::{Bug, choose};
use ivy_redis::planted as session;
use ivy_sim::planted as script;

use crate::dead_letter_sweeps::first_breach;
use crate::failure_report::{shrink, write};
use crate::frames::try_frames;
use crate::laws::Breach;
use crate::regressions::{self, Regression};
use crate::run::{Case, run_seeds};
use crate::setup::Profile;

/// Each bug must be found within this many seeds.
const SEEDS: u64 = 10_000;

/// The laws that a bug may break first.
fn laws(bug: Bug) -> &'static [&'static str] {
    match bug {
        Bug::AckBeforeHandler | Bug::DeleteBeforeCopy | Bug::AckOnPanic => &["S2"],
        Bug::IgnoreReservation => &["S4"],
        Bug::RetryUnknownSilently => &["S3", "S20"],
        Bug::NoLeaseMargin => &["S6"],
        Bug::CountRenewals => &["L2"],
        Bug::UnboundedOutbox | Bug::TableFreedOnlyByNotice | Bug::UnboundedNoticeBytes => &["S7"],
        // The queue does not pause after a dropped call either.
        Bug::DropWhenThrottled => &["L1", "L3", "S8"],
        Bug::ForgetReleaseOnDrain => &["S9"],
        Bug::RepeatDeleteOfGone => &["S8"],
        Bug::DeadLetterAtFirstMismatch => &["L2"],
        Bug::ReuseIv | Bug::SkipMac => &["S13"],
        Bug::IgnoreClock => &["L2", "S17"],
        Bug::LateTouchRevives | Bug::LeasesOutliveConnection => &["S4"],
        Bug::RefusedEntryFailsBatch => &["S3"],
        Bug::MissingEntryIsDone => &["S1", "S2", "S3"],
        Bug::SuccessorKeepsDue => &["S17"],
        Bug::NoLastRecord => &["S18"],
        Bug::LaterCountsAttempt => &["S19"],
        Bug::WithdrawnCallIsSent => &["S20"],
        Bug::SweepDeletesBeforePost | Bug::SweepPostsEachCopy | Bug::SweepLeavesLeases => &[],
    }
}

#[test]
fn each_planted_bug_is_found() {
    for bug in Bug::ALL {
        let found = match bug {
            Bug::ReuseIv | Bug::SkipMac => find_in_frames(bug),
            _ => run_seeds(0..SEEDS, Profile::Swarm, || choose(Some(bug))).failure,
        };
        let (seed, breach) =
            found.unwrap_or_else(|| panic!("{bug:?} is not found in {SEEDS} seeds"));
        println!("{bug:?}: found on seed {seed}, {breach}");
        keep(bug, seed, &breach);
        assert!(laws(bug).contains(&breach.law), "{bug:?} breaks another law: {breach}");
    }
}

/// Bugs of sweeps, with the laws that they break.
#[test]
fn each_bug_that_is_planted_in_a_sweep_is_found() {
    for bug in Bug::OF_SWEEPS {
        let law = match bug {
            Bug::SweepDeletesBeforePost => "A1",
            Bug::SweepPostsEachCopy => "A2",
            Bug::SweepLeavesLeases => "A7",
            other => panic!("{other:?} is no bug of sweeps"),
        };
        choose(Some(bug));
        let found = first_breach();
        choose(None);
        let breach = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        println!("{bug:?}: {breach}");
        assert_eq!(breach.law, law, "{bug:?} breaks another law: {breach}");
    }
}

/// Bugs of the session of Redis, and of its scripts, with the laws that they may be found by.
#[test]
fn each_bug_that_is_planted_in_the_queue_of_redis_is_found() {
    use script::Bug::{DueSkipsTouched, RemoveBeforeInsert};
    use session::Bug::{ReserveIdsFromCounter, TouchForgotten, WaitWithoutScript};
    for bug in session::Bug::ALL {
        let laws = match bug {
            ReserveIdsFromCounter => &["S1", "S4"][..],
            TouchForgotten => &["S1"],
            WaitWithoutScript => &["L4"],
        };
        find(&format!("{bug:?}"), laws, |chosen| session::choose(chosen.then_some(bug)));
    }
    for bug in script::Bug::ALL {
        let laws = match bug {
            RemoveBeforeInsert | DueSkipsTouched => &["S1"],
        };
        find(&format!("{bug:?}"), laws, |chosen| script::choose(chosen.then_some(bug)));
    }
}

/// Looks for a bug that is chosen so.
fn find(bug: &str, laws: &[&str], choose: impl Fn(bool) + Sync) {
    let found = run_seeds(0..SEEDS, Profile::Swarm, || choose(true)).failure;
    let (seed, breach) = found.unwrap_or_else(|| panic!("{bug} is not found in {SEEDS} seeds"));
    println!("{bug}: found on seed {seed}, {breach}");
    assert!(laws.contains(&breach.law), "{bug} breaks another law: {breach}");
}

fn find_in_frames(bug: Bug) -> Option<(u64, Breach)> {
    choose(Some(bug));
    let found = (0..SEEDS).find_map(|seed| Some((seed, try_frames(seed).err()?)));
    choose(None);
    found
}

/// Writes the smallest case that shows the bug to `target/sim`.
fn keep(bug: Bug, seed: u64, breach: &Breach) {
    if breach.law == "S13" {
        return;
    }
    choose(Some(bug));
    let case = Case::from_seed(seed, Profile::Swarm);
    let faults = Some(case.run().faults);
    let least = shrink(&Case { faults, ..case }, breach.law);
    let breach = least.run().breach.unwrap_or_else(|| breach.clone());
    choose(None);
    let name = format!("{bug:?}");
    let regression = Regression { bug: Some(name.clone()), ..Regression::of(&least, &breach) };
    write(&format!("{name}.json"), &regression.to_json());
}

#[test]
fn a_recorded_case_of_a_planted_bug_still_shows_it() {
    let mut shown = 0;
    for (name, regression) in regressions::all() {
        let Some(of) = &regression.bug else { continue };
        let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == *of);
        choose(Some(bug.unwrap_or_else(|| panic!("{name}: unknown bug {of}"))));
        let breach = regression.case().run().breach;
        choose(None);
        let law = breach.map(|breach| breach.law);
        assert_eq!(law, Some(regression.law.as_str()), "{name}");
        shown += 1;
    }
    assert!(shown > 0, "no case is recorded");
}
