//! One connection to a server: its handshake, and then its replies one by one.

use std::sync::Arc;

use crate::address::RedisAddress;
use ivy_proto::notify::NotifyFaultKind;
use redis::Value;

use crate::error_reply::{RedisError, not_redis};
use crate::frame::{BadFrame, Frames, Limits, LongStrings};
use crate::handshake::Handshake;
use crate::value;

/// The largest reply unless more is expected: a notice of a mebibyte, or a description of the
/// server, which nests its modules three arrays deep.
pub(crate) const DEFAULT_LIMITS: Limits = Limits {
    line: 1024,
    bulk: (1 << 20) + 1024,
    long_strings: LongStrings::Refused,
    array: 1024,
    depth: 4,
    frame: (1 << 20) + 64 * 1024,
};

/// The protocol state of a connection, without the connection itself.
#[derive(Debug)]
pub(crate) struct RespConnection {
    address: Arc<RedisAddress>,
    frames: Frames,
    /// The handshake, until it is complete.
    handshake: Option<Handshake>,
}

/// The next step after bytes have arrived.
#[derive(Debug)]
pub(crate) enum ConnectionStep {
    /// Send this command.
    Send(Vec<u8>),
    /// The server has accepted the handshake.
    Ready {
        /// Whether it accepted the password without the user name.
        ignores_user: bool,
    },
    /// The server sent this value.
    Reply(Value),
    /// Nothing more until more bytes arrive.
    Wait,
}

impl RespConnection {
    /// The state of a connection that is being opened. `ignores_user`: the server accepted the
    /// password alone before.
    pub(crate) fn new(address: Arc<RedisAddress>, ignores_user: bool) -> Self {
        let handshake = Some(Handshake::new(Arc::clone(&address), ignores_user));
        RespConnection { address, frames: Frames::new(), handshake }
    }

    /// The command to send once the connection is open.
    pub(crate) fn first_command(&self) -> Vec<u8> {
        self.handshake.as_ref().and_then(Handshake::next_command).unwrap_or_default()
    }

    /// Buffers bytes that arrived.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    /// The next step, with the limits of the next reply.
    ///
    /// # Errors
    /// If the connection is unusable.
    pub(crate) fn next_step(&mut self, expected: &Limits) -> Result<ConnectionStep, RedisError> {
        let limits = if self.handshake.is_some() { &DEFAULT_LIMITS } else { expected };
        let frame = match self.frames.next(limits) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(ConnectionStep::Wait),
            Err(bad) => {
                let first_bytes = String::from_utf8_lossy(self.frames.first_bytes());
                return Err(match (bad, &self.handshake) {
                    (BadFrame::Unknown, Some(_)) => not_redis(&self.address, &first_bytes),
                    (_, Some(_)) => self.fault(NotifyFaultKind::Unreachable, &bad),
                    (_, None) => self.fault(NotifyFaultKind::ConnectionLost, &bad),
                });
            }
        };
        let Some(handshake) = &mut self.handshake else {
            let value = value::decode(frame);
            let damaged = || self.fault(NotifyFaultKind::ConnectionLost, &BadFrame::Damaged);
            return value.map(ConnectionStep::Reply).ok_or_else(damaged);
        };
        let line = frame.split(|byte| *byte == b'\r').next().unwrap_or_default();
        handshake.on_reply(&String::from_utf8_lossy(line))?;
        if let Some(command) = handshake.next_command() {
            return Ok(ConnectionStep::Send(command));
        }
        let ignores_user = handshake.ignores_user();
        self.handshake = None;
        Ok(ConnectionStep::Ready { ignores_user })
    }

    /// A fault of this connection.
    pub(crate) fn fault(
        &self,
        kind: NotifyFaultKind,
        detail: &dyn std::fmt::Display,
    ) -> RedisError {
        RedisError { kind, detail: format!("{}: {detail}", self.address.server()) }
    }
}
