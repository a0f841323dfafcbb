//! Why a training yields no artifact.

use forecast::scale::ScaleError;
use forecast::split::SplitError;
use forecast::{ForecastFailure, ResidualsError, SeriesError, SeriesId};
use model::{ArtifactError, DeviceError};
use thiserror::Error;

/// Why a training yields no artifact. Nothing has been written then.
#[derive(Debug, Error)]
pub enum TrainingError {
    /// The history has no value.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// The history is too short.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The history is constant.
    #[error("the training part cannot be scaled: {0}")]
    Scale(#[from] ScaleError),
    /// The gaps leave nothing.
    #[error(
        "the {part} part has no stretch of {needed} steps without a long gap: give a history with fewer gaps"
    )]
    NoWindows {
        /// The part: `training` or `validation`.
        part: &'static str,
        /// Steps of one window and its target.
        needed: usize,
    },
    /// A series of many has nothing to learn from.
    #[error(
        "{series} has no stretch of {needed} steps that were observed for the most part: leave it out, or give a longer history"
    )]
    NoWindowsIn {
        /// The series.
        series: SeriesId,
        /// Steps of a window and what follows it.
        needed: usize,
    },
    /// The gaps leave no origin from which a forecast could be compared with what followed.
    #[error(
        "too little of the validation part was observed to fit the intervals: of some {horizon} steps in a row at least five in six are needed, and half of the {lookback} before them; give a longer history, or one with fewer gaps or a longer step"
    )]
    NoOrigins {
        /// Steps of a forecast.
        horizon: usize,
        /// Steps before it that the network sees.
        lookback: usize,
    },
    /// The loss is not a number any more.
    #[error("the training diverged in epoch {epoch}: try a smaller learning rate")]
    Diverged {
        /// The epoch, counted from 1.
        epoch: usize,
    },
    /// The loss of a pre-training is not a number any more.
    #[error("the training diverged in step {step}: is a history of another unit, or damaged?")]
    DivergedAtStep {
        /// The step, counted from 1.
        step: usize,
    },
    /// The observer asked for it.
    #[error("the training was cancelled")]
    Cancelled,
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device or the threads failed.
    #[error("the training could not be computed: {0}")]
    Compute(String),
    /// The trained network could not be run.
    #[error("the trained network could not be evaluated: {0}")]
    Evaluation(#[from] ForecastFailure),
    /// The intervals could not be fitted.
    #[error("the intervals could not be fitted: {0}")]
    Residuals(#[from] ResidualsError),
    /// The artifact could not be put together.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}
