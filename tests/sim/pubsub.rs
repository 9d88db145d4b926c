//! The network between the machines and the notifier.

use std::time::Duration;

use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::queue::Body;
use ivy_proto::task::TaskOutcome;
use ivy_proto::{ChannelName, OpId};

use crate::fault::{Class, Fault, Opportunity};
use crate::fault_injection::{one_in, one_of};
use crate::host::ProcessInput;
use crate::setup::{SHARED, shared_channel};
use crate::task::{ProcessId, Sender};
use crate::world::{Due, World};

impl World {
    /// A worker publishes a notice or a presence record.
    pub(crate) fn publish(&mut self, who: ProcessId, op: OpId, publication: Publication) {
        if self.is_record(&publication) {
            self.check_record(who, op, &publication);
        } else {
            self.check_notice(who, &publication);
            let size = publication.payload.as_str().len();
            self.hosts[who.host].publishing.insert(op, size);
        }
        let Some(mut injected) = self.draw_fault(who.host, Opportunity::Publish) else {
            return self.send_notice(who, Some(op), publication, false);
        };
        let rng = &mut injected.detail;
        let kind = match injected.fault {
            Fault::PublishUnreachable => NotifyFaultKind::Unreachable,
            Fault::PublishRefused => NotifyFaultKind::Refused,
            Fault::PublishUnauthorized => NotifyFaultKind::Unauthorized,
            Fault::PublishCut => {
                // It may have been published, and the worker may learn of its failure late.
                let after = Duration::from_millis(one_of(rng, &[20, 800, 10_000]));
                if one_in(rng, 2) {
                    self.send_notice(who, None, publication, false);
                }
                let fault = NotifyFault::new(NotifyFaultKind::ConnectionLost);
                let input = ProcessInput::Published(op, Err(fault));
                return self.schedule(after, Due::ProcessInput(who, input));
            }
            Fault::PublishForgotten => return self.send_notice(who, Some(op), publication, true),
            Fault::SubscriberDisconnected => {
                let hosts = self.redis.connections();
                if !hosts.is_empty() {
                    let fault = NotifyFault::new(NotifyFaultKind::ConnectionLost);
                    let notices_after = Duration::from_millis(rng.up_to(20_000));
                    self.lose_subscription(one_of(rng, &hosts), notices_after, fault);
                }
                return self.send_notice(who, Some(op), publication, false);
            }
            other => unreachable!("{other:?} is not on the menu of publishers"),
        };
        self.schedule_soon(who, ProcessInput::Published(op, Err(NotifyFault::new(kind))));
    }

    /// A notice travels to the notifier. Without an operation, its outcome is not reported.
    pub(crate) fn send_notice(
        &mut self,
        who: ProcessId,
        op: Option<OpId>,
        publication: Publication,
        forgotten: bool,
    ) {
        let latency = self.latency(who.host);
        self.schedule(latency, Due::Publish { who, op, publication, forgotten });
    }

    /// A notice has arrived at the notifier, and travels to all subscribers.
    pub(crate) fn fan_out(
        &mut self,
        who: ProcessId,
        op: Option<OpId>,
        publication: &Publication,
        forgotten: bool,
    ) {
        let listeners = self.redis.listeners(&publication.channel);
        let mut receivers = listeners.len() as u64;
        if self.is_record(publication) {
            receivers += self.record_arrives(publication);
        }
        let flood = self.setup.has(Class::Floods) && self.quiet_phase.is_none();
        if !forgotten {
            for (listener, number) in listeners {
                let channel = publication.channel.clone();
                self.schedule_soon(
                    listener,
                    ProcessInput::Notice(number, channel, publication.payload.clone()),
                );
                if flood {
                    self.send_invalid_notices(listener, number, &publication.channel);
                }
            }
        }
        if let Some(op) = op {
            self.schedule_soon(who, ProcessInput::Published(op, Ok(receivers)));
        }
    }

    /// Another program publishes an invalid notice.
    fn send_invalid_notices(&mut self, listener: ProcessId, number: u32, channel: &ChannelName) {
        let payloads = [
            "",
            "null",
            "{\"notify\":true}",
            "{\"id\":\"1\",\"name\":\"sim.plain\",\"args\":[],\"options\":{},\"result\":[],\
             \"notify\":true,\"queue\":\"plain\"}",
        ];
        for payload in payloads {
            let input = ProcessInput::Notice(number, channel.clone(), Body::new(payload));
            self.schedule_soon(listener, input);
        }
    }

    /// A published notice must be true, and must not crash a peer of the Node package.
    fn check_notice(&mut self, who: ProcessId, publication: &Publication) {
        let payload = publication.payload.as_str().as_bytes();
        let opened = self.keys.reader().open_notice(payload, &publication.channel);
        let Ok((notice, form)) = opened else {
            return self.checker.broken("S10", || "a notice that cannot be parsed".to_owned());
        };
        let message = notice.message();
        let is_true = match notice.outcome() {
            Some(outcome) => {
                let succeeded = !matches!(outcome, TaskOutcome::Failed(_));
                self.checker.may_report(who, message, succeeded)
            }
            None => self.checker.may_report_released(who, message),
        };
        if !is_true {
            self.checker
                .broken("S10", || format!("{who:?} reports an untrue outcome of {message}"));
        }
        let channel = publication.channel.as_str();
        if channel != SHARED && form != self.keys.reader().sends(&self.kinds[0].queue) {
            self.checker.broken("S10", || format!("{message} was reported as {form}"));
        }
        let task = self.checker.task_of_message(message);
        let from_producer =
            task.is_some_and(|task| matches!(self.checker.tasks[task].sender, Sender::Producer(_)));
        if channel == SHARED && (from_producer || !notice.is_success()) {
            self.checker.broken("S10", || format!("{message} was reported on the shared channel"));
        }
        if !channel.starts_with(SHARED) {
            self.checker.broken("S10", || format!("{message} was reported on {channel}"));
        }
    }

    /// Starts a producer of the Node package, which receives what others publish.
    pub(crate) fn start_node_producer(&mut self, who: ProcessId) {
        self.redis.subscribe(who.host, (who, 0), vec![shared_channel()]);
    }
}
