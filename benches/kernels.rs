//! The kernels' parts, on every instruction set that this machine has: `cargo bench --workspace
//! --bench kernels`.

use std::hint::black_box;
use std::time::Duration;

use benches::{CONFIG, TrainingStep, numbers};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forecast::HORIZON;
use model::{Autoregressor, Isa, Peak, Tile, Weights};

/// Rounds of the peak's measurement.
const ROUNDS: usize = 100_000;
const SERIES: usize = 1000;

fn training(criterion: &mut Criterion) {
    for isa in Isa::all() {
        let mut group = criterion.benchmark_group(isa.name());
        let mut step = TrainingStep::new(isa);
        let windows = benches::BATCH as u64;
        group.throughput(Throughput::Elements(Tile::WINDOWS_MAX as u64));
        group.bench_function("forward/tile", |bencher| bencher.iter(|| black_box(step.forward())));
        group.throughput(Throughput::Elements(windows));
        group.bench_function("gradients/batch", |bencher| bencher.iter(|| step.gradients()));
        group.bench_function("step/batch", |bencher| bencher.iter(|| step.run()));
        let peak = Peak { rounds: ROUNDS };
        group.throughput(Throughput::Elements(peak.operations(isa) as u64));
        group.bench_function("peak", |bencher| bencher.iter(|| black_box(peak.run(isa))));
    }
}

fn forecasting(criterion: &mut Criterion) {
    for isa in Isa::all() {
        let mut group = criterion.benchmark_group(isa.name());
        let network = Autoregressor::new(&Weights::initial(CONFIG, 1), isa);
        for series in [1, 2, 8, 16, SERIES] {
            let known = numbers(CONFIG.lookback * series);
            group.throughput(Throughput::Elements(series as u64));
            group.bench_function(format!("forecast/{series} series"), |bencher| {
                bencher.iter(|| black_box(network.forecast(&known, series, HORIZON)));
            });
        }
    }
}

criterion_group! {
    name = kernels;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = training, forecasting
}
criterion_main!(kernels);
