//! `demo`: the main job on a machine with nothing else.

use crate::binary::{history_file, json, refused, run};

#[test]
fn one_full_round_as_json_beats_seasonal_naive() {
    let round = json(&["demo", "--once", "--json", "--epochs", "8"]);
    assert_eq!(round["series"], "demo/web");
    assert!(round["train"]["epochs"].as_u64().unwrap() <= 8);
    assert!(round["train"]["seconds"].as_f64().unwrap() > 0.0);
    let accuracy = &round["accuracy"];
    for score in ["mape", "wape", "mase"] {
        assert!(accuracy[score].as_f64().unwrap() > 0.0, "{score}: {accuracy}");
    }
    let (ours, theirs) = (&accuracy["mae"], &accuracy["seasonal_naive"]["mae"]);
    assert!(ours.as_f64().unwrap() < theirs.as_f64().unwrap(), "{accuracy}");
    let forecast = round["forecast"].as_array().unwrap();
    assert_eq!(forecast.len(), 12);
    assert_eq!(forecast[0]["time"], "2026-02-02T00:00:00Z");
    for step in forecast {
        let [value, lower, upper] =
            ["value", "lower", "upper"].map(|key| step[key].as_f64().unwrap());
        assert!(value > 0.0 && lower <= upper, "{step}");
    }
    let plan = &round["plan"];
    assert!(plan["current_replicas"].as_u64().unwrap() >= 2, "{plan}");
    assert!(plan["predicted_replicas"].as_u64().unwrap() >= 2, "{plan}");
    assert!(!plan["reasons"].as_array().unwrap().is_empty(), "{plan}");
}

#[test]
fn one_round_for_people_shows_scores_a_plot_and_the_decision() {
    let ended = run(&["demo", "--once", "--epochs", "1", "--seed", "3"]);
    assert!(ended.success, "{}", ended.stderr);
    for expected in ["28 days of synthetic CPU load, seed 3", "seasonal-naive", "●", "replicas"] {
        assert!(ended.stdout.contains(expected), "no {expected:?} in:\n{}", ended.stdout);
    }
}

#[test]
fn the_last_day_of_a_history_is_played_back_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let history = history_file(dir.path(), 7);
    let history = history.to_str().unwrap();
    let ended = run(&[
        "demo",
        "--history",
        history,
        "--port",
        "0",
        "--epochs",
        "1",
        "--speed",
        "20000",
        "--per-replica",
        "500m",
        "--max-replicas",
        "30",
    ]);
    assert!(ended.success, "{}", ended.stderr);
    let decisions = ended.stdout.lines().filter(|line| line.contains("  replicas ")).count();
    assert!(decisions > 20, "{}", ended.stdout);
    assert!(ended.stdout.contains("Deployment of 2 to 30 replicas, 0.5 each"), "{}", ended.stdout);
    let summary = ended.stdout.lines().last().unwrap();
    assert!(summary.starts_with(&format!("{decisions} decisions, ")), "{summary}");
}

#[test]
fn a_taken_port_is_said_before_anything_is_trained() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = refused(&["demo", "--port", &port]);
    assert!(
        said.contains("cannot listen on 127.0.0.1:") && said.contains("choose another"),
        "{said}"
    );
}

#[test]
fn impossible_arguments_are_refused() {
    let said = refused(&["demo", "--speed", "0"]);
    assert!(said.contains("expected 1 to 100000"), "{said}");
    let said = refused(&["demo", "--json"]);
    assert!(said.contains("--once"), "{said}");
}
