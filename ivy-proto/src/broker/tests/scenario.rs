//! A broker with virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::{
    Broker, BrokerConfig, Delivery, Input, Output, Refusal, Request, RequestId, Response, Target,
};
use crate::queue::{Body, NewMessage, QueueInfo, QueueSettings};
use crate::{MessageId, Moment, QueueName};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// The default queue of a scenario.
pub(super) fn q() -> QueueName {
    name("q")
}

pub(super) fn name(text: &str) -> QueueName {
    QueueName::new(text).unwrap()
}

pub(super) fn new_message(body: &str, delay: Duration) -> NewMessage {
    NewMessage { body: Body::new(body), delay }
}

/// The target of a consumer that holds this delivery.
pub(super) fn held(delivery: &Delivery) -> Target {
    Target { message: delivery.message.clone(), reservation: Some(delivery.reservation.clone()) }
}

/// A target without a reservation.
pub(super) fn unheld(message: &MessageId) -> Target {
    Target { message: message.clone(), reservation: None }
}

pub(super) fn reserve(count: usize) -> Request {
    Request::Reserve { queue: q(), count, timeout: None, wait: Duration::ZERO, delete: false }
}

pub(super) fn waiting_reserve(count: usize, wait: Duration) -> Request {
    Request::Reserve { queue: q(), count, timeout: None, wait, delete: false }
}

pub(super) fn release(delivery: &Delivery, delay: Duration) -> Request {
    Request::Release { queue: q(), target: held(delivery), delay, failed: false }
}

pub(super) fn touch(delivery: &Delivery, timeout: Option<Duration>) -> Request {
    Request::Touch { queue: q(), target: held(delivery), timeout }
}

pub(super) fn delete(target: Target) -> Request {
    Request::Delete { queue: q(), target }
}

pub(super) fn put(settings: QueueSettings) -> Request {
    Request::PutQueue { queue: q(), settings }
}

pub(super) fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.body.as_str()).collect()
}

/// A broker, the time, and the responses so far.
pub(super) struct Scenario {
    pub(super) broker: Broker,
    pub(super) now: Moment,
    requests: u64,
    responses: BTreeMap<RequestId, (Moment, Result<Response, Refusal>)>,
}

impl Scenario {
    pub(super) fn new() -> Self {
        Scenario::with(BrokerConfig::default())
    }

    pub(super) fn with(config: BrokerConfig) -> Self {
        Scenario {
            broker: Broker::new(config, [7; 32]),
            now: Moment::EPOCH,
            requests: 0,
            responses: BTreeMap::new(),
        }
    }

    /// Sends a request that gets its response immediately.
    pub(super) fn request(&mut self, request: Request) -> Result<Response, Refusal> {
        let id = self.start(request);
        self.responses.remove(&id).expect("an immediate response").1
    }

    /// Sends a request that may have to wait.
    pub(super) fn start(&mut self, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.feed(Input::Request(id, request));
        id
    }

    pub(super) fn abandon(&mut self, id: RequestId) {
        self.feed(Input::Abandon(id));
    }

    /// The response to a request, if there is one, and how long after the start it was sent.
    pub(super) fn response(
        &mut self,
        id: RequestId,
    ) -> Option<(Duration, Result<Response, Refusal>)> {
        let (at, response) = self.responses.remove(&id)?;
        Some((at.since(Moment::EPOCH), response))
    }

    /// The messages that a waiting reserve received, if it got a response, and after how long.
    pub(super) fn deliveries(&mut self, id: RequestId) -> Option<(Duration, Vec<Delivery>)> {
        match self.response(id)? {
            (at, Ok(Response::Reserved(deliveries))) => Some((at, deliveries)),
            other => panic!("not the response to a reserve: {other:?}"),
        }
    }

    /// Lets time pass as a prompt driver does: from deadline to deadline.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.drain()
            && at <= end
        {
            assert!(at > self.now, "the broker must not request another call immediately");
            self.now = at;
            self.feed(Input::Tick);
        }
        self.now = end;
        self.feed(Input::Tick);
    }

    /// Lets time pass as a delayed driver does: in one step.
    pub(super) fn jump(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.feed(Input::Tick);
    }

    pub(super) fn post(&mut self, body: &str) -> MessageId {
        self.post_delayed(body, Duration::ZERO)
    }

    pub(super) fn post_delayed(&mut self, body: &str, delay: Duration) -> MessageId {
        let request = Request::Post { queue: q(), messages: vec![new_message(body, delay)] };
        match self.request(request) {
            Ok(Response::Posted(mut ids)) => ids.remove(0),
            other => panic!("not the response to a post: {other:?}"),
        }
    }

    pub(super) fn reserve(&mut self, count: usize) -> Vec<Delivery> {
        self.take(reserve(count))
    }

    /// Reserves the one message that is ready.
    pub(super) fn reserve_one(&mut self) -> Delivery {
        let mut deliveries = self.reserve(2);
        assert_eq!(deliveries.len(), 1, "exactly one ready message");
        deliveries.remove(0)
    }

    pub(super) fn take(&mut self, request: Request) -> Vec<Delivery> {
        match self.request(request) {
            Ok(Response::Reserved(deliveries)) => deliveries,
            other => panic!("not the response to a reserve: {other:?}"),
        }
    }

    pub(super) fn peek(&mut self, queue: &QueueName) -> Vec<String> {
        match self.request(Request::Peek { queue: queue.clone(), count: 100 }) {
            Ok(Response::Peeked(views)) => {
                views.iter().map(|view| view.body.as_str().to_owned()).collect()
            }
            other => panic!("not the response to a peek: {other:?}"),
        }
    }

    pub(super) fn info(&mut self, queue: &QueueName) -> QueueInfo {
        match self.request(Request::GetQueue { queue: queue.clone() }) {
            Ok(Response::Queue(info)) => info,
            other => panic!("not the response to a get: {other:?}"),
        }
    }

    pub(super) fn size(&mut self) -> u64 {
        self.info(&q()).size.unwrap()
    }

    fn feed(&mut self, input: Input) {
        self.broker.handle_input(input, self.now).unwrap();
        self.drain();
    }

    /// Collects the responses, and returns when the broker needs its next call.
    fn drain(&mut self) -> Option<Moment> {
        loop {
            match self.broker.poll_output() {
                Output::Response(id, response) => {
                    let before = self.responses.insert(id, (self.now, response));
                    assert_eq!(before, None, "{id:?} got two responses");
                }
                Output::Wait(deadline) => return deadline.map(|deadline| deadline.at),
            }
        }
    }
}
