use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::secrets::{Leak, find_leaks};

/// A program that a test runs. It is killed when this is dropped.
///
/// Its environment contains only `PATH` and the given variables, so that the host's
/// configuration does not affect it. All of its output is recorded and shown when it fails.
/// Dropping this fails the test if the program has printed a [marker secret](crate::secrets).
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<String>,
    other_events: Vec<Value>,
    log: Log,
    permitted: &'static [&'static str],
    readers: [JoinHandle<io::Result<()>>; 2],
}

impl Process {
    /// Starts a program under a name for the failure messages.
    pub fn spawn<A, E>(name: &str, program: &OsStr, args: A, env: E) -> Self
    where
        A: IntoIterator<Item: AsRef<OsStr>>,
        E: IntoIterator<Item = (String, String)>,
    {
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name}: {} does not start: {error}", program.display())
            });
        let log = Log::default();
        let (sender, lines) = mpsc::unbounded_channel();
        let output = child.stdout.take().expect("the output is piped");
        let errors = child.stderr.take().expect("the errors are piped");
        let readers = [
            tokio::spawn(read(output, log.clone(), Some(sender))),
            tokio::spawn(read(errors, log.clone(), None)),
        ];
        Process {
            name: name.to_owned(),
            input: child.stdin.take(),
            child,
            lines,
            other_events: Vec::new(),
            log,
            permitted: &[],
            readers,
        }
    }

    /// The same, except that lines with these prefixes may contain secrets.
    pub(crate) fn permitting(mut self, prefixes: &'static [&'static str]) -> Self {
        self.permitted = prefixes;
        self
    }

    /// The next line of its standard output.
    pub async fn line(&mut self) -> String {
        match timeout(PATIENCE, self.lines.recv()).await {
            Ok(Some(line)) => line,
            Ok(None) => self.fail("ended before the expected line"),
            Err(_) => self.fail("did not print the expected line"),
        }
    }

    /// The first event of this kind (its `event`) that no call has returned yet. An event is a line
    /// of standard output that is a JSON object; the others are stored until they are
    /// requested.
    pub async fn event(&mut self, kind: &str) -> Value {
        if let Some(position) = self.other_events.iter().position(|event| event["event"] == kind) {
            return self.other_events.remove(position);
        }
        loop {
            match serde_json::from_str(&self.line().await) {
                Ok(event @ Value::Object(_)) if event["event"] == kind => return event,
                Ok(event @ Value::Object(_)) => self.other_events.push(event),
                _ => {}
            }
        }
    }

    /// Writes a line to its standard input.
    pub async fn send(&mut self, line: &Value) {
        let input = self.input.as_mut().expect("the input is still open");
        let text = format!("{line}\n");
        if let Err(error) = input.write_all(text.as_bytes()).await {
            self.fail(&format!("accepted no input: {error}"));
        }
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits for its exit status. All of its output is in the log then.
    pub async fn exit(&mut self) -> ExitStatus {
        let ended = async {
            let status = self.child.wait().await.expect("a child can be waited for");
            for reader in &mut self.readers {
                // An error or panic of a reader adds nothing to the status.
                if !reader.is_finished() {
                    let _ = reader.await;
                }
            }
            status
        };
        match timeout(PATIENCE, ended).await {
            Ok(status) => status,
            Err(_) => self.fail("did not end"),
        }
    }

    /// Waits until it has ended successfully. Returns all unread lines of its standard output.
    pub async fn success(&mut self) -> Vec<String> {
        let status = self.exit().await;
        let mut rest = Vec::new();
        while let Some(line) = self.lines.recv().await {
            rest.push(line);
        }
        if !status.success() {
            self.fail(&format!("ended with {status}"));
        }
        rest
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it, as `kill -9` does, and waits for its end.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child can be killed");
    }

    /// Sends it a signal: `INT`, as Ctrl-C does, or another one by its name.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().expect("the program is running").to_string();
        let status = std::process::Command::new("kill").args(["-s", signal, &id]).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "{}: the signal was not sent",
            self.name
        );
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Fails the test with this reason and the program's output.
    pub fn fail(&self, what: &str) -> ! {
        panic!("{} {what}. It printed:\n{}", self.name, self.log())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let leaks = self.log.leaks(self.permitted);
        if !leaks.is_empty() && !thread::panicking() {
            panic!("{} printed secrets: {leaks:?}", self.name);
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("id", &self.child.id())
            .finish_non_exhaustive()
    }
}

/// The output of a program: the lines of both streams in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn add(&self, line: &str) {
        let mut text = self.lock();
        text.push_str(line);
        text.push('\n');
    }

    fn text(&self) -> String {
        self.lock().clone()
    }

    fn leaks(&self, permitted: &[&str]) -> Vec<Leak> {
        let text = self.lock();
        let is_searched = |line: &&str| !permitted.iter().any(|prefix| line.starts_with(prefix));
        text.lines().filter(is_searched).flat_map(find_leaks).collect()
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.lock().expect("no writer of the log panics")
    }
}

async fn read(
    stream: impl AsyncRead + Unpin,
    log: Log,
    lines: Option<mpsc::UnboundedSender<String>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).await? > 0 {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        log.add(&line);
        if let Some(lines) = &lines {
            // The test may no longer read the lines; the log still needs them.
            let _ = lines.send(line);
        }
    }
    Ok(())
}

/// Retries with growing delays until it succeeds. The last failure fails the test.
pub(crate) async fn retry<T, E: fmt::Display>(
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let started = tokio::time::Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) if started.elapsed() > PATIENCE => panic!("{what}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::secrets::QUEUE_TOKEN;

    fn shell(script: &str) -> Process {
        Process::spawn("shell", OsStr::new("sh"), ["-c", script], [])
    }

    #[tokio::test]
    async fn events_are_the_lines_that_are_json_objects() {
        let mut process = shell(r#"echo noise; echo 7; echo '{"event":"ready","n":1}'"#);
        assert_eq!(process.event("ready").await, json!({"event": "ready", "n": 1}));
    }

    #[tokio::test]
    async fn events_that_come_early_are_kept() {
        let mut process = shell(
            r#"echo '{"event":"b","n":1}'; echo '{"event":"b","n":2}'; echo '{"event":"a"}'"#,
        );
        process.event("a").await;
        assert_eq!(process.event("b").await["n"], 1);
        assert_eq!(process.event("b").await["n"], 2);
    }

    #[tokio::test]
    async fn a_sent_line_arrives_on_the_input() {
        let mut process = shell("cat");
        process.send(&json!({"event": "echoed"})).await;
        process.event("echoed").await;
        process.close_input();
        assert!(process.exit().await.success());
    }

    #[tokio::test]
    async fn the_environment_of_the_test_is_not_inherited() {
        let mut process =
            Process::spawn("env", OsStr::new("env"), [""; 0], [("A".to_owned(), "b".to_owned())]);
        let lines = process.success().await;
        assert!(lines.iter().all(|line| line == "A=b" || line.starts_with("PATH=")), "{lines:?}");
    }

    #[tokio::test]
    async fn a_killed_process_is_gone() {
        let mut process = shell("sleep 1000");
        assert!(process.is_running());
        process.kill().await;
        assert!(!process.is_running());
    }

    #[tokio::test]
    #[should_panic(expected = "the queue token")]
    async fn a_secret_that_was_printed_is_a_failure() {
        let mut process = shell(&format!("echo token={} >&2", QUEUE_TOKEN.text()));
        process.success().await;
    }

    #[tokio::test]
    async fn a_secret_that_was_printed_on_purpose_is_no_failure() {
        let mut process =
            shell(&format!("echo token={}", QUEUE_TOKEN.text())).permitting(&["token="]);
        process.success().await;
    }

    #[tokio::test]
    #[should_panic(expected = "the last words")]
    async fn a_failure_shows_what_was_printed() {
        let mut process = shell("echo the last words >&2; exit 3");
        process.success().await;
    }
}
