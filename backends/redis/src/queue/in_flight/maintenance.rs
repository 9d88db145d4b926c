//! Maintenance of the queues, which no requester waits for.

use ivy_proto::QueueName;
use ivy_proto::backend::Output;
use ivy_proto::event::Event;
use ivy_proto::queue::{Fault, FaultKind};
use redis::Value;

use super::{Context, InFlight, Operations};
use crate::connection::DEFAULT_LIMITS;
use crate::queue::checks;
use crate::queue::command::Command;
use crate::queue::command_batch::CommandBatch;
use crate::queue::decode::{Decoder, error_text};
use crate::queue::encode;
use crate::queue::fault::is_of_another_kind;
use crate::queue::keys::shown;
use crate::queue::maintenance::MaintenanceStep;
use crate::queue::receipt::Reservation;
use crate::queue::unusable::Unusable;

impl Operations {
    /// Sends the commands of a maintenance step.
    pub(super) fn start_maintenance(
        &mut self,
        step: MaintenanceStep,
        commands: Vec<Command>,
        context: &mut Context<'_>,
    ) {
        let batch = CommandBatch::new(commands);
        let id = self.send(&batch, DEFAULT_LIMITS, context);
        self.in_flight.insert(id, InFlight::Maintenance { step, batch });
    }

    /// Lists the queues whose entries in the list may be lost.
    pub(super) fn list_again(&mut self, context: &mut Context<'_>) {
        if let Some((step, commands)) = self.maintenance.list_again(&self.prefix, context.now) {
            self.start_maintenance(step, commands, context);
        }
    }

    /// Moves an element that no worker can handle to the dead-letter queue.
    pub(super) fn reject(
        &mut self,
        queue: &QueueName,
        reservation: &Reservation,
        why: Unusable,
        context: &mut Context<'_>,
    ) {
        let id = self.ids.message_id(self.wall.unix_millis(context.now));
        let step = self.maintenance.reject(&self.prefix, queue, (reservation, why), id.as_str());
        if let Some((step, commands)) = step {
            self.start_maintenance(step, commands, context);
        }
    }

    /// Handles the replies to a maintenance step.
    pub(super) fn on_maintenance_replies(
        &mut self,
        step: MaintenanceStep,
        replies: Vec<Value>,
        context: &mut Context<'_>,
    ) {
        let decoder = Decoder { address: context.effects.address() };
        match step {
            MaintenanceStep::Checks => {
                for warning in checks::warnings(&replies) {
                    warn(warning, context);
                }
            }
            MaintenanceStep::Orphans { queue, keys, found } => {
                match decoder.orphans(super::pending_operation::single_reply(replies)) {
                    Ok((next, count)) => {
                        let found = found.saturating_add(count);
                        if let Some(cursor) = next {
                            let command = encode::orphans(&keys, &cursor);
                            self.start_maintenance(
                                MaintenanceStep::Orphans { queue, keys, found },
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
                    Err(fault) => {
                        let what = "the search for messages whose leases are missing failed";
                        report_failure(
                            &fault,
                            || format!("queue {queue}: {what}: {fault}"),
                            context,
                        );
                    }
                }
            }
            MaintenanceStep::Reject { queue, dead, why } => {
                let Some(reply) = replies.into_iter().next_back() else { return };
                let is_other_data =
                    error_text(&reply).is_some_and(|text| is_of_another_kind(&text));
                match decoder.release(reply) {
                    Ok(_) => warn(why.moved(&queue), context),
                    Err(fault) => {
                        let warning = || match is_other_data {
                            true => why.refused_by(&queue, &shown(dead.ready())),
                            false => why.not_moved(&queue, &fault),
                        };
                        report_failure(&fault, warning, context);
                    }
                }
            }
            MaintenanceStep::Release => {
                let faults: Vec<Fault> =
                    replies.into_iter().filter_map(|reply| decoder.release(reply).err()).collect();
                for fault in faults {
                    let what = "messages of a cancelled reserve were not released";
                    report_failure(&fault, || format!("{what}: {fault}"), context);
                }
            }
            MaintenanceStep::List => {
                // The next post tries again, and reports what its own command is refused.
                for fault in replies.into_iter().filter_map(|reply| decoder.accepted(reply).err()) {
                    tracing::debug!(%fault, "a queue was not listed again");
                }
            }
        }
    }
}

fn warn(warning: String, context: &mut Context<'_>) {
    context.effects.push(Output::Event(Event::QueueServerWarning { warning }));
}

/// Reports failed maintenance, which is repeated when it is due again, or when the lease ends. A
/// warning if that will not help.
fn report_failure(fault: &Fault, warning: impl FnOnce() -> String, context: &mut Context<'_>) {
    let is_lasting = matches!(
        fault.kind(),
        FaultKind::Refused | FaultKind::Unauthorized | FaultKind::ServerError
    );
    if is_lasting {
        return warn(warning(), context);
    }
    tracing::debug!(%fault, "the maintenance of a queue failed");
}
