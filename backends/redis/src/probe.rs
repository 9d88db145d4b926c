//! Queries a server about itself.

use redis::{Cmd, Value};

use crate::server::Server;

/// A query about the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ServerProbe {
    /// `HELLO 2`: role and mode. Every user may send it, regardless of permissions, but only
    /// servers since version 6 support it.
    #[default]
    Hello,
    /// `ROLE`: the role.
    Role,
    /// `PING`: nothing. For servers that support neither of the above.
    Ping,
}

impl ServerProbe {
    /// The command of the probe.
    pub(crate) fn command(self) -> Cmd {
        match self {
            ServerProbe::Hello => redis::cmd("HELLO").arg(2).take(),
            ServerProbe::Role => redis::cmd("ROLE"),
            ServerProbe::Ping => redis::cmd("PING"),
        }
    }

    /// The server's description in the reply; `None` if it refuses.
    pub(crate) fn read(self, reply: &Value) -> Option<Server> {
        let Value::Array(values) = reply else { return None };
        match self {
            ServerProbe::Hello => {
                let fields =
                    values.chunks_exact(2).filter_map(|pair| text(&pair[0]).zip(text(&pair[1])));
                Some(Server::from_hello(fields))
            }
            ServerProbe::Role => values.first().and_then(text).map(Server::from_role),
            ServerProbe::Ping => None,
        }
    }

    /// The fallback for a server that refuses this probe.
    pub(crate) fn simpler(self) -> Self {
        match self {
            ServerProbe::Hello => ServerProbe::Role,
            ServerProbe::Role | ServerProbe::Ping => ServerProbe::Ping,
        }
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(probe: ServerProbe, text: &str) -> Option<Server> {
        probe.read(&redis::parse_redis_value(text.as_bytes()).unwrap())
    }

    #[test]
    fn role_and_mode_are_read_from_the_reply() {
        let hello = "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:5\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$7\r\nreplica\r\n$7\r\nmodules\r\n*0\r\n";
        let server = read(ServerProbe::Hello, hello).unwrap();
        assert!(server.is_isolated_replica() && server.counts_all_receivers());
        let role = "*3\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n";
        assert!(read(ServerProbe::Role, role).unwrap().is_isolated_replica());
    }

    #[test]
    fn a_refused_query_describes_nothing() {
        for text in ["-ERR unknown command\r\n", "-NOPERM no permissions\r\n", "+OK\r\n", ":1\r\n"]
        {
            for probe in [ServerProbe::Hello, ServerProbe::Role] {
                assert_eq!(read(probe, text), None, "{text:?}");
            }
        }
        assert_eq!(read(ServerProbe::Role, "*0\r\n"), None);
        assert_eq!(read(ServerProbe::Ping, "+PONG\r\n"), None);
    }
}
