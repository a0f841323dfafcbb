//! Seasons by repeated local regression, and exponential smoothing of what is left.

use forecast::gaps::FilledView;
use forecast::{Forecast, ForecastFailure, Forecaster, SeriesView};
use stlrs::MstlParams;
use thiserror::Error;

use crate::calibration::{Calibrated, CalibrationError, Points};
use crate::smoothing::Form;
use crate::window::recent;

/// Days before the origin that are decomposed.
const WINDOW_DAYS: usize = 14;
/// Steps before the origin on which the trend's parameters are estimated: a week of five-minute steps.
const TREND_WINDOW: usize = 2016;

/// MSTL (Bandara, Hyndman and Bergmeir, 2021) with the day as its season: trend and remainder are
/// forecast by exponential smoothing, the season is repeated.
///
/// There is no weekly season: two weeks know it twice, four weeks four times, and repeating what was
/// that seldom seen made the forecasts of recorded loads worse by a tenth and more. Its intervals
/// are the errors that its forecasts of the last two weeks would have had.
#[derive(Clone, Debug)]
pub struct Mstl(Calibrated<Decomposition>);

#[derive(Clone, Copy, Debug)]
struct Decomposition {
    trend: Form,
    /// Steps of a day.
    day: usize,
}

/// Why there is no MSTL.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum MstlError {
    /// The history is too short.
    #[error("the history has {got} steps, but a daily season takes two days, {needed}")]
    TooShort {
        /// Steps needed.
        needed: usize,
        /// Steps given, from the first observed one on.
        got: usize,
    },
    /// A day has too few steps.
    #[error("a day has {0} steps of that length, but a daily season needs at least two")]
    StepTooLong(usize),
    /// The decomposition or its trend could not be fitted.
    #[error("the seasons and their trend could not be fitted: {0}")]
    Fit(String),
    /// The intervals could not be fitted.
    #[error(transparent)]
    Intervals(#[from] CalibrationError),
}

/// A history as the sum of what repeats and what does not.
struct Parts {
    /// The end of trend and remainder.
    deseasonalised: Vec<f64>,
    /// The last day's season.
    season: Vec<f64>,
}

impl Parts {
    /// Decomposes `values`, at least two days of them.
    fn of(values: &[f64], day: usize) -> Result<Self, stlrs::Error> {
        let fitted = MstlParams::new().fit(values, &[day])?;
        let season = fitted.seasonal().last().map_or(&[][..], Vec::as_slice);
        let start = values.len().saturating_sub(TREND_WINDOW);
        let without = |(value, season): (&f64, &f64)| value - season;
        let deseasonalised = values.iter().zip(season).skip(start).map(without).collect();
        Ok(Self { deseasonalised, season: season[values.len() - day..].to_vec() })
    }
}

impl Mstl {
    /// The method's name.
    pub const NAME: &str = "mstl";

    /// Chooses the trend's form and fits the intervals on the last two weeks of `history`, for
    /// forecasts of at most `horizon` steps.
    ///
    /// # Errors
    /// When the history is too short or too gapped, a day has but one step, or nothing can be fitted.
    pub fn fit(history: SeriesView<'_>, horizon: usize) -> Result<Self, MstlError> {
        let day = history.step().per_day();
        if day < 2 {
            return Err(MstlError::StepTooLong(day));
        }
        let (needed, got) = (2 * day, FilledView::of(history).len());
        if got < needed {
            return Err(MstlError::TooShort { needed, got });
        }
        let parts = Parts::of(&recent(history, WINDOW_DAYS * day), day);
        let parts = parts.map_err(|error| MstlError::Fit(error.to_string()))?;
        let trend = Form::choose(&parts.deseasonalised);
        let trend = trend.map_err(|error| MstlError::Fit(error.to_string()))?;
        Ok(Self(Calibrated::fit(Decomposition { trend, day }, history, horizon)?))
    }
}

impl Points for Decomposition {
    fn needed(&self) -> usize {
        2 * self.day
    }

    fn points(&self, history: SeriesView<'_>, horizon: usize) -> Result<Vec<f64>, ForecastFailure> {
        let values = recent(history, WINDOW_DAYS * self.day);
        let parts = Parts::of(&values, self.day);
        let parts = parts.map_err(|error| ForecastFailure::Model(error.to_string()))?;
        let trend = self.trend.points(&parts.deseasonalised, horizon)?;
        Ok(trend.iter().enumerate().map(|(k, level)| level + parts.season[k % self.day]).collect())
    }
}

impl Forecaster for Mstl {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        self.0.forecast(history, horizon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, check, check_causal, mae, noisy_cycle, series_of};
    use forecast::baseline::SeasonalNaive;
    use forecast::{Series, SeriesId, Step, Timestamp};

    #[test]
    fn a_daily_cycle_is_followed() {
        let series = series_of(&noisy_cycle(8 * DAY, 0.5));
        let training = series.view().prefix(6 * DAY);
        let fitted = Mstl::fit(training, 12).unwrap();
        check(&fitted.forecast(training, 12).unwrap());
        let naive = SeasonalNaive::fit(training, DAY, 12).unwrap();
        let (ours, naive) = (mae(&fitted, &series, 6 * DAY, 37), mae(&naive, &series, 6 * DAY, 37));
        // The noise alone has a mean of 0.25, the difference of two noises one of 0.33.
        assert!(ours < 0.3 && ours < naive, "{ours} {naive}");
    }

    #[test]
    fn a_constant_load_stays() {
        let series = series_of(&vec![Some(7.0); 4 * DAY]);
        let forecast = Mstl::fit(series.view(), 12).unwrap().forecast(series.view(), 12).unwrap();
        check(&forecast);
        assert!(forecast.points().iter().all(|point| (point - 7.0).abs() < 1e-6));
    }

    #[test]
    fn too_little_is_said() {
        let values = noisy_cycle(4 * DAY, 0.5);
        let series = series_of(&values);
        let short = Mstl::fit(series.view().prefix(500), 12).unwrap_err();
        assert_eq!(short, MstlError::TooShort { needed: 576, got: 500 });
        let short = Mstl::fit(series.view().prefix(590), 12).unwrap_err();
        assert!(matches!(short, MstlError::Intervals(CalibrationError::TooFew { .. })), "{short}");
        let fitted = Mstl::fit(series.view(), 12).unwrap();
        let failure = fitted.forecast(series.view().prefix(500), 12).unwrap_err();
        assert_eq!(failure, ForecastFailure::TooShort { needed: 576, got: 500 });
        let (id, day) = (SeriesId::new("days").unwrap(), Step::from_seconds(86_400).unwrap());
        let daily = Series::from_values(id, day, Timestamp::UNIX_EPOCH, values).unwrap();
        assert_eq!(Mstl::fit(daily.view(), 12).unwrap_err(), MstlError::StepTooLong(1));
    }

    #[test]
    fn gaps_are_filled_from_the_past() {
        let mut values = noisy_cycle(5 * DAY, 0.2);
        values[2 * DAY..2 * DAY + 100].fill(None);
        values[1300..1305].fill(None);
        let series = series_of(&values);
        let fitted = Mstl::fit(series.view().prefix(4 * DAY), 12).unwrap();
        check(&fitted.forecast(series.view().prefix(1303), 12).unwrap());
        assert!(mae(&fitted, &series, 4 * DAY, 41) < 0.5);
    }

    #[test]
    fn the_future_does_not_count() {
        let values = noisy_cycle(5 * DAY, 0.5);
        let fitted = Mstl::fit(series_of(&values).view().prefix(4 * DAY), 12).unwrap();
        for origin in [4 * DAY, 4 * DAY + 7] {
            check_causal(&fitted, &values, origin);
        }
    }
}
