//! The responses to probes.

use std::fmt::{self, Write};

use super::http::{Response, Status};
use super::worker_health::{State, WorkerHealth};

/// How many parts a response names.
const MOST_PARTS: usize = 20;

impl WorkerHealth {
    /// The response to `/livez`.
    #[must_use]
    pub fn livez(&self) -> Response {
        if self.is_live() {
            return Response::text(Status::Ok, "ok\n".to_owned());
        }
        let why = match self.state {
            State::Ended => "the worker has ended\n".to_owned(),
            _ => format!("{}\n", self.liveness),
        };
        Response::text(Status::ServiceUnavailable, why)
    }

    /// The response to `/readyz`: it names the parts that fail.
    #[must_use]
    pub fn readyz(&self) -> Response {
        let mut body = String::new();
        // Writing to a `String` does not fail.
        let _ = self.write_readiness(&mut body);
        let status = if self.is_ready() { Status::Ok } else { Status::ServiceUnavailable };
        Response::text(status, body)
    }

    fn write_readiness(&self, body: &mut String) -> fmt::Result {
        let is_ready = self.is_ready();
        let mut lines = Vec::new();
        match self.state {
            State::Running | State::Paused if is_ready => writeln!(body, "ready")?,
            State::Running | State::Paused if self.is_live() => {}
            State::Running | State::Paused => lines.push(self.liveness.to_string()),
            other => lines.push(other.to_string()),
        }
        let prefix = if is_ready { "degraded: " } else { "" };
        let failing = |queue: &&super::QueueHealth| match is_ready {
            true => queue.trouble.is_some(),
            false => !queue.answers(),
        };
        let queues = self.queues.iter().filter(failing).map(|queue| match queue.trouble {
            Some(trouble) => format!("{prefix}queue {}: {}", queue.name, trouble.name()),
            None => format!("{prefix}queue {}: no reply yet", queue.name),
        });
        lines.extend(queues);
        lines.extend(self.degraded.iter().map(|part| format!("degraded: {part}")));
        for line in lines.iter().take(MOST_PARTS) {
            writeln!(body, "{line}")?;
        }
        match lines.len().saturating_sub(MOST_PARTS) {
            0 => Ok(()),
            more => writeln!(body, "and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Part;
    use crate::health::{Liveness, QueueHealth};
    use crate::name::{QueueName, TaskName};
    use crate::queue::FaultKind;

    fn queue(name: &str, last_reply: Option<u64>, trouble: Option<FaultKind>) -> QueueHealth {
        QueueHealth {
            name: QueueName::new(name).unwrap(),
            last_reply: last_reply.map(Duration::from_secs),
            polling: None,
            trouble,
        }
    }

    fn health(state: State, queues: Vec<QueueHealth>) -> WorkerHealth {
        WorkerHealth {
            state,
            liveness: Liveness::Running,
            slots: 10,
            running: 0,
            held: 0,
            queues,
            degraded: Vec::new(),
            touch_lag: None,
            probes: None,
        }
    }

    fn ready(health: &WorkerHealth) -> (u16, String) {
        let response = health.readyz();
        (response.status().code(), response.body().to_owned())
    }

    #[test]
    fn a_worker_that_is_not_ready_names_its_queues() {
        let down = queue("mail", Some(90), Some(FaultKind::Unauthorized));
        let health = health(State::Running, vec![down, queue("sms", None, None)]);
        let expected = "queue mail: Unauthorized\nqueue sms: no reply yet\n";
        assert_eq!(ready(&health), (503, expected.to_owned()));
        assert_eq!(health.livez().status(), Status::Ok);
    }

    #[test]
    fn a_worker_that_drains_is_live_and_not_ready() {
        let health = health(State::Draining, vec![queue("mail", Some(1), None)]);
        assert_eq!(ready(&health), (503, "draining\n".to_owned()));
        assert_eq!((health.livez().status(), health.livez().body()), (Status::Ok, "ok\n"));
    }

    #[test]
    fn trouble_of_the_notifier_and_of_some_queues_is_named_and_the_worker_is_ready() {
        let down = queue("mail", None, Some(FaultKind::Unreachable));
        let mut health = health(State::Running, vec![down, queue("sms", Some(1), None)]);
        health.degraded.push(Part::Notifier);
        let expected = "ready\ndegraded: queue mail: Unreachable\ndegraded: the notifier\n";
        assert_eq!(ready(&health), (200, expected.to_owned()));
    }

    #[test]
    fn a_loop_that_hangs_is_named() {
        let silent = Duration::from_secs(40);
        let health = health(State::Running, vec![queue("mail", Some(1), None)])
            .unanswered(Liveness::Hanging(silent));
        let expected = "the loop has not turned for 40.0s\n";
        assert_eq!((health.livez().status().code(), health.livez().body()), (503, expected));
        assert_eq!(ready(&health), (503, expected.to_owned()));
    }

    #[test]
    fn a_response_names_a_limited_number_of_parts() {
        let mut health = health(State::Running, vec![queue("mail", Some(1), None)]);
        for number in 0..30 {
            let task = TaskName::new(&format!("t{number}")).unwrap();
            let queue = QueueName::new("mail").unwrap();
            health.degraded.push(Part::Task { task, queue });
        }
        let (_, body) = ready(&health);
        assert_eq!(body.lines().count(), 22, "{body}");
        assert!(body.ends_with("and 10 more\n"), "{body}");
    }
}
