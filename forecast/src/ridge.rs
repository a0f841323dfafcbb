//! A linear model of one series: each step ahead from the last hours, the same time of the days before
//! and the time of day, by ridge regression (Hoerl and Kennard, 1970).

use linfa_linalg::cholesky::SolveCInplace;
use ndarray::{Array1, Array2, Axis, Slice};
use thiserror::Error;

use crate::baseline::refuse_longer;
use crate::forecast::{Forecast, IntervalSource};
use crate::forecaster::{ForecastFailure, Forecaster, forecast_alone};
use crate::gaps::{Filled, Provenance};
use crate::quantile::Quantiles;
use crate::residuals::{ResidualQuantiles, ResidualsError};
use crate::series::SeriesView;

/// Waves of the time of day: its first harmonics.
const HARMONICS: usize = 4;
/// Penalties that are tried, as shares of the number of examples.
const PENALTIES: [f64; 3] = [0.003, 0.03, 0.3];
/// The share of the examples, the last ones, that choose the penalty and give the intervals.
const VALIDATION_SHARE: f64 = 0.2;
/// Examples from which on there is something to fit, for a short horizon.
const EXAMPLES_MIN: usize = 200;
/// The latest examples are enough: two months of five-minute steps.
const EXAMPLES_MAX: usize = 20_000;

/// A fitted linear model.
#[derive(Clone, PartialEq, Debug)]
pub struct Ridge {
    inputs: Inputs,
    /// `[inputs, horizon]`, in units of the scale.
    coefficients: Array2<f64>,
    residuals: ResidualQuantiles,
}

/// What a step is forecast from.
#[derive(Clone, PartialEq, Debug)]
struct Inputs {
    /// Steps back.
    lags: Vec<usize>,
    day: usize,
    mean: f64,
    scale: f64,
}

/// Why there is no linear model.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum RidgeError {
    /// There are too few examples.
    #[error("the history has {got} stretches without a gap to learn from, but {needed} are needed")]
    TooFew {
        /// Examples needed.
        needed: usize,
        /// Examples found.
        got: usize,
    },
    /// The same time of the day before must be known for each step.
    #[error(
        "{asked} steps are more than a day less one step, {longest}, which is as far as ridge forecasts"
    )]
    HorizonTooLong {
        /// The longest horizon for steps of that length.
        longest: usize,
        /// The horizon asked for.
        asked: usize,
    },
    /// The history never changes.
    #[error("the history is constant")]
    Constant,
    /// The equations have no solution, which a penalty excludes but for rounding.
    #[error("the equations could not be solved: {0}")]
    Singular(String),
    /// The intervals could not be fitted.
    #[error(transparent)]
    Residuals(#[from] ResidualsError),
}

/// Steps back that matter: the last four hours, then once an hour, and around the same time one day,
/// two days and a week before; at most some twelve an hour, however fine the steps are.
fn lags(day: usize, horizon: usize) -> Vec<usize> {
    let hour = day.div_ceil(24);
    let fine = hour.div_ceil(12);
    let recent = (1..=4 * hour).step_by(fine);
    let hourly = (5 * hour..day - horizon).step_by(hour);
    let yesterday = (day - horizon..=day + horizon).step_by(fine);
    let sparse = (day + 2 * hour..2 * day - hour).step_by(2 * hour);
    let two_days = (2 * day - hour / 2..=2 * day + hour / 2).step_by(fine);
    let week = ((7 * day).saturating_sub(horizon + hour / 2)..=7 * day).step_by(fine);
    let all = recent.chain(hourly).chain(yesterday).chain(sparse).chain(two_days).chain(week);
    let mut lags: Vec<usize> = all.collect();
    // Where a day has few steps, the stretches overlap.
    lags.sort_unstable();
    lags.dedup();
    lags
}

impl Inputs {
    fn count(&self) -> usize {
        self.lags.len() + 2 * HARMONICS + 1
    }

    /// The inputs at `origin`, of which the values before are known; a lag from before the history
    /// stands for the mean. `time` counts the steps from any midnight.
    fn at(&self, values: &[f64], origin: usize, time: usize) -> Array1<f64> {
        let lag = |lag: &usize| {
            origin.checked_sub(*lag).map_or(0.0, |i| (values[i] - self.mean) / self.scale)
        };
        let angle = (time % self.day) as f64 / self.day as f64 * std::f64::consts::TAU;
        let waves = (1..=HARMONICS).flat_map(|h| {
            let (sin, cos) = (angle * h as f64).sin_cos();
            [sin, cos]
        });
        self.lags.iter().map(lag).chain(waves).chain([1.0]).collect()
    }
}

/// Steps since the epoch, so that the time of day is the same wherever a history begins.
fn time(series: SeriesView<'_>, offset: usize) -> usize {
    let seconds = series.time_at(offset).as_second() / i64::from(series.step().seconds());
    usize::try_from(seconds.rem_euclid(series.step().per_day() as i64)).unwrap_or(0)
}

impl Ridge {
    /// The method's name.
    pub const NAME: &str = "ridge";

    /// Fits on `history`, for forecasts of `horizon` steps.
    ///
    /// # Errors
    /// When the history is too short, too gapped or constant.
    pub fn fit(history: SeriesView<'_>, horizon: usize) -> Result<Self, RidgeError> {
        let filled = Filled::from_view(history);
        let (values, leading) = (filled.values(), history.len() - filled.len());
        let day = history.step().per_day();
        if horizon == 0 || horizon >= day {
            return Err(RidgeError::HorizonTooLong { longest: day - 1, asked: horizon });
        }
        let lags = lags(day, horizon);
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count.max(1.0);
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count.max(1.0);
        if !values.is_empty() && variance <= 0.0 {
            return Err(RidgeError::Constant);
        }
        let inputs = Inputs { lags, day, mean, scale: variance.sqrt() };
        // What has seen all lags, or, in a short history, its later two thirds.
        let longest = inputs.lags.iter().copied().max().unwrap_or(0);
        let first = longest.min(values.len() / 3);
        let observed = |origin: &usize| {
            let ahead = &filled.provenance()[*origin..*origin + horizon];
            ahead.iter().all(|provenance| *provenance == Provenance::Observed)
        };
        let last = (values.len() + 1).saturating_sub(horizon);
        let mut origins: Vec<usize> = (first..last).filter(observed).collect();
        let needed = EXAMPLES_MIN.max(3 * horizon);
        if origins.len() < needed {
            return Err(RidgeError::TooFew { needed, got: origins.len() });
        }
        origins.drain(..origins.len().saturating_sub(EXAMPLES_MAX));
        let examples = Examples::new(&inputs, values, &origins, horizon, |origin| {
            time(history, leading + origin)
        });
        let (coefficients, errors) = examples.fit(horizon)?;
        let in_unit = |error: &f64| error * inputs.scale;
        let errors: Vec<Vec<f64>> =
            errors.columns().into_iter().map(|step| step.iter().map(in_unit).collect()).collect();
        let source = IntervalSource::ValidationResiduals;
        let residuals = ResidualQuantiles::fit(&errors, Quantiles::standard(), source)?;
        Ok(Self { inputs, coefficients, residuals })
    }
}

/// Inputs `[examples, inputs]` and what followed `[examples, horizon]`, in order of time.
struct Examples {
    x: Array2<f64>,
    y: Array2<f64>,
}

impl Examples {
    fn new(
        inputs: &Inputs,
        values: &[f64],
        origins: &[usize],
        horizon: usize,
        time: impl Fn(usize) -> usize,
    ) -> Self {
        let mut x = Array2::zeros((origins.len(), inputs.count()));
        let mut y = Array2::zeros((origins.len(), horizon));
        for (row, &origin) in origins.iter().enumerate() {
            x.row_mut(row).assign(&inputs.at(values, origin, time(origin)));
            for k in 0..horizon {
                y[[row, k]] = (values[origin + k] - inputs.mean) / inputs.scale;
            }
        }
        Self { x, y }
    }

    /// The coefficients on all examples, with the penalty that was best on the last ones, and the
    /// errors there of those that were fitted on the others.
    fn fit(&self, horizon: usize) -> Result<(Array2<f64>, Array2<f64>), RidgeError> {
        let rows = self.x.nrows();
        let cut = rows - (VALIDATION_SHARE * rows as f64) as usize;
        // Targets of the first part must not reach into the second.
        let part = |of: Slice| (self.x.slice_axis(Axis(0), of), self.y.slice_axis(Axis(0), of));
        let (x, y) = part(Slice::from(..cut - horizon));
        let (later_x, later_y) = part(Slice::from(cut..));
        let (gram, moments) = (x.t().dot(&x), x.t().dot(&y));
        let try_out = |penalty: f64| {
            let coefficients = solve(gram.clone(), moments.clone(), penalty * x.nrows() as f64)?;
            let errors = &later_y - &later_x.dot(&coefficients);
            Ok((errors.iter().map(|error| error.abs()).sum::<f64>(), penalty, errors))
        };
        let tried = PENALTIES.into_iter().map(try_out).collect::<Result<Vec<_>, RidgeError>>()?;
        let best = tried.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        let (_, penalty, errors) = best.expect("some penalties are tried");
        let (gram, moments) = (self.x.t().dot(&self.x), self.x.t().dot(&self.y));
        Ok((solve(gram, moments, penalty * rows as f64)?, errors))
    }
}

/// (gram + penalty · 1)⁻¹ · moments.
fn solve(
    mut gram: Array2<f64>,
    mut moments: Array2<f64>,
    penalty: f64,
) -> Result<Array2<f64>, RidgeError> {
    gram.diag_mut().iter_mut().for_each(|x| *x += penalty);
    let solved = gram.solvec_inplace(&mut moments);
    solved.map_err(|e| RidgeError::Singular(e.to_string()))?;
    Ok(moments)
}

impl Forecaster for Ridge {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        forecast_alone(self, history, horizon)
    }

    fn forecasts(
        &self,
        series: SeriesView<'_>,
        origins: &[usize],
        horizon: usize,
    ) -> Result<Vec<Forecast>, ForecastFailure> {
        refuse_longer(horizon, &self.residuals)?;
        // The filling is causal, so that of the whole series is that of every prefix.
        let filled = Filled::from_view(series);
        let forecast = |&origin: &usize| {
            let known = series.prefix(origin);
            let end = (filled.len() + origin).checked_sub(series.len()).filter(|end| *end > 0);
            let end = end.ok_or(ForecastFailure::TooShort { needed: 1, got: 0 })?;
            let x = self.inputs.at(filled.values(), end, time(series, origin));
            let scaled = x.dot(&self.coefficients.slice_axis(Axis(1), Slice::from(..horizon)));
            let points: Vec<f64> =
                scaled.iter().map(|y| y * self.inputs.scale + self.inputs.mean).collect();
            Ok(self.residuals.around(&points, known.last_time(), series.step())?)
        };
        origins.iter().map(forecast).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{daily_cycle, series_of};

    #[test]
    fn follows_a_pure_cycle() {
        let series = daily_cycle(6);
        let ridge = Ridge::fit(series.view().prefix(5 * 288), 12).unwrap();
        let forecast = ridge.forecast(series.view().prefix(5 * 288 + 40), 12).unwrap();
        let range = series.view().values().iter().flatten().copied().fold(0.0, f64::max);
        for (k, point) in forecast.points().iter().enumerate() {
            let actual = series.view().values()[5 * 288 + 40 + k].unwrap();
            assert!((point - actual).abs() < 0.05 * range, "step {k}: {point} {actual}");
        }
    }

    #[test]
    fn a_day_of_few_steps_and_a_long_horizon_do_not_reach_into_the_future() {
        for (day, horizon) in [(288, 12), (24, 12), (12, 11), (288, 287), (86_400, 12)] {
            let lags = lags(day, horizon);
            assert!(lags[0] >= 1 && lags.is_sorted(), "{day} {horizon}");
            assert!(lags.len() < 1000, "{day} {horizon}: {}", lags.len());
        }
        let series = daily_cycle(6);
        let refused = Ridge::fit(series.view(), 288);
        assert!(matches!(refused, Err(RidgeError::HorizonTooLong { longest: 287, .. })));
        let refused = Ridge::fit(series.view().prefix(650), 200);
        assert!(matches!(refused, Err(RidgeError::TooFew { needed: 600, .. })));
    }

    #[test]
    fn refuses_what_it_cannot_learn_from() {
        let short = series_of(&(0..100).map(|i| Some(f64::from(i))).collect::<Vec<_>>());
        assert!(matches!(Ridge::fit(short.view(), 12), Err(RidgeError::TooFew { .. })));
        let constant = series_of(&vec![Some(3.0); 2000]);
        assert_eq!(Ridge::fit(constant.view(), 12), Err(RidgeError::Constant));
    }
}
