//! `train`, `forecast`, `model inspect` and `serve` on a recorded history.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use crate::binary::{Server, history_file, json, refused, run};

fn trained(dir: &Path, preset: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let history = history_file(dir, 7);
    let models = dir.join("models");
    let args = [
        OsStr::new("train"),
        "--history".as_ref(),
        history.as_os_str(),
        "--model-dir".as_ref(),
        models.as_os_str(),
        "--preset".as_ref(),
        preset.as_ref(),
        "--epochs".as_ref(),
        "2".as_ref(),
        "--force".as_ref(),
        "--format".as_ref(),
        "json".as_ref(),
    ];
    let report = json(&args);
    assert!(Path::new(report["path"].as_str().unwrap()).is_file());
    assert_eq!(report["manifest"]["series"], "default/web");
    (history, models)
}

#[test]
fn train_then_serve_answers_with_twelve_steps_from_the_end_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (history, models) = trained(dir.path(), "lstm");
    let args: [&OsStr; 6] = [
        "--history".as_ref(),
        history.as_os_str(),
        "--model-dir".as_ref(),
        models.as_os_str(),
        "--mode".as_ref(),
        "shadow".as_ref(),
    ];
    let server = Server::start(&args, &[]);
    let forecast = server.json("/forecast");
    assert_eq!(forecast["workload"], "web");
    assert_eq!(forecast["age_seconds"], 0);
    server.forecast_of_the_model();
    let forecast = server.json("/forecast?namespace=default&workload=web");
    assert_eq!(forecast["forecast"].as_array().unwrap().len(), 12);
    assert_eq!(forecast["interval"]["fitted_on"], "recent-errors");
    let step = &server.json("/forecast?quantiles=0.93,0.5")["forecast"][0];
    let [median, high] = [0, 1].map(|i| &step["quantiles"][i]);
    assert!(median["interpolated"].is_null() && high["interpolated"] == true, "{step}");
    assert_eq!((median["level"].as_f64(), high["level"].as_f64()), (Some(0.5), Some(0.93)));
    assert!(median["value"].as_f64() <= high["value"].as_f64(), "{step}");
    let shares = forecast["model"]["shares"].as_array().unwrap();
    let weights = || shares.iter().map(|share| share["weight"].as_f64().unwrap());
    assert!((weights().sum::<f64>() - 1.0).abs() < 1e-9, "{forecast}");
    let plan = server.json("/plan");
    assert_eq!(plan["reasons"][2]["code"], "Carried", "{plan}");
    assert!(plan["reasons"][2]["text"].as_str().unwrap().contains("lstm"), "{plan}");
    assert_eq!(plan["mode"], "shadow");
    assert_eq!(server.json("/readyz")["status"], "ready");
    assert_eq!(server.get("/livez").0, 200);
    assert_eq!(server.get("/accuracy").0, 200);
    let (ended, took) = server.terminate();
    assert!(ended && took < Duration::from_secs(10), "{ended} after {took:?}");
}

#[test]
fn a_reference_artifact_is_served_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (history, models) = trained(dir.path(), "reference");
    let args: [&OsStr; 4] =
        ["--history".as_ref(), history.as_os_str(), "--model-dir".as_ref(), models.as_os_str()];
    let server = Server::start(&args, &[]);
    let forecast = server.forecast_of_the_model();
    assert_eq!(forecast["model"]["name"], "reference");
    assert_eq!(forecast["interval"]["fitted_on"], "validation-residuals");
    assert_eq!(server.json("/plan")["reasons"][1]["code"], "ForecastPeak");
    let path = std::fs::read_dir(&models).unwrap().next().unwrap().unwrap().path();
    let manifest = json(&[OsStr::new("model"), "inspect".as_ref(), path.as_os_str()]);
    assert_eq!(manifest["network"]["lookback"], 24);
}

#[test]
fn without_an_artifact_it_trains_one_in_the_background_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let history = history_file(dir.path(), 7);
    let models = dir.path().join("models");
    let args: [&OsStr; 6] = [
        "--history".as_ref(),
        history.as_os_str(),
        "--model-dir".as_ref(),
        models.as_os_str(),
        "--epochs".as_ref(),
        "3".as_ref(),
    ];
    let mut server = Server::start(&args, &[]);
    server.wait_for_log("training one in the background");
    let plan = server.first_decision("/plan");
    assert_eq!(plan["reasons"][1]["code"], "ForecastPeak", "by the network that ships: {plan}");
    assert_eq!(server.json("/readyz")["workloads"][0]["model"], "ready");
    server.wait_for_log("model trained and saved");
    assert_eq!(server.json("/readyz")["workloads"][0]["model"], "ready");
    server.forecast_of_the_model();
    assert!(server.terminate().0);
    assert_eq!(std::fs::read_dir(&models).unwrap().count(), 1);
}

#[test]
fn a_training_under_way_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let history = history_file(dir.path(), 14);
    let models = dir.path().join("models");
    let args: [&OsStr; 4] =
        ["--history".as_ref(), history.as_os_str(), "--model-dir".as_ref(), models.as_os_str()];
    let mut server = Server::start(&args, &[]);
    server.wait_for_log("training one in the background");
    let (ended, took) = server.terminate();
    assert!(ended && took < Duration::from_secs(10), "{ended} after {took:?}");
    assert!(!models.exists() || std::fs::read_dir(&models).unwrap().count() == 0);
}

#[test]
fn a_forecast_is_printed_as_table_plot_or_json() {
    let dir = tempfile::tempdir().unwrap();
    let (history, models) = trained(dir.path(), "lstm");
    let args = |format: &'static str| {
        ["forecast", "--history", history.to_str().unwrap(), "--model-dir"]
            .map(str::to_owned)
            .into_iter()
            .chain([models.to_str().unwrap().to_owned(), "--format".to_owned(), format.to_owned()])
            .collect::<Vec<_>>()
    };
    let table = run(&args("table"));
    assert!(table.success && table.stdout.lines().count() == 13, "{table:?}");
    assert!(run(&args("plot")).stdout.contains('●'));
    assert_eq!(json(&args("json"))["forecast"].as_array().unwrap().len(), 12);
}

#[test]
fn an_artifact_is_inspected_and_a_damaged_one_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (history, models) = trained(dir.path(), "lstm");
    let path = std::fs::read_dir(&models).unwrap().next().unwrap().unwrap().path();
    let manifest = json(&[OsStr::new("model"), "inspect".as_ref(), path.as_os_str()]);
    assert_eq!(manifest["network"]["kind"], "lstm-quantiles-1");
    assert_eq!(manifest["training"]["epochs_run"], 2);
    assert!(manifest["scores"]["champion"]["mae"].as_f64().unwrap() > 0.0, "{manifest}");

    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    let said = refused(&[OsStr::new("model"), "inspect".as_ref(), path.as_os_str()]);
    assert!(said.contains("is damaged"), "{said}");

    let args: [&OsStr; 4] =
        ["--history".as_ref(), history.as_os_str(), "--model-dir".as_ref(), models.as_os_str()];
    let mut server = Server::start(&args, &[]);
    server.wait_for_log("the artifact is refused");
    let forecast = server.json("/forecast");
    assert_eq!(forecast["model"]["name"], "lstm", "the network that ships stands in");
    assert!(forecast["model"]["created"].is_null(), "{forecast}");
    let (status, body) = server.get("/readyz");
    assert!(status == 503 && body.contains("artifact refused"), "{status} {body}");
    assert_eq!(
        std::fs::read(&path).unwrap().len(),
        whole.len() - 100,
        "nothing is written over it"
    );
}
