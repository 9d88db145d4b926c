//! F12: keys that differ from host to host, and that are replaced while messages are under way.

use std::collections::VecDeque;
use std::time::Duration;

use ivy_proto::wire::crypto::{Encryption, KeyId, KeySecret, KeyStatus, Keyring, Keyset, Policy};
use ivy_proto::wire::{Codec, LegacyKey};
use ivy_proto::{Moment, Secret};
use zeroize::Zeroizing;

use crate::fault::Class;
use crate::fault_injection::stream_of;
use crate::setup::{PASSWORD, Setup, WRONG_PASSWORD};

/// The stream of the times at which keys are replaced.
const KEYS: u64 = 1 << 33;
/// How far a rotation has come when the old key only opens.
const ROTATED: u64 = 3;
/// And when it does not even do that: too early, where its messages are still under way.
const DISABLED: u64 = 4;

/// What each host knows of the keys.
pub(crate) struct Keys {
    /// Of those that have every key.
    reader: Codec,
    hosts: Vec<Host>,
    turns: VecDeque<Turn>,
}

struct Host {
    codec: Codec,
    ring: Option<Keyring>,
}

/// A host is given the keyset of this stage, or one that it cannot read.
struct Turn {
    at: Moment,
    host: usize,
    stage: u64,
}

impl Keys {
    pub(crate) fn new(setup: &Setup) -> Keys {
        let worker = setup.producers;
        let policy = policy(setup);
        let legacy = |password| Codec::legacy(LegacyKey::new(password).expect("a password"));
        let host = || match policy {
            Some(policy) => {
                let ring = Keyring::new(keyset(0));
                Host { codec: codec(policy, ring.clone()), ring: Some(ring) }
            }
            None => Host { codec: reader(setup), ring: None },
        };
        let mut hosts: Vec<Host> = (0..setup.producers + setup.workers).map(|_| host()).collect();
        match setup.seed % 4 {
            _ if !setup.has(Class::Keys) => {}
            0 => hosts[worker].codec = Codec::plain(),
            1 => hosts[worker].codec = legacy(WRONG_PASSWORD),
            _ => {}
        }
        let turns = if setup.has(Class::Keys) && policy.is_some() {
            turns(setup, hosts.len())
        } else {
            VecDeque::new()
        };
        Keys { reader: reader(setup), hosts, turns }
    }

    /// How bodies are written and read by those that have every key.
    pub(crate) fn reader(&self) -> &Codec {
        &self.reader
    }

    pub(crate) fn codec_of(&self, host: usize) -> Codec {
        self.hosts[host].codec.clone()
    }

    /// Hands out the keysets that are due.
    pub(crate) fn turn(&mut self, now: Moment) {
        while self.turns.front().is_some_and(|turn| turn.at <= now)
            && let Some(turn) = self.turns.pop_front()
        {
            let Some(ring) = &self.hosts[turn.host].ring else { continue };
            assert!(ring.reload("{\"primary\":\"new\",\"keys\":[]}").is_err(), "it is broken");
            ring.replace(keyset(turn.stage));
        }
    }

    /// Ends a rotation: everybody knows the new key, and that the old one only opens.
    pub(crate) fn settle(&mut self) {
        self.turns.clear();
        for ring in self.hosts.iter().filter_map(|host| host.ring.as_ref()) {
            ring.replace(keyset(ROTATED));
        }
    }
}

/// The policy of all queues, if they use keysets.
fn policy(setup: &Setup) -> Option<Policy> {
    match setup.seed % 4 {
        _ if !setup.encrypted => None,
        2 => Some(Policy::v2()),
        3 => Some(Policy::bridge()),
        _ => None,
    }
}

fn reader(setup: &Setup) -> Codec {
    match policy(setup) {
        Some(policy) => codec(policy, Keyring::new(keyset(ROTATED))),
        None if setup.encrypted => Codec::legacy(LegacyKey::new(PASSWORD).expect("a password")),
        None => Codec::plain(),
    }
}

fn codec(policy: Policy, ring: Keyring) -> Codec {
    let encryption = Encryption::new().with_keyring(ring).with_password(Secret::new(PASSWORD));
    Codec::new(&encryption.with_policy(policy)).expect("there are all keys")
}

/// The keyset at a stage of the rotation: the new key is added, becomes the primary one, the old one
/// only opens, and is disabled.
fn keyset(stage: u64) -> Keyset {
    let id = |text| KeyId::new(text).expect("an id");
    let secret = |byte| KeySecret::new(Zeroizing::new(vec![byte; 32])).expect("a secret");
    let (old, new) = (id("old"), id("new"));
    let mut keyset = Keyset::new(old.clone(), secret(1));
    if stage >= 1 {
        keyset.add(new.clone(), KeyStatus::DecryptOnly, secret(2)).expect("it is new");
    }
    if stage >= 2 {
        keyset.set_status(&new, KeyStatus::Enabled).expect("it is there");
        keyset.set_primary(&new).expect("it is enabled");
    }
    if stage >= ROTATED {
        let status = if stage >= DISABLED { KeyStatus::Disabled } else { KeyStatus::DecryptOnly };
        keyset.set_status(&old, status).expect("it is not the primary one");
    }
    keyset
}

/// When each host gets each keyset: in order, and so much apart that one host may seal with a key
/// that another does not know yet. In some runs, the first worker loses the old key too early.
fn turns(setup: &Setup, hosts: usize) -> VecDeque<Turn> {
    let mut rng = stream_of(setup.seed, KEYS);
    let fault_seconds = Duration::from_secs(setup.fault_seconds);
    let mut turns = Vec::new();
    for host in 0..hosts {
        let careless = host == setup.producers && setup.seed % 8 >= 6;
        let last = if careless { DISABLED } else { ROTATED };
        let mut times: Vec<Duration> =
            (1..=last).map(|_| rng.between(Duration::ZERO, fault_seconds)).collect();
        times.sort();
        for (stage, at) in (1..=last).zip(times) {
            turns.push(Turn { at: Moment::EPOCH + at, host, stage });
        }
    }
    turns.sort_by_key(|turn| turn.at);
    turns.into()
}
