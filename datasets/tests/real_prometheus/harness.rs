//! A real Prometheus for a test: its own data, its own port, gone with the value.
//!
//! Needs the programs `prometheus` and `promtool` (scripts/install-tools brings them), and of
//! crates `tempfile` alone, so that other crates' tests can take this file in with `#[path]`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The time in which a server with weeks of blocks is ready, on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Another process may take the free port before the server does.
const STARTS_MAX: u32 = 3;

/// A running server. Dropped, it is killed, and then its data is removed.
#[derive(Debug)]
pub(crate) struct PrometheusServer {
    _process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl PrometheusServer {
    /// Starts a server that holds the samples of `openmetrics` (none where it is empty) and
    /// follows `config` (its YAML; empty for the defaults), and waits until it is ready.
    ///
    /// # Errors
    /// When a program is missing or fails; the text says what to do, or gives its last words.
    pub(crate) fn start(openmetrics: &str, config: &str) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        write(&folder.path().join("prometheus.yml"), config)?;
        if !openmetrics.is_empty() {
            backfill(folder.path(), openmetrics)?;
        }
        let mut failure = String::new();
        for _ in 0..STARTS_MAX {
            let address = free_address()?;
            let mut process = spawn(folder.path(), address)?;
            match wait_until_ready(&mut process, address) {
                Ok(()) => return Ok(Self { _process: process, address, _folder: folder }),
                Err(error) => failure = error,
            }
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let last_lines = log.lines().rev().take(10).collect::<Vec<_>>().join("\n");
        Err(format!("{failure}; its last lines, newest first:\n{last_lines}"))
    }

    /// Its address, such as `http://127.0.0.1:39211`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Makes blocks of the samples, which need not be new.
fn backfill(folder: &Path, openmetrics: &str) -> Result<(), String> {
    let file = folder.join("history.om");
    write(&file, openmetrics)?;
    let output = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&file, &folder.join("data")])
        .output()
        .map_err(|error| missing("promtool", &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("promtool could not import the samples: {said}"));
    }
    Ok(())
}

fn spawn(folder: &Path, address: SocketAddr) -> Result<Process, String> {
    let log = File::create(folder.join("log")).map_err(|error| format!("no log: {error}"))?;
    Command::new("prometheus")
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        // The usual 15 days would drop the first blocks of a history of two weeks.
        .arg("--storage.tsdb.retention.time=60d")
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map(Process)
        .map_err(|error| missing("prometheus", &error))
}

fn wait_until_ready(process: &mut Process, address: SocketAddr) -> Result<(), String> {
    let begun = Instant::now();
    while begun.elapsed() < READY_WITHIN {
        if let Ok(Some(status)) = process.0.try_wait() {
            return Err(format!("prometheus stopped ({status}) before it was ready"));
        }
        if is_ready(address).unwrap_or(false) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(format!("prometheus was not ready within {} s", READY_WITHIN.as_secs()))
}

fn is_ready(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(start.ends_with(b" 200"))
}

fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port: {error}"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn missing(program: &str, error: &io::Error) -> String {
    format!("cannot run {program} ({error}): run scripts/install-tools, which installs it")
}
