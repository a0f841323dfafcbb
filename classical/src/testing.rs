//! What the tests of this crate share.

use forecast::{Forecast, Forecaster, Series, SeriesId, Step, Timestamp};

/// Steps in a day.
pub(crate) const DAY: usize = 288;

/// A five-minute series from the epoch on with these values.
pub(crate) fn series_of(values: &[Option<f64>]) -> Series {
    let id = SeriesId::new("test").unwrap();
    Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values.to_vec()).unwrap()
}

/// The load at step `i` of a daily cycle between 5 and 15, without noise.
pub(crate) fn cycle(i: usize) -> f64 {
    10.0 + 5.0 * ((i % DAY) as f64 / DAY as f64 * std::f64::consts::TAU).sin()
}

/// A number in ±1 that looks random, by `i` alone.
pub(crate) fn noise(i: usize) -> f64 {
    let mixed = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// Steps of the daily cycle with noise of ±`size`.
pub(crate) fn noisy_cycle(steps: usize, size: f64) -> Vec<Option<f64>> {
    (0..steps).map(|i| Some(cycle(i) + size * noise(i))).collect()
}

/// Fails where quantiles cross, or something is not finite or below zero.
pub(crate) fn check(forecast: &Forecast) {
    let paths = forecast.paths();
    assert_eq!(paths.len(), forecast.quantiles().len());
    for k in 0..forecast.horizon() {
        let column = || paths.iter().map(|path| path[k]);
        assert!(column().is_sorted(), "step {k}: {:?}", column().collect::<Vec<_>>());
        let mut all = column().chain([forecast.points()[k]]);
        assert!(all.all(|value| value.is_finite() && value >= 0.0), "step {k}");
    }
}

/// Fails where `method` forecasts otherwise once the values from `origin` on are others.
pub(crate) fn check_causal(method: &impl Forecaster, values: &[Option<f64>], origin: usize) {
    let mut others = values.to_vec();
    for (i, value) in others.iter_mut().enumerate().skip(origin) {
        *value = Some(100.0 + 50.0 * noise(i));
    }
    let before = method.forecasts(series_of(values).view(), &[origin], 12).unwrap();
    let after = method.forecasts(series_of(&others).view(), &[origin], 12).unwrap();
    assert_eq!(before, after);
}

/// The mean absolute error of `method` at every `stride`-th origin from `start` on.
pub(crate) fn mae(method: &impl Forecaster, series: &Series, start: usize, stride: usize) -> f64 {
    let view = series.view();
    let (mut sum, mut count) = (0.0, 0.0);
    for origin in (start..view.len() - 12).step_by(stride) {
        let forecast = method.forecast(view.prefix(origin), 12).unwrap();
        for (k, point) in forecast.points().iter().enumerate() {
            if let Some(actual) = view.values()[origin + k] {
                sum += (point - actual).abs();
                count += 1.0;
            }
        }
    }
    sum / count
}
