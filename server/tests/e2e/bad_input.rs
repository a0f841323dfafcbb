//! Bad input, each with an error that says what to do, and nothing lost.

use std::fmt::Write as _;
use std::path::Path;

use crate::binary::{history_file, refused, run};

/// What `train` says of a history with this text.
fn trained_on(text: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("load.csv");
    std::fs::write(&path, text).unwrap();
    let models = dir.path().join("models");
    let said = refused(&train(&path, &models));
    assert!(!models.exists() || std::fs::read_dir(&models).unwrap().count() == 0, "{said}");
    said
}

fn train(history: &Path, models: &Path) -> Vec<String> {
    ["train", "--history", history.to_str().unwrap(), "--model-dir", models.to_str().unwrap()]
        .map(str::to_owned)
        .into_iter()
        .chain(["--preset", "reference", "--epochs", "1"].map(str::to_owned))
        .collect()
}

/// A CSV of five-minute steps whose values are `value(i)`; an empty text is a gap.
fn csv(steps: usize, value: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = String::from("timestamp,value\n");
    for i in 0..steps {
        let _ = writeln!(text, "{},{}", 1_767_571_200 + 300 * i, value(i));
    }
    text.into_bytes()
}

#[test]
fn histories_that_cannot_be_trained_on() {
    let wave = |i: usize| (5.0 + (i as f64 / 45.0).sin()).to_string();
    let one_row = csv(1, wave);
    let nan = csv(500, |_| "NaN".to_owned());
    let constant = csv(4032, |_| "3.5".to_owned());
    let gaps = csv(105_120, |i| if i % 5000 < 10 { wave(i) } else { String::new() });
    let negative = csv(500, |i| if i == 400 { "-1".to_owned() } else { wave(i) });
    let mut long_line = csv(500, wave);
    long_line.extend(std::iter::repeat_n(b'7', 10 << 20));
    for (name, text, expected) in [
        ("empty", b"".as_slice(), "holds no rows"),
        ("one row", &one_row, "too few"),
        ("all NaN", &nan, "finite value"),
        ("constant", &constant, "all values are 3.5"),
        ("a year of gaps", &gaps, "gap"),
        ("negative", &negative, "zero or more"),
        ("a line of 10 MB", &long_line, "line 502"),
        ("not a CSV", b"<html><body>504 Gateway Timeout</body></html>", "timestamp"),
    ] {
        let said = trained_on(text);
        assert!(said.contains(expected), "{name}: expected {expected:?} in: {said}");
        assert!(said.len() < 1000, "{name}: {said}");
    }
}

#[test]
fn a_model_directory_that_cannot_be_written_keeps_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let history = history_file(dir.path(), 7);
    // A file in the place of the directory: refused for root too, whom no permission stops.
    let models = dir.path().join("models");
    std::fs::write(&models, "not a directory").unwrap();
    let said = refused(&train(&history, &models));
    assert!(said.contains("models"), "{said}");
    assert_eq!(std::fs::read_to_string(&models).unwrap(), "not a directory");
}

#[test]
fn missing_files_and_sources_say_what_to_do() {
    let said = refused(&["train", "--history", "/nowhere/load.csv"]);
    assert!(said.contains("/nowhere/load.csv"), "{said}");
    let said = refused(&["serve"]);
    assert!(said.contains("PROMETHEUS_URL"), "{said}");
    let dir = tempfile::tempdir().unwrap();
    let history = history_file(dir.path(), 3);
    let said = refused(&["model", "inspect", history.to_str().unwrap()]);
    assert!(said.contains("web.csv"), "{said}");
}

#[test]
fn a_configuration_is_checked_before_it_is_deployed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    let text = "prometheus: { url: 'http://prometheus:9090' }\nworkloads:\n  \
                - { namespace: shop, name: web, minReplicas: 9, maxReplicas: 3 }\n";
    std::fs::write(&path, text).unwrap();
    let said = refused(&["config", "check", path.to_str().unwrap()]);
    assert!(said.contains("config.yaml:3: minReplicas 9 and maxReplicas 3"), "{said}");
    std::fs::write(&path, text.replace("9, max", "2, max")).unwrap();
    let ended = run(&["config", "check", path.to_str().unwrap()]);
    assert!(ended.success && ended.stdout.contains("shop/web: shadow, 2 to 3"), "{ended:?}");
}

#[test]
fn a_port_in_use_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let history = history_file(dir.path(), 3);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = ["serve", "--history", history.to_str().unwrap(), "--listen", &address];
    let said = refused(&args);
    assert!(said.contains("cannot listen") && said.contains("another process"), "{said}");
}
