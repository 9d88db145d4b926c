//! Compares the model of the queue with a real server: both run the same random scripts. A
//! script names a reservation by the order in which it was granted, so that it can use one that was
//! replaced or has ended.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use ivy_ironmq::{Address, IronMq, Scheme, Token};
use ivy_proto::broker::{self, Broker, BrokerConfig, RequestId};
use ivy_proto::queue::{
    Batch, Body, DeliveryCount, Fault, FaultKind, NewMessage, QueueOp, QueueReply,
};
use ivy_proto::{MessageId, Moment, QueueName, Receipt, Rng};
use ivy_sim::wire;
use ivy_test_kit::IvyServer;

/// How many scripts are generated, and how long each is.
const SCRIPTS: u64 = 60;
const STEPS: usize = 40;

/// A step of a script. Receipts are given as indexes into all that were granted.
#[derive(Clone, Debug)]
enum Step {
    Post(usize, u64),
    Reserve { count: usize, lease: u64, wait: u64 },
    Touch(usize, u64),
    Release(usize, u64),
    Delete(usize),
    DeleteMany(Vec<usize>),
    GetQueue,
}

/// The outcome of a step, without the ids that each server chooses by itself.
#[derive(Debug, PartialEq)]
enum Observed {
    Posted(usize),
    /// A message: its index among all that were posted, how often it was reserved, and its body.
    Reserved(Vec<(usize, DeliveryCount, String)>),
    Touched,
    Released,
    Deleted,
    Size(Option<u64>),
    Failed(FaultKind),
}

/// A script that is being run.
struct Run {
    queue: QueueName,
    posted: Vec<MessageId>,
    granted: Vec<Receipt>,
    seen: Vec<Observed>,
}

impl Run {
    fn new(queue: &str) -> Run {
        let queue = QueueName::new(queue).expect("the name is valid");
        Run { queue, posted: Vec::new(), granted: Vec::new(), seen: Vec::new() }
    }

    /// The operation of a step, unless it needs a message or receipt that does not exist.
    fn op(&self, step: &Step) -> Option<QueueOp> {
        let queue = self.queue.clone();
        let second = Duration::from_secs;
        let receipt = |index: &usize| self.granted.get(*index).cloned();
        Some(match step {
            Step::Post(count, delay) => {
                let first = self.posted.len();
                let message = |number| NewMessage {
                    body: Body::new(format!("message {number} \"\u{e9}\"")),
                    delay: second(*delay),
                };
                let messages = (first..first + count).map(message).collect();
                QueueOp::Post { queue, messages: Batch::new(messages)? }
            }
            Step::Reserve { count, lease, wait } => QueueOp::Reserve {
                queue,
                count: *count,
                lease: second(*lease),
                wait: second(*wait),
            },
            Step::Touch(index, lease) => {
                QueueOp::Touch { queue, receipt: receipt(index)?, lease: second(*lease) }
            }
            Step::Release(index, delay) => QueueOp::Release {
                queue,
                receipt: receipt(index)?,
                delay: second(*delay),
                failed: false,
            },
            Step::Delete(index) => QueueOp::Delete { queue, receipt: receipt(index)? },
            Step::DeleteMany(indexes) => {
                let receipts: Option<Vec<Receipt>> = indexes.iter().map(receipt).collect();
                QueueOp::DeleteMany { queue, receipts: Batch::new(receipts?)? }
            }
            Step::GetQueue => QueueOp::GetQueue { queue },
        })
    }

    fn record(&mut self, reply: Result<QueueReply, Fault>) {
        let seen = match reply {
            Ok(QueueReply::Posted(ids)) => {
                let count = ids.len();
                self.posted.extend(ids.into_iter().flatten());
                Observed::Posted(count)
            }
            Ok(QueueReply::Reserved(reserved)) => {
                let messages = reserved.messages.into_iter().map(|message| {
                    let id = message.receipt.message.clone();
                    self.granted.push(message.receipt);
                    let index = self.posted.iter().position(|posted| *posted == id);
                    let index = index.expect("only posted messages are reserved");
                    (index, message.deliveries, format!("{:?}", message.body))
                });
                Observed::Reserved(messages.collect())
            }
            Ok(QueueReply::Touched(receipt)) => {
                self.granted.push(receipt);
                Observed::Touched
            }
            Ok(QueueReply::Released) => Observed::Released,
            Ok(QueueReply::Deleted(_)) => Observed::Deleted,
            Ok(QueueReply::Queue(info)) => Observed::Size(info.size),
            Ok(other) => panic!("unexpected reply {other:?}"),
            Err(fault) => Observed::Failed(fault.kind()),
        };
        self.seen.push(seen);
    }
}

/// The simulator's broker, used as the simulator uses it: bytes, in virtual time.
struct Model {
    ironmq: IronMq,
    broker: Broker,
    now: Moment,
    requests: u64,
}

impl Model {
    fn new() -> Model {
        let address =
            Address::new(Scheme::Http, "mq.example", "sim").expect("the address is valid");
        let token = Token::new("token").expect("the token is valid");
        Model {
            ironmq: IronMq::new(&address, token),
            broker: Broker::new(BrokerConfig::default(), [7; 32]),
            now: Moment::EPOCH,
            requests: 0,
        }
    }

    fn run(&mut self, steps: &[Step], queue: &str) -> Vec<Observed> {
        let mut run = Run::new(queue);
        for step in steps {
            let Some(op) = run.op(step) else { continue };
            let response = self.exchange(&self.ironmq.encode(&op));
            run.record(self.ironmq.decode(&op, response));
        }
        run.seen
    }

    fn exchange(&mut self, request: &Request<Bytes>) -> Response<Bytes> {
        self.requests += 1;
        self.now = self.now + Duration::from_millis(1);
        let id = RequestId(self.requests);
        let input = broker::Input::Request(id, wire::parse(request));
        self.broker.handle_input(input, self.now).expect("each id is used once");
        loop {
            match self.broker.poll_output() {
                broker::Output::Response(responded, response) => {
                    assert_eq!(responded, id, "one request at a time");
                    return wire::http_response(&response);
                }
                broker::Output::Wait(deadline) => {
                    self.now = deadline.expect("each wait ends").at;
                    self.broker.handle_input(broker::Input::Tick, self.now).expect("time passes");
                }
            }
        }
    }
}

async fn run_on_server(server: &IvyServer, steps: &[Step], queue: &str) -> Vec<Observed> {
    let ironmq = server.ironmq();
    let mut run = Run::new(queue);
    for step in steps {
        let Some(op) = run.op(step) else { continue };
        let response = server.exchange(ironmq.encode(&op)).await;
        run.record(ironmq.decode(&op, response));
    }
    run.seen
}

/// A script that does not depend on how much time passes.
fn random_steps(seed: u64) -> Vec<Step> {
    let mut rng = Rng::from_number(seed);
    let mut indexes = 0;
    let steps = (0..STEPS).map(|_| {
        let index = rng.up_to(indexes) as usize;
        match rng.up_to(9) {
            0 | 1 => Step::Post([1, 1, 2, 5][rng.up_to(3) as usize], 0),
            2..=4 => {
                let count = [1, 2, 5][rng.up_to(2) as usize];
                indexes += 2;
                Step::Reserve { count, lease: 3_600, wait: 0 }
            }
            5 => {
                indexes += 1;
                Step::Touch(index, 3_600)
            }
            6 => Step::Release(index, if rng.up_to(3) == 0 { 3_600 } else { 0 }),
            7 => Step::Delete(index),
            8 => Step::DeleteMany(
                (0..1 + rng.up_to(2)).map(|_| rng.up_to(indexes) as usize).collect(),
            ),
            _ => Step::GetQueue,
        }
    });
    steps.collect()
}

/// A script in which time passes: leases end, and delayed messages become ready.
fn with_time() -> Vec<Step> {
    vec![
        Step::Reserve { count: 1, lease: 60, wait: 0 },
        Step::GetQueue,
        Step::Post(1, 0),
        Step::Reserve { count: 1, lease: 1, wait: 0 },
        Step::Reserve { count: 1, lease: 60, wait: 0 },
        // The lease ends while a reserve waits.
        Step::Reserve { count: 1, lease: 60, wait: 20 },
        Step::Touch(0, 60),
        Step::Release(0, 0),
        Step::Delete(0),
        Step::DeleteMany(vec![1, 0]),
        Step::Touch(1, 60),
        Step::Delete(1),
        Step::Release(2, 2),
        Step::Reserve { count: 1, lease: 60, wait: 0 },
        Step::Reserve { count: 1, lease: 60, wait: 20 },
        Step::Delete(3),
        Step::Delete(3),
        Step::Touch(3, 60),
        Step::Post(1, 1),
        Step::GetQueue,
        Step::Reserve { count: 5, lease: 60, wait: 0 },
        Step::Reserve { count: 5, lease: 60, wait: 20 },
        // Nothing arrives, and the waiting reserve returns empty.
        Step::Reserve { count: 5, lease: 60, wait: 1 },
        Step::DeleteMany(vec![4]),
        Step::GetQueue,
    ]
}

#[tokio::test]
async fn the_model_of_the_queue_behaves_like_a_real_server() {
    let server = IvyServer::start().await;
    let mut model = Model::new();
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..SCRIPTS {
        let (steps, queue) = (random_steps(seed), format!("random-{seed}"));
        let seen = model.run(&steps, &queue);
        let real = run_on_server(&server, &steps, &queue).await;
        assert_eq!(seen, real, "script {seed}: {steps:#?}");
        kinds.extend(seen.iter().map(kind));
    }
    let steps = with_time();
    let seen = model.run(&steps, "with-time");
    assert_eq!(seen, run_on_server(&server, &steps, "with-time").await);
    kinds.extend(seen.iter().map(kind));
    let all = [
        "deleted",
        "lease lost",
        "no message",
        "no queue",
        "nothing",
        "posted",
        "released",
        "reserved",
        "size",
        "touched",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all, "the scripts cover every kind of step");
}

fn kind(seen: &Observed) -> &'static str {
    match seen {
        Observed::Posted(_) => "posted",
        Observed::Reserved(messages) if messages.is_empty() => "nothing",
        Observed::Reserved(_) => "reserved",
        Observed::Touched => "touched",
        Observed::Released => "released",
        Observed::Deleted => "deleted",
        Observed::Size(_) => "size",
        Observed::Failed(FaultKind::LeaseLost) => "lease lost",
        Observed::Failed(FaultKind::NoMessage) => "no message",
        Observed::Failed(FaultKind::NoQueue) => "no queue",
        Observed::Failed(_) => "another fault",
    }
}
