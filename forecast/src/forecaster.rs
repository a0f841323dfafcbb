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
    fn name(&self) -> &str;

    /// Forecasts `horizon` steps after the end of `history`.
    ///
    /// # Errors
    /// When the history is too short or of another step, or the result is not finite.
    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure>;
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
