//! The program: its help, colours, completions and manual.

use std::process::Stdio;
use std::time::Duration;

use crate::backend::{Ended, on_each, program};

#[test]
fn the_help_lists_the_commands_and_the_exit_codes() {
    let help = Ended::of(program(&["--help"])).stdout;
    for text in [
        "ls",
        "stats",
        "peek",
        "show",
        "explain",
        "send",
        "call",
        "dead",
        "clear",
        "queue",
        "workers",
        "doctor",
        "exporter",
        "serve",
        "keys",
        "completions",
        "man",
        "130  interrupted",
    ] {
        assert!(help.contains(&format!("  {text}")), "{text}: {help}");
    }
}

#[test]
fn completions_and_manual_are_printed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = Ended::of(program(&["completions", shell]));
        assert!(ended.code == 0 && ended.stdout.contains("explain"), "{shell}");
    }
    assert!(Ended::of(program(&["man"])).stdout.contains(".TH ivy"));
    let page = Ended::of(program(&["man", "dead", "ls"])).stdout;
    let title = page.lines().find(|line| line.starts_with(".TH")).unwrap();
    assert!(title.contains("dead") && title.contains(env!("CARGO_PKG_VERSION")), "{title}");
    assert_eq!(Ended::of(program(&["man", "nonsense"])).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_terminals_get_colours_and_only_if_they_are_wanted() {
    on_each(async |backend| {
        backend.post("mail", &["1"]).await;
        assert!(!backend.done(&["ls"]).contains('\u{1b}'));
        assert!(backend.on_terminal(&["ls"], "").stdout.contains("\u{1b}[1mQUEUE"));
        assert!(!backend.on_terminal(&["ls", "--json"], "").stdout.contains('\u{1b}'));
        let plain = backend.on_terminal_with(&["ls"], "", &[("NO_COLOR", "1")]);
        assert!(plain.stdout.contains("QUEUE") && !plain.stdout.contains('\u{1b}'), "{plain:?}");
    })
    .await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn letters_are_followed_as_they_arrive() {
    use ivy_proto::wire::DeadLetterReason::Fatal;
    use rustix::process::{Pid, Signal, kill_process};

    use crate::backend::{lines, task};

    on_each(async |backend| {
        let letter = task("mail.send", "");
        backend.dead_letter(&[(letter.as_str(), Fatal)]).await;
        let mut command = backend.command(&["dead", "ls", "mail", "--follow=100ms", "--json"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let arrived = backend.dead_letter(&[(letter.as_str(), Fatal)]).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let ended = Ended::with_arguments_shown(&child.wait_with_output().unwrap());
        assert_eq!(ended.code, 130, "{ended:?}");
        let printed = lines(&ended.stdout);
        assert_eq!(printed.len(), 1, "{ended:?}");
        assert_eq!(printed[0]["message"], arrived[0].as_str());
    })
    .await;
}
