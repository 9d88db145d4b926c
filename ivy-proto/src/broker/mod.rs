//! An in-memory broker with the behaviour of IronMQ v3, as a state machine without IO.

mod request;

pub use request::{
    Answer, Delivery, Input, Output, Refusal, Request, RequestId, Target, View, Why,
};
