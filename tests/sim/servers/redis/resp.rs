//! The protocol, from the server's side: parses commands, writes replies.

/// A command: its name and its arguments.
pub type Command = Vec<Vec<u8>>;

/// The reply to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
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
    Array(Vec<Reply>),
}

impl Reply {
    /// A text.
    pub(super) fn text(text: impl AsRef<[u8]>) -> Self {
        Reply::Text(text.as_ref().to_vec())
    }

    /// Texts.
    pub(super) fn texts(texts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        Reply::Array(texts.into_iter().map(Reply::text).collect())
    }

    /// A text, or null.
    pub(super) fn text_or_nil(text: Option<impl AsRef<[u8]>>) -> Self {
        text.map_or(Reply::Nil, Reply::text)
    }

    /// A count.
    pub(super) fn count(count: usize) -> Self {
        Reply::Int(i64::try_from(count).expect("a count fits"))
    }

    /// An error.
    pub(super) fn error(text: impl Into<String>) -> Self {
        Reply::Error(text.into())
    }

    /// Serializes it.
    pub fn write(&self, to: &mut Vec<u8>) {
        match self {
            Reply::Nil => to.extend_from_slice(b"$-1\r\n"),
            Reply::NilArray => to.extend_from_slice(b"*-1\r\n"),
            Reply::Status(status) => to.extend_from_slice(format!("+{status}\r\n").as_bytes()),
            Reply::Int(number) => to.extend_from_slice(format!(":{number}\r\n").as_bytes()),
            Reply::Text(text) => {
                to.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
                to.extend_from_slice(text);
                to.extend_from_slice(b"\r\n");
            }
            Reply::Error(text) => to.extend_from_slice(format!("-{text}\r\n").as_bytes()),
            Reply::Array(replies) => {
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
            let Some((text, after)) = rest.split_at_checked(length) else { return Ok(None) };
            let Some((end, after)) = after.split_at_checked(2) else { return Ok(None) };
            if end != b"\r\n" {
                return Err(BadCommand);
            }
            command.push(text.to_vec());
            rest = after;
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
