//! The task contracts of all scenarios. Each scenario puts them on its own queue with
//! [`Fixture::own`](crate::fixture::Fixture::own).

use std::time::Duration;

use ivy_proto::task::Task;
use serde_json::Value;

pub(crate) const DOUBLE: Task<(u64,), u64> = Task::new("conformance.double");

/// [`DOUBLE`], as a caller with another contract uses it.
pub(crate) const DOUBLE_OF_TEXT: Task<(String,), u64> = Task::new(DOUBLE.name());

/// [`DOUBLE`], as a worker with another contract serves it.
pub(crate) const DOUBLE_TO_TEXT: Task<(u64,), String> = Task::new(DOUBLE.name());

/// [`DOUBLE`], which may be sent and run only once.
pub(crate) const DOUBLE_ONCE: Task<(u64,), u64> = Task::new(DOUBLE.name()).retry(false);

/// Four times the number, by calling [`DOUBLE`].
pub(crate) const QUADRUPLE: Task<(u64,), u64> = Task::new("conformance.quadruple");

/// Returns the same text.
pub(crate) const ECHO: Task<(String,), String> = Task::new("conformance.echo");

/// Returns the same floats.
pub(crate) const FLOATS: Task<(Vec<f64>,), Vec<f64>> = Task::new("conformance.floats");

/// Returns a text of this many letters.
pub(crate) const LETTERS: Task<(usize,), String> = Task::new("conformance.letters");

/// Returns the same value.
pub(crate) const ECHO_VALUE: Task<(Value,), Value> = Task::new("conformance.echo-value");

/// Returns a value that is nested this many levels deep.
pub(crate) const NESTED: Task<(usize,), Value> = Task::new("conformance.nested");

/// Fails, with two retries.
pub(crate) const FAIL: Task<(), ()> = Task::new("conformance.fail").max_retries(2);

/// Exceeds its time limit, without retries.
pub(crate) const LIMITED: Task<(), ()> =
    Task::new("conformance.limited").time_limit(Duration::from_millis(500)).max_retries(0);
