//! `backtest` on histories whose scores are known.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::binary::{refused, run};

/// Nine days of five-minute steps.
fn history(dir: &Path, name: &str, value: impl Fn(usize) -> f64) -> String {
    let mut text = String::from("timestamp,value\n");
    for i in 0..9 * 288 {
        let _ = writeln!(text, "{},{}", 1_767_571_200 + 300 * i, value(i));
    }
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn methods_are_scored_series_by_series_and_summed_up() {
    let dir = tempfile::tempdir().unwrap();
    // On a ramp the last value errs by 1 to 12 steps; on a cycle the day before is exact.
    let ramp = history(dir.path(), "ramp.csv", |i| 100.0 + i as f64);
    let cycle = history(dir.path(), "cycle.csv", |i| 2.0 + (i % 288) as f64);
    let forecasts = dir.path().join("forecasts.csv");
    let args = ["backtest", "--history", &ramp, &cycle, "--model", "naive,seasonal-naive,drift"];
    let out = ["--forecasts-out", forecasts.to_str().unwrap(), "--format", "json"];
    let ended = run(&[&args[..], &out].concat());
    assert!(ended.success, "{}", ended.stderr);
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    let of = |series: &str, model: &str| {
        let rows = document["results"].as_array().unwrap().iter();
        rows.clone().find(|row| row["series"] == series && row["model"] == model).unwrap().clone()
    };
    let naive = of("ramp", "naive");
    assert_eq!(naive["origins"], 777 / 12 + 1, "0.3 of 2592 steps, from a multiple of 12 on");
    assert!((naive["mae"].as_f64().unwrap() - 6.5).abs() < 1e-9, "{naive}");
    assert!(of("ramp", "drift")["mae"].as_f64().unwrap() < 1e-6);
    assert!(of("cycle", "seasonal-naive")["mae"].as_f64().unwrap() < 1e-9);
    let summary = document["summary"].as_array().unwrap();
    assert_eq!(summary.len(), 3);
    assert_eq!(summary[0]["model"], "naive");
    assert_eq!(summary[0]["against"][0]["baseline"], "seasonal-naive");
    let written = std::fs::read_to_string(forecasts).unwrap();
    let header = "series,model,origin,step,value,q0.1,q0.2,q0.3,q0.4,q0.5,q0.6,q0.7,q0.8,q0.9";
    assert_eq!(written.lines().next(), Some(header));
    assert_eq!(written.lines().count(), 1 + 2 * 3 * 12 * (777 / 12 + 1));
}

#[test]
fn the_network_forecasts_a_load_that_it_was_not_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let load = history(dir.path(), "load.csv", |i| {
        let cycle = ((i % 288) as f64 / 288.0 * std::f64::consts::TAU).sin();
        40.0 + 25.0 * cycle + (i * 7919 % 101) as f64 / 10.0
    });
    let args = ["backtest", "--history", &load, "--model", "network,ridge,lstm,naive"];
    let ended = run(&[&args[..], &["--format", "json"]].concat());
    assert!(ended.success, "{}", ended.stderr);
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    let rows = document["results"].as_array().unwrap();
    let mae = |model: &str| {
        rows.iter().find(|row| row["model"] == model).unwrap()["mae"].as_f64().unwrap()
    };
    assert!(mae("network") < 0.8 * mae("naive"), "{rows:?}");
    assert!(mae("lstm") < 0.8 * mae("naive"), "{rows:?}");
    let coverage = rows[2]["coverage_80"].as_f64().unwrap();
    assert!((0.6..=0.95).contains(&coverage), "{coverage}");
}

#[test]
fn a_load_is_forecast_without_any_training() {
    let dir = tempfile::tempdir().unwrap();
    let load = history(dir.path(), "load.csv", |i| {
        40.0 + 25.0 * ((i % 288) as f64 / 288.0 * std::f64::consts::TAU).sin()
    });
    let models = dir.path().join("none");
    let args = ["forecast", "--history", &load, "--model-dir", models.to_str().unwrap()];
    let ended = run(&[&args[..], &["--format", "json"]].concat());
    assert!(ended.success, "{}", ended.stderr);
    assert!(ended.stderr.contains("no model of its own"), "{}", ended.stderr);
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(ended.stdout.contains("\"lstm\""), "{answer}");
    assert!(ended.stdout.contains("recent-errors"), "{answer}");
    // The history ends at midnight, where the cycle rises through its mean.
    let steps = answer["forecast"].as_array().unwrap();
    assert_eq!(steps.len(), 12);
    for (k, step) in steps.iter().enumerate() {
        let actual = 40.0 + 25.0 * (k as f64 / 288.0 * std::f64::consts::TAU).sin();
        let value = step["value"].as_f64().unwrap();
        assert!((value - actual).abs() < 1.5, "step {k}: {value} {actual}");
    }
}

#[test]
fn a_network_of_ones_own_is_trained_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let load = history(dir.path(), "load.csv", |i| 40.0 + ((i * 7919) % 101) as f64 / 10.0);
    let fleet = dir.path().join("fleet.safetensors");
    let fleet = fleet.to_str().unwrap();
    let train = ["pretrain", "--history", &load, "--out", fleet, "--steps", "2", "--batch", "16"];
    let ended = run(&train);
    assert!(ended.success, "{}", ended.stderr);
    assert!(ended.stdout.contains("trained on 1 series"), "{}", ended.stdout);
    let args = ["backtest", "--history", &load, "--model", "network", "--pretrained"];
    let ended = run(&[&args[..], &[fleet]].concat());
    assert!(ended.success, "{}", ended.stderr);
    let said = refused(&[&args[..], &[&load]].concat());
    assert!(said.contains("no pre-trained network"), "{said}");
}

#[test]
fn what_cannot_be_forecast_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let ramp = history(dir.path(), "ramp.csv", |i| 100.0 + i as f64);
    let args = |more: &[&str]| -> Vec<String> {
        let args = ["backtest", "--history", &ramp, "--model", "naive"];
        args.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
    };
    let said = refused(&args(&["--test-fraction", "1.5"]));
    assert!(said.contains("from 0 to less than 1"), "{said}");
    let said = refused(&args(&["--test-max", "10m"]));
    assert!(said.contains("shorter than one forecast"), "{said}");
    let said = refused(&args(&["--model", "prophecy"]));
    assert!(said.contains("possible values") && said.contains("seasonal-naive"), "{said}");
}
