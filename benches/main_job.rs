//! The main job's parts on two weeks of load: an epoch of training, one forecast, one decision.
//!
//! `cargo bench --workspace --bench main_job`. Where the recorded traces lie beside the repository, an epoch is timed
//! on two of them as well; where they do not, that is said.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use benches::{id, load};
use capacity::{Autoscaler, Input, Mode, Observation, Policy, PolicySpec};
use criterion::{Criterion, criterion_group, criterion_main};
use datasets::read_csv;
use forecast::{Forecaster as _, HORIZON, Series, Step, Timestamp};
use model::{Artifact, Device, DeviceKind};
use trainer::{InService, TrainingConfig, TrainingEvent, TrainingOptions};

/// Traces that are not part of the repository.
const TRACES: [&str; 2] = ["azure_agg_cpu", "gc19_cell_d"];

/// Values of two weeks.
const TWO_WEEKS: usize = 4032;

/// Trains for `epochs` and returns the artifact and the seconds that the epochs took.
fn train(series: &Series, epochs: usize, threads: usize) -> (Artifact, f64) {
    let options =
        TrainingOptions { epochs, threads, patience: None, ..TrainingOptions::reference() };
    let config = TrainingConfig::try_from(options).expect("a bench's options are possible");
    let mut passed = 0.0;
    let mut observe = |event: TrainingEvent| {
        if let TrainingEvent::Epoch { seconds, .. } = event {
            passed += seconds;
        }
        ControlFlow::Continue(())
    };
    let trained = trainer::train(
        series.view(),
        &config,
        InService::default(),
        Timestamp::UNIX_EPOCH,
        &mut observe,
    );
    (trained.expect("a bench's series can be trained on").artifact, passed)
}

fn time_epochs(criterion: &mut Criterion, name: &str, series: &Series, threads: usize) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|count| {
            let epochs = usize::try_from(count).expect("few epochs are timed");
            Duration::from_secs_f64(train(series, epochs, threads).1)
        });
    });
}

fn training(criterion: &mut Criterion) {
    let series = load(TWO_WEEKS);
    for threads in [1, 2] {
        let name = format!("epoch/two weeks/{threads} threads");
        time_epochs(criterion, &name, &series, threads);
    }
    for trace in TRACES {
        let path =
            format!("{}/../../shared/datasets/series/{trace}.csv", env!("CARGO_MANIFEST_DIR"));
        match read_csv(Path::new(&path), id(trace), Step::FIVE_MINUTES) {
            Ok(history) => {
                let recent = history.series.view().suffix(4032).to_series();
                let recent = recent.expect("a trace has values");
                time_epochs(criterion, &format!("epoch/{trace}/1 threads"), &recent, 1);
            }
            Err(error) => eprintln!("epoch/{trace}: skipped: {error}"),
        }
    }
}

fn forecasting(criterion: &mut Criterion) {
    let series = load(TWO_WEEKS);
    let (artifact, _) = train(&series, 1, 1);
    let device = Device::open(DeviceKind::Cpu).expect("every machine has a CPU");
    let forecaster = artifact.reference(&device).expect("a reference network");
    let forecast = || forecaster.forecast(series.view(), HORIZON).expect("a forecast");
    criterion.bench_function("forecast/12 steps", |bencher| bencher.iter(|| black_box(forecast())));

    let policy = Policy::try_from(PolicySpec::default()).expect("the defaults hold together");
    let mut autoscaler = Autoscaler::new(policy, Mode::Active);
    let now = series.view().last_time();
    autoscaler.handle(now, Input::Observed(Observation { time: now, load: 5.0 }));
    autoscaler.handle(now, Input::Forecast(forecast()));
    criterion.bench_function("decide", |bencher| {
        bencher.iter(|| black_box(autoscaler.handle(now, Input::Decide { current: 6 })));
    });
}

criterion_group! {
    name = main_job;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(20));
    targets = training, forecasting
}
criterion_main!(main_job);
