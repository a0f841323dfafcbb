//! Training one network on many series, for real, on small ones.

use std::ops::ControlFlow;

use forecast::{Series, SeriesId, Step, Timestamp};
use model::QuantileConfig;
use trainer::{QuantileOptions, TrainingError, pretrain};

/// Five days of a daily cycle with noise.
fn series(seed: usize) -> Series {
    let value = |i: usize| {
        let cycle = ((i % 288) as f64 / 288.0 * std::f64::consts::TAU).sin();
        let noise = ((i + seed * 37) * 7919 % 101) as f64 / 101.0;
        Some((seed + 1) as f64 * (10.0 + 4.0 * cycle + noise))
    };
    let id = SeriesId::new(format!("series-{seed}")).expect("a name");
    let values = (0..5 * 288).map(value).collect();
    Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values).expect("a series")
}

const SMALL: QuantileConfig = QuantileConfig { hidden: 8, dense: 8, dropout: 0.1 };

fn options() -> QuantileOptions {
    QuantileOptions { steps: 240, batch: 40, ..Default::default() }
}

#[test]
fn the_loss_falls_and_threads_change_nothing() {
    let series: Vec<Series> = (0..3).map(series).collect();
    let corpus: Vec<_> = series.iter().map(Series::view).collect();
    let train = |threads| {
        let mut losses = Vec::new();
        let options = QuantileOptions { threads, ..options() };
        let weights = pretrain(&corpus, SMALL, &options, &mut |progress| {
            losses.push(progress.loss);
            ControlFlow::Continue(())
        });
        (weights.unwrap(), losses)
    };
    let (weights, losses) = train(1);
    assert_eq!(losses.len(), 240);
    assert!(losses[239] < 0.85 * losses[0], "{losses:?}");
    assert_eq!(weights, train(2).0, "bit for bit");
}

#[test]
fn it_can_be_cancelled_and_refuses_nothing_to_learn_from() {
    let series = series(0);
    let cancelled = pretrain(&[series.view()], SMALL, &options(), &mut |_| ControlFlow::Break(()));
    assert!(matches!(cancelled, Err(TrainingError::Cancelled)));
    let short = series.view().prefix(20);
    let refused = pretrain(&[short], SMALL, &options(), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(TrainingError::NoWindowsIn { .. })));
}
