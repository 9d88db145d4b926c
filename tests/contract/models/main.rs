//! The models against the real parts: the same scripts give the same traces on the simulator's
//! broker and on a real `ivy serve` over HTTP, and on the simulator's notifier and a real Redis.
//! Otherwise the model would be the bug.

mod notifier;
mod queue;
mod redis;
