//! Maintenance of the queues, which no caller waits for.

use ivy_proto::backend::Output;
use ivy_proto::event::Event;
use ivy_proto::queue::Fault;
use redis::Value;

use super::{Context, InFlight, Operations};
use crate::connection::DEFAULT_LIMITS;
use crate::queue::checks;
use crate::queue::command::Command;
use crate::queue::command_batch::CommandBatch;
use crate::queue::decode::Decoder;
use crate::queue::encode;
use crate::queue::maintenance::MaintenanceTask;

impl Operations {
    /// Sends the commands of a maintenance task.
    pub(super) fn start_maintenance(
        &mut self,
        task: MaintenanceTask,
        commands: Vec<Command>,
        context: &mut Context<'_>,
    ) {
        let batch = CommandBatch::new(commands);
        let id = self.send(&batch, DEFAULT_LIMITS, context);
        self.in_flight.insert(id, InFlight::Maintenance { task, batch });
    }

    /// Handles the replies to a maintenance task.
    pub(super) fn on_maintenance_replies(
        &mut self,
        task: MaintenanceTask,
        replies: Vec<Value>,
        context: &mut Context<'_>,
    ) {
        let decoder = Decoder { address: context.effects.address() };
        match task {
            MaintenanceTask::Checks => {
                for warning in checks::warnings(&replies) {
                    warn(warning, context);
                }
            }
            MaintenanceTask::Orphans { queue, keys, found } => {
                match decoder.orphans(super::pending_operation::single_reply(replies)) {
                    Ok((next, count)) => {
                        let found = found.saturating_add(count);
                        if let Some(cursor) = next {
                            let command = encode::orphans(&keys, &cursor);
                            self.start_maintenance(
                                MaintenanceTask::Orphans { queue, keys, found },
                                vec![command],
                                context,
                            );
                        } else if found > 0 {
                            warn(
                                format!(
                                    "queue {queue}: the leases of {found} reserved messages were \
                                     missing, and they were put back; set maxmemory-policy \
                                     noeviction on the server, so that it deletes no keys"
                                ),
                                context,
                            );
                        }
                    }
                    Err(fault) => report_failed_maintenance(&fault),
                }
            }
            MaintenanceTask::Reject { queue } => {
                match replies.into_iter().next_back().map(|reply| decoder.release(reply)) {
                    Some(Ok(_)) => warn(
                        format!(
                            "queue {queue}: an element that is not a message of ivy, or is larger than \
                             1 MiB, was moved to the dead-letter queue; find out which program \
                             writes to the keys of the queue"
                        ),
                        context,
                    ),
                    Some(Err(fault)) => report_failed_maintenance(&fault),
                    None => {}
                }
            }
            MaintenanceTask::Release => {
                for fault in replies.into_iter().filter_map(|reply| decoder.release(reply).err()) {
                    report_failed_maintenance(&fault);
                }
            }
        }
    }
}

fn warn(warning: String, context: &mut Context<'_>) {
    context.effects.push(Output::Event(Event::QueueServerWarning { warning }));
}

/// It is retried when it is due again, or when the lease ends.
fn report_failed_maintenance(fault: &Fault) {
    tracing::debug!(%fault, "the maintenance of a queue failed");
}
