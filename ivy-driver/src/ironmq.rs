//! A queue on an IronMQ v3 server: the dialect over the HTTP client.

use futures_util::future::{BoxFuture, FutureExt};
use ivy_ironmq::IronMq;
use ivy_proto::backend::Queue;
use ivy_proto::event::Event;
use ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};

use crate::events::EventSink;
use crate::runtime::{Exchange, ExchangeKind, HttpClient};

/// A queue backend on an IronMQ v3 server.
#[derive(Debug)]
pub(crate) struct IronMqQueue<Http> {
    client: Http,
    dialect: IronMq,
    events: EventSink,
}

impl<Http: HttpClient> IronMqQueue<Http> {
    pub(crate) fn new(client: Http, dialect: IronMq, events: EventSink) -> Self {
        IronMqQueue { client, dialect, events }
    }
}

impl<Http: HttpClient> Queue for IronMqQueue<Http> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ironmq()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<'static, Result<QueueReply, Fault>> {
        let (dialect, events) = (self.dialect.clone(), self.events.clone());
        let request = dialect.encode(&op);
        let server = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let answered = self.client.send(Exchange {
            request,
            time_limit: op.time_limit(),
            answer_limit: dialect.answer_limit(&op),
            kind: kind(&op),
        });
        async move {
            let answer = answered.await.map_err(|fault| fault.with_server(&server))?;
            dialect.decode_noting(&op, answer, |oddity| {
                events.emit(Event::OddAnswer { queue: op.queue().cloned(), oddity });
            })
        }
        .boxed()
    }
}

fn kind(op: &QueueOp) -> ExchangeKind {
    match op {
        QueueOp::Reserve { wait, .. } if !wait.is_zero() => ExchangeKind::LongPoll,
        QueueOp::Touch { .. }
        | QueueOp::Release { .. }
        | QueueOp::Delete { .. }
        | QueueOp::DeleteMany { .. } => ExchangeKind::Lease,
        _ => ExchangeKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::future::ready;
    use http::Response;
    use ivy_ironmq::{Address, Scheme, Token};
    use ivy_proto::QueueName;
    use ivy_proto::queue::Oddity;

    use super::*;
    use crate::clock::Clock;
    use crate::testing::Tokio;

    /// A server that always gives this answer, as plain text.
    #[derive(Debug)]
    struct Answers(&'static str);

    impl HttpClient for Answers {
        fn send(&self, _: Exchange) -> BoxFuture<'static, Result<Response<Bytes>, Fault>> {
            let answer = Response::builder().header("content-type", "text/plain");
            ready(Ok(answer.body(Bytes::from_static(self.0.as_bytes())).unwrap())).boxed()
        }
    }

    #[tokio::test]
    async fn each_oddity_of_an_answer_that_is_believed_is_told_once() {
        let address = Address::new(Scheme::Https, "mq.example", "p").unwrap();
        let dialect = IronMq::new(&address, Token::new("t").unwrap());
        let events = EventSink::new(Clock::<Tokio>::start());
        let mut watcher = events.watch::<Tokio>();
        let mail = QueueName::new("mail").unwrap();
        let op = QueueOp::Peek { queue: mail.clone(), count: 1 };
        let believed = IronMqQueue::new(Answers("{}"), dialect.clone(), events.clone());
        assert_eq!(believed.execute(op.clone()).await, Ok(QueueReply::Peeked(Vec::new())));
        let refused = IronMqQueue::new(Answers("<html>"), dialect, events);
        assert!(refused.execute(op).await.is_err());
        drop((believed, refused));
        for oddity in [Oddity::NoMessages, Oddity::ContentType] {
            let told = Event::OddAnswer { queue: Some(mail.clone()), oddity };
            assert_eq!(watcher.next().await, Some(told));
        }
        assert_eq!(watcher.next().await, None);
    }
}
