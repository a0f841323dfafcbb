//! One measurement at a time, for `benches/compare`, which has the peers measured in turn.
//!
//! `measure TASK THREADS` says `ready`, and then for each line on standard input does its task once
//! and prints seconds, `{"wall": …, "cpu": …}`. With `measure steps COUNT` it does so many training
//! steps and ends, for an instruction counter to watch.

#![expect(clippy::print_stdout, reason = "the numbers are its output")]

use std::hint::black_box;
use std::io::{Write as _, stdin, stdout};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use benches::{CONFIG, TrainingStep, load, numbers};
use forecast::{Forecaster as _, HORIZON, Series, Timestamp};
use model::{Autoregressor, Isa, Peak, QuantileForecaster, Weights};
use rustix::time::{ClockId, clock_gettime};
use trainer::{InService, TrainingConfig, TrainingEvent, TrainingOptions};

/// Of so long a history, the part for training has 4032 values, two weeks.
const POINTS: usize = 5040;
/// Epochs of a measurement; the first is not counted.
const EPOCHS: usize = 3;
/// Forecasts of a measurement.
const FORECASTS: usize = 200;
const SERIES: usize = 1000;
/// About a fifth of a second.
const PEAK: Peak = Peak { rounds: 100_000_000 };

/// Time of the wall clock, and of all threads of this process.
#[derive(Clone, Copy)]
struct Times {
    wall: Instant,
    cpu: Duration,
}

impl Times {
    fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = Duration::new(cpu.tv_sec.unsigned_abs(), u32::try_from(cpu.tv_nsec).unwrap_or(0));
        Self { wall: Instant::now(), cpu }
    }

    /// Wall and CPU seconds since then.
    fn elapsed(self) -> [f64; 2] {
        let now = Self::now();
        [(now.wall - self.wall).as_secs_f64(), (now.cpu - self.cpu).as_secs_f64()]
    }
}

fn repeated(count: usize, mut task: impl FnMut()) -> [f64; 2] {
    let started = Times::now();
    (0..count).for_each(|_| task());
    started.elapsed().map(|seconds| seconds / count as f64)
}

/// Wall and CPU seconds of an epoch's steps, validation left out.
fn epoch(history: &Series, threads: usize) -> [f64; 2] {
    let options =
        TrainingOptions { epochs: EPOCHS, threads, patience: None, ..TrainingOptions::reference() };
    let config = TrainingConfig::try_from(options).expect("the options are possible");
    let (mut started, mut sum) = (Times::now(), [0.0; 2]);
    let mut observe = |event: TrainingEvent| {
        match event {
            TrainingEvent::Epoch { .. } => started = Times::now(),
            TrainingEvent::Batch { epoch, done, of } if epoch > 1 && done == of => {
                let elapsed = started.elapsed();
                sum = [sum[0] + elapsed[0], sum[1] + elapsed[1]];
            }
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let trained = trainer::train(
        history.view(),
        &config,
        InService::default(),
        Timestamp::UNIX_EPOCH,
        &mut observe,
    );
    black_box(trained.expect("the history can be trained on"));
    sum.map(|seconds| seconds / (EPOCHS - 1) as f64)
}

fn task(name: &str, threads: usize) -> Box<dyn FnMut() -> [f64; 2]> {
    let isa = Isa::best();
    let network = Autoregressor::new(&Weights::initial(CONFIG, 1), isa);
    match name {
        // Seconds of a billion floating-point operations, over as long as the other tasks take, so
        // that whatever slows them slows it.
        "peak" => Box::new(move || {
            let billions = PEAK.operations(isa) / 1e9;
            let seconds = repeated(1, || {
                black_box(PEAK.run(isa));
            });
            seconds.map(|seconds| seconds / billions)
        }),
        "epoch" => {
            let history = load(POINTS);
            Box::new(move || epoch(&history, threads))
        }
        "forecast" => {
            let known = numbers(CONFIG.lookback);
            Box::new(move || {
                repeated(FORECASTS, || drop(black_box(network.forecast(&known, 1, HORIZON))))
            })
        }
        "forecasts" => {
            let known = numbers(CONFIG.lookback * SERIES);
            Box::new(move || {
                repeated(1, || drop(black_box(network.forecast(&known, SERIES, HORIZON))))
            })
        }
        // From two weeks of history to a forecast with its quantiles, all that a server does.
        "quantiles" => {
            let (history, network) = (load(POINTS), QuantileForecaster::embedded());
            Box::new(move || {
                repeated(FORECASTS, || {
                    let forecast = network.forecast(history.view(), HORIZON);
                    drop(black_box(forecast.expect("the history can be forecast")));
                })
            })
        }
        _ => panic!(
            "there is no task {name}: expected peak, epoch, forecast, forecasts, quantiles or steps"
        ),
    }
}

fn main() {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [name, number] = arguments.as_slice() else {
        println!("measure peak|epoch|forecast|forecasts|quantiles THREADS, or measure steps COUNT");
        return;
    };
    let number = number.parse().expect("the second argument is a number");
    if name == "steps" {
        let mut step = TrainingStep::new(Isa::best());
        (0..number).for_each(|_| step.run());
        return;
    }
    let mut task = task(name, number);
    println!("ready");
    for line in stdin().lines() {
        line.expect("standard input can be read");
        let [wall, cpu] = task();
        println!("{{\"wall\": {wall}, \"cpu\": {cpu}}}");
        stdout().flush().expect("standard output can be written");
    }
}
