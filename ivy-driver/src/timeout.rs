//! Time limits.

use std::future::{Future, pending};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::runtime::Runtime;

/// The future's output, or `None` if it takes longer than `limit`.
pub(crate) async fn timeout<R: Runtime, F: Future>(
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    let time_is_over = async {
        match R::now().checked_add(limit) {
            Some(until) => R::sleep_until(until).await,
            None => pending().await,
        }
    };
    match select(pin!(future), pin!(time_is_over)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
