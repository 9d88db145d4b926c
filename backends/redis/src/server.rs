//! The description of a Redis server.

/// The role and mode of a server at the time of its reply. [`Server::default`] is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Server {
    is_replica: bool,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Unknown,
    Standalone,
    Cluster,
}

impl Server {
    /// Reads the names and values that `HELLO` returns.
    pub(crate) fn from_hello<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut server = Server::default();
        for (name, value) in fields {
            match (name, value) {
                ("role", role) => server.is_replica = is_replica(role),
                ("mode", "standalone") => server.mode = Mode::Standalone,
                ("mode", "cluster") => server.mode = Mode::Cluster,
                _ => {}
            }
        }
        server
    }

    /// Reads the role that `ROLE` returns first.
    pub(crate) fn from_role(role: &str) -> Self {
        Server { is_replica: is_replica(role), ..Server::default() }
    }

    /// Whether publications here miss the subscribers of the primary: a replica delivers to its own
    /// subscribers only, while a node of a cluster delivers to those of all nodes.
    pub(crate) fn is_isolated_replica(&self) -> bool {
        self.is_replica && self.mode != Mode::Cluster
    }

    /// Whether the number of receivers that `PUBLISH` returns covers all of them. A node of a
    /// cluster counts its own only, and a server of an unknown mode may be one.
    pub(crate) fn counts_all_receivers(&self) -> bool {
        self.mode == Mode::Standalone
    }
}

fn is_replica(role: &str) -> bool {
    // Servers before version 5 use the older word, and `ROLE` still does.
    matches!(role, "replica" | "slave")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(mode: &'static str, role: &'static str) -> Server {
        Server::from_hello([("proto", "2"), ("mode", mode), ("role", role)])
    }

    #[test]
    fn a_replica_is_misplaced_unless_it_belongs_to_a_cluster() {
        assert!(hello("standalone", "replica").is_isolated_replica());
        assert!(!hello("standalone", "master").is_isolated_replica());
        assert!(!hello("cluster", "replica").is_isolated_replica());
        assert!(Server::from_role("slave").is_isolated_replica());
        assert!(!Server::from_role("master").is_isolated_replica());
        assert!(!Server::default().is_isolated_replica());
    }

    #[test]
    fn only_a_standalone_server_counts_all_receivers() {
        assert!(hello("standalone", "master").counts_all_receivers());
        assert!(!hello("cluster", "master").counts_all_receivers());
        assert!(!hello("sentinel", "").counts_all_receivers());
        assert!(!Server::from_role("master").counts_all_receivers());
    }
}
