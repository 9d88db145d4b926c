//! URLs of queues.

use ivy_core_tests::check_seeds;
use ivy_ironmq::{BadToken, ColonInToken, InvalidAddress, IronMqUrl, Scheme, Token};
use ivy_proto::backend::UrlProblem;
use ivy_proto::config::{ConfigError, Origin, QueueConfig, Warning};

use crate::support::*;

fn refused(url: &str) -> ConfigError {
    environment().resolve(builder().queue_url(url)).unwrap_err()
}

fn parsed(url: &str) -> IronMqUrl {
    IronMqUrl::of(&place(url)).unwrap()
}

#[test]
fn a_complete_url_names_every_part() {
    let url = parsed("ironmq+http://t%3Ak@mq.example:8080/a%2Fb/c/project");
    assert_eq!(url.scheme, Scheme::Http);
    assert_eq!(url.token.unwrap().expose(), "t:k");
    assert_eq!(url.server, Some(("mq.example".to_owned(), 8080)));
    let prefix = vec!["a/b".to_owned(), "c".to_owned()];
    assert_eq!(url.project, Some((prefix, "project".to_owned())));
}

#[test]
fn each_part_may_be_left_out() {
    let nothing = parsed("ironmq://");
    assert_eq!((nothing.token, nothing.server, nothing.project), (None, None, None));
    let host = parsed("ironmq://mq.example/");
    assert_eq!(host.server, Some(("mq.example".to_owned(), 443)));
    assert_eq!((host.token, host.project), (None, None));
    let project = parsed("IRONMQ+HTTP:///p");
    assert_eq!((project.server, project.project), (None, Some((Vec::new(), "p".to_owned()))));
    assert_eq!(parsed("ironmq://t@").token, Some(Token::new("t").unwrap()));
}

#[test]
fn hosts_are_names_or_addresses() {
    for (url, host, port) in [
        ("ironmq://t@MQ.Example/p", "mq.example", 443),
        ("ironmq+http://t@127.0.0.1/p", "127.0.0.1", 80),
        ("ironmq://t@[::1]/p", "[::1]", 443),
        ("ironmq://t@[::1]:8080/p", "[::1]", 8080),
        ("ironmq://t@xn--bcher-kva.example/p", "xn--bcher-kva.example", 443),
    ] {
        assert_eq!(parsed(url).server, Some((host.to_owned(), port)), "{url}");
    }
}

const ACCEPTED: &str = "ironmq://, ironmq+http://, redis://, rediss://, memory://";

fn rows() -> Vec<(&'static str, UrlProblem)> {
    let (token, colon) =
        (|len| UrlProblem::backend(BadToken { len }), UrlProblem::backend(ColonInToken));
    let address = |error: InvalidAddress| UrlProblem::backend(error);
    vec![
        ("", UrlProblem::Empty),
        ("mq.example", UrlProblem::NoScheme { accepted: ACCEPTED.to_owned() }),
        ("://mq.example", UrlProblem::NoScheme { accepted: ACCEPTED.to_owned() }),
        ("javascript:alert(1)", UrlProblem::NoScheme { accepted: ACCEPTED.to_owned() }),
        ("file:///etc/passwd", UrlProblem::UnknownScheme { accepted: ACCEPTED.to_owned() }),
        (
            "https://mq.example/3/projects/p",
            UrlProblem::UnknownScheme { accepted: ACCEPTED.to_owned() },
        ),
        ("irommq://t@h/p", UrlProblem::UnknownScheme { accepted: ACCEPTED.to_owned() }),
        ("amqp://h", UrlProblem::UnknownScheme { accepted: ACCEPTED.to_owned() }),
        ("redis://localhost?wait=1", UrlProblem::UnknownKey { known: "prefix".to_owned() }),
        ("rediss://:secret@/1", UrlProblem::NoHost),
        ("ironmq://t@h /p", UrlProblem::Space),
        ("ironmq://t@h/p\n", UrlProblem::Space),
        ("ironmq://t@h/p\u{0}", UrlProblem::Space),
        ("ironmq://t@h:0/p", UrlProblem::Port),
        ("ironmq://t@h:70000/p", UrlProblem::Port),
        ("ironmq://t@h:/p", UrlProblem::Port),
        ("ironmq://t@h:+1/p", UrlProblem::Port),
        ("ironmq://t@h:8o/p", UrlProblem::Port),
        ("ironmq://t@:80/p", UrlProblem::Host),
        ("ironmq://t@[::1/p", UrlProblem::Host),
        ("ironmq://t@a%20b/p", UrlProblem::Host),
        ("ironmq://t@a\"b/p", UrlProblem::Host),
        ("ironmq://t@h/p/", address(InvalidAddress::Project)),
        ("ironmq://t@h//p", address(InvalidAddress::Prefix)),
        ("ironmq://t@h/p%00", address(InvalidAddress::Project)),
        ("ironmq://t@h/%zz", UrlProblem::Escape),
        ("ironmq://t%ff@h/p", UrlProblem::Escape),
        ("ironmq://t@h/p?wait=30", UrlProblem::Query),
        ("ironmq://t@h/p?", UrlProblem::Query),
        ("ironmq://t@h/p#x", UrlProblem::Fragment),
        ("ironmq://t/k@h/p", UrlProblem::MisplacedAt),
        ("ironmq://t?k@h/p", UrlProblem::MisplacedAt),
        ("ironmq://project:token@h/q", colon),
        ("ironmq://@h/p", token(0)),
        ("ironmq://t%0d%0aX@h/p", token(4)),
        ("ironmq://t@b\u{fc}cher.example/p", UrlProblem::Host),
        ("ironmq://t@127.1/p", UrlProblem::Host),
        ("memory://name/queue", UrlProblem::NotAMemoryName),
        ("memory:///", UrlProblem::NotAMemoryName),
        ("memory://u@", UrlProblem::NotAMemoryName),
        ("memory://u@name", UrlProblem::NotAMemoryName),
        ("memory://name:80", UrlProblem::NotAMemoryName),
        ("memory://name/", UrlProblem::NotAMemoryName),
        ("memory://127.0.0.1", UrlProblem::NotAMemoryName),
        ("memory://a%20name", UrlProblem::Host),
        (
            "memory://more-than-sixty-four-characters-are-not-a-name-that-people-remember",
            UrlProblem::NotAMemoryName,
        ),
    ]
}

#[test]
fn an_invalid_queue_url_is_refused() {
    for (url, expected) in rows() {
        assert_eq!(problem(&refused(url)), expected, "{url:?}");
    }
}

#[test]
fn a_url_takes_no_keys_so_that_none_can_be_misspelt() {
    for query in ["?encryptionkey=x", "?wait=30", "?"] {
        assert_eq!(problem(&refused(&format!("ironmq://t@h/p{query}"))), UrlProblem::Query);
        assert_eq!(problem(&refused(&format!("memory://{query}"))), UrlProblem::Query);
    }
}

#[test]
fn all_these_urls_are_seeds_of_the_fuzz_target() {
    let rows = (0..).zip(rows()).map(|(n, (url, _))| (format!("queue-{n}"), url.into()));
    check_seeds("config_url", rows);
}

#[test]
fn the_error_about_an_unknown_scheme_names_the_known_ones() {
    let text = refused("irommq://t@h/p").to_string();
    assert!(text.contains("ironmq://, ironmq+http://, redis://, rediss://, memory://"), "{text}");
}

#[test]
fn a_given_url_wins_over_the_environment() {
    let environment = environment().with("IVY_QUEUE_URL", "ironmq://t@h/p");
    let config = environment.resolve(builder().queue_url("memory://")).unwrap();
    assert_eq!(config.queue, Some(QueueConfig::Memory));
    let config = environment.resolve(builder().queue(QueueConfig::Memory)).unwrap();
    assert_eq!(config.queue, Some(QueueConfig::Memory));
    let (address, token) = environment.project();
    assert_eq!((address.host().as_str(), token.expose()), ("h", "t"));
}

#[test]
fn an_error_names_the_place_of_the_bad_url() {
    let in_variable = environment().with("IVY_QUEUE_URL", "").error();
    assert!(in_variable.to_string().starts_with("IVY_QUEUE_URL: "), "{in_variable}");
    let given = environment().resolve(builder().queue_url("nonsense")).unwrap_err();
    let ConfigError::BadUrl { origin, error } = &given else { panic!("{given:?}") };
    assert_eq!(*origin, Origin::Argument("queue URL"));
    assert!(matches!(error.problem(), UrlProblem::NoScheme { .. }));
}

#[test]
fn without_any_queue_the_error_says_what_to_set() {
    let error = environment().error();
    assert!(matches!(error, ConfigError::NoQueue { .. }), "{error:?}");
    for hint in ["IVY_QUEUE_URL", "ironmq://", "memory://", "IRON_MQ_TOKEN", "IRON_MQ_PROJECT_ID"] {
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn plain_http_to_another_machine_is_warned_about() {
    let host = |host: &str| {
        let text = format!(
            "the token is sent unencrypted to {host}; use ironmq:// instead of ironmq+http://"
        );
        Warning::Backend(text)
    };
    for (url, expected) in [
        ("ironmq+http://t@mq.example/p", vec![host("mq.example")]),
        ("ironmq+http://t@192.168.0.1:8080/p", vec![host("192.168.0.1")]),
        ("ironmq+http://t@localhost:8080/p", Vec::new()),
        ("ironmq+http://t@127.0.0.1/p", Vec::new()),
        ("ironmq+http://t@[::1]/p", Vec::new()),
        ("ironmq://t@mq.example/p", Vec::new()),
        ("memory://", Vec::new()),
    ] {
        let config = environment().with("IVY_QUEUE_URL", url).config().unwrap();
        assert_eq!(config.warnings, expected, "{url}");
    }
}

#[test]
fn control_characters_in_a_url_cannot_forge_a_log_line() {
    let text = refused("ironmq://t@h/p\n[ERROR] forged\u{1b}[31m").to_string();
    assert!(!text.contains('\n') && !text.contains('\u{1b}'), "{text:?}");
    let text = refused(&format!("ironmq://h/{}", "x".repeat(1 << 20))).to_string();
    assert!(text.len() < 600, "{} bytes", text.len());
}
