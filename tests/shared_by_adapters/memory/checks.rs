//! Checks of keys, queue and notifier.

use super::{SOON, ivy};
use crate::adapter::check::Checked;
use crate::adapter::{Ivy, wait};

#[test]
fn a_check_passes_and_says_what_was_not_checked() {
    let report = wait(ivy().check(SOON)).unwrap();
    assert!(matches!(report.queue, Checked::Works { .. }), "{report:?}");
    assert!(matches!(report.notifier, Checked::Works { .. }), "{report:?}");
    assert!(matches!(report.keys, Checked::NotChecked(_)), "{report:?}");
}

#[test]
fn keys_are_checked_if_there_are_any() {
    let builder = Ivy::builder().queue_url("memory://").notifier_url("memory://");
    let ivy = builder.encryption_password("sesame").build().unwrap();
    let report = wait(ivy.check(SOON)).unwrap();
    assert!(matches!(report.keys, Checked::Works { .. }), "{report:?}");
}

#[test]
fn a_check_creates_no_queue() {
    let ivy = ivy();
    wait(ivy.check(SOON)).unwrap();
    assert!(wait(ivy.admin().list("")).unwrap().is_empty());
}
