//! Messages that other programs put into ivy's queues.

use std::time::Duration;

use ivy_proto::Moment;
use ivy_proto::TaskId;
use ivy_proto::queue::{Batch, Body, NewMessage, QueueOp};

use crate::fault_injection::one_of;
use crate::setup::SHARED;
use crate::task::{Plan, Sender, Task};
use crate::world::{Due, World};

impl World {
    /// A message of another program arrives now.
    pub(crate) fn schedule_foreign_message(&mut self, at: Moment) {
        let number = self.checker.tasks.len();
        let rng = self.injector.variation(0);
        let mut task = Task::new(TaskId::from_random(rng.sixteen_bytes()), Sender::OtherProgram);
        let ivy = |fields: &str| {
            let id = task.id;
            format!(
                "{{\"name\":\"sim.plain\",\"options\":{{\"ivy\":{{\"v\":1,\"id\":\"{id}\"{fields}}}}},\
                 \"args\":[\"#{number}#\"]}}"
            )
        };
        let texts = [
            format!("<html>#{number}#</html>"),
            format!("{{\"name\":\"sim.plain\",\"options\":{{}},\"args\":[\"#{number}#"),
            format!("[\"sim.plain\",{{}},[\"#{number}#\"]]"),
            format!("{{\"name\":\"sim.unknown\",\"options\":{{}},\"args\":[\"#{number}#\"]}}"),
            format!("{{\"name\":\"toString\",\"options\":{{}},\"args\":[\"#{number}#\"]}}"),
            format!("{{\"name\":\"sim.plain\",\"options\":[],\"args\":[\"#{number}#\"]}}"),
            format!(
                "{{\"name\":\"sim.plain\",\"options\":{{\"maxRetries\":-1}},\"args\":[\"#{number}#\"]}}"
            ),
            format!(
                "{{\"name\":\"sim.plain\",\"options\":{{}},\"args\":{{\"0\":\"#{number}#\"}}}}"
            ),
            format!(
                "{{\"name\":\"sim.plain\",\"name\":\"x\",\"options\":{{}},\"args\":[\"#{number}#\"]}}"
            ),
            format!("{{\"name\":\"ivy.dead-letter\",\"options\":{{}},\"args\":[\"#{number}#\"]}}"),
            ivy(",\"attempt\":0"),
            ivy(&format!(",\"reply\":\"{SHARED}\"")),
            ivy(&format!(",\"reply\":\"{SHARED}.r.\"")),
            ivy(",\"reply\":\"elsewhere\""),
            ivy(",\"due\":5,\"later\":2,\"requeued\":3"),
            ivy(",\"due\":1e300"),
            ivy(",\"due\":18446744073709551615,\"later\":4294967295"),
            ivy("").replace("\"v\":1", "\"v\":2"),
            // These do not contain their number.
            "$rc4$AAAA".to_owned(),
            "$mp1$kw".to_owned(),
            "$aes-256-cbc$".to_owned(),
            "$aes-256-cbc$not base64".to_owned(),
            format!("$aes-256-cbc${}", "QUFBQUFBQUFBQUFBQUFBQQ=="),
            String::new(),
        ];
        let mut which = one_of(rng, &(0..texts.len()).collect::<Vec<_>>());
        if self.checker.is_foreign_body(&texts[which]) {
            which = 0;
        }
        let kind = rng.up_to(self.kinds.len() as u64 - 1) as usize;
        // Most break one rule; a few are valid messages with an unusual option.
        task.max_attempts = self.kinds[0].settings.max_retries + 1;
        task.kind = kind;
        // A task that runs fails at first, so that it gets a successor.
        task.plan = Plan::FailsFirst(1);
        self.checker.tasks.push(task);
        self.checker.add_foreign_body(&texts[which], number);
        self.foreign_bodies.insert(number, texts[which].clone());
        self.unscheduled += 1;
        self.event_queue.add(at, Due::ForeignMessage(number));
    }

    pub(crate) fn post_foreign_message(&mut self, number: usize) {
        self.unscheduled -= 1;
        let Some(body) = self.foreign_bodies.remove(&number) else { return };
        let queue = self.kinds[self.checker.tasks[number].kind].queue.clone();
        let message = NewMessage { body: Body::new(body), delay: Duration::ZERO };
        let op = QueueOp::Post { queue, messages: Batch::one(message) };
        self.request_for_other_program(op);
    }
}
