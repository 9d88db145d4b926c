//! The effects of a session, and the state that its connections share.

use std::collections::VecDeque;
use std::sync::Arc;

use ivy_proto::backend::{ConnectionId, Endpoint, Output};
use ivy_proto::event::Event;

use crate::address::RedisAddress;
use crate::connection::RespConnection;
use crate::protocol_errors::ProtocolErrors;

/// The outputs of a session in order, and how its connections are opened.
#[derive(Debug)]
pub(crate) struct Effects {
    address: Arc<RedisAddress>,
    outputs: VecDeque<Output>,
    last_connection_id: u64,
    /// Whether the server accepted the password without the user name, which is reported once.
    ignores_user: bool,
    /// The invalid replies of the server, on any connection.
    pub(crate) protocol_errors: ProtocolErrors,
}

impl Effects {
    pub(crate) fn new(address: Arc<RedisAddress>) -> Self {
        Effects {
            address,
            outputs: VecDeque::new(),
            last_connection_id: 0,
            ignores_user: false,
            protocol_errors: ProtocolErrors::default(),
        }
    }

    pub(crate) fn address(&self) -> &RedisAddress {
        &self.address
    }

    /// Opens a connection.
    pub(crate) fn open(&mut self) -> (ConnectionId, RespConnection) {
        self.last_connection_id += 1;
        let connection_id = ConnectionId(self.last_connection_id);
        let RedisAddress { host, port, tls, .. } = &*self.address;
        let endpoint = Endpoint { host: host.clone(), port: *port, tls: *tls };
        self.push(Output::Open(connection_id, endpoint));
        (connection_id, RespConnection::new(Arc::clone(&self.address), self.ignores_user))
    }

    pub(crate) fn send(&mut self, connection_id: ConnectionId, bytes: Vec<u8>) {
        self.push(Output::Send(connection_id, bytes));
    }

    pub(crate) fn close(&mut self, connection_id: ConnectionId) {
        self.push(Output::Close(connection_id));
    }

    /// Records that a server has accepted a handshake.
    pub(crate) fn handshake_accepted(&mut self, ignores_user: bool) {
        if ignores_user && !self.ignores_user {
            self.push(Output::Event(Event::NotifierUserIgnored));
        }
        self.ignores_user = ignores_user;
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
