//! Maintenance of the queues, which no caller waits for.

use ivy_proto::backend::Output;
use ivy_proto::event::Event;
use ivy_proto::queue::Fault;
use redis::Value;

use super::{InFlight, Io, Operations};
use crate::connection::USUAL;
use crate::queue::checks;
use crate::queue::command::Command;
use crate::queue::decode::Decoder;
use crate::queue::encode;
use crate::queue::exchange::Exchange;
use crate::queue::upkeep::Task;

impl Operations {
    /// Sends the commands of a maintenance task.
    pub(super) fn keep_up(&mut self, task: Task, commands: Vec<Command>, io: &mut Io<'_>) {
        let exchange = Exchange::new(commands);
        let id = self.send(&exchange, USUAL, io);
        self.in_flight.insert(id, InFlight::Upkeep { task, exchange });
    }

    /// Handles the replies to a maintenance task.
    pub(super) fn kept_up(&mut self, task: Task, answers: Vec<Value>, io: &mut Io<'_>) {
        let decoder = Decoder { address: io.effects.address() };
        match task {
            Task::Checks => {
                for warning in checks::warnings(&answers) {
                    warn(warning, io);
                }
            }
            Task::Orphans { queue, keys, found } => {
                match decoder.orphans(super::asked::only(answers)) {
                    Ok((next, count)) => {
                        let found = found.saturating_add(count);
                        if let Some(cursor) = next {
                            let command = encode::orphans(&keys, &cursor);
                            self.keep_up(Task::Orphans { queue, keys, found }, vec![command], io);
                        } else if found > 0 {
                            warn(
                                format!(
                                    "queue {queue}: the leases of {found} reserved messages were \
                                     missing, and they were put back; set maxmemory-policy \
                                     noeviction on the server, so that it deletes no keys"
                                ),
                                io,
                            );
                        }
                    }
                    Err(fault) => unkept(&fault),
                }
            }
            Task::Reject { queue } => {
                match answers.into_iter().next_back().map(|answer| decoder.release(answer)) {
                    Some(Ok(_)) => warn(
                        format!(
                            "queue {queue}: an element that is not a message of ivy, or is larger than \
                             1 MiB, was moved to the dead-letter queue; find out which program \
                             writes to the keys of the queue"
                        ),
                        io,
                    ),
                    Some(Err(fault)) => unkept(&fault),
                    None => {}
                }
            }
            Task::GiveBack => {
                for fault in answers.into_iter().filter_map(|answer| decoder.release(answer).err())
                {
                    unkept(&fault);
                }
            }
        }
    }
}

fn warn(warning: String, io: &mut Io<'_>) {
    io.effects.push(Output::Event(Event::QueueServerWarning { warning }));
}

/// It is retried when it is due again, or when the lease ends.
fn unkept(fault: &Fault) {
    tracing::debug!(%fault, "the maintenance of a queue failed");
}
