//! The protocol, from the server's side: parses commands, writes replies.

/// A command: its name and its arguments.
pub type Command = Vec<Vec<u8>>;

/// The reply to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyTo {
    /// A null text.
    Nil,
    /// A null array, as when a wait has timed out.
    NilArray,
    /// A status, such as `OK`.
    Status(&'static str),
    /// A number.
    Int(i64),
    /// A text.
    Text(Vec<u8>),
    /// An error: its code and its message.
    Error(String),
    /// Several replies.
    Array(Vec<ReplyTo>),
}

impl ReplyTo {
    /// A text.
    pub(super) fn text(text: impl AsRef<[u8]>) -> Self {
        ReplyTo::Text(text.as_ref().to_vec())
    }

    /// Texts.
    pub(super) fn texts(texts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        ReplyTo::Array(texts.into_iter().map(ReplyTo::text).collect())
    }

    /// A text, or null.
    pub(super) fn text_or_nil(text: Option<impl AsRef<[u8]>>) -> Self {
        text.map_or(ReplyTo::Nil, ReplyTo::text)
    }

    /// A count.
    pub(super) fn count(count: usize) -> Self {
        ReplyTo::Int(i64::try_from(count).expect("a count fits"))
    }

    /// An error.
    pub(super) fn error(said: impl Into<String>) -> Self {
        ReplyTo::Error(said.into())
    }

    /// Serializes it.
    pub fn write(&self, to: &mut Vec<u8>) {
        match self {
            ReplyTo::Nil => to.extend_from_slice(b"$-1\r\n"),
            ReplyTo::NilArray => to.extend_from_slice(b"*-1\r\n"),
            ReplyTo::Status(status) => to.extend_from_slice(format!("+{status}\r\n").as_bytes()),
            ReplyTo::Int(number) => to.extend_from_slice(format!(":{number}\r\n").as_bytes()),
            ReplyTo::Text(text) => {
                to.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
                to.extend_from_slice(text);
                to.extend_from_slice(b"\r\n");
            }
            ReplyTo::Error(said) => to.extend_from_slice(format!("-{said}\r\n").as_bytes()),
            ReplyTo::Array(replies) => {
                to.extend_from_slice(format!("*{}\r\n", replies.len()).as_bytes());
                for reply in replies {
                    reply.write(to);
                }
            }
        }
    }
}

/// The bytes are no command: the server closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCommand;

/// Parses the commands in bytes that arrive in pieces of any size.
#[derive(Clone, Debug, Default)]
pub struct CommandReader {
    buffer: Vec<u8>,
}

impl CommandReader {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete command, if it has arrived.
    ///
    /// # Errors
    ///
    /// [`BadCommand`] if the bytes are not of a Redis client.
    pub fn next_command(&mut self) -> Result<Option<Command>, BadCommand> {
        let mut rest = self.buffer.as_slice();
        let Some(count) = number(&mut rest, b'*')? else { return Ok(None) };
        let mut command = Command::new();
        for _ in 0..count {
            let Some(length) = number(&mut rest, b'$')? else { return Ok(None) };
            let Some((text, behind)) = rest.split_at_checked(length) else { return Ok(None) };
            let Some((end, behind)) = behind.split_at_checked(2) else { return Ok(None) };
            if end != b"\r\n" {
                return Err(BadCommand);
            }
            command.push(text.to_vec());
            rest = behind;
        }
        let read = self.buffer.len() - rest.len();
        self.buffer.drain(..read);
        Ok(Some(command))
    }
}

/// Parses a line with this prefix and a number.
fn number(rest: &mut &[u8], kind: u8) -> Result<Option<usize>, BadCommand> {
    match rest.first() {
        None => return Ok(None),
        Some(first) if *first != kind => return Err(BadCommand),
        Some(_) => {}
    }
    let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let digits = std::str::from_utf8(&rest[1..end]).map_err(|_| BadCommand)?;
    let number = digits.parse().map_err(|_| BadCommand)?;
    *rest = &rest[end + 2..];
    Ok(Some(number))
}
