//! The contracts of all scenarios. Each scenario puts them on a queue of its own:
//! [`Fixture::own`](crate::fixture::Fixture::own).

use std::time::Duration;

use ivy_proto::task::Task;
use serde_json::Value;

/// Twice the number.
pub(crate) const DOUBLE: Task<(u64,), u64> = Task::new("conformance.double");

/// [`DOUBLE`], as somebody calls it who has another contract.
pub(crate) const DOUBLE_OF_TEXT: Task<(String,), u64> = Task::new(DOUBLE.name());

/// [`DOUBLE`], as somebody serves it who has another contract.
pub(crate) const DOUBLE_TO_TEXT: Task<(u64,), String> = Task::new(DOUBLE.name());

/// [`DOUBLE`], which may be sent and run once only.
pub(crate) const DOUBLE_ONCE: Task<(u64,), u64> = Task::new(DOUBLE.name()).retry(false);

/// Four times the number, by way of [`DOUBLE`].
pub(crate) const QUADRUPLE: Task<(u64,), u64> = Task::new("conformance.quadruple");

/// The same text.
pub(crate) const ECHO: Task<(String,), String> = Task::new("conformance.echo");

/// The same floats.
pub(crate) const FLOATS: Task<(Vec<f64>,), Vec<f64>> = Task::new("conformance.floats");

/// A text of so many letters.
pub(crate) const LETTERS: Task<(usize,), String> = Task::new("conformance.letters");

/// The same value.
pub(crate) const ECHO_VALUE: Task<(Value,), Value> = Task::new("conformance.echo-value");

/// A value that is nested so many levels deep.
pub(crate) const NESTED: Task<(usize,), Value> = Task::new("conformance.nested");

/// Fails, with two retries.
pub(crate) const FAIL: Task<(), ()> = Task::new("conformance.fail").max_retries(2);

/// Takes longer than it may, which is not tried again.
pub(crate) const LIMITED: Task<(), ()> =
    Task::new("conformance.limited").time_limit(Duration::from_millis(500)).max_retries(0);
