//! Scripts for notifiers: who receives what, and how many received it.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use ivy_proto::{ChannelName, Rng};
use ivy_sim::redis::PubSub;
use ivy_test_kit::{PATIENCE, RedisServer};
use tokio::time::{sleep, timeout};

const CLIENTS: usize = 3;
const STEPS: usize = 60;
const CHANNELS: [&str; 3] = ["ivy-notifier", "ivy-notifier.r.a", "ivy-notifier.r.b"];

#[derive(Clone, Debug)]
enum Step {
    /// A client reconnects and subscribes to these channels.
    Subscribe(usize, Vec<usize>),
    Disconnect(usize),
    Publish(usize),
}

/// How many clients received each publication, and what each client received, in order.
#[derive(Debug, Default, PartialEq)]
struct Observed {
    receivers: Vec<u64>,
    received: [Vec<String>; CLIENTS],
}

fn random_steps(seed: u64) -> Vec<Step> {
    let mut rng = Rng::from_number(seed);
    let steps = (0..STEPS).map(|_| {
        let client = rng.up_to(CLIENTS as u64 - 1) as usize;
        match rng.up_to(5) {
            0 => {
                let subset = 1 + rng.up_to(6);
                let channels = (0..CHANNELS.len()).filter(|channel| subset & 1 << channel != 0);
                Step::Subscribe(client, channels.collect())
            }
            1 => Step::Disconnect(client),
            _ => Step::Publish(rng.up_to(CHANNELS.len() as u64 - 1) as usize),
        }
    });
    steps.collect()
}

fn follow_on_model(script: &[Step]) -> Observed {
    let mut redis = PubSub::default();
    let mut seen = Observed::default();
    let name = |channel: usize| ChannelName::new(CHANNELS[channel]).expect("the name is valid");
    for (number, step) in script.iter().enumerate() {
        match step {
            Step::Subscribe(client, channels) => {
                let channels = channels.iter().map(|channel| name(*channel)).collect();
                redis.subscribe(*client, *client, channels);
            }
            Step::Disconnect(client) => {
                redis.disconnect(*client);
            }
            Step::Publish(channel) => {
                let listeners = redis.listeners(&name(*channel));
                seen.receivers.push(listeners.len() as u64);
                for client in listeners {
                    seen.received[client].push(format!("{} {number}", CHANNELS[*channel]));
                }
            }
        }
    }
    seen
}

async fn follow_on_redis(server: &RedisServer, script: &[Step]) -> Observed {
    let client = redis::Client::open(server.url()).expect("the server's address is valid");
    let mut connection =
        client.get_multiplexed_async_connection().await.expect("the server accepts connections");
    let mut clients: [Option<redis::aio::PubSub>; CLIENTS] = Default::default();
    let mut seen = Observed::default();
    for (number, step) in script.iter().enumerate() {
        match step {
            Step::Subscribe(place, channels) => {
                leave(&mut connection, &mut clients[*place]).await;
                let mut subscription =
                    client.get_async_pubsub().await.expect("the server accepts connections");
                for channel in channels {
                    subscription.subscribe(CHANNELS[*channel]).await.expect("a subscription");
                }
                clients[*place] = Some(subscription);
            }
            Step::Disconnect(place) => leave(&mut connection, &mut clients[*place]).await,
            Step::Publish(channel) => {
                let receivers = redis::cmd("PUBLISH")
                    .arg(CHANNELS[*channel])
                    .arg(number)
                    .query_async::<u64>(&mut connection)
                    .await
                    .expect("the server publishes");
                seen.receivers.push(receivers);
                // The count shows that no other client received it, because each one receives what
                // it should.
                let mut received = 0;
                for (place, subscription) in clients.iter_mut().enumerate() {
                    let Some(subscription) = subscription else { continue };
                    let mut messages = subscription.on_message();
                    let wait =
                        if received < receivers { PATIENCE / 600 } else { Default::default() };
                    if let Ok(Some(message)) = timeout(wait, messages.next()).await {
                        let text: String = message.get_payload().expect("the payload is a string");
                        let channel = message.get_channel_name();
                        seen.received[place].push(format!("{channel} {text}"));
                        received += 1;
                    }
                }
            }
        }
    }
    seen
}

/// A client disconnects, and the server notices.
async fn leave(
    connection: &mut redis::aio::MultiplexedConnection,
    subscription: &mut Option<redis::aio::PubSub>,
) {
    let Some(subscription) = subscription.take() else { return };
    let before = subscribers(connection).await;
    drop(subscription);
    while subscribers(connection).await >= before {
        sleep(PATIENCE / 60_000).await;
    }
}

/// How many connections are subscribed to anything.
async fn subscribers(connection: &mut redis::aio::MultiplexedConnection) -> usize {
    let clients = redis::cmd("CLIENT")
        .arg("LIST")
        .arg("TYPE")
        .arg("pubsub")
        .query_async::<String>(connection)
        .await
        .expect("the server lists its clients");
    clients.lines().count()
}

#[tokio::test]
async fn the_model_of_the_notifier_behaves_like_a_real_redis() {
    let server = RedisServer::start().await;
    let mut receivers = BTreeSet::new();
    for seed in 0..5 {
        let script = random_steps(seed);
        let model = follow_on_model(&script);
        receivers.extend(model.receivers.clone());
        assert_eq!(model, follow_on_redis(&server, &script).await, "script {seed}: {script:?}");
    }
    assert!(receivers.len() > 2, "received by none, by one, by several: {receivers:?}");
}
