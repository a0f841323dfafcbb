//! The trait that every fitted method implements.

use thiserror::Error;

use crate::forecast::{Forecast, ForecastError};
use crate::series::SeriesView;
use crate::step::Step;

/// A fitted method that forecasts.
///
/// It is handed all that was known at the origin, which is the view's last grid point, and nothing
/// later: that is what makes a backtest honest.
pub trait Forecaster: Send + Sync {
    /// The method's name, as it is shown: `reference`, `seasonal-naive`, `naive`.
    fn name(&self) -> &'static str;

    /// Forecasts `horizon` steps after the end of `history`.
    ///
    /// # Errors
    /// When the history is too short, too gapped or of another step, or the result is not finite.
    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure>;

    /// What [`Self::forecast`] says at each of `origins`, the offsets in `series` of the first step
    /// ahead; a method that computes many forecasts faster than one by one does so here.
    ///
    /// # Errors
    /// As [`Self::forecast`], for the first origin that fails.
    fn forecasts(
        &self,
        series: SeriesView<'_>,
        origins: &[usize],
        horizon: usize,
    ) -> Result<Vec<Forecast>, ForecastFailure> {
        origins.iter().map(|&origin| self.forecast(series.prefix(origin), horizon)).collect()
    }
}

/// The forecast after the end of `history`, for a method whose [`Forecaster::forecasts`] is the one
/// that computes.
///
/// # Errors
/// As [`Forecaster::forecasts`].
pub fn forecast_alone(
    method: &impl Forecaster,
    history: SeriesView<'_>,
    horizon: usize,
) -> Result<Forecast, ForecastFailure> {
    let mut forecasts = method.forecasts(history, &[history.len()], horizon)?;
    forecasts.pop().ok_or_else(|| ForecastError::Empty.into())
}

/// Why there is no forecast.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum ForecastFailure {
    /// The history is too short.
    #[error("the history has {got} steps, but {needed} are needed")]
    TooShort {
        /// Steps needed.
        needed: usize,
        /// Steps given, from the first observed one on.
        got: usize,
    },
    /// Too little of the lookback was observed; see [`crate::gaps::require_observed`].
    #[error(
        "only {observed} of the latest {} steps were observed, but at least {needed} are needed: wait until the gap has passed, or find out why values are missing", 2 * .needed
    )]
    TooGapped {
        /// Steps of the lookback that were observed.
        observed: usize,
        /// Half of the lookback.
        needed: usize,
    },
    /// The method was fitted for another step.
    #[error("the model was fitted on steps of {fitted}, but the history has steps of {given}")]
    OtherStep {
        /// The step it was fitted on.
        fitted: Step,
        /// The step of the history.
        given: Step,
    },
    /// The method cannot look as far ahead.
    #[error("the model forecasts at most {longest} steps, but {asked} were asked for")]
    HorizonTooLong {
        /// The longest horizon.
        longest: usize,
        /// The horizon asked for.
        asked: usize,
    },
    /// The computed values are not a forecast.
    #[error(transparent)]
    Invalid(#[from] ForecastError),
    /// The method's own computation failed.
    #[error("the model could not be run: {0}")]
    Model(String),
}
