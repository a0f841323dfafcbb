//! Whole trainings of small networks on small series.

use std::ops::ControlFlow;

use forecast::accuracy::Reference;
use forecast::backtest::Plan;
use forecast::baseline::LastValue;
use forecast::scale::MinMaxScaler;
use forecast::{HORIZON, Series, SeriesId, Step, Timestamp};
use model::{Device, DeviceKind, Network, NetworkConfig, Weights};
use trainer::{
    InService, Trained, TrainingConfig, TrainingError, TrainingEvent, TrainingOptions, train,
};

const SMALL: NetworkConfig = NetworkConfig { lookback: 24, hidden: 8, dense: 4, dropout: 0.1 };

fn series_of(values: Vec<Option<f64>>) -> Series {
    let id = SeriesId::new("test").expect("a name");
    Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values).expect("a series")
}

/// A sine of fifty steps, so that the value one day before says little, with 2 % noise.
fn sine(count: usize) -> Vec<Option<f64>> {
    let mut state = 1_u32;
    let value = |i: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state >> 8) / f64::from(1_u32 << 24) - 0.5;
        let phase = i as f64 / 50.0 * std::f64::consts::TAU;
        Some(10.0 + 5.0 * phase.sin() + 0.2 * noise)
    };
    (0..count).map(value).collect()
}

fn options(epochs: usize) -> TrainingOptions {
    TrainingOptions {
        epochs,
        patience: None,
        batch: 64,
        learning_rate: 1e-2,
        network: SMALL,
        ..TrainingOptions::reference()
    }
}

fn run(series: &Series, options: TrainingOptions) -> Result<Trained, TrainingError> {
    let config = TrainingConfig::try_from(options).expect("the options are valid");
    let created = Timestamp::UNIX_EPOCH;
    train(series.view(), &config, InService::default(), created, &mut |_| ControlFlow::Continue(()))
}

/// The weights and the scaler of a reference network.
fn fitted(trained: &Trained) -> (&Weights, MinMaxScaler) {
    match trained.artifact.network() {
        Network::Reference { weights, scaler } => (weights, *scaler),
        Network::Lstm { .. } => panic!("a quantile network"),
    }
}

fn weights(trained: &Trained) -> &Weights {
    fitted(trained).0
}

#[test]
fn the_seed_decides_the_weights_to_the_last_bit() {
    let series = series_of(sine(400));
    let trained = |seed| run(&series, TrainingOptions { seed, ..options(2) }).unwrap();
    let first = trained(1);
    let again = trained(1);
    assert_eq!(weights(&first), weights(&again));
    assert_eq!(first.artifact.manifest().residuals, again.artifact.manifest().residuals);
    assert_ne!(weights(&first), weights(&trained(2)));
    let data = |trained: &Trained| trained.artifact.manifest().data.fingerprint.clone();
    assert_eq!(data(&first), data(&again));
}

#[test]
fn any_number_of_threads_yields_the_same_weights_to_the_last_bit() {
    let series = series_of(sine(400));
    let trained = |threads| run(&series, TrainingOptions { threads, ..options(2) }).unwrap();
    let one = trained(1);
    for threads in 2..=5 {
        let other = trained(threads);
        assert_eq!(weights(&one), weights(&other), "{threads} threads");
        let losses = |trained: &Trained| trained.artifact.manifest().training.train_loss.clone();
        assert_eq!(losses(&one), losses(&other), "{threads} threads");
    }
}

#[test]
fn a_noisy_sine_is_learnt_better_than_by_the_simple_methods() {
    let series = series_of(sine(900));
    let trained = run(&series, options(25)).unwrap();
    let manifest = trained.artifact.manifest();
    let split = &trained.split;
    let last_value = LastValue::fit(series.view().prefix(split.test.start), HORIZON).unwrap();
    let plan = Plan { range: split.test.clone(), horizon: HORIZON, stride: 1, lookback: 24 };
    let reference = Reference::from_training(series.view().prefix(split.train.end));
    let last_value = plan.run(&last_value, series.view()).unwrap().scores(&reference).unwrap();
    let (model, naive) = (manifest.scores.model.unwrap(), manifest.scores.seasonal_naive.unwrap());
    assert!(model.mae < 0.5 * naive.mae, "{} against seasonal {}", model.mae, naive.mae);
    assert!(model.mae < 0.5 * last_value.mae, "{} against {}", model.mae, last_value.mae);
    let losses = &manifest.training.validation_loss;
    assert!(losses[24] < 0.2 * losses[0], "{losses:?}");
    // What is reported is what the loaded artifact does.
    let device = Device::open(DeviceKind::Cpu).unwrap();
    let forecaster = trained.artifact.reference(&device).unwrap();
    let again = plan.run(&forecaster, series.view()).unwrap().scores(&reference).unwrap();
    assert!((again.mae - model.mae).abs() < 1e-9);
}

#[test]
fn nothing_of_the_test_part_is_fitted_on() {
    let values = sine(500);
    let mut shifted = values.clone();
    for value in &mut shifted[400 + 50..] {
        *value = value.map(|load| 3.0 * load + 100.0);
    }
    let (before, after) = (
        run(&series_of(values), options(2)).unwrap(),
        run(&series_of(shifted), options(2)).unwrap(),
    );
    assert_eq!(before.split.test, 450..500);
    let (a, b) = (before.artifact.manifest(), after.artifact.manifest());
    assert_eq!(weights(&before), weights(&after));
    assert_eq!(fitted(&before).1, fitted(&after).1);
    assert_eq!(a.residuals, b.residuals);
    assert_ne!(a.scores, b.scores);
    assert_ne!(a.data.fingerprint, b.data.fingerprint);
}

#[test]
fn the_scaler_knows_the_training_part_only() {
    let values = sine(500);
    let mut shifted = values.clone();
    for value in &mut shifted[400..] {
        *value = value.map(|load| load + 100.0);
    }
    let scaler = |values| fitted(&run(&series_of(values), options(1)).unwrap()).1;
    let known = scaler(shifted);
    assert_eq!(known, scaler(values));
    assert!(known.max() < 16.0, "{known:?}");
}

#[test]
fn it_stops_early_and_keeps_the_best_weights() {
    let series = series_of(sine(400));
    // Too large a rate: the loss soon rises and falls at random.
    let patient =
        TrainingOptions { patience: Some(2), learning_rate: 0.3, epochs: 200, ..options(1) };
    let trained = run(&series, patient).unwrap();
    let training = &trained.artifact.manifest().training;
    assert!(training.stopped_early);
    assert_eq!(training.epochs_run, training.best_epoch + 2);
    let best = training.validation_loss[training.best_epoch - 1];
    assert!(training.validation_loss.iter().all(|loss| *loss >= best));
    // Training for exactly that many epochs, without stopping, ends at the kept weights.
    let epochs = training.best_epoch;
    let exact = TrainingOptions { learning_rate: 0.3, ..options(epochs) };
    assert_eq!(weights(&trained), weights(&run(&series, exact).unwrap()));
}

#[test]
fn an_observer_sees_the_progress_and_can_cancel_within_a_batch() {
    let series = series_of(sine(400));
    let config = TrainingConfig::try_from(options(2)).unwrap();
    let mut seen = Vec::new();
    let mut all = |event| {
        seen.push(event);
        ControlFlow::Continue(())
    };
    train(series.view(), &config, InService::default(), Timestamp::UNIX_EPOCH, &mut all).unwrap();
    assert_eq!(seen[0], TrainingEvent::Started { windows: 296, epochs: 2 });
    assert_eq!(seen[5], TrainingEvent::Batch { epoch: 1, done: 5, of: 5 });
    assert!(matches!(seen[6], TrainingEvent::Epoch { epoch: 1, .. }));
    // The intervals, then the network's scores, then those of the value one day before.
    assert_eq!(seen[13..16], [TrainingEvent::Evaluated { done: 29, of: 29 }; 3]);
    assert!(matches!(seen[16], TrainingEvent::Finished { epochs: 2, best_epoch: 2, .. }));
    let mut batches = 0;
    let mut cancelling = |event| match event {
        TrainingEvent::Batch { done: 3, .. } => ControlFlow::Break(()),
        TrainingEvent::Batch { .. } => {
            batches += 1;
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Continue(()),
    };
    let cancelled =
        train(series.view(), &config, InService::default(), Timestamp::UNIX_EPOCH, &mut cancelling);
    assert!(matches!(cancelled, Err(TrainingError::Cancelled)));
    assert_eq!(batches, 2);
}

#[test]
fn calibration_and_scoring_can_be_cancelled() {
    let series = series_of(sine(400));
    let config = TrainingConfig::try_from(options(1)).unwrap();
    for portion in 1..=3 {
        let mut portions = 0;
        let mut cancelling = |event| {
            portions += usize::from(matches!(event, TrainingEvent::Evaluated { .. }));
            if portions == portion { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let cancelled = train(
            series.view(),
            &config,
            InService::default(),
            Timestamp::UNIX_EPOCH,
            &mut cancelling,
        );
        assert!(matches!(cancelled, Err(TrainingError::Cancelled)));
        assert_eq!(portions, portion);
    }
}

#[test]
fn histories_that_teach_nothing_are_refused_with_a_reason() {
    let refused = |values| run(&series_of(values), options(1)).unwrap_err().to_string();
    let error = refused(vec![Some(3.0); 500]);
    assert!(error.contains("constant load"), "{error}");
    let error = refused(sine(359));
    assert!(error.contains("at least 360"), "{error}");
    let mut sparse = vec![None; 105_120];
    for i in (0..sparse.len()).step_by(24) {
        sparse[i] = Some((i % 7) as f64);
    }
    let error = refused(sparse);
    assert!(error.contains("training part has no stretch of 25 steps"), "{error}");
    let mut thin = sine(500);
    for i in (400..450).step_by(3) {
        thin[i] = None;
    }
    let error = refused(thin);
    assert!(error.contains("too little of the validation part was observed"), "{error}");
    let mut blind = sine(500);
    blind[395..455].fill(None);
    let error = refused(blind);
    assert!(error.contains("validation part has no stretch"), "{error}");
}

#[test]
fn under_a_day_there_is_no_seasonal_naive_to_compare_with() {
    let hourly = |count: usize| {
        let id = SeriesId::new("minutes").unwrap();
        let minute = Step::from_seconds(60).unwrap();
        Series::from_values(id, minute, Timestamp::UNIX_EPOCH, sine(count)).unwrap()
    };
    let scores = run(&hourly(400), options(1)).unwrap().artifact.manifest().scores;
    assert!(scores.model.is_some() && scores.seasonal_naive.is_none());
    assert!(scores.model.unwrap().mase.is_none());
}

#[test]
fn a_loss_that_is_no_number_ends_the_training() {
    let values = sine(400).into_iter().enumerate();
    // The validation part is 1e60 times what the scaler was fitted on: its f32 square is infinite.
    let values = values.map(|(i, v)| v.map(|load| if i > 330 { load * 1e60 } else { load }));
    let error = run(&series_of(values.collect()), options(1)).unwrap_err();
    assert!(matches!(error, TrainingError::Diverged { epoch: 1 }), "{error}");
}
