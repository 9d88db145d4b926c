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
pub(crate) struct Exchange {
    commands: Vec<Command>,
    replies: Vec<Value>,
    /// The positions of the commands to send again.
    again: Vec<usize>,
}

impl Exchange {
    pub(crate) fn new(commands: impl IntoIterator<Item = Command>) -> Self {
        let commands = commands.into_iter().collect();
        Exchange { commands, replies: Vec::new(), again: Vec::new() }
    }

    /// The bytes to send now, and the number of replies.
    pub(crate) fn packed(&self) -> (Vec<u8>, usize) {
        let size = self.commands.iter().map(|command| command.size() + SCRIPT_NAME).sum();
        let mut packed = Vec::with_capacity(size);
        if self.again.is_empty() {
            self.commands.iter().for_each(|command| command.write(ScriptRef::Hash, &mut packed));
            return (packed, self.commands.len());
        }
        for command in self.again.iter().filter_map(|position| self.commands.get(*position)) {
            command.write(ScriptRef::Source, &mut packed);
        }
        (packed, self.again.len())
    }

    /// Handles the replies. Returns all of them in the order of the commands, or `None` if
    /// something must be sent again.
    pub(crate) fn on_replies(&mut self, replies: Vec<Value>) -> Option<Vec<Value>> {
        if self.again.is_empty() {
            self.replies = replies;
            self.again = self.unknown_scripts();
        } else {
            for (position, reply) in self.again.drain(..).zip(replies) {
                self.replies[position] = reply;
            }
        }
        self.again.is_empty().then(|| std::mem::take(&mut self.replies))
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

    fn exchange() -> Exchange {
        let script = || Command::script(Script::Release, &[]);
        Exchange::new([Command::new("TIME"), script(), script()])
    }

    #[test]
    fn only_an_unknown_script_is_sent_again_with_its_source() {
        let mut exchange = exchange();
        assert_eq!(exchange.packed().1, 3);
        assert_eq!(exchange.on_replies(vec![Value::Int(1), noscript(), Value::Int(3)]), None);
        let (packed, replies) = exchange.packed();
        let packed = String::from_utf8(packed).unwrap();
        assert_eq!((packed.matches(Script::Release.source()).count(), replies), (1, 1));
        assert!(!packed.contains("EVALSHA"));
        let all = [1, 2, 3].map(Value::Int).to_vec();
        assert_eq!(exchange.on_replies(vec![Value::Int(2)]), Some(all));
    }

    #[test]
    fn an_unknown_script_is_an_error_if_its_source_was_sent() {
        let mut exchange = exchange();
        assert_eq!(exchange.on_replies(vec![Value::Int(1), noscript(), noscript()]), None);
        let replies = exchange.on_replies(vec![noscript(), Value::Int(3)]).unwrap();
        assert_eq!(replies, [Value::Int(1), noscript(), Value::Int(3)]);
    }
}
