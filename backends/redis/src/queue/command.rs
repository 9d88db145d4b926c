//! Encodes commands.

use super::keys::Key;
use super::scripts::Script;

/// The initial capacity for arguments, which suffices for most commands.
const ROOM: usize = 256;

/// A command. A script is first run by its hash; a server that does not know it gets its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    script: Option<Script>,
    count: usize,
    arguments: Vec<u8>,
}

/// How a script is identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScriptRef {
    /// By its SHA-1, which the server may not know.
    Hash,
    /// By its source.
    Source,
}

impl Command {
    /// A command of this name.
    pub(crate) fn new(name: &str) -> Self {
        Command::empty(None).arg(name)
    }

    /// A command that runs a script with these keys.
    pub(crate) fn script(script: Script, keys: &[Key<'_>]) -> Self {
        let command = Command::empty(Some(script)).number(keys.len() as u64);
        keys.iter().fold(command, |command, key| command.joined(key))
    }

    fn empty(script: Option<Script>) -> Self {
        Command { script, count: 0, arguments: Vec::with_capacity(ROOM) }
    }

    /// Allocates room for arguments of so many bytes in all.
    #[must_use]
    pub(crate) fn with_room(mut self, arguments: usize, bytes: usize) -> Self {
        self.arguments.reserve(arguments * AROUND_AN_ARGUMENT + bytes);
        self
    }

    /// Appends an argument.
    #[must_use]
    pub(crate) fn arg(self, argument: impl AsRef<[u8]>) -> Self {
        self.joined(&[argument.as_ref()])
    }

    /// Appends arguments.
    #[must_use]
    pub(crate) fn args(self, arguments: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        arguments.into_iter().fold(self, Command::arg)
    }

    /// Appends the name of a key.
    #[must_use]
    pub(crate) fn key(self, key: Key<'_>) -> Self {
        self.joined(&key)
    }

    /// Appends a number.
    #[must_use]
    pub(crate) fn number(self, number: u64) -> Self {
        self.arg(itoa::Buffer::new().format(number))
    }

    /// Appends an argument that consists of these parts.
    #[must_use]
    pub(crate) fn joined(mut self, parts: &[&[u8]]) -> Self {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        begin(&mut self.arguments, b'$', length);
        for part in parts {
            self.arguments.extend_from_slice(part);
        }
        self.arguments.extend_from_slice(b"\r\n");
        self.count += 1;
        self
    }

    /// Whether it runs a script.
    pub(crate) fn is_script(&self) -> bool {
        self.script.is_some()
    }

    /// The size of the encoded command without the name of a script, in bytes.
    pub(crate) fn size(&self) -> usize {
        AROUND_AN_ARGUMENT + self.arguments.len()
    }

    /// Encodes the command.
    pub(crate) fn write(&self, script_ref: ScriptRef, to: &mut Vec<u8>) {
        let named = self.script.map(|script| match script_ref {
            ScriptRef::Hash => ["EVALSHA", script.hash()],
            ScriptRef::Source => ["EVAL", script.source()],
        });
        let named = named.iter().flatten();
        begin(to, b'*', self.count + named.clone().count());
        for text in named {
            begin(to, b'$', text.len());
            to.extend_from_slice(text.as_bytes());
            to.extend_from_slice(b"\r\n");
        }
        to.extend_from_slice(&self.arguments);
    }
}

/// The maximum number of bytes that surround an argument: its type, its length and two line breaks.
const AROUND_AN_ARGUMENT: usize = 16;

/// Writes a type and a length, the beginning of every value in the protocol.
fn begin(to: &mut Vec<u8>, kind: u8, length: usize) {
    to.push(kind);
    to.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    to.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(command: &Command, script_ref: ScriptRef) -> String {
        let mut bytes = Vec::new();
        command.write(script_ref, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_command_is_an_array_of_strings() {
        let command = Command::new("RPUSH").arg("key").joined(&[b"ab", b"", b"c"]).arg("");
        let text = "*4\r\n$5\r\nRPUSH\r\n$3\r\nkey\r\n$3\r\nabc\r\n$0\r\n\r\n";
        assert_eq!(written(&command, ScriptRef::Hash), text);
        assert!(!command.is_script());
    }

    #[test]
    fn a_script_is_run_by_its_hash_or_by_its_source() {
        let command = Command::script(Script::Get, &[[b"a", b""], [b"", b"b"]]).arg("x");
        let rest = "$1\r\n2\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nx\r\n";
        let named = format!("*6\r\n$7\r\nEVALSHA\r\n$40\r\n{}\r\n{rest}", Script::Get.hash());
        assert_eq!(written(&command, ScriptRef::Hash), named);
        let text = Script::Get.source();
        let whole = format!("*6\r\n$4\r\nEVAL\r\n${}\r\n{text}\r\n{rest}", text.len());
        assert_eq!(written(&command, ScriptRef::Source), whole);
    }
}
