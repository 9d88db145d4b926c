//! Decides when the connection for requests is opened, probed and replaced.

use std::time::Duration;

use ivy_proto::{ChannelName, Moment};

use crate::REPLACE_EVERY;
use crate::probe::ServerProbe;
use crate::server::Server;

/// How long an idle connection is used without a probe.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// How long the role of a server is assumed to be unchanged, even on a busy connection.
const ROLE_VALID_FOR: Duration = Duration::from_secs(10);
/// How long opening a replacement may take while the current connection has no known problem:
/// requests wait meanwhile.
const SCHEDULED_REPLACEMENT_LIMIT: Duration = Duration::from_secs(1);
/// How long opening a replacement may take if the current server is known to be the wrong one.
const URGENT_REPLACEMENT_LIMIT: Duration = Duration::from_secs(5);

/// The state of the connection for requests, without the connection.
///
/// A name may resolve to another server while the old one still runs, as after a failover.
/// Publications on the old one then reach no subscriber. The connection is replaced, resolving the
/// name again, if the server is a replica, if a notice on a reply channel has no subscriber, and
/// when it is a minute old; at most once a minute. Until the replacement is ready, the connection
/// stays in use.
#[derive(Debug, Default)]
pub(crate) struct ConnectionReplacement {
    connection: Option<Connection>,
    generation: u64,
    /// When the connection was last replaced, or should have been.
    replaced_at: Option<Moment>,
    /// The first probe of a new connection.
    first_probe: ServerProbe,
}

/// Identifies one of the successive connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

/// The next step before a request. Execute it, report its result, and get the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplacementStep {
    /// Open a connection and report [`ConnectionReplacement::opened`]. If that fails, the request fails.
    Open,
    /// Probe the server on the connection, and report [`ConnectionReplacement::on_probe_reply`] or
    /// [`ConnectionReplacement::on_lost_before_probe_reply`].
    Probe(ServerProbe),
    /// Open another connection within `limit`, and report [`ConnectionReplacement::opened`], after which it
    /// replaces the old one, or [`ConnectionReplacement::replacement_failed`].
    Replace {
        /// How long opening it may take.
        limit: Duration,
    },
    /// Send the request on the connection, which is this one.
    Send(Generation),
}

#[derive(Debug)]
struct Connection {
    opened_at: Moment,
    used_at: Moment,
    probe: ServerProbe,
    /// When the last probe completed.
    probed_at: Option<Moment>,
    server: Server,
    /// Whether a notice with a waiting caller had no subscriber.
    had_no_subscriber: bool,
}

impl ConnectionReplacement {
    /// The next step before a request.
    pub(crate) fn next_step(&mut self, now: Moment) -> ReplacementStep {
        let may_replace = self.may_replace(now);
        let Some(connection) = &mut self.connection else { return ReplacementStep::Open };
        if connection.is_probe_due(now) {
            return ReplacementStep::Probe(connection.probe);
        }
        if may_replace && (connection.had_no_subscriber || connection.server.is_isolated_replica())
        {
            return ReplacementStep::Replace { limit: URGENT_REPLACEMENT_LIMIT };
        }
        if may_replace && now.since(connection.opened_at) >= REPLACE_EVERY {
            return ReplacementStep::Replace { limit: SCHEDULED_REPLACEMENT_LIMIT };
        }
        connection.used_at = now;
        ReplacementStep::Send(Generation(self.generation))
    }

    /// A connection is ready, the first one or a replacement.
    pub(crate) fn opened(&mut self, now: Moment) {
        if self.connection.is_some() {
            self.replaced_at = Some(now);
            self.first_probe = ServerProbe::default();
        }
        self.generation += 1;
        self.connection = Some(Connection {
            opened_at: now,
            used_at: now,
            probe: self.first_probe,
            probed_at: None,
            server: Server::default(),
            had_no_subscriber: false,
        });
    }

    /// Opening the replacement failed: the connection stays in use.
    pub(crate) fn replacement_failed(&mut self, now: Moment) {
        self.replaced_at = Some(now);
        if let Some(connection) = &mut self.connection {
            connection.had_no_subscriber = false;
        }
    }

    /// The probe completed: with the description of the server, or `None` if it refused.
    pub(crate) fn on_probe_reply(&mut self, server: Option<Server>, now: Moment) {
        let Some(connection) = &mut self.connection else { return };
        connection.used_at = now;
        connection.probed_at = Some(now);
        match (server, connection.probe) {
            (Some(server), _) => connection.server = server,
            (None, ServerProbe::Hello) => {
                connection.probe = ServerProbe::Role;
                connection.probed_at = None;
            }
            (None, probe) => connection.probe = probe.simpler(),
        }
    }

    /// The connection was lost before the probe completed. A server that closes new connections
    /// because of the probe does not get it again on the next one.
    pub(crate) fn on_lost_before_probe_reply(&mut self) {
        if let Some(connection) = self.connection.take()
            && connection.probed_at.is_none()
        {
            self.first_probe = connection.probe.simpler();
        }
    }

    /// The current connection has failed, or its server refused something; it must be dropped.
    pub(crate) fn lost(&mut self) {
        self.connection = None;
    }

    /// Whether this is the current connection. A failure of a replaced one does not concern its
    /// successor.
    pub(crate) fn is_current(&self, generation: Generation) -> bool {
        generation == Generation(self.generation)
    }

    /// A publication had no subscriber. Returns whether to repeat it, once, on a connection that
    /// replaces this one.
    pub(crate) fn on_no_subscriber(
        &mut self,
        generation: Generation,
        channel: &ChannelName,
        now: Moment,
    ) -> bool {
        let may_replace = self.may_replace(now);
        let is_current = self.is_current(generation);
        let Some(connection) = &mut self.connection else { return false };
        if !channel.is_reply_channel() || !connection.server.counts_all_receivers() {
            return false;
        }
        if is_current && may_replace {
            connection.had_no_subscriber = true;
        }
        !is_current || connection.had_no_subscriber
    }

    fn may_replace(&self, now: Moment) -> bool {
        self.replaced_at.is_none_or(|at| now.since(at) >= REPLACE_EVERY)
    }
}

impl Connection {
    fn is_probe_due(&self, now: Moment) -> bool {
        if now.since(self.used_at) > PROBE_AFTER {
            return true;
        }
        self.probe != ServerProbe::Ping
            && self.probed_at.is_none_or(|at| now.since(at) >= ROLE_VALID_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(seconds: u64) -> Moment {
        Moment::after_epoch(Duration::from_secs(seconds))
    }

    fn described(mode: &'static str, role: &'static str) -> Option<Server> {
        Some(Server::from_hello([("mode", mode), ("role", role)]))
    }

    fn reply_channel() -> ChannelName {
        ChannelName::new("news.r.AAAAAAAAAAAAAAAAAAAAAA").unwrap()
    }

    /// A replacement whose connection was opened at the epoch, to a server with this description.
    fn connected_to(server: Option<Server>) -> ConnectionReplacement {
        let mut replacement = ConnectionReplacement::default();
        replacement.opened(after(0));
        replacement.on_probe_reply(server, after(0));
        replacement
    }

    /// The connection to publish on. If the server is probed, this is its description.
    fn ready(
        replacement: &mut ConnectionReplacement,
        server: Option<Server>,
        now: Moment,
    ) -> Generation {
        for _ in 0..4 {
            match replacement.next_step(now) {
                ReplacementStep::Send(generation) => return generation,
                ReplacementStep::Probe(_) => replacement.on_probe_reply(server, now),
                ReplacementStep::Open | ReplacementStep::Replace { .. } => replacement.opened(now),
            }
        }
        panic!("it never publishes: {replacement:?}")
    }

    #[test]
    fn a_connection_in_use_is_neither_probed_nor_replaced() {
        let primary = described("standalone", "master");
        let mut replacement = connected_to(primary);
        for second in 0..9 {
            assert_eq!(replacement.next_step(after(second)), ReplacementStep::Send(Generation(1)));
        }
    }

    #[test]
    fn an_idle_connection_is_probed_before_it_publishes() {
        let mut replacement = connected_to(described("standalone", "master"));
        ready(&mut replacement, None, after(0));
        let later = after(1) + Duration::from_nanos(1);
        assert_eq!(replacement.next_step(later), ReplacementStep::Probe(ServerProbe::Hello));
        replacement.on_lost_before_probe_reply();
        assert_eq!(replacement.next_step(later), ReplacementStep::Open);
    }

    #[test]
    fn a_connection_to_a_new_replica_is_replaced_at_the_next_probe() {
        let mut replacement = connected_to(described("standalone", "master"));
        for second in 0..10 {
            assert!(
                matches!(replacement.next_step(after(second)), ReplacementStep::Send(_)),
                "{second} s"
            );
        }
        assert_eq!(replacement.next_step(after(10)), ReplacementStep::Probe(ServerProbe::Hello));
        replacement.on_probe_reply(described("standalone", "replica"), after(10));
        assert_eq!(
            replacement.next_step(after(10)),
            ReplacementStep::Replace { limit: URGENT_REPLACEMENT_LIMIT }
        );
    }

    #[test]
    fn the_name_is_resolved_again_at_most_once_a_minute() {
        let replica = described("standalone", "replica");
        let mut replacement = connected_to(replica);
        let mut replacements = Vec::new();
        for second in 0..200 {
            match replacement.next_step(after(second)) {
                ReplacementStep::Replace { .. } => {
                    replacements.push(second);
                    if second % 2 == 0 {
                        replacement.opened(after(second));
                    } else {
                        replacement.replacement_failed(after(second));
                    }
                }
                ReplacementStep::Probe(_) => replacement.on_probe_reply(replica, after(second)),
                ReplacementStep::Send(generation) => {
                    replacement.on_no_subscriber(generation, &reply_channel(), after(second));
                }
                ReplacementStep::Open => panic!("the connection stays in use"),
            }
        }
        for pair in replacements.windows(2) {
            assert!(pair[1] - pair[0] >= 60, "{replacements:?}");
        }
        assert!(replacements.len() > 2, "{replacements:?}");
    }

    #[test]
    fn a_minute_old_connection_is_replaced_and_kept_if_that_fails() {
        let primary = described("standalone", "master");
        let mut replacement = connected_to(primary);
        let old = ready(&mut replacement, primary, after(0));
        replacement.on_probe_reply(primary, after(60));
        assert_eq!(
            replacement.next_step(after(60)),
            ReplacementStep::Replace { limit: SCHEDULED_REPLACEMENT_LIMIT }
        );
        replacement.replacement_failed(after(60));
        assert_eq!(replacement.next_step(after(60)), ReplacementStep::Send(old));
    }

    #[test]
    fn a_notice_without_a_subscriber_is_published_again_on_a_new_connection() {
        let primary = described("standalone", "master");
        let mut replacement = connected_to(primary);
        let old = ready(&mut replacement, primary, after(0));
        assert!(replacement.on_no_subscriber(old, &reply_channel(), after(0)));
        assert!(matches!(replacement.next_step(after(0)), ReplacementStep::Replace { .. }));
        replacement.opened(after(0));
        let new = ready(&mut replacement, primary, after(0));
        assert_ne!(new, old);
        assert!(
            !replacement.on_no_subscriber(new, &reply_channel(), after(0)),
            "the caller has been dropped"
        );
        assert!(
            replacement.on_no_subscriber(old, &reply_channel(), after(0)),
            "it was in flight meanwhile"
        );
    }

    #[test]
    fn a_count_that_does_not_cover_all_receivers_is_no_reason_to_replace() {
        for server in [described("cluster", "master"), Some(Server::from_role("master")), None] {
            let mut replacement = connected_to(server);
            let generation = ready(&mut replacement, server, after(0));
            assert!(
                !replacement.on_no_subscriber(generation, &reply_channel(), after(0)),
                "{server:?}"
            );
        }
    }

    #[test]
    fn the_shared_channel_needs_no_subscriber() {
        let primary = described("standalone", "master");
        let mut replacement = connected_to(primary);
        let generation = ready(&mut replacement, primary, after(0));
        let shared = ChannelName::new("news").unwrap();
        assert!(!replacement.on_no_subscriber(generation, &shared, after(0)));
    }

    #[test]
    fn a_server_that_refuses_probes_is_only_pinged() {
        let mut replacement = ConnectionReplacement::default();
        replacement.opened(after(0));
        for probe in [ServerProbe::Hello, ServerProbe::Role] {
            assert_eq!(replacement.next_step(after(0)), ReplacementStep::Probe(probe));
            replacement.on_probe_reply(None, after(0));
        }
        assert!(matches!(replacement.next_step(after(0)), ReplacementStep::Send(_)));
        assert_eq!(
            replacement.next_step(after(0) + 2 * SECOND),
            ReplacementStep::Probe(ServerProbe::Ping)
        );
    }

    #[test]
    fn a_server_that_closes_connections_at_a_probe_is_still_used() {
        let mut replacement = ConnectionReplacement::default();
        let mut opened = 0;
        loop {
            match replacement.next_step(after(0)) {
                ReplacementStep::Open => {
                    opened += 1;
                    replacement.opened(after(0));
                }
                ReplacementStep::Probe(_) => replacement.on_lost_before_probe_reply(),
                ReplacementStep::Replace { .. } => panic!("the connection has no known problem"),
                ReplacementStep::Send(_) => break,
            }
        }
        assert_eq!(opened, 3);
    }

    #[test]
    fn a_publication_that_fails_on_an_old_connection_leaves_the_new_one_alone() {
        let primary = described("standalone", "master");
        let mut replacement = connected_to(primary);
        let old = ready(&mut replacement, primary, after(0));
        replacement.opened(after(1));
        let new = ready(&mut replacement, primary, after(1));
        assert!(!replacement.is_current(old) && replacement.is_current(new));
        replacement.lost();
        assert_eq!(replacement.next_step(after(1)), ReplacementStep::Open);
    }
}
