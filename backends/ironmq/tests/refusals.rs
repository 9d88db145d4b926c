//! The refusals of the broker, mapped to statuses as `ivy serve` does.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ivy_ironmq::{Address, IronMq, Scheme, Token};
use ivy_proto::broker::Refusal;
use ivy_proto::queue::{Fault, QueueOp};
use ivy_proto::{MessageId, QueueName, Receipt, ReservationId};

#[test]
fn a_refusal_is_the_same_fault_as_over_http() {
    let address = Address::new(Scheme::Http, "localhost", "54f95d43ecbd7e000800002a").unwrap();
    let ironmq = IronMq::new(&address, Token::new("token").unwrap());
    let queue = QueueName::new("q").unwrap();
    let receipt = Receipt { message: MessageId::new("1"), reservation: ReservationId::new("r") };
    let peek = QueueOp::Peek { queue: queue.clone(), count: 1 };
    let touch = QueueOp::Touch { queue: queue.clone(), receipt, lease: Duration::from_secs(1) };
    let create = QueueOp::CreateQueue { queue: queue.clone() };
    let get = QueueOp::Get { queue: queue.clone(), message: MessageId::new("1") };
    for (op, refusal, status) in [
        (&peek, Refusal::QueueNotFound, 404),
        (&get, Refusal::QueueNotFound, 404),
        (&get, Refusal::MessageNotFound, 404),
        (&touch, Refusal::MessageNotFound, 404),
        (&touch, Refusal::ReservationTimedOut, 403),
        (&touch, Refusal::ReservationRequired, 400),
        (&create, Refusal::KindIsFixed, 403),
        (&peek, Refusal::Invalid("n must be from 1 to 100"), 400),
    ] {
        let body = Bytes::from(format!(r#"{{"msg":"{refusal}"}}"#));
        let response = Response::builder().status(status).body(body).unwrap();
        let over_http = ironmq.decode(op, response).unwrap_err().kind();
        assert_eq!(Fault::from(refusal).kind(), over_http, "{op:?}");
    }
}
