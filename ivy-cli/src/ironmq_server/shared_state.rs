//! The state that all connections share, behind a lock. Each connection runs it itself, and waits for
//! its own response.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ivy_driver::internal::{self, LockedMachine, PendingResponse, Poisoned};
use ivy_proto::broker::{BrokerConfig, Response};
use ivy_tokio::Tokio;

use super::api_call::ApiCall;
use super::failure::Failure;
use super::state::{Outcome, Reply, State};

/// Executes the calls of all connections.
#[derive(Debug)]
pub(crate) struct SharedState(Arc<LockedMachine<Tokio, State>>);

impl SharedState {
    /// Starts it in the current runtime.
    pub(crate) fn start(config: BrokerConfig, seed: [u8; 32]) -> io::Result<Self> {
        Ok(SharedState(LockedMachine::start("ivy-serve", State::new(config, seed))?))
    }

    /// Makes a call. Most complete immediately. Dropping a pending one abandons the call.
    pub(crate) fn call(&self, call: ApiCall) -> Submitted {
        match self.0.submit(call) {
            Ok(internal::Submitted::Done(outcome)) => Submitted::Done(outcome),
            Ok(internal::Submitted::Pending(waiting)) => Submitted::Pending(PendingCall(waiting)),
            Err(poisoned) => Submitted::Done(Err(poisoned.into())),
        }
    }

    /// Ends all waits: long polls return no messages, now and later.
    pub(crate) fn close(&self) {
        // It fails only if the state is broken; then nothing waits.
        let _ = self.0.end_all(nothing, State::close);
    }
}

/// The state of a call after it was made.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// It is complete.
    Done(Outcome),
    /// It is pending.
    Pending(PendingCall),
}

/// A pending call. Only reserves can be pending.
#[derive(Debug)]
pub(crate) struct PendingCall(PendingResponse<Tokio, State>);

impl PendingCall {
    /// Ends the wait: returns the response if it has arrived, else that of a reserve that found
    /// nothing.
    pub(crate) fn end(&mut self) -> Outcome {
        self.0.end()?.unwrap_or_else(nothing)
    }
}

impl Future for PendingCall {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        Pin::new(&mut self.0).poll(context).map(|result| result?)
    }
}

impl From<Poisoned> for Failure {
    fn from(_: Poisoned) -> Self {
        Failure::internal()
    }
}

/// The response that any pending call may get.
fn nothing() -> Outcome {
    Ok(Reply::Broker(Response::Reserved(Vec::new())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ivy_proto::QueueName;
    use ivy_proto::broker::Request;
    use ivy_proto::queue::{Body, NewMessage};
    use tokio::time::Instant;

    use super::super::api_call::UpdateVerb;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn state() -> SharedState {
        SharedState::start(BrokerConfig::default(), [7; 32]).unwrap()
    }

    /// Waits for the outcome.
    async fn outcome(submitted: Submitted) -> Outcome {
        match submitted {
            Submitted::Done(outcome) => outcome,
            Submitted::Pending(waits) => waits.await,
        }
    }

    fn queue() -> QueueName {
        QueueName::new("q").unwrap()
    }

    fn post(delay: Duration) -> ApiCall {
        let message = NewMessage { body: Body::new("hello"), delay };
        ApiCall::Broker(Request::Post { queue: queue(), messages: vec![message] })
    }

    fn reserve(wait: Duration) -> ApiCall {
        let (queue, count) = (queue(), 1);
        ApiCall::Broker(Request::Reserve { queue, count, timeout: None, wait, delete: false })
    }

    /// Creates the queue without leaving a message in it.
    async fn make_queue(state: &SharedState) {
        let update = Box::default();
        let verb = UpdateVerb::Put;
        outcome(state.call(ApiCall::UpdateQueue { queue: queue(), update, verb })).await.unwrap();
    }

    fn messages(outcome: Outcome) -> usize {
        match outcome {
            Ok(Reply::Broker(Response::Reserved(deliveries))) => deliveries.len(),
            other => panic!("not a response to a reserve: {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_reserve_ends_when_its_time_is_over() {
        let state = state();
        make_queue(&state).await;
        let started = Instant::now();
        assert_eq!(messages(outcome(state.call(reserve(20 * SECOND))).await), 0);
        assert_eq!(started.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_reserve_gets_a_delayed_message_on_time() {
        let state = state();
        outcome(state.call(post(10 * SECOND))).await.unwrap();
        let started = Instant::now();
        assert_eq!(messages(outcome(state.call(reserve(20 * SECOND))).await), 1);
        assert_eq!(started.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_while_waiting_takes_no_message() {
        let state = state();
        make_queue(&state).await;
        drop(state.call(reserve(20 * SECOND)));
        outcome(state.call(post(Duration::ZERO))).await.unwrap();
        assert_eq!(messages(outcome(state.call(reserve(Duration::ZERO))).await), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ended_wait_reserves_no_message_and_returns_one_that_arrived() {
        let state = state();
        make_queue(&state).await;
        let Submitted::Pending(mut waits) = state.call(reserve(20 * SECOND)) else {
            panic!("answered")
        };
        assert_eq!(messages(waits.end()), 0);
        let Submitted::Pending(mut waits) = state.call(reserve(20 * SECOND)) else {
            panic!("answered")
        };
        outcome(state.call(post(Duration::ZERO))).await.unwrap();
        assert_eq!(messages(waits.end()), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_waits_after_the_state_is_closed() {
        let state = state();
        make_queue(&state).await;
        let waiting = state.call(reserve(20 * SECOND));
        let started = Instant::now();
        state.close();
        assert_eq!(messages(outcome(waiting).await), 0);
        assert_eq!(messages(outcome(state.call(reserve(20 * SECOND))).await), 0);
        assert_eq!(started.elapsed(), Duration::ZERO);
        // Everything else works until the connections have ended.
        outcome(state.call(post(Duration::ZERO))).await.unwrap();
        assert_eq!(messages(outcome(state.call(reserve(20 * SECOND))).await), 1);
    }
}
