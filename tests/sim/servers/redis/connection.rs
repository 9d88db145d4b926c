//! One connection, as a server sees it.

use std::time::Duration;

use super::resp::{BadCommand, Command, CommandReader, Reply};

/// The connection of one client.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    reader: CommandReader,
    replies: Vec<u8>,
    wait: Option<Wait>,
    /// No further command is read, and the connection ends when the replies are sent.
    is_closing: bool,
}

/// A client waits until a list has an element, which is then moved to the end of another list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
    /// The end of the wait, by the server's clock. None if the wait is unlimited.
    pub(super) until: Option<Duration>,
}

impl Connection {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    /// The next command. None is read while the client waits.
    pub(super) fn next_command(&mut self) -> Option<Command> {
        if self.wait.is_some() || self.is_closing {
            return None;
        }
        match self.reader.next_command() {
            Ok(command) => command,
            Err(BadCommand) => {
                self.reply(&Reply::error("ERR Protocol error: expected '*'"));
                self.close();
                None
            }
        }
    }

    pub(super) fn reply(&mut self, reply: &Reply) {
        reply.write(&mut self.replies);
    }

    pub(super) fn take_replies(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.replies)
    }

    pub(super) fn close(&mut self) {
        self.is_closing = true;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing
    }

    pub(super) fn wait(&self) -> Option<&Wait> {
        self.wait.as_ref()
    }

    pub(super) fn begin_wait(&mut self, wait: Wait) {
        self.wait = Some(wait);
    }

    /// The wait ends with this reply.
    pub(super) fn end_wait(&mut self, reply: &Reply) {
        self.wait = None;
        self.reply(reply);
    }
}
