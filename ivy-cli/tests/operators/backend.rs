//! Servers, and the program that works on their queues.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use ivy_proto::queue::{Batch, Body, NewMessage, QueueOp, QueueReply};
use ivy_proto::wire::{DeadLetter, DeadLetterReason};
use ivy_proto::{MessageId, QueueName};
use ivy_test_kit::secrets::{REDIS_PASSWORD, find_leaks};
use ivy_test_kit::{IvyServer, RedisServer};
use ivy_tokio::{Ivy, IvyBuilder};
use serde_json::Value;

use crate::golden;

/// A queue server and a notifier.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    queue: String,
    notifier: String,
    /// Serve until they are dropped.
    redis: RedisServer,
    ironmq: Option<IvyServer>,
}

impl Backend {
    pub(crate) async fn ironmq() -> Self {
        let redis = RedisServer::start_with_password(REDIS_PASSWORD.text()).await;
        let ironmq = IvyServer::start().await;
        let (queue, notifier) = (ironmq.url(), redis.url());
        Backend { name: "ironmq", queue, notifier, redis, ironmq: Some(ironmq) }
    }

    pub(crate) async fn redis() -> Self {
        let redis = RedisServer::start_with_password(REDIS_PASSWORD.text()).await;
        let (queue, notifier) = (redis.url(), redis.url());
        Backend { name: "redis", queue, notifier, redis, ironmq: None }
    }

    /// The IronMQ server.
    pub(crate) fn ironmq_server(&self) -> &IvyServer {
        self.ironmq.as_ref().unwrap()
    }

    /// The Redis server, for what other programs do to its queues.
    pub(crate) fn redis_of_others(&self) -> &RedisServer {
        &self.redis
    }

    /// The Redis server, to stop and to start it again.
    pub(crate) fn redis_server(&mut self) -> &mut RedisServer {
        &mut self.redis
    }

    /// The library on this backend.
    pub(crate) fn ivy(&self) -> Ivy {
        self.builder().build().unwrap()
    }

    /// The library on this backend, before it is built.
    pub(crate) fn builder(&self) -> IvyBuilder {
        Ivy::builder().queue_url(&self.queue).notifier_url(&self.notifier)
    }

    /// The program, with its configuration in the environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = program(args);
        command.env("IVY_QUEUE_URL", &self.queue).env("IVY_NOTIFIER_URL", &self.notifier);
        command
    }

    /// Runs the program.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args))
    }

    /// Runs the program on a terminal, on which this is typed. Standard output contains all
    /// that the terminal shows.
    pub(crate) fn on_terminal(&self, args: &[&str], typed: &str) -> Ended {
        self.on_terminal_with(args, typed, &[])
    }

    /// The same, with these variables.
    pub(crate) fn on_terminal_with(
        &self,
        args: &[&str],
        typed: &str,
        variables: &[(&str, &str)],
    ) -> Ended {
        let mut command = self.terminal(args, variables);
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        Ended::with_arguments_shown(&child.wait_with_output().unwrap()).searched(&command)
    }

    /// Runs the program on a terminal. This is typed when the terminal shows `prompt`.
    pub(crate) fn on_terminal_at(&self, args: &[&str], prompt: &str, typed: &str) -> Ended {
        let mut command = self.terminal(args, &[]);
        let mut child = command.spawn().unwrap();
        let (mut shown, mut output) = (Vec::new(), child.stdout.take().unwrap());
        let mut byte = [0];
        while !shown.ends_with(prompt.as_bytes()) && output.read(&mut byte).unwrap() > 0 {
            shown.push(byte[0]);
        }
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        output.read_to_end(&mut shown).unwrap();
        let ended = child.wait_with_output().unwrap();
        Ended::with_arguments_shown(&Output { stdout: shown, ..ended }).searched(&command)
    }

    /// The program on a terminal, with these variables.
    fn terminal(&self, args: &[&str], variables: &[(&str, &str)]) -> Command {
        let words: Vec<&str> = [env!("CARGO_BIN_EXE_ivy")].iter().chain(args).copied().collect();
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("IVY_QUEUE_URL", &self.queue).env("IVY_NOTIFIER_URL", &self.notifier);
        command.envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The output of a command that is done.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{args:?} on {}: {ended:?}", self.name);
        ended.stdout
    }

    /// The error of a command that ends with this exit code.
    pub(crate) fn refused(&self, args: &[&str], code: i32) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, code, "{args:?} on {}: {ended:?}", self.name);
        ended.stderr
    }

    /// The JSON lines of a command that is done.
    pub(crate) fn json(&self, args: &[&str]) -> Vec<Value> {
        lines(&self.done(&[args, &["--json"]].concat()))
    }

    /// Compares the JSON lines of a command with those in a golden file.
    pub(crate) fn golden(&self, file: &str, args: &[&str]) {
        golden::compare(&format!("{}/{file}", self.name), &self.json(args));
    }

    /// The same for lines whose texts contain this id.
    pub(crate) fn golden_with_id(&self, file: &str, args: &[&str], id: &str) {
        let printed = self.done(&[args, &["--json"]].concat()).replace(id, "<id>");
        golden::compare(&format!("{}/{file}", self.name), &lines(&printed));
    }

    /// Posts these bodies and returns the ids of the messages.
    pub(crate) async fn post(&self, queue: &str, bodies: &[&str]) -> Vec<MessageId> {
        let message = |body: &&str| NewMessage { body: Body::new(*body), delay: Duration::ZERO };
        let messages = Batch::new(bodies.iter().map(message).collect()).unwrap();
        let queue = QueueName::new(queue).unwrap();
        let posted = self.ivy().queue().execute(QueueOp::Post { queue, messages }).await.unwrap();
        let QueueReply::Posted(ids) = posted else { panic!("{posted:?}") };
        ids.into_iter().map(Result::unwrap).collect()
    }

    /// Reserves messages, as another program does.
    pub(crate) async fn reserve(&self, queue: &str, count: usize) {
        let queue = QueueName::new(queue).unwrap();
        let lease = Duration::from_secs(600);
        let reserve = QueueOp::Reserve { queue, count, lease, wait: Duration::ZERO };
        let reserved = self.ivy().queue().execute(reserve).await.unwrap();
        let QueueReply::Reserved(reserved) = reserved else { panic!("{reserved:?}") };
        assert_eq!(reserved.messages.len(), count);
    }

    /// Dead-letters messages with these bodies, for these reasons.
    pub(crate) async fn dead_letter(&self, letters: &[(&str, DeadLetterReason)]) -> Vec<MessageId> {
        let letter = |(number, (body, reason)): (usize, &(&str, DeadLetterReason))| DeadLetter {
            queue: QueueName::new("mail").unwrap(),
            id: MessageId::new(format!("origin{number}")),
            reason: *reason,
            error: Some("out of\nluck".to_owned()),
            attempts: 3,
            deliveries: 1,
            at: 1_700_000_000_000 + number as u64,
            body: Body::new(*body),
        };
        let bodies: Vec<Body> =
            letters.iter().enumerate().map(letter).map(|letter| letter.to_body()).collect();
        let bodies: Vec<&str> = bodies.iter().map(Body::as_str).collect();
        self.post("mail.dead", &bodies).await
    }
}

/// Runs a test on each backend.
pub(crate) async fn on_each(test: impl AsyncFn(&Backend)) {
    test(&Backend::ironmq().await).await;
    test(&Backend::redis().await).await;
}

/// The program, with nothing but `PATH` in its environment and empty input.
pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ivy"));
    command.args(args).env_clear().stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// How the program ended. Its output was searched for secrets.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(mut command: Command) -> Self {
        Ended::with_arguments_shown(&command.output().unwrap()).searched(&command)
    }

    fn searched(self, command: &Command) -> Self {
        for text in [&self.stdout, &self.stderr] {
            let leaks = find_leaks(text);
            assert!(leaks.is_empty(), "{:?}: {leaks:?}", command.get_args());
        }
        self
    }

    /// The output of a command that shows arguments or results.
    pub(crate) fn with_arguments_shown(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ended {
            code: output.status.code().unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A task's message with a marker secret as its argument.
pub(crate) fn task(name: &str, ivy: &str) -> String {
    let argument = serde_json::to_string(ivy_test_kit::secrets::ARGUMENT.text()).unwrap();
    format!(
        r#"{{"name":"{name}","options":{{"maxRetries":3,"ivy":{{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw"{ivy}}}}},"args":[{argument},{{"password":{argument}}}]}}"#
    )
}
