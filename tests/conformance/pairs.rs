//! What the scenarios run over: pairs of a queue and a notifier, and the reasons to leave some
//! scenarios out of some pairs.
//!
//! A backend is a line of data here, and so is a pair. A new backend needs one pair, not one with
//! each existing backend.

use crate::runtime::wait;
use crate::servers::Servers;

/// A queue and a notifier.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Its name in the names of tests.
    pub(crate) name: &'static str,
    pub(crate) queue: Queue,
    pub(crate) notifier: Notifier,
    /// Whether all adapters run over it. One adapter runs over the others: adapters differ only in
    /// how they reach servers and run effects.
    for_all_adapters: bool,
}

#[derive(Debug)]
pub(crate) struct Queue {
    /// Starts its server, if it has one, and returns its address.
    pub(crate) start: fn(&Servers) -> String,
    /// How to reach it without ivy. None if only its own ivy can reach it, with no network in
    /// between.
    pub(crate) outside: Option<Outside>,
}

/// Access to a queue without ivy, by the queue's name.
#[derive(Debug)]
pub(crate) struct Outside {
    /// How many messages it contains, in any state.
    pub(crate) size: fn(&Servers, &str) -> u64,
    /// How many messages were ever posted to it, if its server counts them.
    pub(crate) posted: Option<fn(&Servers, &str) -> u64>,
    /// The bodies of its ready messages.
    pub(crate) peek: fn(&Servers, &str) -> Vec<String>,
    pub(crate) post: fn(&Servers, &str, &str),
    /// Delivers the first message this many times to workers that crash.
    pub(crate) deliver_without_delete: fn(&Servers, &str, u8),
    /// The port that its server listens on.
    pub(crate) port: fn(&Servers) -> u16,
    /// Its URL over TLS, at this host and port.
    pub(crate) tls_url_at: fn(&Servers, &str, u16) -> String,
    /// Whether it is an IronMQ: reached by HTTP requests, and counting renewals as deliveries.
    pub(crate) is_ironmq: bool,
}

#[derive(Debug)]
pub(crate) struct Notifier {
    /// Starts its server, if it has one, and returns its address. Nothing if it is the queue's server.
    pub(crate) start: fn(&Servers) -> Option<String>,
    /// Whether only its own ivy can reach it, so that it cannot fail.
    pub(crate) private: bool,
}

const MEMORY_QUEUE: Queue = Queue { start: in_memory, outside: None };

const IRONMQ: Queue = Queue {
    start: |servers| servers.ironmq().url(),
    outside: Some(Outside {
        size: |servers, queue| wait(servers.ironmq().size(queue)),
        posted: Some(|servers, queue| wait(servers.ironmq().posted(queue))),
        peek: |servers, queue| wait(servers.ironmq().peek(queue)),
        post: |servers, queue, body| {
            wait(servers.ironmq().post(queue, body));
        },
        deliver_without_delete: |servers, queue, times| {
            wait(servers.ironmq().deliver_without_delete(queue, times.into()));
        },
        port: |servers| servers.ironmq().port(),
        tls_url_at: |servers, host, port| servers.ironmq().tls_url_at(host, port),
        is_ironmq: true,
    }),
};

const REDIS_QUEUE: Queue = Queue {
    start: |servers| servers.redis().url(),
    outside: Some(Outside {
        size: |servers, queue| wait(servers.redis().size(queue)),
        posted: None,
        peek: |servers, queue| wait(servers.redis().peek(queue)),
        post: |servers, queue, body| wait(servers.redis().post(queue, body)),
        deliver_without_delete: |servers, queue, times| {
            wait(servers.redis().deliver_without_delete(queue, times));
        },
        port: |servers| servers.redis().port(),
        tls_url_at: |servers, host, port| servers.redis().tls_url_at(host, port),
        is_ironmq: false,
    }),
};

const MEMORY_NOTIFIER: Notifier =
    Notifier { start: |servers| Some(in_memory(servers)), private: true };

const REDIS: Notifier = Notifier { start: |servers| Some(servers.redis().url()), private: false };

const SAME_SERVER: Notifier = Notifier { start: |_| None, private: false };

fn in_memory(_: &Servers) -> String {
    "memory://".to_owned()
}

/// For scenarios that bring a notifier of their own.
const OWN_NOTIFIER: &str = "memory_and_redis";
/// For scenarios that bring a queue of their own.
const OWN_QUEUE: &str = "ironmq_and_memory";

pub(crate) static PAIRS: [Pair; 5] = [
    Pair {
        name: "memory_and_memory",
        queue: MEMORY_QUEUE,
        notifier: MEMORY_NOTIFIER,
        for_all_adapters: false,
    },
    Pair { name: OWN_NOTIFIER, queue: MEMORY_QUEUE, notifier: REDIS, for_all_adapters: false },
    Pair { name: OWN_QUEUE, queue: IRONMQ, notifier: MEMORY_NOTIFIER, for_all_adapters: false },
    Pair { name: "ironmq_and_redis", queue: IRONMQ, notifier: REDIS, for_all_adapters: true },
    Pair { name: "redis_alone", queue: REDIS_QUEUE, notifier: SAME_SERVER, for_all_adapters: true },
];

/// Which pairs an adapter runs over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Coverage {
    /// All: what this adapter shows of the backends is true for the other adapters as well.
    AllPairs,
    /// Those that all adapters run over; on the others, only what the adapter does by itself.
    OwnPart,
}

impl Coverage {
    /// Why a pair is left out, if it is. `of_adapter` are scenarios about what each adapter does by
    /// itself.
    pub(crate) fn leaves_out(self, pair: &Pair, of_adapter: bool) -> Option<&'static str> {
        match self {
            Coverage::AllPairs => None,
            Coverage::OwnPart if pair.for_all_adapters || of_adapter => None,
            Coverage::OwnPart => Some("these backends are tested over another adapter"),
        }
    }
}

/// A reason to leave a scenario out of some pairs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exception {
    pub(crate) holds: fn(&Pair) -> bool,
    pub(crate) reason: &'static str,
    /// Whether the scenario brings a server of its own. Then it tests the adapter's client.
    pub(crate) own_server: bool,
}

const fn exception(holds: fn(&Pair) -> bool, reason: &'static str) -> Exception {
    Exception { holds, reason, own_server: false }
}

/// For scenarios that use the queue without ivy or compare its contents byte by byte.
pub(crate) const PRIVATE_QUEUE: Exception =
    exception(|pair| pair.queue.outside.is_none(), "only its own ivy reaches a memory queue");

/// For scenarios in which HTTP requests to the queue or their responses are lost.
pub(crate) const NO_HTTP: Exception = exception(
    |pair| !pair.queue.outside.as_ref().is_some_and(|outside| outside.is_ironmq),
    "the faults are those of HTTP requests, and this queue receives none",
);

/// For scenarios about delivery counts that include renewals.
pub(crate) const COUNTS_EXACTLY: Exception = exception(
    |pair| !pair.queue.outside.as_ref().is_some_and(|outside| outside.is_ironmq),
    "the queue counts only lost deliveries",
);

/// For scenarios in which others publish or subscribe, or the notifier fails.
pub(crate) const PRIVATE_NOTIFIER: Exception = exception(
    |pair| pair.notifier.private,
    "only its own ivy reaches a memory notifier, and it cannot fail",
);

/// For scenarios in which results travel from one ivy to another.
pub(crate) const ONE_PROCESS: Exception = exception(
    |pair| pair.queue.outside.is_none() || pair.notifier.private,
    "memory backends are not shared between processes",
);

/// For scenarios with a notifier of their own, to which the queue does not matter.
pub(crate) const OTHER_THAN_REDIS: Exception = Exception {
    holds: |pair| pair.name != OWN_NOTIFIER,
    reason: "it brings a Redis server of its own, and the queue does not matter",
    own_server: true,
};

/// For scenarios with a queue server of their own, to which the notifier does not matter.
pub(crate) const OTHER_THAN_IRONMQ: Exception = Exception {
    holds: |pair| pair.name != OWN_QUEUE,
    reason: "it brings a queue server of its own, and the notifier does not matter",
    own_server: true,
};
