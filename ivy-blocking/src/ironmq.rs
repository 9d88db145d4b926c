//! A queue on an IronMQ v3 server: the dialect over the HTTP client.

use std::sync::Arc;
use std::time::Instant;

use ivy_proto::queue::ironmq::IronMq;
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp};

use crate::backend::{Answer, Queue, QueueResult};
use crate::cancel::CancellationToken;
use crate::http::HttpClient;
use crate::threads::Threads;

/// How many requests are under way at a time, besides those that wait for messages.
const MOST_REQUESTS: usize = 16;

/// A queue backend on an IronMQ v3 server.
#[derive(Debug)]
pub(crate) struct IronMqQueue {
    server: Arc<Server>,
    requests: Threads,
    /// A request that waits for messages delays no other. There is one for each queue that a worker
    /// serves, so their number needs no limit.
    polls: Threads,
}

#[derive(Debug)]
struct Server {
    client: HttpClient,
    dialect: IronMq,
}

impl IronMqQueue {
    pub(crate) fn new(client: HttpClient, dialect: IronMq) -> Self {
        IronMqQueue {
            server: Arc::new(Server { client, dialect }),
            requests: Threads::new("ivy-request", MOST_REQUESTS),
            polls: Threads::new("ivy-poll", usize::MAX),
        }
    }
}

impl Queue for IronMqQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ironmq()
    }

    fn execute(&self, op: QueueOp, given_up: &CancellationToken, answer: Answer<QueueResult>) {
        let (server, given_up) = (Arc::clone(&self.server), given_up.clone());
        let waits = matches!(&op, QueueOp::Reserve { wait, .. } if !wait.is_zero());
        let threads = if waits { &self.polls } else { &self.requests };
        let asked_at = Instant::now();
        threads.run(move || answer.give(server.execute(&op, asked_at, &given_up)));
    }
}

impl Server {
    fn execute(
        &self,
        op: &QueueOp,
        asked_at: Instant,
        given_up: &CancellationToken,
    ) -> QueueResult {
        let time_limit = op.time_limit().saturating_sub(asked_at.elapsed());
        if time_limit.is_zero() {
            let detail = "all threads are busy with other requests";
            return Err(Fault::new(FaultKind::Unreachable).with_detail(detail));
        }
        let request = self.dialect.encode(op);
        let limit = self.dialect.answer_limit(op);
        let server = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let answer = self.client.send(request, time_limit, limit, given_up);
        let answer = answer.map_err(|fault| fault.with_server(&server))?;
        self.dialect.decode(op, answer)
    }
}
