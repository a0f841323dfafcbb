//! A forecast: for each of the next steps a point and its quantiles, all finite, never crossing.

use std::ops::Range;

use jiff::Timestamp;
use thiserror::Error;

use crate::quantile::{Quantile, Quantiles};
use crate::step::Step;

/// What the quantiles of a forecast were fitted on; it labels the interval wherever it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntervalSource {
    /// Errors, by horizon step, on the validation part. No weight was fitted on it, but early
    /// stopping chose the weights that do best there: slightly too narrow at worst.
    ValidationResiduals,
    /// Errors, by horizon step, on the history that the method was fitted on: too narrow at worst.
    TrainingResiduals,
    /// A network that was trained to forecast quantiles, on the histories of many workloads.
    Learned,
    /// As [`Self::Learned`], moved by the errors that forecasts of the last day and a half have
    /// turned out to have.
    Recent,
}

impl IntervalSource {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::ValidationResiduals, Self::TrainingResiduals, Self::Learned, Self::Recent];

    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ValidationResiduals => "validation-residuals",
            Self::TrainingResiduals => "training-residuals",
            Self::Learned => "learned-quantiles",
            Self::Recent => "recent-errors",
        }
    }
}

/// What a [`Forecast`] is made of.
#[derive(Clone, PartialEq, Debug)]
pub struct ForecastParts {
    /// The last time known when it was made.
    pub origin: Timestamp,
    /// The sampling interval.
    pub step: Step,
    /// The point forecast, nearest step first: `[horizon]`.
    pub points: Vec<f64>,
    /// The levels of `paths`.
    pub quantiles: Quantiles,
    /// The value of each quantile at each step: `[quantiles][horizon]`.
    pub paths: Vec<Vec<f64>>,
    /// The quantiles of the highest value up to each step, where the method forecasts them:
    /// `[quantiles][horizon]`.
    pub peaks: Option<Vec<Vec<f64>>>,
    /// What the quantiles were fitted on.
    pub interval: IntervalSource,
}

/// Why parts are not a [`Forecast`].
#[derive(Clone, PartialEq, Debug, Error)]
pub enum ForecastError {
    /// It has no step.
    #[error("a forecast needs at least one step")]
    Empty,
    /// The parts do not fit together.
    #[error("expected {expected} {what}, got {got}")]
    Shape {
        /// What has the wrong number.
        what: &'static str,
        /// The number expected.
        expected: usize,
        /// The number found.
        got: usize,
    },
    /// A value is NaN or infinite.
    #[error("the forecast is not finite at step {step}")]
    NotFinite {
        /// The first such step, counted from 1.
        step: usize,
    },
    /// A lower quantile lies above a higher one.
    #[error("the quantiles cross at step {step}")]
    Crossing {
        /// The first such step, counted from 1.
        step: usize,
    },
}

/// What a method had to say in a forecast of several.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Share {
    /// The method's name.
    pub method: &'static str,
    /// Its weight; those of a forecast sum up to one.
    pub weight: f64,
    /// Its recent loss, as a multiple of that of the best of them.
    pub loss: f64,
}

/// A forecast of the next steps after its origin.
#[derive(Clone, PartialEq, Debug)]
pub struct Forecast {
    parts: ForecastParts,
    shares: Vec<Share>,
}

impl Forecast {
    /// Checks that the parts fit together, are finite and do not cross.
    ///
    /// # Errors
    /// When they do not.
    pub fn new(parts: ForecastParts) -> Result<Self, ForecastError> {
        let horizon = parts.points.len();
        let shape = |what, expected, got| Err(ForecastError::Shape { what, expected, got });
        if horizon == 0 {
            return Err(ForecastError::Empty);
        }
        let points = &parts.points;
        if let Some(k) = points.iter().position(|point| !point.is_finite()) {
            return Err(ForecastError::NotFinite { step: k + 1 });
        }
        for paths in [Some(&parts.paths), parts.peaks.as_ref()].into_iter().flatten() {
            if paths.len() != parts.quantiles.len() {
                return shape("quantile paths", parts.quantiles.len(), paths.len());
            }
            if let Some(path) = paths.iter().find(|path| path.len() != horizon) {
                return shape("steps in a quantile path", horizon, path.len());
            }
            for k in 0..horizon {
                let step = k + 1;
                let column = || paths.iter().map(|path| path[k]);
                if column().any(|value| !value.is_finite()) {
                    return Err(ForecastError::NotFinite { step });
                }
                if column().zip(column().skip(1)).any(|(low, high)| low > high) {
                    return Err(ForecastError::Crossing { step });
                }
            }
        }
        Ok(Self { parts, shares: Vec::new() })
    }

    /// Raises `peaks`, both `[quantiles][horizon]`, to what any distribution of peaks obeys: they do
    /// not fall from step to step, and do not lie below the values.
    pub fn cohere(paths: &[Vec<f64>], peaks: &mut [Vec<f64>]) {
        for (path, peak) in paths.iter().zip(peaks) {
            let mut highest = f64::NEG_INFINITY;
            for (value, peak) in path.iter().zip(peak) {
                highest = highest.max(*value).max(*peak);
                *peak = highest;
            }
        }
    }

    /// The same forecast, weighed together from these methods.
    #[must_use]
    pub fn shared_by(mut self, mut shares: Vec<Share>) -> Self {
        shares.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        self.shares = shares;
        self
    }

    /// The same forecast with each step's loads multiplied by its factor of `factors`. A quantile of the
    /// highest value so far takes the highest factor so far, since it is not known at which step the
    /// highest value is expected: at worst too high.
    ///
    /// # Errors
    /// When a product is not finite.
    pub(crate) fn multiplied(&self, factors: &[f64]) -> Result<Self, ForecastError> {
        let scaled = |path: &[f64], by: &[f64]| path.iter().zip(by).map(|(v, m)| v * m).collect();
        let mut highest = 0.0_f64;
        let highest_so_far: Vec<f64> = factors
            .iter()
            .map(|factor| {
                highest = highest.max(*factor);
                highest
            })
            .collect();
        let paths: Vec<Vec<f64>> = self.paths().iter().map(|path| scaled(path, factors)).collect();
        let mut peaks: Option<Vec<Vec<f64>>> =
            self.peaks().map(|peaks| peaks.iter().map(|p| scaled(p, &highest_so_far)).collect());
        if let Some(peaks) = &mut peaks {
            Self::cohere(&paths, peaks);
        }
        let multiplied = Self::new(ForecastParts {
            points: scaled(self.points(), factors),
            paths,
            peaks,
            ..self.parts.clone()
        })?;
        Ok(multiplied.shared_by(self.shares.clone()))
    }

    /// The methods that it was weighed together from, the weightiest first; none where it is the
    /// word of one.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// The last time known when it was made.
    #[must_use]
    pub fn origin(&self) -> Timestamp {
        self.parts.origin
    }

    /// The sampling interval.
    #[must_use]
    pub fn step(&self) -> Step {
        self.parts.step
    }

    /// The number of steps.
    #[must_use]
    pub fn horizon(&self) -> usize {
        self.parts.points.len()
    }

    /// The point forecast, nearest step first.
    #[must_use]
    pub fn points(&self) -> &[f64] {
        &self.parts.points
    }

    /// The levels it was made for.
    #[must_use]
    pub fn quantiles(&self) -> &Quantiles {
        &self.parts.quantiles
    }

    /// The value of each quantile at each step: `[quantiles][horizon]`.
    #[must_use]
    pub fn paths(&self) -> &[Vec<f64>] {
        &self.parts.paths
    }

    /// The quantiles of the highest value up to each step, where the method forecasts them:
    /// `[quantiles][horizon]`.
    #[must_use]
    pub fn peaks(&self) -> Option<&[Vec<f64>]> {
        self.parts.peaks.as_deref()
    }

    /// What its quantiles were fitted on.
    #[must_use]
    pub fn interval(&self) -> IntervalSource {
        self.parts.interval
    }

    /// The time that the step `k` is about; the nearest step is 0.
    #[must_use]
    pub fn time_at(&self, k: usize) -> Timestamp {
        let count = i64::try_from(k).unwrap_or(i64::MAX).saturating_add(1);
        self.parts.step.offset(self.parts.origin, count)
    }

    /// The last time it says anything about.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.time_at(self.horizon() - 1)
    }

    /// The value of `quantile` at the step `k`: linear between the levels that it was made for, and
    /// the outermost of them beyond.
    ///
    /// # Panics
    /// When `k` is not below [`Self::horizon`].
    #[must_use]
    pub fn quantile(&self, quantile: Quantile, k: usize) -> f64 {
        self.parts.quantiles.interpolate(quantile, |i| self.parts.paths[i][k])
    }

    /// The `quantile` of the highest value over the steps in `steps` that it has; `None` where it
    /// has none of them. A method that forecasts no peaks of its own, and steps that do not begin
    /// with the nearest, are answered with the highest quantile of a step, which a peak exceeds more
    /// often than its level says.
    #[must_use]
    pub fn peak(&self, quantile: Quantile, steps: Range<usize>) -> Option<f64> {
        let steps = steps.start..steps.end.min(self.horizon());
        if let (Some(peaks), 0, Some(last)) =
            (&self.parts.peaks, steps.start, steps.end.checked_sub(1))
        {
            return Some(self.parts.quantiles.interpolate(quantile, |i| peaks[i][last]));
        }
        steps.map(|k| self.quantile(quantile, k)).reduce(f64::max)
    }

    /// The steps that lie after `now`; empty once the forecast has run out.
    #[must_use]
    pub fn steps_after(&self, now: Timestamp) -> Range<usize> {
        let first = (0..self.horizon()).find(|&k| self.time_at(k) > now);
        first.unwrap_or(self.horizon())..self.horizon()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(points: Vec<f64>, paths: Vec<Vec<f64>>) -> ForecastParts {
        ForecastParts {
            origin: Timestamp::UNIX_EPOCH,
            step: Step::FIVE_MINUTES,
            points,
            quantiles: Quantiles::new(vec![Quantile::P10, Quantile::P90]).unwrap(),
            paths,
            peaks: None,
            interval: IntervalSource::ValidationResiduals,
        }
    }

    #[test]
    fn refuses_what_is_not_finite_or_crosses() {
        let check = |points, paths| Forecast::new(parts(points, paths)).map(|_| ());
        assert_eq!(check(vec![], vec![vec![], vec![]]), Err(ForecastError::Empty));
        assert_eq!(
            check(vec![1.0, f64::NAN], vec![vec![0.0; 2], vec![1.0; 2]]),
            Err(ForecastError::NotFinite { step: 2 })
        );
        assert_eq!(
            check(vec![1.0], vec![vec![0.0], vec![f64::INFINITY]]),
            Err(ForecastError::NotFinite { step: 1 })
        );
        assert_eq!(
            check(vec![1.0], vec![vec![2.0], vec![1.0]]),
            Err(ForecastError::Crossing { step: 1 })
        );
        assert!(matches!(check(vec![1.0], vec![vec![2.0]]), Err(ForecastError::Shape { .. })));
        assert!(matches!(
            check(vec![1.0], vec![vec![2.0, 1.0], vec![3.0]]),
            Err(ForecastError::Shape { .. })
        ));
    }

    #[test]
    fn runs_out_at_its_end() {
        let forecast =
            Forecast::new(parts(vec![1.0, 2.0], vec![vec![0.0; 2], vec![3.0, 4.0]])).unwrap();
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(forecast.end(), at(600));
        assert_eq!(forecast.steps_after(at(0)), 0..2);
        assert_eq!(forecast.steps_after(at(300)), 1..2);
        assert_eq!(forecast.steps_after(at(600)), 2..2);
        assert_eq!(forecast.peak(Quantile::P90, 0..9), Some(4.0));
        assert_eq!(forecast.peak(Quantile::P90, 2..9), None);
    }
}
