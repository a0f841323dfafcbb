use super::*;
use std::path::Path;

use datasets::Synthetic;
use forecast::{Series, Step, Timestamp};
use jiff::SignedDuration;
use model::Artifact;

use crate::board::{ModelIdentity, ModelState};
use crate::config::{Config, Origin, RawConfig, RawWorkload, unlocated};
use crate::service;

/// A loop on four days of load, its models of `preset` in `dir`, trained for one epoch.
fn workload_loop(dir: &Path, preset: &str) -> (Arc<Shared>, WorkloadLoop, Timestamp) {
    let mut raw = RawConfig {
        history: Some("synthetic".into()),
        model_dir: Some(dir.to_owned()),
        workloads: vec![unlocated(RawWorkload::named("shop", "web"))],
        ..RawConfig::default()
    };
    raw.training.epochs = Some(unlocated(1));
    raw.training.preset = Some(unlocated(preset.to_owned()));
    let config = Config::from_raw(raw, Origin::CommandLine).unwrap();
    let workload = config.workloads[0].clone();
    let load =
        Synthetic { seed: 3, step: Step::FIVE_MINUTES, start: Timestamp::UNIX_EPOCH, days: 5 };
    let series: Series = load.generate(workload.series.clone()).unwrap();
    let now = series.view().time_at(4 * 288);
    let shared = service::share(&config, Clock::Frozen(now), CancellationToken::new()).unwrap();
    let actuator = Actuator::Assumed { replicas: None };
    let cycle =
        WorkloadLoop::new(workload, Arc::clone(&shared), Source::Recorded(series), actuator);
    (shared, cycle, now)
}

fn codes(decision: &Decision) -> Vec<&'static str> {
    decision.reasons.iter().map(capacity::Reason::code).collect()
}

fn model(shared: &Shared) -> ModelState {
    shared.board.views()[0].model.clone()
}

#[tokio::test]
async fn a_model_is_trained_used_kept_when_its_file_breaks_and_replaced_when_it_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, mut workload, now) = workload_loop(dir.path(), "lstm");
    let later = |steps: i64| Step::FIVE_MINUTES.offset(now, steps);
    let decision = workload.cycle(now).await.unwrap();
    assert_eq!(codes(&decision)[1..3], ["ForecastPeak", "Carried"], "by the network that ships");
    assert_eq!(model(&shared), ModelState::Ready(ModelIdentity::shipped()));
    workload.model_changed().await;
    let decision = workload.cycle(later(1)).await.unwrap();
    assert_eq!(codes(&decision)[1], "ForecastPeak");
    let ModelState::Ready(first) = model(&shared) else { panic!("{:?}", model(&shared)) };
    assert!(first.created.is_some(), "{first}");

    let path = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..1000]).unwrap();
    let decision = workload.cycle(later(2)).await.unwrap();
    assert_eq!(codes(&decision)[1], "ForecastPeak", "the model in service stays");
    assert_eq!(model(&shared), ModelState::Ready(first));

    std::fs::write(&path, &whole).unwrap();
    assert!(Artifact::load(&path).is_ok());
    let decision = workload.cycle(later(3)).await.unwrap();
    assert_eq!(codes(&decision)[1], "ForecastPeak");
}

#[tokio::test]
async fn a_refused_artifact_is_left_and_once_removed_a_model_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, mut workload, now) = workload_loop(dir.path(), "lstm");
    let series = forecast::SeriesId::new("shop/web").unwrap();
    let path = Artifact::path_in(dir.path(), &series);
    std::fs::write(&path, "not an artifact").unwrap();
    let decision = workload.cycle(now).await.unwrap();
    assert_eq!(codes(&decision)[1], "ForecastPeak", "the network that ships stands in");
    assert!(matches!(model(&shared), ModelState::Refused(_)), "{:?}", model(&shared));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not an artifact");
    std::fs::remove_file(&path).unwrap();
    workload.cycle(now).await.unwrap();
    workload.model_changed().await;
    workload.cycle(now).await.unwrap();
    let ModelState::Ready(trained) = model(&shared) else { panic!("{:?}", model(&shared)) };
    assert!(trained.created.is_some(), "{trained}");
}

#[tokio::test]
async fn where_the_reference_network_is_asked_for_the_day_before_stands_in() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, mut workload, now) = workload_loop(dir.path(), "reference");
    let path = Artifact::path_in(dir.path(), &forecast::SeriesId::new("shop/web").unwrap());
    std::fs::write(&path, "not an artifact").unwrap();
    let decision = workload.cycle(now).await.unwrap();
    assert_eq!(decision.reasons[1].to_string(), "model refused: using the day before");
    std::fs::remove_file(&path).unwrap();
    let decision = workload.cycle(now).await.unwrap();
    assert_eq!(codes(&decision)[1], "SeasonalForecast", "no model yet");
    workload.model_changed().await;
    let decision = workload.cycle(now).await.unwrap();
    // After one epoch it may be worse than the day before, and is not put into service then.
    match model(&shared) {
        ModelState::Ready(_) => assert_eq!(codes(&decision)[1], "ForecastPeak"),
        ModelState::Missing(why) => assert!(why.contains("not promoted"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn forecasts_mature_into_scores_beside_those_of_seasonal_naive() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, mut workload, now) = workload_loop(dir.path(), "lstm");
    workload.cycle(now).await.unwrap();
    workload.model_changed().await;
    for steps in 1..=15 {
        let at = now + SignedDuration::from_mins(5 * steps);
        workload.cycle(at).await.unwrap();
    }
    let view = shared.board.views()[0].clone();
    let accuracy = view.accuracy.as_ref().unwrap();
    let (ours, theirs) = (accuracy.overall.unwrap(), accuracy.seasonal_naive.unwrap());
    assert!(ours.count > 60 && theirs.count >= ours.count, "{} {}", ours.count, theirs.count);
    assert!(accuracy.by_step[0].unwrap().count >= accuracy.by_step[11].unwrap().count);
    assert_eq!(view.journal.len(), 16);
    let text = shared.metrics.text().unwrap();
    assert!(text.contains("predictive_scaler_error_percent{namespace=\"shop\""), "{text}");
    let labels = "namespace=\"shop\",step=\"1\",workload=\"web\"";
    assert!(text.contains(&format!("coverage_80_step_ratio{{{labels}}}")), "{text}");
    let shares = text.lines().filter(|line| line.contains("forecast_share_ratio{"));
    assert_eq!(shares.count(), 6, "{text}");
}
