//! The preset `lstm`: the network that ships, trained on, on one workload, and what takes its place.

use std::ops::ControlFlow;

use forecast::{Forecaster, Series, SeriesId, Step, Timestamp};
use model::{Artifact, Network, Pretrained, QuantileConfig, Weights};
use trainer::{
    Defeat, InService, LSTM_RESCALED, LstmNetworks, Promotion, RIDGE_RESCALED, Trained,
    TrainingConfig, TrainingError, TrainingEvent, TrainingOptions, train,
};

fn series_of(values: Vec<Option<f64>>) -> Series {
    let id = SeriesId::new("test").expect("a name");
    Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values).expect("a series")
}

/// Four days of a load that jumps every 35 minutes, which no workload that the network knows does.
fn peculiar() -> Series {
    let mut state = 1_u32;
    let value = |i: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state >> 8) / f64::from(1_u32 << 24);
        Some([3.0, 9.0, 4.0, 8.0, 1.0, 7.0, 2.0][i % 7] + 0.1 * noise)
    };
    series_of((0..4 * 288).map(value).collect())
}

fn options() -> TrainingOptions {
    TrainingOptions { epochs: 3, ..TrainingOptions::lstm() }
}

fn run(series: &Series, options: TrainingOptions, in_service: InService<'_>) -> Trained {
    let config = TrainingConfig::try_from(options).expect("the options are possible");
    let created = Timestamp::UNIX_EPOCH;
    train(series.view(), &config, in_service, created, &mut |_| ControlFlow::Continue(()))
        .expect("the history can be trained on")
}

fn weights(artifact: &Artifact) -> &Weights<QuantileConfig> {
    match artifact.network() {
        Network::Lstm { weights } => weights,
        Network::Reference { .. } => panic!("a reference network"),
    }
}

#[test]
fn what_is_peculiar_is_learned_and_any_number_of_threads_learns_the_same() {
    let series = peculiar();
    let trained = run(&series, options(), InService::default());
    let manifest = trained.artifact.manifest();
    assert_eq!(trained.promotion, Promotion::Earned);
    assert!(manifest.training.best_epoch > 0, "{:?}", manifest.training);
    let losses = &manifest.training.validation_loss;
    assert!(losses[2] < 0.8 * losses[0], "{losses:?}");
    let threaded = TrainingOptions { threads: 2, ..options() };
    let again = run(&series, threaded, InService::default());
    let same = weights(&trained.artifact) == weights(&again.artifact);
    assert!(same, "bit for bit");
    let other = run(&series, TrainingOptions { seed: 1, ..options() }, InService::default());
    assert!(weights(&trained.artifact) != weights(&other.artifact), "the seed decides");
}

#[test]
fn nothing_of_the_test_part_reaches_weights_and_residuals() {
    let values = peculiar().view().values().to_vec();
    let mut shifted = values.clone();
    let test = values.len() - values.len() / 10;
    shifted[test..].iter_mut().for_each(|value| *value = value.map(|load| 3.0 * load));
    let trained = |values| run(&series_of(values), options(), InService::default());
    let (before, after) = (trained(values), trained(shifted));
    assert_eq!(before.split.test.start, test);
    assert!(weights(&before.artifact) == weights(&after.artifact), "bit for bit");
    let (a, b) = (before.artifact.manifest(), after.artifact.manifest());
    assert_eq!(a.residuals, b.residuals);
    assert_ne!(a.scores, b.scores);
}

#[test]
fn a_challenger_that_is_worse_is_not_promoted_unless_forced() {
    let series = peculiar();
    let champion = run(&series, options(), InService::default()).artifact;
    let in_service = InService { champion: Some(&champion), force: false };
    // As good as itself.
    assert_eq!(run(&series, options(), in_service).promotion, Promotion::Earned);
    let weak = TrainingOptions { epochs: 1, ..TrainingOptions::reference() };
    let refused = run(&series, weak.clone(), in_service);
    let Promotion::Refused(defeat) = &refused.promotion else { panic!("{:?}", refused.promotion) };
    assert!(matches!(defeat, Defeat::Worse { by: "the model in service", .. }), "{defeat}");
    assert!(!refused.artifact.manifest().forced);
    let forced = run(&series, weak, InService { force: true, ..in_service });
    assert!(matches!(forced.promotion, Promotion::Forced(_)), "{:?}", forced.promotion);
    assert!(forced.artifact.manifest().forced, "it is recorded");
}

#[test]
fn an_artifact_never_does_worse_than_the_network_that_ships() {
    for rate in [3e-3, 1.0] {
        // A rate of one destroys what was known.
        let wild = TrainingOptions { learning_rate: rate, ..options() };
        let trained = run(&peculiar(), wild, InService::default());
        let manifest = trained.artifact.manifest();
        let (ours, shipped) = (manifest.scores.model.unwrap(), manifest.scores.champion.unwrap());
        assert!(ours.wql <= shipped.wql, "{:?} {:?}", ours.wql, shipped.wql);
        let unchanged = weights(&trained.artifact) == Pretrained::embedded().weights();
        assert_eq!(unchanged, manifest.training.best_epoch == 0, "{:?}", manifest.training);
        assert_eq!(unchanged, rate == 1.0);
    }
}

#[test]
fn from_scratch_starts_elsewhere() {
    let scratch = TrainingOptions { epochs: 2, ..TrainingOptions::lstm_from_scratch() };
    let in_service = InService { champion: None, force: true };
    let trained = run(&peculiar(), scratch, in_service);
    let far = weights(&trained.artifact).tensors()[0].iter();
    let shipped = Pretrained::embedded().weights().tensors()[0].iter();
    let distance: f32 = far.zip(shipped).map(|(a, b)| (a - b).abs()).sum();
    assert!(distance > 100.0, "{distance}");
}

#[test]
fn it_can_be_cancelled_and_short_histories_are_refused() {
    let config = TrainingConfig::try_from(options()).unwrap();
    let mut cancelling = |event| match event {
        TrainingEvent::Batch { done: 2, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let series = peculiar();
    let now = Timestamp::UNIX_EPOCH;
    let cancelled = train(series.view(), &config, InService::default(), now, &mut cancelling);
    assert!(matches!(cancelled, Err(TrainingError::Cancelled)));
    let short = series.view().prefix(200);
    let refused = train(short, &config, InService::default(), now, &mut cancelling);
    assert!(refused.unwrap_err().to_string().contains("at least 360"));
    assert!(LstmNetworks::shipped().tuned_on(short, &options()).is_err());
}

#[test]
fn after_a_level_shift_the_rescaled_methods_carry_the_forecast() {
    // Seven days of a daily cycle, doubled eight hours before the end.
    let (end, at) = (7 * 288, 7 * 288 - 96);
    let mut state = 3_u32;
    let mut value = |i: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state >> 8) / f64::from(1_u32 << 24) - 0.5;
        let cycle = (i as f64 / 288.0 * std::f64::consts::TAU).sin();
        (10.0 + 6.0 * cycle + 0.3 * noise) * if i < at { 1.0 } else { 2.0 }
    };
    let values: Vec<f64> = (0..end + 12).map(&mut value).collect();
    let series = series_of(values[..end].iter().copied().map(Some).collect());
    let forecast = LstmNetworks::shipped().fit(series.view(), 12).forecast(series.view(), 12);
    let forecast = forecast.unwrap();
    let told: f64 = forecast
        .shares()
        .iter()
        .filter(|share| [LSTM_RESCALED, RIDGE_RESCALED].contains(&share.method))
        .map(|share| share.weight)
        .sum();
    assert!(told > 0.5, "{:?}", forecast.shares());
    for (k, point) in forecast.points().iter().enumerate() {
        let actual = values[end + k];
        assert!((point - actual).abs() < 0.05 * actual, "step {k}: {point} {actual}");
    }
}

#[test]
fn nothing_after_an_origin_reaches_its_forecast() {
    let values = peculiar().view().values().to_vec();
    let origin = values.len() - 60;
    let mut altered = values.clone();
    for (i, value) in altered[origin..].iter_mut().enumerate() {
        *value = value.map(|load| 2.0 * load + (i * 7919 % 13) as f64);
    }
    let known = series_of(values[..origin - 100].to_vec());
    let networks = LstmNetworks::shipped().tuned_on(known.view(), &options()).unwrap();
    let fitted = networks.fit(known.view(), 12);
    let forecasts = |values: Vec<Option<f64>>| {
        fitted.forecasts(series_of(values).view(), &[origin - 40, origin], 12).unwrap()
    };
    let (plain, noisy) = (forecasts(values), forecasts(altered));
    assert_eq!(plain[0].shares().len(), 4, "{:?}", plain[0].shares());
    assert!(plain == noisy, "bit for bit");
}
