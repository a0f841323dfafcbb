//! The language of the product, and its arithmetic: from a recorded load to a scored forecast.
//!
//! Follow the data through the modules in this order:
//!
//! ```text
//! step ─ series ─▶ gaps ─▶ split ─▶ scale ─▶ windows ─▶ (a network) ─▶ forecast ─▶ ledger ─▶ accuracy
//!           │       ▲                            baseline ──────────────────▲                    │
//!           ▼       │ a history that is fit to be learned from                                   ▼
//!          mask, events, level_shift (rescaled)                                                           drift
//! ```
//!
//! What is absent on purpose: no clock, no file, no socket, no randomness, no tensors. `now` and
//! every history are arguments, so that the server, the backtest and a test run the same code.

pub mod accuracy;
pub mod backtest;
pub mod baseline;
pub mod covariates;
pub mod drift;
pub mod events;
mod forecast;
mod forecaster;
pub mod gaps;
pub mod ledger;
pub mod level_shift;
pub mod mask;
pub mod mixture;
mod quantile;
pub mod rescaled;
mod residuals;
pub mod ridge;
pub mod rules;
pub mod scale;
mod series;
pub mod split;
mod step;
#[cfg(test)]
mod testing;
pub mod windows;

pub use forecast::{Forecast, ForecastError, ForecastParts, IntervalSource, Share};
pub use forecaster::{ForecastFailure, Forecaster, forecast_alone};
pub use jiff::Timestamp;
pub use quantile::{Quantile, QuantileError, Quantiles};
pub use residuals::{ResidualQuantiles, ResidualsError};
pub use series::{
    GridReport, POINTS_MAX, Sample, Series, SeriesError, SeriesId, SeriesIdError, SeriesView,
};
pub use step::{Step, StepError};

/// Past steps that the network sees: two hours of five-minute steps.
pub const LOOKBACK: usize = 24;
/// Future steps that are forecast: one hour of five-minute steps.
pub const HORIZON: usize = 12;
