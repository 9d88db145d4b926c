//! The notifier's authentication and permissions.

use std::io::{Read, Write};
use std::net::TcpStream;

use ivy_proto::ErrorKind;
use ivy_proto::event::Event;
use ivy_proto::notify::NotifyFaultKind;
use ivy_test_kit::{PATIENCE, RedisServer, ScriptedRedis};

use crate::fixture::Fixture;
use crate::harness::{Failure, Handle, Harness};
use crate::runtime::wait;
use crate::tasks::DOUBLE;

const PASSWORD: &str = "Nd4Filler4Nd";

fn works<H: Harness>(fixture: &Fixture<H>) {
    let handle = fixture.ivy.call(&fixture.own(DOUBLE), (1,)).unwrap();
    assert_eq!(handle.result(PATIENCE).unwrap(), 2);
}

/// The server does not know the URL's user name. Clients without support for users ignore it.
pub(crate) fn a_placeholder_user_name_is_ignored<H: Harness>(fixture: &Fixture<H>) {
    let redis = wait(RedisServer::start_with_password(PASSWORD));
    for user in ["", "default", "filler"] {
        let url = format!("redis://{user}:{PASSWORD}@127.0.0.1:{}", redis.port());
        let fixture = fixture.at(|config| config.notifier = Some(url));
        let mut watch = fixture.watch();
        let _worker = fixture.doubling(&fixture.own(DOUBLE));
        works(&fixture);
        let ignored = |event: &Event| matches!(event, Event::NotifierUserIgnored).then_some(());
        if user == "filler" {
            watch.until(ignored);
        } else {
            assert_eq!(watch.all(ignored), [], "{user:?}");
        }
    }
}

/// A user without permission for the reply channels gets an error at the call that names the needed
/// permission.
pub(crate) fn a_missing_permission_names_the_channels_that_are_needed<H: Harness>(
    fixture: &Fixture<H>,
) {
    let redis = wait(RedisServer::start());
    let channel = format!("&{}", fixture.name);
    let rules = ["+@all", "~*", "resetchannels", &channel, ">pw"];
    wait(redis.set_user("ada", &rules));
    let url = format!("redis://ada:pw@127.0.0.1:{}", redis.port());
    let restricted = fixture.at(|config| config.notifier = Some(url.clone()));
    let error = restricted.ivy.call(&fixture.own(DOUBLE), (1,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotifierUnavailable);
    let needed = format!("{channel}.r.*");
    assert!(error.to_string().contains(&needed), "{error}");
    assert!(!error.to_string().contains("credentials"), "{error}");

    wait(redis.set_user("ada", &[&needed]));
    let permitted = fixture.at(|config| config.notifier = Some(url));
    let _worker = permitted.doubling(&fixture.own(DOUBLE));
    works(&permitted);
}

pub(crate) fn a_server_without_a_free_connection_is_reported<H: Harness>(fixture: &Fixture<H>) {
    let redis = wait(RedisServer::start());
    let mut only = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    only.write_all(b"PING\r\n").unwrap();
    only.read_exact(&mut [0; 7]).unwrap();
    wait(redis.set("maxclients", "1"));
    let fixture = fixture.at(|config| config.notifier = Some(redis.url()));
    let mut watch = fixture.watch();
    fixture.ivy.call(&fixture.own(DOUBLE), (1,)).unwrap_err();
    let fault = watch.until(|event| match event {
        Event::NotifierError { fault } => Some(fault.clone()),
        _ => None,
    });
    assert_eq!(fault.kind(), NotifyFaultKind::Refused);
    assert!(fault.to_string().contains("max number of clients reached"), "{fault}");
}

/// A program that needs no peers of the Node package does not subscribe to their shared reply
/// channel.
pub(crate) fn a_program_without_node_peers_subscribes_to_its_own_channel_only<H: Harness>(
    fixture: &Fixture<H>,
) {
    let redis = ScriptedRedis::start();
    for (peers, channels) in [(true, 2), (false, 1)] {
        let fixture = fixture.at(|config| {
            config.notifier = Some(redis.url(PASSWORD));
            config.node_peers = peers;
        });
        let _worker = fixture.doubling(&fixture.own(DOUBLE));
        works(&fixture);
        let subscribed = redis.received("SUBSCRIBE").pop().unwrap();
        assert_eq!(subscribed.len(), 1 + channels, "{subscribed:?}");
        assert_eq!(subscribed.iter().any(|name| name == fixture.name), peers);
    }
}
