//! What a history cannot know: events that are coming, and stretches that are not to be learned from.

use std::path::Path;

use crate::binary::{history_file, json, refused};

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The forecast of `history` in JSON, with more arguments.
fn forecast(dir: &Path, history: &str, more: &[&str]) -> Vec<f64> {
    let models = dir.join("none");
    let args = ["forecast", "--history", history, "--format", "json", "--model-dir"];
    let args = [&args[..], &[models.to_str().unwrap()], more].concat();
    let steps = json(&args)["forecast"].as_array().unwrap().clone();
    steps.iter().map(|step| step["upper"].as_f64().unwrap()).collect()
}

#[test]
fn a_coming_event_multiplies_the_forecast_while_it_lasts() {
    let dir = tempfile::tempdir().unwrap();
    let history = history_file(dir.path(), 7);
    let history = history.to_str().unwrap();
    // The seven days from 2026-01-05 are over; the event begins half an hour later.
    let events = "from,to,multiplier,name\n\
                  2026-01-12T00:25:00Z,2026-01-12T00:40:00Z,3,campaign\n";
    let events = write(dir.path(), "events.csv", events);
    let (plain, scaled) =
        (forecast(dir.path(), history, &[]), forecast(dir.path(), history, &["--events", &events]));
    let ratios: Vec<f64> = scaled.iter().zip(&plain).map(|(a, b)| a / b).collect();
    assert!(ratios[..5].iter().all(|ratio| (ratio - 1.0).abs() < 1e-9), "{ratios:?}");
    assert!(ratios[5..8].iter().all(|ratio| (ratio - 3.0).abs() < 1e-9), "{ratios:?}");
    assert!(ratios[8..].iter().all(|ratio| (ratio - 1.0).abs() < 1e-9), "{ratios:?}");
}

#[test]
fn what_is_masked_is_not_learned_from() {
    let dir = tempfile::tempdir().unwrap();
    let history = history_file(dir.path(), 7);
    let history = history.to_str().unwrap();
    let mask = "from,to,why\n2026-01-07T10:00:00Z,2026-01-07T14:00:00Z,crash loop\n";
    let mask = write(dir.path(), "mask.csv", mask);
    let gaps = |name: &str, more: &[&str]| {
        let models = dir.path().join(name);
        let args = ["train", "--history", history, "--epochs", "1", "--force"];
        let args = [&args[..], &["--format", "json", "--model-dir"]].concat();
        let args = [&args[..], &[models.to_str().unwrap()], more].concat();
        json(&args)["manifest"]["data"]["gaps"].as_u64().unwrap()
    };
    let (with, without) = (gaps("with", &["--mask", &mask]), gaps("without", &[]));
    assert!((without + 40..=without + 48).contains(&with), "{with} {without}");
}

#[test]
fn a_file_that_is_wrong_is_said_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let history = history_file(dir.path(), 3);
    let history = history.to_str().unwrap();
    let events = "from,to,multiplier\n2026-01-12T00:00:00Z,2026-01-11T00:00:00Z,2\n";
    let events = write(dir.path(), "events.csv", events);
    let said = refused(&["forecast", "--history", history, "--events", &events]);
    assert!(said.contains("events.csv") && said.contains("line 2"), "{said}");
    let config = format!(
        "prometheus: {{ url: 'http://prometheus:9090' }}\nworkloads:\n  \
         - {{ namespace: shop, name: web, forecast: {{ mask: '{}/none.csv' }} }}\n",
        dir.path().display()
    );
    let config = write(dir.path(), "config.yaml", &config);
    let said = refused(&["config", "check", &config]);
    assert!(said.contains("config.yaml:3") && said.contains("none.csv"), "{said}");
}
