//! Commands and their replies, including the scripts that must be sent again with their source.

use redis::Value;

use super::command::{Command, ScriptRef};
use super::decode::error_text;
use super::fault::is_unknown_script;

/// The size of an encoded script's name.
const SCRIPT_NAME: usize = 64;

/// Commands that each get a reply. A script whose hash the server does not know has had no effect,
/// so it is sent again alone, with its source.
#[derive(Debug)]
pub(crate) struct CommandBatch {
    commands: Vec<Command>,
    replies: Vec<Value>,
    /// The positions of the commands to send again.
    to_resend: Vec<usize>,
}

impl CommandBatch {
    pub(crate) fn new(commands: impl IntoIterator<Item = Command>) -> Self {
        let commands = commands.into_iter().collect();
        CommandBatch { commands, replies: Vec::new(), to_resend: Vec::new() }
    }

    /// The bytes to send now, and the number of replies.
    pub(crate) fn encode(&self) -> (Vec<u8>, usize) {
        let size = self.commands.iter().map(|command| command.size() + SCRIPT_NAME).sum();
        let mut bytes = Vec::with_capacity(size);
        if self.to_resend.is_empty() {
            self.commands.iter().for_each(|command| command.write(ScriptRef::Hash, &mut bytes));
            return (bytes, self.commands.len());
        }
        for command in self.to_resend.iter().filter_map(|position| self.commands.get(*position)) {
            command.write(ScriptRef::Source, &mut bytes);
        }
        (bytes, self.to_resend.len())
    }

    /// Handles the replies. Returns all of them in the order of the commands, or `None` if
    /// something must be sent again.
    pub(crate) fn on_replies(&mut self, replies: Vec<Value>) -> Option<Vec<Value>> {
        if self.to_resend.is_empty() {
            self.replies = replies;
            self.to_resend = self.unknown_scripts();
        } else {
            for (position, reply) in self.to_resend.drain(..).zip(replies) {
                self.replies[position] = reply;
            }
        }
        self.to_resend.is_empty().then(|| std::mem::take(&mut self.replies))
    }

    fn unknown_scripts(&self) -> Vec<usize> {
        let replies = self.replies.iter().zip(&self.commands).enumerate();
        let unknown = replies.filter(|(_, (reply, command))| {
            command.is_script() && error_text(reply).is_some_and(|text| is_unknown_script(&text))
        });
        unknown.map(|(position, _)| position).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripts::Script;
    use super::*;

    fn noscript() -> Value {
        redis::parse_redis_value(b"-NOSCRIPT No matching script.\r\n").unwrap()
    }

    fn batch() -> CommandBatch {
        let script = || Command::script(Script::Release, &[]);
        CommandBatch::new([Command::new("TIME"), script(), script()])
    }

    #[test]
    fn only_an_unknown_script_is_sent_again_with_its_source() {
        let mut batch = batch();
        assert_eq!(batch.encode().1, 3);
        assert_eq!(batch.on_replies(vec![Value::Int(1), noscript(), Value::Int(3)]), None);
        let (bytes, replies) = batch.encode();
        let bytes = String::from_utf8(bytes).unwrap();
        assert_eq!((bytes.matches(Script::Release.source()).count(), replies), (1, 1));
        assert!(!bytes.contains("EVALSHA"));
        let all = [1, 2, 3].map(Value::Int).to_vec();
        assert_eq!(batch.on_replies(vec![Value::Int(2)]), Some(all));
    }

    #[test]
    fn an_unknown_script_is_an_error_if_its_source_was_sent() {
        let mut batch = batch();
        assert_eq!(batch.on_replies(vec![Value::Int(1), noscript(), noscript()]), None);
        let replies = batch.on_replies(vec![noscript(), Value::Int(3)]).unwrap();
        assert_eq!(replies, [Value::Int(1), noscript(), Value::Int(3)]);
    }
}
