//! Intervals from the forecasts that a method would have made before.

use forecast::backtest::Plan;
use forecast::gaps::FilledView;
use forecast::{
    Forecast, ForecastFailure, IntervalSource, LOOKBACK, Quantiles, ResidualQuantiles,
    ResidualsError, SeriesView, Step,
};
use thiserror::Error;

/// Forecasts of the past that are made: fewer leave the outer quantiles to chance, more take long.
const ORIGINS_MAX: usize = 200;
/// Forecasts of the past without which there are no intervals.
const ORIGINS_MIN: usize = 24;
/// The days, counted from the end of the history, over which they are spread: their errors are to
/// be those of today.
const DAYS: usize = 14;

/// Why a method's intervals could not be fitted.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum CalibrationError {
    /// A forecast of the past failed.
    #[error(transparent)]
    Forecast(#[from] ForecastFailure),
    /// There are too few forecasts of the past to be compared with what came true.
    #[error(
        "the history allows {got} forecasts of what is known, but intervals need {needed}: it is too short or too gapped"
    )]
    TooFew {
        /// Forecasts needed.
        needed: usize,
        /// Forecasts that can be made.
        got: usize,
    },
    /// Their errors give no intervals.
    #[error(transparent)]
    Residuals(#[from] ResidualsError),
}

/// A method without intervals.
pub(crate) trait Points {
    /// Steps that must be known before the origin.
    fn needed(&self) -> usize;

    /// What it expects for each of the `horizon` steps after `history`, of which it knows as many
    /// steps as it needs; in the unit of the load.
    fn points(&self, history: SeriesView<'_>, horizon: usize) -> Result<Vec<f64>, ForecastFailure>;
}

/// A method with its intervals.
#[derive(Clone, Debug)]
pub(crate) struct Calibrated<M> {
    method: M,
    residuals: ResidualQuantiles,
    step: Step,
}

impl<M: Points> Calibrated<M> {
    /// Fits intervals on the errors that `method` makes on `history`, over origins that are spread
    /// evenly over its last [`DAYS`]; each forecast is made from what was known at its origin.
    pub(crate) fn fit(
        method: M,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Self, CalibrationError> {
        let (length, step) = (history.len(), history.step());
        let leading = length - FilledView::of(history).len();
        let first = (leading + method.needed()).max(LOOKBACK);
        let start = length.saturating_sub(DAYS * step.per_day()).max(first).min(length);
        let stride = (length - start).div_ceil(ORIGINS_MAX).max(1);
        let plan = Plan { range: start..length, horizon, stride, lookback: LOOKBACK };
        let origins: Vec<usize> = plan.origins(history).collect();
        if origins.len() < ORIGINS_MIN {
            return Err(CalibrationError::TooFew { needed: ORIGINS_MIN, got: origins.len() });
        }
        let mut errors = vec![Vec::new(); horizon];
        for origin in origins {
            let points = method.points(history.prefix(origin), horizon)?;
            for (k, point) in points.iter().enumerate() {
                if let Some(actual) = history.values()[origin + k] {
                    errors[k].push(actual - point);
                }
            }
        }
        let source = IntervalSource::ValidationResiduals;
        let residuals = ResidualQuantiles::fit(&errors, Quantiles::standard(), source)?;
        Ok(Self { method, residuals, step })
    }

    /// The method's points after `history`, in their intervals.
    pub(crate) fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        refuse_longer(horizon, self.residuals.horizon())?;
        refuse_other(history, self.step)?;
        let (needed, got) = (self.method.needed(), FilledView::of(history).len());
        if got < needed {
            return Err(ForecastFailure::TooShort { needed, got });
        }
        let points = self.method.points(history, horizon)?;
        Ok(self.residuals.around(&points, history.last_time(), history.step())?)
    }
}

/// Refuses a horizon beyond that of the fit.
pub(crate) fn refuse_longer(asked: usize, longest: usize) -> Result<(), ForecastFailure> {
    if asked > longest {
        return Err(ForecastFailure::HorizonTooLong { longest, asked });
    }
    Ok(())
}

/// Refuses a history of another step than that of the fit.
pub(crate) fn refuse_other(history: SeriesView<'_>, fitted: Step) -> Result<(), ForecastFailure> {
    let given = history.step();
    if given != fitted {
        return Err(ForecastFailure::OtherStep { fitted, given });
    }
    Ok(())
}
