//! The simple methods that every score is shown beside, and that stand in when a network fails.

use crate::forecast::{Forecast, IntervalSource};
use crate::forecaster::{ForecastFailure, Forecaster};
use crate::gaps::FilledView;
use crate::quantile::Quantiles;
use crate::residuals::{ResidualQuantiles, ResidualsError};
use crate::series::SeriesView;

/// The value one season before, fitted with the errors that this rule made in the past.
#[derive(Clone, PartialEq, Debug)]
pub struct SeasonalNaive {
    season_length: usize,
    residuals: ResidualQuantiles,
}

impl SeasonalNaive {
    /// The method's name.
    pub const NAME: &str = "seasonal-naive";

    /// Fits the intervals of the rule "as one season before" on `history`. Where the history is
    /// shorter than a season and a bit, fit [`LastValue`] instead.
    ///
    /// # Errors
    /// When `history` has no two values one season apart.
    pub fn fit(
        history: SeriesView<'_>,
        season_length: usize,
        horizon: usize,
    ) -> Result<Self, ResidualsError> {
        let values = history.values();
        let errors: Vec<f64> = lagged_differences(values, season_length).collect();
        // The rule looks back one season at every horizon step, so its error does not grow.
        let residuals = fit_residuals(&vec![errors; horizon])?;
        Ok(Self { season_length, residuals })
    }
}

impl Forecaster for SeasonalNaive {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        refuse_longer(horizon, &self.residuals)?;
        let known = FilledView::of(history);
        let (needed, got) = (self.season_length, known.len());
        let season = got.checked_sub(needed).ok_or(ForecastFailure::TooShort { needed, got })?;
        // Beyond a season the season repeats.
        let points: Vec<f64> = (0..horizon).map(|k| known.at(season + k % needed)).collect();
        Ok(self.residuals.around(&points, history.last_time(), history.step())?)
    }
}

/// The last value, for every step ahead.
#[derive(Clone, PartialEq, Debug)]
pub struct LastValue {
    residuals: ResidualQuantiles,
}

impl LastValue {
    /// Fits the intervals of the rule "as now" on `history`, for each step of `horizon`.
    ///
    /// # Errors
    /// When `history` has no two values `horizon` steps apart.
    pub fn fit(history: SeriesView<'_>, horizon: usize) -> Result<Self, ResidualsError> {
        let by_step: Vec<Vec<f64>> =
            (1..=horizon).map(|lag| lagged_differences(history.values(), lag).collect()).collect();
        Ok(Self { residuals: fit_residuals(&by_step)? })
    }
}

impl Forecaster for LastValue {
    fn name(&self) -> &'static str {
        "naive"
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        refuse_longer(horizon, &self.residuals)?;
        let last = history.values().iter().rev().find_map(|value| *value);
        let last = last.ok_or(ForecastFailure::TooShort { needed: 1, got: 0 })?;
        let points = vec![last; horizon];
        Ok(self.residuals.around(&points, history.last_time(), history.step())?)
    }
}

/// `y[t] − y[t − lag]` wherever both are present.
pub(crate) fn lagged_differences(
    values: &[Option<f64>],
    lag: usize,
) -> impl Iterator<Item = f64> + '_ {
    let later = values.iter().skip(lag);
    values.iter().zip(later).filter_map(|(before, after)| Some((*after)? - (*before)?))
}

fn fit_residuals(by_step: &[Vec<f64>]) -> Result<ResidualQuantiles, ResidualsError> {
    ResidualQuantiles::fit(by_step, Quantiles::standard(), IntervalSource::TrainingResiduals)
}

/// Refuses a horizon beyond that of the intervals.
pub(crate) fn refuse_longer(
    asked: usize,
    residuals: &ResidualQuantiles,
) -> Result<(), ForecastFailure> {
    let longest = residuals.horizon();
    if asked > longest {
        return Err(ForecastFailure::HorizonTooLong { longest, asked });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{daily_cycle, series_of};

    #[test]
    fn seasonal_naive_repeats_the_day_before() {
        let series = daily_cycle(3);
        let fitted = SeasonalNaive::fit(series.view(), 288, 12).unwrap();
        let history = series.view().prefix(600);
        let forecast = fitted.forecast(history, 12).unwrap();
        for k in 0..12 {
            let truth = series.view().value_at(forecast.time_at(k)).unwrap();
            assert!((forecast.points()[k] - truth).abs() < 1e-9);
        }
        assert_eq!(forecast.origin(), history.last_time());
    }

    #[test]
    fn seasonal_naive_repeats_a_season_shorter_than_the_horizon() {
        let series = series_of(&[1.0, 2.0, 3.0, 4.0, 6.0].map(Some));
        let fitted = SeasonalNaive::fit(series.view(), 2, 5).unwrap();
        let forecast = fitted.forecast(series.view(), 5).unwrap();
        assert_eq!(forecast.points(), [4.0, 6.0, 4.0, 6.0, 4.0]);
    }

    #[test]
    fn too_little_history_is_said() {
        let series = daily_cycle(3);
        let fitted = SeasonalNaive::fit(series.view(), 288, 12).unwrap();
        let failure = fitted.forecast(series.view().prefix(100), 12).unwrap_err();
        assert_eq!(failure, ForecastFailure::TooShort { needed: 288, got: 100 });
        assert!(SeasonalNaive::fit(series.view().prefix(288), 288, 12).is_err());
        let failure = fitted.forecast(series.view(), 13).unwrap_err();
        assert_eq!(failure, ForecastFailure::HorizonTooLong { longest: 12, asked: 13 });
    }

    #[test]
    fn the_last_value_gets_less_certain_with_each_step() {
        let walk: Vec<Option<f64>> = (0..200).map(|i| Some(50.0 + f64::from(i * 7 % 31))).collect();
        let series = series_of(&walk);
        let forecast = LastValue::fit(series.view(), 12).unwrap().forecast(series.view(), 12);
        let forecast = forecast.unwrap();
        assert!(forecast.points().iter().all(|p| *p == walk[199].unwrap()));
    }
}
