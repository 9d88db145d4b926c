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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::thread;
    use std::time::Duration;

    use ivy_proto::QueueName;
    use ivy_proto::queue::ironmq::{Address, Scheme, Token};

    use super::*;
    use crate::backend::ask;
    use crate::tls::OwnRoots;

    const NO_QUEUE: &[u8] =
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 25\r\n\r\n{\"msg\":\"Queue not found\"}";

    /// A queue on a server that knows no queue, and leaves requests for messages unanswered. Tells
    /// the first line of each request.
    fn queue() -> (IronMqQueue, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, tell) = (stream.unwrap(), tell.clone());
                thread::spawn(move || serve(stream, &tell));
            }
        });
        let address = Address::new(Scheme::Http, "127.0.0.1", "project").unwrap();
        let address = address.with_port(port).unwrap();
        let dialect = IronMq::new(&address, Token::new("token").unwrap());
        (IronMqQueue::new(HttpClient::new(&OwnRoots::default()), dialect), told)
    }

    fn serve(mut stream: TcpStream, tell: &Sender<String>) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while let Some(Ok(first)) = lines.next() {
            while lines.next().unwrap().unwrap() != "" {}
            let waits = first.contains("/reservations");
            tell.send(first).unwrap();
            if waits {
                thread::park();
            }
            stream.write_all(NO_QUEUE).unwrap();
        }
    }

    fn reserve() -> QueueOp {
        let (lease, wait) = (Duration::from_secs(30), Duration::from_secs(30));
        QueueOp::Reserve { queue: QueueName::new("mail").unwrap(), count: 1, lease, wait }
    }

    fn info() -> QueueOp {
        QueueOp::GetQueue { queue: QueueName::new("mail").unwrap() }
    }

    #[test]
    fn requests_that_wait_for_messages_delay_no_other() {
        let (queue, told) = queue();
        let given_up = CancellationToken::new();
        let (sender, lost) = mpsc::channel();
        for _ in 0..=MOST_REQUESTS {
            let sender = sender.clone();
            let answer = Answer::of_queue(move |answer| sender.send(answer).unwrap());
            queue.execute(reserve(), &given_up, answer);
        }
        assert_eq!(told.iter().take(MOST_REQUESTS + 1).count(), MOST_REQUESTS + 1);
        assert_eq!(ask(&queue, info()).unwrap_err().kind(), FaultKind::NoQueue);
        given_up.cancel();
        for answer in lost.iter().take(MOST_REQUESTS + 1) {
            assert_eq!(answer.unwrap_err().kind(), FaultKind::AnswerLost);
        }
    }

    #[test]
    fn a_request_whose_time_was_over_before_a_thread_was_free_is_not_sent() {
        let (queue, told) = queue();
        let asked_at = Instant::now() - info().time_limit();
        let fault = queue.server.execute(&info(), asked_at, &CancellationToken::new()).unwrap_err();
        assert_eq!(fault.kind(), FaultKind::Unreachable);
        assert!(told.try_recv().is_err());
    }
}
