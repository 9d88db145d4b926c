//! The notifier: a publication that the program receives itself.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use ivy_proto::ChannelName;
use ivy_proto::backend::SubscriptionEvent;
use ivy_proto::inspect::Span;
use ivy_proto::notify::Publication;
use ivy_proto::queue::Body;
use ivy_tokio::Ivy;
use tokio::time::timeout;

use super::report::Checks;

/// How long the publication may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn check(ivy: &Ivy, checks: &mut Checks) {
    if ivy.notifier().is_none() {
        return checks.not_checked("notifier", "there is no notifier", "set IVY_NOTIFIER_URL");
    }
    match timeout(PATIENCE, round_trip(ivy)).await {
        Ok(Ok(time)) => {
            let text = format!("a publication was received, in {}", Span(time));
            checks.ok("notifier", text);
        }
        Ok(Err(error)) => checks.wrong("notifier", error),
        Err(_) => checks.wrong(
            "notifier",
            "a publication was not received; check that no proxy in between drops publications",
        ),
    }
}

/// Publishes to a channel of its own, and waits for the publication.
async fn round_trip(ivy: &Ivy) -> Result<Duration, String> {
    let notifier = ivy.notifier().ok_or("there is no notifier")?;
    let name = format!("{}.doctor.{}", ivy.channel().as_str(), std::process::id());
    let channel = ChannelName::new(&name).map_err(|error| error.to_string())?;
    let mut events = notifier.subscribe(vec![channel.clone()]);
    loop {
        match events.next().await {
            Some(SubscriptionEvent::Subscribed) => break,
            Some(SubscriptionEvent::Lost(fault)) => return Err(fault.to_string()),
            Some(SubscriptionEvent::Notice { .. }) => {}
            None => return Err("the subscription ended".to_owned()),
        }
    }
    let begin = Instant::now();
    let publication = Publication { channel, payload: Body::new("{}") };
    notifier.publish(publication).await.map_err(|fault| fault.to_string())?;
    loop {
        match events.next().await {
            Some(SubscriptionEvent::Notice { .. }) => return Ok(begin.elapsed()),
            Some(SubscriptionEvent::Lost(fault)) => return Err(fault.to_string()),
            Some(SubscriptionEvent::Subscribed) => {}
            None => return Err("the subscription ended".to_owned()),
        }
    }
}
