//! Redis as a notifier: subscriptions, each over a connection of its own.

mod feed;
mod subscriber;
mod subscription;

pub(crate) use subscription::Subscription;
