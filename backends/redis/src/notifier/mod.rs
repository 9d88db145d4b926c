//! Redis as a notifier: subscriptions, each on a connection of its own.

mod subscribed_connection;
mod subscription;
mod subscription_state;

pub(crate) use subscription::Subscription;
