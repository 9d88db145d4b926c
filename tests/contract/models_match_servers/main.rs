//! The models compared with the real servers: the same scripts must give the same traces on the
//! simulator's broker and on a real `ivy serve` over HTTP, and on the simulator's notifier and a
//! real Redis.

mod notifier;
mod queue;
mod redis;
