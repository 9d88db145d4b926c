//! ivy among real peers: the Node original, the official IronMQ clients, a real Redis.

mod clients;
mod stage;
