//! ivy with real peers: the Node package, the official IronMQ clients, a real Redis.

mod clients;
mod crash;
mod faults;
mod fixture;
mod ivy2;
mod node_peers_survive;
mod node_producer;
mod node_worker;
mod redis_queue;
mod traces;
