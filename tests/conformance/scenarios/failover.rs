//! The notifier's name resolves to another server while the old one stays up.

use ivy_test_kit::{PATIENCE, RedisServer, Relay};

use crate::fixture::Fixture;
use crate::harness::{Handle, Harness};
use crate::runtime::wait;
use crate::tasks::DOUBLE;

/// After a failover the old server stays up, as a replica of the new one or on its own. A worker
/// that published on the old one switches to the new one, so that later callers get their results.
pub(crate) fn results_arrive_after_the_notifier_has_failed_over<H: Harness>(fixture: &Fixture<H>) {
    for old_becomes_replica in [true, false] {
        let (old, new) = (wait(RedisServer::start()), wait(RedisServer::start()));
        wait(new.replicate(Some(&old)));
        let name = wait(Relay::start(old.port()));
        let connected = || {
            let url = format!("redis://127.0.0.1:{}", name.port());
            fixture.at(|config| config.notifier = Some(url))
        };
        let working = connected();
        let _worker = working.doubling(&fixture.own(DOUBLE));
        works(&connected(), 1);
        wait(new.replicate(None));
        if old_becomes_replica {
            wait(old.replicate(Some(&new)));
        }
        name.forward_to(new.port());
        for n in 2..4 {
            works(&connected(), n);
        }
    }
}

fn works<H: Harness>(fixture: &Fixture<H>, n: u64) {
    let handle = fixture.ivy.call(&fixture.own(DOUBLE), (n,)).unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 2 * n);
}
