//! Metrics: what producers and workers count, and its text for Prometheus.
//!
//! Each machine counts where it acts, into tables with one row per queue and task: no event is
//! needed, and none that a slow reader misses is missing here. [`Worker::metrics`] and
//! [`Producer::metrics`] return what was counted since the start as a [`Snapshot`]; snapshots of
//! several machines are [added](Snapshot::add).
//!
//! ```
//! use ivy_proto::metrics::Snapshot;
//!
//! let mut text = String::new();
//! Snapshot::default().write_openmetrics(&mut text)?;
//! assert!(text.ends_with("# EOF\n"));
//! # Ok::<(), std::fmt::Error>(())
//! ```
//!
//! # Labels
//!
//! Labels are names of physical queues and registered tasks, and short lists such as outcomes:
//! never a worker, a message, a task id or an error text, so the number of series is bounded. At
//! most [`MOST_QUEUES`] queues and [`MOST_TASKS`] tasks have a label of their own; the others, and
//! tasks that are not registered, count as [`OTHER`].
//!
//! [`Worker::metrics`]: crate::worker::Worker::metrics
//! [`Producer::metrics`]: crate::producer::Producer::metrics

mod call_meter;
mod counts;
mod histogram;
mod labels;
mod meter;
mod openmetrics;
mod requests;
mod snapshot;

pub use counts::{
    Execution, Executions, NoticeCounts, NoticeOutcome, QueueCounts, ResultOutcome, ResultTimes,
    SendCounts, SendOutcome, TaskCounts,
};
pub use histogram::{Histogram, Scale};
pub use labels::{MOST_QUEUES, MOST_TASKS, OTHER, TaskKey};
pub use openmetrics::{OPENMETRICS_CONTENT_TYPE, QueueGauge, QueueGauges};
pub use requests::{RequestKind, RequestOutcome, RequestTimes};
pub use snapshot::{Backends, Snapshot};

pub(crate) use call_meter::{CallMeter, CallRow};
pub(crate) use counts::Combine;
pub(crate) use labels::{other_queue, other_task};
pub(crate) use meter::{CountedQueue, Meter, Row};
pub(crate) use requests::RequestMeter;
