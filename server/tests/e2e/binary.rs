//! Runs the binary: once to its end, or as a server until it is told to stop.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use datasets::Synthetic;
use forecast::{SeriesId, Step, Timestamp};
use serde_json::Value;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_predictive-scaler"));
    for name in ["PROMETHEUS_URL", "NAMESPACE", "DEPLOYMENT", "KUBECONFIG", "RUST_LOG"] {
        command.env_remove(name);
    }
    // A developer's own cluster must never be found.
    command.env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub(crate) fn run<S: AsRef<OsStr>>(args: &[S]) -> Ended {
    let output = command().args(args).output().unwrap();
    Ended {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the binary, expects it to fail, and returns what it said.
pub(crate) fn refused<S: AsRef<OsStr> + std::fmt::Debug>(args: &[S]) -> String {
    let ended = run(args);
    assert!(!ended.success, "{args:?} did not fail: {}", ended.stdout);
    assert!(!ended.stderr.contains("panicked"), "{args:?}: {}", ended.stderr);
    ended.stderr
}

/// Runs the binary, expects it to succeed, and returns the JSON that it printed.
pub(crate) fn json<S: AsRef<OsStr> + std::fmt::Debug>(args: &[S]) -> Value {
    let ended = run(args);
    assert!(ended.success, "{args:?} failed: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// A running server; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: String,
    logged: Receiver<String>,
    /// Log lines that were read so far.
    pub(crate) log: Vec<String>,
}

impl Server {
    /// Starts `serve` with these arguments and variables on a free port.
    pub(crate) fn start(args: &[&OsStr], variables: &[(&str, &str)]) -> Self {
        let mut child = command()
            .arg("serve")
            .args(args)
            .args(["--log-format", "json", "--listen", "127.0.0.1:0"])
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, logged) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let mut server = Self { child, address: String::new(), logged, log: Vec::new() };
        let line = server.wait_for_log("\"serving\"");
        let line: Value = serde_json::from_str(&line).unwrap();
        server.address = line["address"].as_str().unwrap().to_owned();
        server
    }

    /// Waits until a log line has `text` in it, and returns the line.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.logged.recv_timeout(left) {
                Ok(line) => {
                    self.log.push(line);
                    if self.log.last().unwrap().contains(text) {
                        return self.log.last().unwrap().clone();
                    }
                }
                Err(_) => panic!("no log line with {text:?} in:\n{}", self.log.join("\n")),
            }
        }
    }

    /// The address that it listens on.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The status and the body of an answer.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(&self.address, path)
    }

    /// The answer of `path` as JSON once its status is 200.
    pub(crate) fn json(&self, path: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let (status, body) = self.get(path);
            if status == 200 {
                return serde_json::from_str(&body).unwrap();
            }
            assert!(Instant::now() < deadline, "{path} answered {status}: {body}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until forecasts are those of a network that was trained on the workload, and returns one.
    pub(crate) fn forecast_of_the_model(&self) -> Value {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let forecast = self.json("/forecast");
            if forecast["model"]["created"].is_string() {
                return forecast;
            }
            assert!(Instant::now() < deadline, "still {forecast}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The first decision since the start, of which there may have been more since.
    pub(crate) fn first_decision(&self, path: &str) -> Value {
        let plan = self.json(path);
        plan["recent"].as_array().unwrap().last().unwrap_or(&plan).clone()
    }

    /// Asks it to stop with SIGTERM; returns whether it exited with 0, and how long it took.
    pub(crate) fn terminate(mut self) -> (bool, Duration) {
        let started = Instant::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let success = self.child.wait().unwrap().success();
        (success, started.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where it was terminated.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status and the body of `http://address/path`.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Writes `days` of synthetic load as a CSV file and returns its path.
pub(crate) fn history_file(dir: &Path, days: u32) -> PathBuf {
    let step = Step::FIVE_MINUTES;
    let start = Timestamp::from_second(1_767_571_200).unwrap();
    let load = Synthetic { seed: 7, step, start, days };
    let series = load.generate(SeriesId::new("test").unwrap()).unwrap();
    let mut text = String::from("timestamp,value\n");
    for (i, value) in series.view().values().iter().enumerate() {
        let value = value.map(|value| value.to_string()).unwrap_or_default();
        text += &format!("{},{value}\n", series.view().time_at(i).as_second());
    }
    let path = dir.join("web.csv");
    std::fs::write(&path, text).unwrap();
    path
}
