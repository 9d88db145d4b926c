//! Decides when the connection for requests is opened, checked and replaced.

use std::time::Duration;

use ivy_proto::{ChannelName, Moment};

use crate::RENEW_EVERY;
use crate::probe::ServerProbe;
use crate::server::Server;

/// How long an idle connection is used without a check.
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
/// A name may resolve to another server while the old one lives on, as after a failover.
/// Publications on the old one then reach no subscriber. The connection is replaced, resolving the
/// name again, if the server is a replica, if a notice on a reply channel has no subscriber, and
/// when it is a minute old; at most once a minute. Until the replacement is ready, the connection
/// stays in use.
#[derive(Debug, Default)]
pub(crate) struct ConnectionRenewal {
    connection: Option<Connection>,
    generation: u64,
    /// When the connection was last replaced, or should have been.
    renewed_at: Option<Moment>,
    /// The first query on a new connection.
    first_probe: ServerProbe,
}

/// Identifies one of the successive connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

/// The next step before a request. Execute it, report its result, and get the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RenewalStep {
    /// Open a connection and report [`ConnectionRenewal::opened`]. If that fails, the request fails.
    Open,
    /// Query the server on the connection, and report [`ConnectionRenewal::on_probe_reply`] or
    /// [`ConnectionRenewal::on_lost_before_probe_reply`].
    Probe(ServerProbe),
    /// Open another connection within `limit`, and report [`ConnectionRenewal::opened`], after which it
    /// replaces the old one, or [`ConnectionRenewal::renewal_failed`].
    Renew {
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
    /// When the last query completed.
    probed_at: Option<Moment>,
    server: Server,
    /// Whether a notice with a waiting caller had no subscriber.
    had_no_receiver: bool,
}

impl ConnectionRenewal {
    /// The next step before a request.
    pub(crate) fn next_step(&mut self, now: Moment) -> RenewalStep {
        let may_renew = self.may_renew(now);
        let Some(connection) = &mut self.connection else { return RenewalStep::Open };
        if connection.is_probe_due(now) {
            return RenewalStep::Probe(connection.probe);
        }
        if may_renew && (connection.had_no_receiver || connection.server.is_isolated_replica()) {
            return RenewalStep::Renew { limit: URGENT_REPLACEMENT_LIMIT };
        }
        if may_renew && now.since(connection.opened_at) >= RENEW_EVERY {
            return RenewalStep::Renew { limit: SCHEDULED_REPLACEMENT_LIMIT };
        }
        connection.used_at = now;
        RenewalStep::Send(Generation(self.generation))
    }

    /// A connection is ready, the first one or a replacement.
    pub(crate) fn opened(&mut self, now: Moment) {
        if self.connection.is_some() {
            self.renewed_at = Some(now);
            self.first_probe = ServerProbe::default();
        }
        self.generation += 1;
        self.connection = Some(Connection {
            opened_at: now,
            used_at: now,
            probe: self.first_probe,
            probed_at: None,
            server: Server::default(),
            had_no_receiver: false,
        });
    }

    /// Opening the replacement failed: the connection stays in use.
    pub(crate) fn renewal_failed(&mut self, now: Moment) {
        self.renewed_at = Some(now);
        if let Some(connection) = &mut self.connection {
            connection.had_no_receiver = false;
        }
    }

    /// The query completed: with the description of the server, or `None` if it refused.
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

    /// The connection was lost before the query completed. A server that closes new connections
    /// because of the query does not get it again on the next one.
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
    pub(crate) fn on_no_receiver(
        &mut self,
        generation: Generation,
        channel: &ChannelName,
        now: Moment,
    ) -> bool {
        let may_renew = self.may_renew(now);
        let is_current = self.is_current(generation);
        let Some(connection) = &mut self.connection else { return false };
        if !channel.is_reply_channel() || !connection.server.counts_all_receivers() {
            return false;
        }
        if is_current && may_renew {
            connection.had_no_receiver = true;
        }
        !is_current || connection.had_no_receiver
    }

    fn may_renew(&self, now: Moment) -> bool {
        self.renewed_at.is_none_or(|at| now.since(at) >= RENEW_EVERY)
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

    /// A renewal whose connection was opened at the epoch, to a server with this description.
    fn connected_to(server: Option<Server>) -> ConnectionRenewal {
        let mut renewal = ConnectionRenewal::default();
        renewal.opened(after(0));
        renewal.on_probe_reply(server, after(0));
        renewal
    }

    /// The connection to publish on. If the server is queried, this is its description.
    fn ready(renewal: &mut ConnectionRenewal, server: Option<Server>, now: Moment) -> Generation {
        for _ in 0..4 {
            match renewal.next_step(now) {
                RenewalStep::Send(generation) => return generation,
                RenewalStep::Probe(_) => renewal.on_probe_reply(server, now),
                RenewalStep::Open | RenewalStep::Renew { .. } => renewal.opened(now),
            }
        }
        panic!("it never publishes: {renewal:?}")
    }

    #[test]
    fn a_connection_in_use_is_neither_checked_nor_replaced() {
        let primary = described("standalone", "master");
        let mut renewal = connected_to(primary);
        for second in 0..9 {
            assert_eq!(renewal.next_step(after(second)), RenewalStep::Send(Generation(1)));
        }
    }

    #[test]
    fn an_idle_connection_is_checked_before_it_publishes() {
        let mut renewal = connected_to(described("standalone", "master"));
        ready(&mut renewal, None, after(0));
        let later = after(1) + Duration::from_nanos(1);
        assert_eq!(renewal.next_step(later), RenewalStep::Probe(ServerProbe::Hello));
        renewal.on_lost_before_probe_reply();
        assert_eq!(renewal.next_step(later), RenewalStep::Open);
    }

    #[test]
    fn a_server_that_has_become_a_replica_is_replaced_at_the_next_check() {
        let mut renewal = connected_to(described("standalone", "master"));
        for second in 0..10 {
            assert!(matches!(renewal.next_step(after(second)), RenewalStep::Send(_)), "{second} s");
        }
        assert_eq!(renewal.next_step(after(10)), RenewalStep::Probe(ServerProbe::Hello));
        renewal.on_probe_reply(described("standalone", "replica"), after(10));
        assert_eq!(
            renewal.next_step(after(10)),
            RenewalStep::Renew { limit: URGENT_REPLACEMENT_LIMIT }
        );
    }

    #[test]
    fn the_name_is_resolved_again_at_most_once_a_minute() {
        let replica = described("standalone", "replica");
        let mut renewal = connected_to(replica);
        let mut renewals = Vec::new();
        for second in 0..200 {
            match renewal.next_step(after(second)) {
                RenewalStep::Renew { .. } => {
                    renewals.push(second);
                    if second % 2 == 0 {
                        renewal.opened(after(second));
                    } else {
                        renewal.renewal_failed(after(second));
                    }
                }
                RenewalStep::Probe(_) => renewal.on_probe_reply(replica, after(second)),
                RenewalStep::Send(generation) => {
                    renewal.on_no_receiver(generation, &reply_channel(), after(second));
                }
                RenewalStep::Open => panic!("the connection stays in use"),
            }
        }
        for pair in renewals.windows(2) {
            assert!(pair[1] - pair[0] >= 60, "{renewals:?}");
        }
        assert!(renewals.len() > 2, "{renewals:?}");
    }

    #[test]
    fn a_minute_old_connection_is_replaced_and_kept_if_that_fails() {
        let primary = described("standalone", "master");
        let mut renewal = connected_to(primary);
        let old = ready(&mut renewal, primary, after(0));
        renewal.on_probe_reply(primary, after(60));
        assert_eq!(
            renewal.next_step(after(60)),
            RenewalStep::Renew { limit: SCHEDULED_REPLACEMENT_LIMIT }
        );
        renewal.renewal_failed(after(60));
        assert_eq!(renewal.next_step(after(60)), RenewalStep::Send(old));
    }

    #[test]
    fn a_notice_without_a_subscriber_is_published_again_on_a_new_connection() {
        let primary = described("standalone", "master");
        let mut renewal = connected_to(primary);
        let old = ready(&mut renewal, primary, after(0));
        assert!(renewal.on_no_receiver(old, &reply_channel(), after(0)));
        assert!(matches!(renewal.next_step(after(0)), RenewalStep::Renew { .. }));
        renewal.opened(after(0));
        let new = ready(&mut renewal, primary, after(0));
        assert_ne!(new, old);
        assert!(
            !renewal.on_no_receiver(new, &reply_channel(), after(0)),
            "the caller has been dropped"
        );
        assert!(
            renewal.on_no_receiver(old, &reply_channel(), after(0)),
            "it was in flight meanwhile"
        );
    }

    #[test]
    fn a_count_that_does_not_cover_all_receivers_is_no_reason() {
        for server in [described("cluster", "master"), Some(Server::from_role("master")), None] {
            let mut renewal = connected_to(server);
            let generation = ready(&mut renewal, server, after(0));
            assert!(!renewal.on_no_receiver(generation, &reply_channel(), after(0)), "{server:?}");
        }
    }

    #[test]
    fn the_shared_channel_needs_no_subscriber() {
        let primary = described("standalone", "master");
        let mut renewal = connected_to(primary);
        let generation = ready(&mut renewal, primary, after(0));
        let shared = ChannelName::new("news").unwrap();
        assert!(!renewal.on_no_receiver(generation, &shared, after(0)));
    }

    #[test]
    fn a_server_that_refuses_queries_is_only_pinged() {
        let mut renewal = ConnectionRenewal::default();
        renewal.opened(after(0));
        for probe in [ServerProbe::Hello, ServerProbe::Role] {
            assert_eq!(renewal.next_step(after(0)), RenewalStep::Probe(probe));
            renewal.on_probe_reply(None, after(0));
        }
        assert!(matches!(renewal.next_step(after(0)), RenewalStep::Send(_)));
        assert_eq!(renewal.next_step(after(0) + 2 * SECOND), RenewalStep::Probe(ServerProbe::Ping));
    }

    #[test]
    fn a_server_that_closes_connections_at_a_query_is_still_used() {
        let mut renewal = ConnectionRenewal::default();
        let mut opened = 0;
        loop {
            match renewal.next_step(after(0)) {
                RenewalStep::Open => {
                    opened += 1;
                    renewal.opened(after(0));
                }
                RenewalStep::Probe(_) => renewal.on_lost_before_probe_reply(),
                RenewalStep::Renew { .. } => panic!("nothing is known against the connection"),
                RenewalStep::Send(_) => break,
            }
        }
        assert_eq!(opened, 3);
    }

    #[test]
    fn a_publication_that_fails_on_an_old_connection_leaves_the_new_one_alone() {
        let primary = described("standalone", "master");
        let mut renewal = connected_to(primary);
        let old = ready(&mut renewal, primary, after(0));
        renewal.opened(after(1));
        let new = ready(&mut renewal, primary, after(1));
        assert!(!renewal.is_current(old) && renewal.is_current(new));
        renewal.lost();
        assert_eq!(renewal.next_step(after(1)), RenewalStep::Open);
    }
}
