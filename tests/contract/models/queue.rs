//! Compares the model of the queue with a real server: both follow the same random scripts. A
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

/// A script that is being followed.
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
        let receipt = |place: &usize| self.granted.get(*place).cloned();
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
            Step::Touch(place, lease) => {
                QueueOp::Touch { queue, receipt: receipt(place)?, lease: second(*lease) }
            }
            Step::Release(place, delay) => QueueOp::Release {
                queue,
                receipt: receipt(place)?,
                delay: second(*delay),
                failed: false,
            },
            Step::Delete(place) => QueueOp::Delete { queue, receipt: receipt(place)? },
            Step::DeleteMany(places) => {
                let receipts: Option<Vec<Receipt>> = places.iter().map(receipt).collect();
                QueueOp::DeleteMany { queue, receipts: Batch::new(receipts?)? }
            }
            Step::GetQueue => QueueOp::GetQueue { queue },
        })
    }

    fn note(&mut self, reply: Result<QueueReply, Fault>) {
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
                    let place = self.posted.iter().position(|posted| *posted == id);
                    let place = place.expect("only posted messages are reserved");
                    (place, message.deliveries, format!("{:?}", message.body))
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

    fn follow(&mut self, script: &[Step], queue: &str) -> Vec<Observed> {
        let mut run = Run::new(queue);
        for step in script {
            let Some(op) = run.op(step) else { continue };
            let response = self.exchange(&self.ironmq.encode(&op));
            run.note(self.ironmq.decode(&op, response));
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

async fn follow_on_server(server: &IvyServer, script: &[Step], queue: &str) -> Vec<Observed> {
    let ironmq = server.dialect();
    let mut run = Run::new(queue);
    for step in script {
        let Some(op) = run.op(step) else { continue };
        let response = server.exchange(ironmq.encode(&op)).await;
        run.note(ironmq.decode(&op, response));
    }
    run.seen
}

/// A script that does not depend on how much time passes.
fn random_steps(seed: u64) -> Vec<Step> {
    let mut rng = Rng::from_number(seed);
    let mut places = 0;
    let steps = (0..STEPS).map(|_| {
        let place = rng.up_to(places) as usize;
        match rng.up_to(9) {
            0 | 1 => Step::Post([1, 1, 2, 5][rng.up_to(3) as usize], 0),
            2..=4 => {
                let count = [1, 2, 5][rng.up_to(2) as usize];
                places += 2;
                Step::Reserve { count, lease: 3_600, wait: 0 }
            }
            5 => {
                places += 1;
                Step::Touch(place, 3_600)
            }
            6 => Step::Release(place, if rng.up_to(3) == 0 { 3_600 } else { 0 }),
            7 => Step::Delete(place),
            8 => Step::DeleteMany(
                (0..1 + rng.up_to(2)).map(|_| rng.up_to(places) as usize).collect(),
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
async fn the_model_of_the_queue_behaves_as_a_real_server() {
    let server = IvyServer::start().await;
    let mut model = Model::new();
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..SCRIPTS {
        let (script, queue) = (random_steps(seed), format!("drawn-{seed}"));
        let seen = model.follow(&script, &queue);
        let real = follow_on_server(&server, &script, &queue).await;
        assert_eq!(seen, real, "script {seed}: {script:#?}");
        kinds.extend(seen.iter().map(kind));
    }
    let script = with_time();
    let seen = model.follow(&script, "with-time");
    assert_eq!(seen, follow_on_server(&server, &script, "with-time").await);
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
