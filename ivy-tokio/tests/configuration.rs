//! What cannot work is told when it is made, and shows no secret.
//! Written once for all adapters.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adapter;
#[path = "../../tests/adapters/configuration.rs"]
mod configuration;

use std::time::Duration;

use crate::configuration::{DOUBLE, ivy};

#[test]
fn futures_can_be_sent_between_threads() {
    fn sendable<T: Send>(_: T) {}
    let ivy = ivy();
    sendable(ivy.call_many(&DOUBLE, (0..3).map(|n| (n,))));
    sendable(async {
        let handle = ivy.call(&DOUBLE, (1,)).await?;
        handle.result(Duration::ZERO).await
    });
}
