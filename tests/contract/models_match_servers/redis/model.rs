//! Runs a script on the model.

use std::io::Cursor;
use std::time::Duration;

use ivy_sim::redis::{ClientId, Command, Server, Value};

use super::comparable;
use super::random_steps::{KEYS, Step};
use super::real::packed;

pub(super) struct Model {
    server: Server,
    short: ClientId,
    waiter: ClientId,
    /// How far its clock is ahead of the real one, in milliseconds.
    ahead: i64,
    start: i64,
    waited: bool,
}

impl Model {
    pub(super) fn new(start: i64) -> Self {
        let mut server = Server::new();
        let (short, waiter) = (server.connect(), server.connect());
        Model { server, short, waiter, ahead: 0, start, waited: false }
    }

    /// The replies to a step's commands, at this time of the real clock.
    pub(super) fn follow(&mut self, step: &Step, real_now: i64) -> Vec<String> {
        let millis = u64::try_from(real_now + self.ahead).expect("the time is after 1970");
        let now = Duration::from_millis(millis);
        self.waited = false;
        match step {
            Step::Send(commands) => self.request(self.short, commands, now),
            Step::Wait(commands, meanwhile) => {
                let mut seen = self.request(self.waiter, commands, now);
                self.waited = self.server.next_wait_ends().is_some();
                seen.extend(self.request(self.short, meanwhile, now));
                if let Some(ends) = self.server.next_wait_ends() {
                    self.server.tick(ends);
                }
                self.server.wake(now);
                seen.extend(self.replies(self.waiter));
                seen
            }
            Step::Pass(time) => {
                self.ahead += i64::try_from(time.as_millis()).expect("the time fits");
                Vec::new()
            }
            Step::ErrorState(Some(kind)) => {
                self.server.enter_error_state(*kind);
                Vec::new()
            }
            Step::ErrorState(None) => {
                self.server.recover();
                Vec::new()
            }
        }
    }

    /// Whether a client has waited in the last step.
    pub(super) fn waits_after(&self, _: &Step) -> bool {
        self.waited
    }

    fn request(&mut self, client: ClientId, commands: &[Command], now: Duration) -> Vec<String> {
        let bytes = packed(commands, &self.waiter.0.to_string());
        self.server.receive(client, &bytes, now);
        self.server.wake(now);
        self.replies(client)
    }

    fn replies(&mut self, client: ClientId) -> Vec<String> {
        let mut replies = Cursor::new(self.server.take_replies(client));
        let mut parser = redis::Parser::new();
        let mut seen = Vec::new();
        while let Ok(value) = parser.parse_value(&mut replies) {
            seen.push(comparable::reply_text(&value, self.start + self.ahead));
        }
        seen
    }

    /// The contents of all keys.
    pub(super) fn keys(&self) -> Vec<(&'static str, Vec<String>)> {
        let start = self.start + self.ahead;
        let text = |bytes: &[u8]| comparable::text(bytes, start);
        let held = KEYS.map(|key| {
            let held = match self.server.store().get(key.as_bytes()) {
                None => Vec::new(),
                Some(Value::List(list)) => list.iter().map(|element| text(element)).collect(),
                Some(Value::Hash(hash)) => {
                    hash.iter().flat_map(|(field, held)| [text(field), text(held)]).collect()
                }
                Some(Value::SortedSet(set)) => {
                    let members = set.iter();
                    members
                        .flat_map(|(member, at)| [text(member), comparable::time(at, start)])
                        .collect()
                }
            };
            (key, held)
        });
        held.to_vec()
    }
}
