//! What a worker reports when it starts.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::name::{QueueName, TaskName};
use crate::text::{Counted, Escaped};
use crate::wire::crypto::KeyId;

/// The most names of a kind that the text lists.
const MAX_LISTED: usize = 20;

/// A worker's settings, as it starts. Contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStarted {
    /// The address of its queues' server without credentials, or its backend; `None` if the driver
    /// does not name it.
    pub queue_server: Option<String>,
    /// The physical queues that it serves, most urgent first.
    pub queues: Vec<QueueName>,
    /// The tasks that it has handlers for.
    pub tasks: Vec<TaskName>,
    /// The ids of the keys that open its messages, the one that seals first.
    pub keys: Vec<KeyId>,
    /// Whether it has a password for frames of the Node package.
    pub has_password: bool,
    /// Whether it has a notifier for results.
    pub has_notifier: bool,
    /// How many handlers may run at the same time.
    pub concurrency: usize,
    /// How long a message is reserved before its lease is renewed. `None` if leases end with their
    /// connection.
    pub lease: Option<Duration>,
}

impl Display for WorkerStarted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("the worker has started")?;
        if let Some(server) = &self.queue_server {
            write!(f, " on {}", Escaped(server))?;
        }
        write!(f, ": queues {}; tasks {}; ", Names(&self.queues), Names(&self.tasks))?;
        match (&self.keys[..], self.has_password) {
            ([], false) => f.write_str("no key")?,
            ([], true) => f.write_str("a password")?,
            (keys, false) => write!(f, "keys {}", Names(keys))?,
            (keys, true) => write!(f, "keys {} and a password", Names(keys))?,
        }
        write!(f, "; {} at a time", Counted(self.concurrency, "handler", "handlers"))?;
        match self.lease {
            Some(lease) => write!(f, "; leases of {lease:?}")?,
            None => f.write_str("; leases that end with their connection")?,
        }
        f.write_str(if self.has_notifier { "" } else { "; no notifier, so no results" })
    }
}

/// The first names of a list, and the number of the others.
struct Names<'a, T>(&'a [T]);

impl<T: Display> Display for Names<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().take(MAX_LISTED).enumerate() {
            write!(f, "{}{name}", if index == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> WorkerStarted {
        let queue = |name| QueueName::new(name).unwrap();
        WorkerStarted {
            queue_server: Some("broker://10.0.0.7:6379".to_owned()),
            queues: vec![queue("mail.p3"), queue("mail")],
            tasks: vec![TaskName::new("mail.send").unwrap()],
            keys: vec!["k2".parse().unwrap(), "k1".parse().unwrap()],
            has_password: false,
            has_notifier: true,
            concurrency: 10,
            lease: Some(Duration::from_secs(30)),
        }
    }

    #[test]
    fn the_line_names_server_queues_tasks_keys_concurrency_and_lease() {
        assert_eq!(
            started().to_string(),
            "the worker has started on broker://10.0.0.7:6379: queues mail.p3, mail; tasks mail.send; keys k2, k1; 10 handlers at a time; leases of 30s"
        );
    }

    #[test]
    fn what_a_worker_lacks_is_said() {
        let (queue_server, keys, lease) = (None, Vec::new(), None);
        let started = WorkerStarted {
            queue_server,
            keys,
            lease,
            has_notifier: false,
            concurrency: 1,
            ..started()
        };
        assert_eq!(
            started.to_string(),
            "the worker has started: queues mail.p3, mail; tasks mail.send; no key; 1 handler at a time; leases that end with their connection; no notifier, so no results"
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let tasks = (0..25).map(|number| TaskName::new(&format!("t{number}")).unwrap()).collect();
        let text = WorkerStarted { tasks, ..started() }.to_string();
        assert!(text.contains("t18, t19 and 5 more; keys"), "{text}");
    }
}
