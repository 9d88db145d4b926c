//! Servers that loads use, each pinned to its core.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The variable with the cores that servers are pinned to, as `taskset` parses it.
pub const SERVER_CORES: &str = "BENCH_SERVER_CORES";

/// The variable that makes valgrind count the instructions of servers. It contains the path of this
/// program's error output.
pub const SERVER_COUNTER: &str = "BENCH_SERVER_COUNTER";
/// The command that starts a program whose instructions are counted.
pub const COUNTER: [&str; 3] = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];

/// A server that ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    process: Process,
    port: u16,
}

/// The token that all servers accept.
pub(crate) const TOKEN: &str = "local-development-token";
/// The project that all servers serve.
pub(crate) const PROJECT: &str = "000000000000000000000001";

impl Server {
    /// `ivy serve`.
    #[must_use]
    pub fn ivy() -> Server {
        Server::start(program("ivy"), &["serve", "--port", "0"])
    }

    /// A server of this program, by the name of its subcommand.
    #[must_use]
    pub fn own(subcommand: &str) -> Server {
        Server::start(program("bench"), &[subcommand])
    }

    /// Redis, without anything on disk: the program in `IVY_TEST_REDIS_SERVER`, or else the
    /// system's.
    #[must_use]
    pub fn redis() -> Server {
        let program = env::var_os("IVY_TEST_REDIS_SERVER").unwrap_or("redis-server".into());
        let port = free_port();
        let text = port.to_string();
        let args = ["--port", &text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let process = counted_or_pinned(&program, &args).stdout(Stdio::null()).spawn();
        let server = Server { process: Process(process.expect("redis-server runs")), port };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Starts a program whose first output is an address.
    fn start(program: impl AsRef<OsStr>, args: &[&str]) -> Server {
        let mut process = counted_or_pinned(program.as_ref(), args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("taskset runs; it is part of util-linux");
        let mut line = String::new();
        let output = process.stdout.as_mut().expect("its output is piped");
        BufReader::new(output).read_line(&mut line).expect("a server prints its address");
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        Server { process: Process(process), port: port.expect("a server prints its address") }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of its queues.
    pub(crate) fn ironmq_url(&self) -> String {
        format!("ironmq+http://{TOKEN}@127.0.0.1:{}/{PROJECT}", self.port)
    }

    /// The address of the Redis server.
    pub(crate) fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// A process that ends when it is dropped.
#[derive(Debug)]
pub struct Process(pub(crate) Child);

impl Process {
    /// Its id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Requests it to end by itself, so that valgrind can report its count.
    fn end(&self) -> std::io::Result<()> {
        let process = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        process.map_or(Ok(()), |process| Ok(kill_process(process, Signal::TERM)?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = if is_counted() { self.end() } else { self.0.kill() };
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port can be bound");
    listener.local_addr().expect("the listener has an address").port()
}

/// A program of this build.
pub(crate) fn program(name: &str) -> PathBuf {
    let own = env::current_exe().expect("the system reports the path of the program");
    own.with_file_name(name)
}

fn is_counted() -> bool {
    env::var_os(SERVER_COUNTER).is_some()
}

fn counted_or_pinned(program: &OsStr, args: &[&str]) -> Command {
    if !is_counted() {
        return pinned(program, args);
    }
    let [counter, options @ ..] = COUNTER;
    let mut command = Command::new(counter);
    // An installed server may be a script that starts the real program.
    command.args(options).arg("--trace-children=yes").arg(program).args(args);
    command
}

fn pinned(program: &OsStr, args: &[&str]) -> Command {
    let mut command = match env::var(SERVER_CORES) {
        Ok(cores) => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &cores]).arg(program);
            command
        }
        Err(_) => Command::new(program),
    };
    command.args(args);
    command
}
