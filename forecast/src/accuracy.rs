//! Scores of forecasts against what came true.
//!
//! The formulas are those of the M competitions and of GluonTS: see each field of [`Scores`].

use crate::baseline::lagged_differences;
use crate::forecast::Forecast;
use crate::quantile::Quantile;
use crate::series::SeriesView;

/// An actual of at most this share of the mean training load is left out of the MAPE: a relative error
/// of almost nothing says nothing, and that of zero is not defined.
pub const MAPE_FLOOR_SHARE: f64 = 0.01;

/// What the scale-free scores are measured against; from the training part.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reference {
    /// Actuals of at most this are left out of the MAPE, in the unit of the load.
    pub mape_floor: f64,
    /// Mean |y(t) − y(t − season)|: the error of seasonal naive. `None` with under a season.
    pub seasonal_mae: Option<f64>,
}

impl Reference {
    /// Measures the training part; the season is one day.
    #[must_use]
    pub fn from_training(training: SeriesView<'_>) -> Self {
        let present = || training.values().iter().flatten();
        let seasonal =
            || lagged_differences(training.values(), training.step().per_day()).map(f64::abs);
        Self {
            mape_floor: MAPE_FLOOR_SHARE * mean(present().map(|v| v.abs())).unwrap_or(0.0),
            seasonal_mae: mean(seasonal()).filter(|mae| *mae > 0.0),
        }
    }
}

/// One forecast value and what came true.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Outcome {
    /// The horizon step; the nearest is 0.
    pub k: usize,
    /// What came true.
    pub actual: f64,
    /// The point that was forecast.
    pub point: f64,
    /// Whether the actual lies in the 80 % interval, its ends included.
    pub covered_80: bool,
    /// Mean pinball loss over the deciles.
    pub pinball: f64,
}

impl Outcome {
    /// Compares the step `k` of `forecast` with `actual`.
    ///
    /// # Panics
    /// When `k` is not below the forecast's horizon.
    #[must_use]
    pub fn new(forecast: &Forecast, k: usize, actual: f64) -> Self {
        let (low, high) =
            (forecast.quantile(Quantile::P10, k), forecast.quantile(Quantile::P90, k));
        let loss = |decile: u32| {
            let quantile = Quantile::new(f64::from(decile) / 10.0).expect("a decile is a quantile");
            pinball(quantile, actual - forecast.quantile(quantile, k))
        };
        Self {
            k,
            actual,
            point: forecast.points()[k],
            covered_80: (low..=high).contains(&actual),
            pinball: (1..=9).map(loss).sum::<f64>() / 9.0,
        }
    }
}

/// The pinball loss of a quantile that the actual value exceeds by `excess`.
pub(crate) fn pinball(quantile: Quantile, excess: f64) -> f64 {
    (quantile.level() * excess).max((quantile.level() - 1.0) * excess)
}

/// The scores of a set of outcomes; `e` is forecast − actual, `y` the actual, `f` the forecast.
/// `None` where the formula would divide by zero.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scores {
    /// The number of values compared.
    pub count: usize,
    /// Mean |e|, in the unit of the load.
    pub mae: f64,
    /// Root of the mean of e², in the unit of the load.
    pub rmse: f64,
    /// Mean of |e| / |y| where |y| is above [`Reference::mape_floor`].
    pub mape: Option<f64>,
    /// The share of values that the MAPE leaves out.
    pub mape_excluded: f64,
    /// Mean of 2 |e| / (|f| + |y|); where both are zero the forecast was right and it counts 0.
    pub smape: f64,
    /// Σ|e| / Σ|y|.
    pub wape: Option<f64>,
    /// MAE over the MAE of seasonal naive on the training part (Hyndman and Koehler, 2006).
    pub mase: Option<f64>,
    /// Weighted quantile loss: mean over the deciles of 2 Σ pinball / Σ|y|.
    pub wql: Option<f64>,
    /// The share of actuals in the 80 % interval.
    pub coverage_80: f64,
}

impl Scores {
    /// Scores `outcomes`; `None` when there is none.
    #[must_use]
    pub fn of<'a>(
        outcomes: impl IntoIterator<Item = &'a Outcome>,
        reference: &Reference,
    ) -> Option<Self> {
        let mut sums = Sums::default();
        for outcome in outcomes {
            sums.add(outcome, reference.mape_floor);
        }
        sums.scores(reference.seasonal_mae)
    }
}

/// The highest value of one forecast's steps and what came true.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Peak {
    /// The highest actual that was observed.
    pub actual: f64,
    /// The highest point.
    pub point: f64,
    /// The highest value of the 0.9 quantile.
    pub upper: f64,
}

/// The scores of peaks, relative to the actual one; of almost nothing, as for the MAPE, there is none.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PeakScores {
    /// The number of peaks compared.
    pub count: usize,
    /// Mean shortfall of the points' peak.
    pub under: f64,
    /// Mean excess of the points' peak.
    pub over: f64,
    /// Mean shortfall of the 0.9 quantile's peak.
    pub upper_under: f64,
    /// Mean excess of the 0.9 quantile's peak.
    pub upper_over: f64,
    /// How often the actual peak exceeds that of the 0.9 quantile.
    pub upper_exceeded: f64,
}

impl PeakScores {
    /// Scores `peaks`; `None` when there is none above [`Reference::mape_floor`].
    #[must_use]
    pub fn of(peaks: &[Peak], reference: &Reference) -> Option<Self> {
        let peaks = || peaks.iter().filter(|peak| peak.actual > reference.mape_floor);
        let under = |f: f64, y: f64| ((y - f) / y).max(0.0);
        let over = |f: f64, y: f64| ((f - y) / y).max(0.0);
        Some(Self {
            count: peaks().count(),
            under: mean(peaks().map(|peak| under(peak.point, peak.actual)))?,
            over: mean(peaks().map(|peak| over(peak.point, peak.actual)))?,
            upper_under: mean(peaks().map(|peak| under(peak.upper, peak.actual)))?,
            upper_over: mean(peaks().map(|peak| over(peak.upper, peak.actual)))?,
            upper_exceeded: mean(peaks().map(|p| if p.actual > p.upper { 1.0 } else { 0.0 }))?,
        })
    }
}

#[derive(Default)]
struct Sums {
    count: usize,
    absolute: f64,
    squared: f64,
    actual: f64,
    relative: f64,
    relative_count: usize,
    symmetric: f64,
    pinball: f64,
    covered: usize,
}

impl Sums {
    fn add(&mut self, outcome: &Outcome, mape_floor: f64) {
        let actual = outcome.actual.abs();
        let error = (outcome.point - outcome.actual).abs();
        self.count += 1;
        self.absolute += error;
        self.squared += error * error;
        self.actual += actual;
        if actual > mape_floor {
            self.relative += error / actual;
            self.relative_count += 1;
        }
        let magnitude = outcome.point.abs() + actual;
        self.symmetric += if magnitude > 0.0 { 2.0 * error / magnitude } else { 0.0 };
        self.pinball += outcome.pinball;
        self.covered += usize::from(outcome.covered_80);
    }

    fn scores(&self, seasonal_mae: Option<f64>) -> Option<Scores> {
        if self.count == 0 {
            return None;
        }
        let n = self.count as f64;
        let mae = self.absolute / n;
        let per_load = |sum: f64| (self.actual > 0.0).then(|| sum / self.actual);
        Some(Scores {
            count: self.count,
            mae,
            rmse: (self.squared / n).sqrt(),
            mape: (self.relative_count > 0).then(|| self.relative / self.relative_count as f64),
            mape_excluded: 1.0 - self.relative_count as f64 / n,
            smape: self.symmetric / n,
            wape: per_load(self.absolute),
            mase: seasonal_mae.map(|scale| mae / scale),
            wql: per_load(2.0 * self.pinball),
            coverage_80: self.covered as f64 / n,
        })
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{daily_cycle, series_of};

    fn outcome(actual: f64, point: f64) -> Outcome {
        Outcome { k: 0, actual, point, covered_80: actual < 3.0, pinball: 0.5 }
    }

    #[test]
    fn the_formulas_worked_out_by_hand() {
        let reference = Reference { mape_floor: 0.5, seasonal_mae: Some(2.0) };
        let outcomes = [outcome(2.0, 3.0), outcome(4.0, 2.0), outcome(0.0, 0.0)];
        let scores = Scores::of(&outcomes, &reference).unwrap();
        assert_eq!(scores.count, 3);
        assert_eq!(scores.mae, 1.0);
        assert_eq!(scores.rmse, (5.0_f64 / 3.0).sqrt());
        assert_eq!(scores.mape, Some(0.5));
        assert!((scores.mape_excluded - 1.0 / 3.0).abs() < 1e-12);
        assert!((scores.smape - (2.0 / 5.0 + 4.0 / 6.0) / 3.0).abs() < 1e-12);
        assert_eq!(scores.wape, Some(0.5));
        assert_eq!(scores.mase, Some(0.5));
        assert_eq!(scores.wql, Some(0.5));
        assert!((scores.coverage_80 - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn peaks_worked_out_by_hand() {
        let reference = Reference { mape_floor: 0.1, seasonal_mae: None };
        let peak = |actual, point, upper| Peak { actual, point, upper };
        let peaks = [peak(4.0, 3.0, 5.0), peak(2.0, 3.0, 1.0), peak(0.1, 1.0, 1.0)];
        let scores = PeakScores::of(&peaks, &reference).unwrap();
        assert_eq!((scores.count, scores.under, scores.over), (2, 0.125, 0.25));
        assert_eq!((scores.upper_under, scores.upper_over), (0.25, 0.125));
        assert_eq!(scores.upper_exceeded, 0.5);
        assert_eq!(PeakScores::of(&[], &reference), None);
    }

    #[test]
    fn an_idle_workload_has_no_relative_scores() {
        let reference = Reference::from_training(series_of(&[Some(0.0); 600]).view());
        assert_eq!(reference, Reference { mape_floor: 0.0, seasonal_mae: None });
        let scores = Scores::of(&[outcome(0.0, 1.0)], &reference).unwrap();
        assert_eq!((scores.mape, scores.wape, scores.mase), (None, None, None));
        assert_eq!(scores.mape_excluded, 1.0);
        assert_eq!(Scores::of(&[], &reference), None);
    }

    #[test]
    fn the_reference_of_a_perfect_season_is_undefined_rather_than_infinite() {
        let reference = Reference::from_training(daily_cycle(3).view());
        assert!((reference.mape_floor - 0.1).abs() < 1e-3);
        assert!(reference.seasonal_mae.is_none_or(|mae| mae < 1e-9));
    }
}
