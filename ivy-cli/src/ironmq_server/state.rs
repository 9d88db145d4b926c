//! The state of the server: the broker, and the settings of queues that the broker does not use.
//! Without IO, like the broker.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ivy_driver::internal::{Machine, MachineStep};
use ivy_proto::broker::{
    Broker, BrokerConfig, Input, Output, Refusal, Request, RequestId, Response,
};
use ivy_proto::queue::QueueInfo;
use ivy_proto::{MessageId, Moment, QueueName};

use super::alerts::{Alerts, AlertsChange, NewAlert};
use super::api_call::{ApiCall, QueueUpdate, UpdateVerb};
use super::failure::Failure;
use super::push::{Push, PushStatus, PushUpdate, SubscribersChange};
use super::queue_kind::QueueKind;

/// The outcome of a call.
pub(crate) type Outcome = Result<Reply, Failure>;

/// The reply to a successful call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The response of the broker.
    Broker(Response),
    /// A queue.
    Queue(Box<QueueWithExtras>),
    /// The call is done; the response contains this message.
    Done(&'static str),
    /// The subscribers of a message, and its delivery status for each.
    PushStatus(Vec<PushStatus>),
}

/// A queue with all its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueWithExtras {
    pub(crate) info: QueueInfo,
    pub(crate) extras: Extras,
}

/// Settings of a queue that the broker does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extras {
    pub(crate) kind: QueueKind,
    pub(crate) push: Option<Push>,
    pub(crate) alerts: Alerts,
}

/// The broker, and the server's additions to it.
#[derive(Debug)]
pub(crate) struct State {
    broker: Broker,
    extras: BTreeMap<QueueName, Extras>,
    outcomes: VecDeque<(RequestId, Outcome)>,
    is_closed: bool,
}

/// The id of the requests that the state itself makes. Those of callers have other numbers.
const OWN_REQUEST: RequestId = RequestId(0);

impl State {
    pub(crate) fn new(config: BrokerConfig, seed: [u8; 32]) -> Self {
        State {
            broker: Broker::new(config, seed),
            extras: BTreeMap::new(),
            outcomes: VecDeque::new(),
            is_closed: false,
        }
    }

    /// Ends all waiting from now on: a long poll that finds no message returns at once.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    fn get_queue(&mut self, queue: QueueName, sizes: bool, now: Moment) -> Outcome {
        let info = self.info(queue, now)?;
        let extras = self.extras_of(&info.name);
        let info = if sizes { info } else { without_sizes(info) };
        Ok(Reply::Queue(Box::new(QueueWithExtras { info, extras })))
    }

    fn update_queue(
        &mut self,
        queue: QueueName,
        update: QueueUpdate,
        verb: UpdateVerb,
        now: Moment,
    ) -> Outcome {
        let QueueUpdate { kind: requested, mut settings, push, alerts } = update;
        let extras = self.extras_of(&queue);
        let kind = if self.info(queue.clone(), now).is_ok() {
            if requested.is_some_and(|requested| requested != extras.kind) {
                return Err(Refusal::KindIsFixed.into());
            }
            extras.kind
        } else if push.as_ref().is_some_and(PushUpdate::has_subscribers) {
            requested.unwrap_or(QueueKind::Multicast)
        } else {
            requested.unwrap_or_default()
        };
        settings.reservable = Some(kind == QueueKind::Pull);
        let extras = extras.updated(kind, push, alerts)?;
        let request = match verb {
            UpdateVerb::Put => Request::PutQueue { queue: queue.clone(), settings },
            UpdateVerb::Patch => Request::PatchQueue { queue: queue.clone(), settings },
        };
        self.call_broker(request, now)?;
        self.extras.insert(queue.clone(), extras);
        self.get_queue(queue, verb == UpdateVerb::Patch, now)
    }

    fn delete_queue(&mut self, queue: QueueName, now: Moment) -> Outcome {
        let response = self.call_broker(Request::DeleteQueue { queue: queue.clone() }, now)?;
        self.extras.remove(&queue);
        Ok(Reply::Broker(response))
    }

    fn change_subscribers(
        &mut self,
        queue: QueueName,
        change: SubscribersChange,
        now: Moment,
    ) -> Outcome {
        self.info(queue.clone(), now)?;
        let mut extras = self.extras_of(&queue);
        let push = extras.push.ok_or_else(no_subscribers)?;
        extras.push = Some(push.changed(change)?);
        self.extras.insert(queue, extras);
        Ok(Reply::Done("Updated"))
    }

    fn push_status(&mut self, queue: QueueName, message: MessageId, now: Moment) -> Outcome {
        self.call_broker(Request::GetMessage { queue: queue.clone(), message }, now)?;
        let extras = self.extras_of(&queue);
        Ok(Reply::PushStatus(match extras.push {
            Some(push) if extras.kind == QueueKind::Multicast => push.untried(),
            // For a unicast queue, only subscribers that were tried are listed.
            _ => Vec::new(),
        }))
    }

    fn change_alerts(&mut self, queue: QueueName, change: AlertsChange, now: Moment) -> Outcome {
        self.info(queue.clone(), now)?;
        let mut extras = self.extras_of(&queue);
        if extras.kind != QueueKind::Pull {
            return Err(no_alerts());
        }
        let text = change.text();
        extras.alerts.change(change)?;
        self.extras.insert(queue, extras);
        Ok(Reply::Done(text))
    }

    fn extras_of(&self, queue: &QueueName) -> Extras {
        self.extras.get(queue).cloned().unwrap_or_default()
    }

    fn info(&mut self, queue: QueueName, now: Moment) -> Result<QueueInfo, Failure> {
        match self.call_broker(Request::GetQueue { queue }, now)? {
            Response::Queue(info) => Ok(info),
            _ => Err(Failure::internal()),
        }
    }

    /// Makes a request that the broker completes at once. Its other outputs are kept.
    fn call_broker(&mut self, request: Request, now: Moment) -> Result<Response, Failure> {
        self.input(Input::Request(OWN_REQUEST, request), now);
        loop {
            match self.broker.poll_output() {
                Output::Response(OWN_REQUEST, result) => return result.map_err(Failure::from),
                Output::Response(id, result) => self.outcomes.push_back((id, outcome(result))),
                Output::Wait(_) => return Err(Failure::internal()),
            }
        }
    }

    fn input(&mut self, input: Input, now: Moment) {
        let misuse = self.broker.handle_input(input, now);
        debug_assert_eq!(misuse, Ok(()), "each call has an id of its own");
    }
}

impl Machine for State {
    type Request = ApiCall;
    type Response = Outcome;

    /// Only a waiting reserve completes later than at the next polls.
    fn submit(&mut self, id: RequestId, call: ApiCall, now: Moment) {
        let outcome = match call {
            ApiCall::Broker(request) => {
                let request = if self.is_closed { without_wait(request) } else { request };
                return self.input(Input::Request(id, request), now);
            }
            ApiCall::GetQueue { queue, sizes } => self.get_queue(queue, sizes, now),
            ApiCall::UpdateQueue { queue, update, verb } => {
                self.update_queue(queue, *update, verb, now)
            }
            ApiCall::DeleteQueue { queue } => self.delete_queue(queue, now),
            ApiCall::Subscribers { queue, change } => self.change_subscribers(queue, change, now),
            ApiCall::Alerts { queue, change } => self.change_alerts(queue, change, now),
            ApiCall::PushStatus { queue, message } => self.push_status(queue, message, now),
        };
        self.outcomes.push_back((id, outcome));
    }

    fn abandon(&mut self, id: RequestId, now: Moment) {
        self.input(Input::Abandon(id), now);
    }

    fn tick(&mut self, now: Moment) {
        self.input(Input::Tick, now);
    }

    fn poll(&mut self) -> MachineStep<Outcome> {
        if let Some((id, outcome)) = self.outcomes.pop_front() {
            return MachineStep::Response(id, outcome);
        }
        match self.broker.poll_output() {
            Output::Response(id, result) => MachineStep::Response(id, outcome(result)),
            Output::Wait(deadline) => MachineStep::Wait(deadline.map(|deadline| deadline.at)),
        }
    }
}

impl Extras {
    /// These settings with the changes applied, if they suit the queue.
    fn updated(
        mut self,
        kind: QueueKind,
        push: Option<PushUpdate>,
        alerts: Option<Vec<NewAlert>>,
    ) -> Result<Self, Failure> {
        if kind != QueueKind::Pull {
            if alerts.is_some_and(|alerts| !alerts.is_empty()) {
                return Err(no_alerts());
            }
            let push = self.push.unwrap_or_default().merged(push.unwrap_or_default())?;
            return Ok(Extras { kind, push: Some(push), ..self });
        }
        if push.is_some_and(|push| push.has_subscribers()) {
            return Err(no_subscribers());
        }
        if let Some(alerts) = alerts {
            self.alerts.change(AlertsChange::Replace(alerts))?;
        }
        Ok(self)
    }
}

fn outcome(result: Result<Response, Refusal>) -> Outcome {
    result.map(Reply::Broker).map_err(Failure::from)
}

fn without_wait(mut request: Request) -> Request {
    if let Request::Reserve { wait, .. } = &mut request {
        *wait = Duration::ZERO;
    }
    request
}

fn without_sizes(info: QueueInfo) -> QueueInfo {
    let mut info = info;
    info.size = None;
    info.total_messages = None;
    info
}

fn no_subscribers() -> Failure {
    Failure::bad_request("Only a push queue can have subscribers")
}

fn no_alerts() -> Failure {
    Failure::bad_request("Only a pull queue can have alerts")
}
