use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::folder::Folder;
use crate::port::free_port;
use crate::process::{Process, retry};
use crate::tools;

/// The program `promtool`.
#[must_use]
pub fn promtool() -> PathBuf {
    tools::prometheus("promtool")
}

/// A real Prometheus on a free port.
pub struct Prometheus {
    port: u16,
    _process: Process,
    _folder: Folder,
}

impl Prometheus {
    /// Starts one that loads these rules and scrapes this address each second.
    pub async fn start(rules: &Path, target: SocketAddr) -> Self {
        let folder = Folder::new();
        let config = format!("{}/prometheus.yml", folder.path());
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs: [{{job_name: ivy, static_configs: [{{targets: ['{target}']}}]}}]\n",
            rules.display()
        );
        std::fs::write(&config, text).expect("the configuration can be written");
        loop {
            let port = free_port();
            let args = [
                format!("--config.file={config}"),
                format!("--storage.tsdb.path={}/data", folder.path()),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ];
            let program = tools::prometheus("prometheus");
            let mut process = Process::spawn("prometheus", program.as_os_str(), args, []);
            if becomes_ready(&mut process, port).await {
                return Prometheus { port, _process: process, _folder: folder };
            }
            // Another program bound the port first: try the next one.
            assert!(process.log().contains("address already in use"), "{}", process.log());
        }
    }

    /// The result of a query at this moment, or why it is invalid.
    ///
    /// # Errors
    /// The error of Prometheus.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let mut answer = get(self.port, &format!("/api/v1/query?query={query}"))
            .await
            .map_err(|error| error.to_string())?;
        if answer["status"] != "success" {
            return Err(answer.to_string());
        }
        match answer["data"]["result"].take() {
            Value::Array(results) => Ok(results),
            other => Err(other.to_string()),
        }
    }

    /// The alerts and other rules that it has loaded.
    pub async fn rules(&self) -> Vec<Value> {
        let mut answer = get(self.port, "/api/v1/rules").await.expect("Prometheus replies");
        let Value::Array(groups) = answer["data"]["groups"].take() else { return Vec::new() };
        let rules = groups.into_iter().filter_map(|mut group| match group["rules"].take() {
            Value::Array(rules) => Some(rules),
            _ => None,
        });
        rules.flatten().collect()
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").field("port", &self.port).finish_non_exhaustive()
    }
}

async fn becomes_ready(process: &mut Process, port: u16) -> bool {
    retry("prometheus does not reply", async || {
        if !process.is_running() {
            return Ok(false);
        }
        get(port, "/api/v1/status/runtimeinfo").await.map(|_| true)
    })
    .await
}

async fn get(port: u16, path: &str) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n");
    let body = end.map_or(&[][..], |end| &answer[end + 4..]);
    Ok(serde_json::from_slice(body)?)
}
