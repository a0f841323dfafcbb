use super::*;
use std::path::Path;
use std::time::Duration;

use datasets::Synthetic;
use forecast::drift::Verdict;
use forecast::{Series, Step, Timestamp};
use jiff::SignedDuration;
use model::Artifact;

use crate::board::{ModelIdentity, ModelState};
use crate::config::{Config, Origin, RawConfig, RawWorkload, unlocated};
use crate::service;

/// A loop on four days of load, its models of `preset` in `dir`, trained for one epoch.
fn workload_loop(dir: &Path, preset: &str) -> (Arc<Shared>, WorkloadLoop, Timestamp) {
    loop_on(dir, preset, |series| series)
}

/// As [`workload_loop`], on a load that is changed.
fn loop_on(
    dir: &Path,
    preset: &str,
    change: impl FnOnce(Series) -> Series,
) -> (Arc<Shared>, WorkloadLoop, Timestamp) {
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
        Synthetic { seed: 3, step: Step::FIVE_MINUTES, start: Timestamp::UNIX_EPOCH, days: 6 };
    let series: Series = load.generate(workload.series.clone()).unwrap();
    let series = change(series);
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

#[tokio::test]
async fn a_model_whose_load_has_become_another_drifts_and_a_new_one_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    // Within a day to four times what was trained on.
    let grow = |series: Series| {
        let view = series.view();
        let growth = |i: usize| 1.0 + 3.0 * (i.saturating_sub(4 * 288) as f64 / 288.0).min(1.0);
        let values = view.values().iter().enumerate().map(|(i, v)| v.map(|v| v * growth(i)));
        Series::from_values(view.id().clone(), view.step(), view.first_time(), values.collect())
            .unwrap()
    };
    let (shared, mut workload, now) = loop_on(dir.path(), "lstm", grow);
    let hour = |hours: i64| now + SignedDuration::from_hours(hours);
    workload.cycle(now).await.unwrap();
    workload.model_changed().await;
    workload.cycle(now).await.unwrap();
    let ModelState::Ready(first) = model(&shared) else { panic!("{:?}", model(&shared)) };
    let drift = || shared.board.views()[0].drift.clone();
    assert!(matches!(drift(), Some(Verdict::Unknown { .. } | Verdict::Steady)), "{:?}", drift());
    let mut hours = 0;
    while !matches!(drift(), Some(Verdict::Drifted(_))) {
        hours += 1;
        assert!(hours < 48, "{:?}", drift());
        workload.cycle(hour(hours)).await.unwrap();
    }
    let Some(Verdict::Drifted(reasons)) = drift() else { panic!("{:?}", drift()) };
    let text = shared.metrics.text().unwrap();
    let labels = format!("namespace=\"shop\",reason=\"{}\",workload=\"web\"", reasons[0].as_str());
    assert!(text.contains(&format!("predictive_scaler_drifted{{{labels}}} 1")), "{text}");
    let trained = tokio::time::timeout(Duration::from_secs(60), workload.model_changed()).await;
    assert!(trained.is_ok(), "no training has ended");
    let trained = Artifact::path_in(dir.path(), &forecast::SeriesId::new("shop/web").unwrap());
    workload.cycle(hour(hours + 1)).await.unwrap();
    // Whether the challenger wins is for the test part to say; one that does is in service.
    let artifact = Artifact::load(&trained).unwrap();
    let ModelState::Ready(second) = model(&shared) else { panic!("{:?}", model(&shared)) };
    assert_eq!(second, ModelIdentity::of(&artifact));
    assert!(artifact.manifest().created > now || second == first, "{second}");
}

#[tokio::test]
async fn a_model_that_cannot_be_saved_is_used_and_not_trained_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    // A file in the place of the folder: refused for root too, whom no permission stops.
    let models = dir.path().join("models");
    std::fs::write(&models, "not a folder").unwrap();
    let (shared, mut workload, now) = workload_loop(&models, "lstm");
    workload.cycle(now).await.unwrap();
    workload.model_changed().await;
    for steps in 1..=3 {
        workload.cycle(Step::FIVE_MINUTES.offset(now, steps)).await.unwrap();
        let ModelState::Ready(used) = model(&shared) else { panic!("{:?}", model(&shared)) };
        assert!(used.created.is_some(), "{used}");
        let more = tokio::time::timeout(Duration::from_secs(2), workload.model_changed()).await;
        assert!(more.is_err(), "another training has ended");
    }
}
