use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::folder::Folder;
use crate::port::free_port;
use crate::process::{Process, retry};
use crate::{PATIENCE, tools};

/// A real Redis server on a free port, which stores nothing on disk unless it is started with a log.
pub struct RedisServer {
    port: u16,
    settings: Settings,
    process: Process,
}

/// When a server syncs its log of commands to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Once a second. It replies once a command is written, or earlier while a sync is in progress.
    EverySecond,
    /// Before it replies.
    Always,
}

/// What a server is started with, now and when it is restarted.
struct Settings {
    program: PathBuf,
    password: Option<String>,
    log: Option<(Fsync, Folder)>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { program: tools::redis_server(), password: None, log: None }
    }
}

impl RedisServer {
    /// Starts a server.
    pub async fn start() -> Self {
        Self::start_on_free_port(Settings::default()).await
    }

    /// Starts a Valkey server, which has the same protocol, if one is installed.
    pub async fn start_valkey() -> Option<Self> {
        let program = tools::valkey_server()?;
        Some(Self::start_on_free_port(Settings { program, ..Settings::default() }).await)
    }

    /// Whether [`start_valkey`](RedisServer::start_valkey) starts one.
    #[must_use]
    pub fn has_valkey() -> bool {
        tools::valkey_server().is_some()
    }

    /// Starts a server that requires this password.
    pub async fn start_with_password(password: &str) -> Self {
        let password = Some(password.to_owned());
        Self::start_on_free_port(Settings { password, ..Settings::default() }).await
    }

    /// Starts a server with an append-only log, which it loads when it is restarted.
    pub async fn start_with_log(fsync: Fsync) -> Self {
        let log = Some((fsync, Folder::new()));
        Self::start_on_free_port(Settings { log, ..Settings::default() }).await
    }

    async fn start_on_free_port(settings: Settings) -> Self {
        loop {
            let port = free_port();
            let mut process = spawn(port, &settings);
            if becomes_ready(&mut process, port).await {
                return RedisServer { port, settings, process };
            }
            // Another program bound the port first: try the next one.
            assert!(
                process.log().contains("Address already in use"),
                "redis-server:\n{}",
                process.log()
            );
        }
    }

    /// Its address, including the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}", self.user_info(), self.port)
    }

    /// The URL of a port that serves TLS with the certificate of this host.
    #[must_use]
    pub fn tls_url_at(&self, host: &str, port: u16) -> String {
        format!("rediss://{}{host}:{port}", self.user_info())
    }

    fn user_info(&self) -> String {
        let user_info = |password| format!(":{}@", utf8_percent_encode(password, NON_ALPHANUMERIC));
        self.settings.password.as_deref().map(user_info).unwrap_or_default()
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Publishes a payload to a channel.
    pub async fn publish(&self, channel: &str, text: &str) {
        self.command(redis::cmd("PUBLISH").arg(channel).arg(text)).await;
    }

    /// Makes it a replica of another server without a password, or a primary again.
    pub async fn replicate(&self, primary: Option<&RedisServer>) {
        let mut command = redis::cmd("REPLICAOF");
        match primary {
            Some(primary) => command.arg("127.0.0.1").arg(primary.port),
            None => command.arg("NO").arg("ONE"),
        };
        self.command(&command).await;
    }

    /// Creates or changes a user by `ACL SETUSER` rules, and enables it.
    pub async fn set_user(&self, user: &str, rules: &[&str]) {
        self.command(redis::cmd("ACL").arg("SETUSER").arg(user).arg("on").arg(rules)).await;
    }

    /// Sets a parameter of its configuration.
    pub async fn set(&self, parameter: &str, value: &str) {
        self.command(redis::cmd("CONFIG").arg("SET").arg(parameter).arg(value)).await;
    }

    /// Runs an operator's command.
    async fn command(&self, command: &redis::Cmd) {
        self.query::<()>(command).await;
    }

    /// The reply to a command.
    pub async fn query<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let client = redis::Client::open(self.url()).expect("the server's address is valid");
        // The client's default timeouts are too short for a slow host.
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .expect("the server accepts connections");
        command.query_async(&mut connection).await.expect("the command succeeds")
    }

    /// Kills it, as `kill -9` does.
    pub async fn kill_hard(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again on the same port, empty unless it has a log; kills it first if it is running.
    pub async fn restart(&mut self) {
        if self.process.is_running() {
            self.kill_hard().await;
        }
        self.process = spawn(self.port, &self.settings);
        if !becomes_ready(&mut self.process, self.port).await {
            self.process.fail("did not start again");
        }
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServer").field("port", &self.port).finish_non_exhaustive()
    }
}

fn spawn(port: u16, settings: &Settings) -> Process {
    let (port, file) = (port.to_string(), format!("ivy-test-{port}.rdb"));
    let mut args = vec!["--port", &port, "--bind", "127.0.0.1", "--save", ""];
    // A replica writes what it receives to this file, which no other server may load.
    args.extend(["--dbfilename", &file, "--rdb-del-sync-files", "yes"]);
    match &settings.log {
        Some((fsync, folder)) => {
            let fsync = match fsync {
                Fsync::EverySecond => "everysec",
                Fsync::Always => "always",
            };
            args.extend(["--appendonly", "yes", "--appendfsync", fsync, "--dir", folder.path()]);
            // So small that tests meet the log's replacement by a shorter one.
            args.extend(["--auto-aof-rewrite-min-size", "1mb"]);
        }
        None => args.extend(["--appendonly", "no"]),
    }
    if let Some(password) = &settings.password {
        args.extend(["--requirepass", password]);
    }
    Process::spawn("redis-server", settings.program.as_os_str(), args, [])
}

/// Waits for the reply to a ping, or for the end of the process. Another server may have bound the
/// port and reply in its place, so the process must have said that it is ready as well.
async fn becomes_ready(process: &mut Process, port: u16) -> bool {
    retry("redis-server does not reply", async || match (process.is_running(), ping(port).await) {
        (true, Ok(())) if process.log().contains(READY) => Ok(true),
        (true, Ok(())) => Err(std::io::Error::other("it has not printed that it is ready")),
        (false, _) => Ok(false),
        (true, Err(error)) => Err(error),
    })
    .await
}

/// What the server prints when it listens.
const READY: &str = "Ready to accept connections";

async fn ping(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).await?;
    // A server that requires a password refuses even the ping, but is up.
    match &reply {
        b"+PONG\r\n" | b"-NOAUTH" => Ok(()),
        _ => Err(std::io::Error::other("not the reply to a ping")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_killed_server_restarts_on_its_port() {
        let mut server = RedisServer::start().await;
        server.kill_hard().await;
        assert!(ping(server.port()).await.is_err());
        server.restart().await;
        assert!(ping(server.port()).await.is_ok());
    }

    #[tokio::test]
    async fn a_killed_server_with_a_log_restarts_with_its_keys() {
        for fsync in [Fsync::EverySecond, Fsync::Always] {
            let mut server = RedisServer::start_with_log(fsync).await;
            server.query::<()>(redis::cmd("SET").arg("key").arg("value")).await;
            server.restart().await;
            assert_eq!(server.query::<String>(redis::cmd("GET").arg("key")).await, "value");
        }
    }

    #[tokio::test]
    async fn a_password_is_required() {
        let server = RedisServer::start_with_password("secret").await;
        let client = redis::Client::open(server.url()).expect("the address is valid");
        assert!(client.get_multiplexed_async_connection().await.is_ok());
        let unauthenticated = redis::Client::open(format!("redis://127.0.0.1:{}", server.port()))
            .expect("the address is valid");
        let mut connection =
            unauthenticated.get_multiplexed_async_connection().await.expect("a connection");
        assert!(redis::cmd("PING").query_async::<()>(&mut connection).await.is_err());
    }
}
