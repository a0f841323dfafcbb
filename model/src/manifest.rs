//! What an artifact says about itself.

use forecast::accuracy::Scores;
use forecast::drift::Promise;
use forecast::{ResidualQuantiles, SeriesId, SeriesView, Step, Timestamp};

use crate::digest::Digest;

/// The description of a trained network.
#[derive(Clone, PartialEq, Debug)]
pub struct Manifest {
    /// Version of the program that made it.
    pub tool_version: String,
    /// When it was made.
    pub created: Timestamp,
    /// The series it forecasts.
    pub series: SeriesId,
    /// The sampling interval it was trained on.
    pub step: Step,
    /// The number of steps it forecasts.
    pub horizon: usize,
    /// What it was trained on.
    pub data: DataSummary,
    /// The seed of weights, shuffling and dropout.
    pub seed: u64,
    /// How the training went.
    pub training: TrainingSummary,
    /// The last time whose value its weights were fitted on; a program that did not write it down did
    /// not need it.
    pub trained_until: Option<Timestamp>,
    /// How good it is.
    pub scores: ScoresSummary,
    /// What it promises to those who look for drift; `None` where the history had no whole day.
    pub promise: Option<Promise>,
    /// Whether it was put into service although it did worse than what it was compared with.
    pub forced: bool,
    /// The errors, by horizon step, of forecasts on a part that its weights do not come from; the
    /// reference network has its intervals from them.
    pub residuals: ResidualQuantiles,
}

/// The history that a network was trained on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataSummary {
    /// The first grid point.
    pub first: Timestamp,
    /// The last grid point.
    pub last: Timestamp,
    /// Grid points, gaps included.
    pub points: usize,
    /// Grid points without a value.
    pub gaps: usize,
    /// SHA-256 of the grid's times and values and of the training's configuration: the same
    /// fingerprint on the same device, and on a CPU the same instruction set, yields the same weights.
    pub fingerprint: String,
}

impl DataSummary {
    /// Describes `history`, trained on with `configuration`, which is any text that tells
    /// configurations apart.
    #[must_use]
    pub fn of(history: SeriesView<'_>, configuration: &str) -> Self {
        let (first, last) = (history.first_time(), history.last_time());
        let values = history.values().iter();
        // A load is zero or more, so the bits of −1 can stand for a gap.
        let bits = |value: &Option<f64>| value.unwrap_or(-1.0).to_bits().to_le_bytes();
        let digest = Digest::new()
            .part(history.id().as_str().as_bytes())
            .part(&first.as_second().to_le_bytes())
            .part(&history.step().seconds().to_le_bytes())
            .part(&values.clone().flat_map(bits).collect::<Vec<u8>>())
            .part(configuration.as_bytes());
        Self {
            first,
            last,
            points: history.len(),
            gaps: values.filter(|value| value.is_none()).count(),
            fingerprint: digest.finish(),
        }
    }
}

/// How a training went. Losses are mean squared errors of scaled values for the reference network,
/// mean pinball losses in units of each window's scale for the quantile network.
#[derive(Clone, PartialEq, Debug)]
pub struct TrainingSummary {
    /// Epochs allowed.
    pub epochs_max: usize,
    /// Epochs run.
    pub epochs_run: usize,
    /// The epoch whose weights were kept, counted from 1; 0 where no epoch made those better that the
    /// training started from.
    pub best_epoch: usize,
    /// Whether it ended before `epochs_max` because the validation loss no longer fell.
    pub stopped_early: bool,
    /// Loss on the training windows by epoch, with dropout.
    pub train_loss: Vec<f64>,
    /// Loss on the validation windows by epoch, without dropout.
    pub validation_loss: Vec<f64>,
    /// Seconds it took.
    pub seconds: f64,
    /// Training windows.
    pub windows: usize,
    /// Training windows passed through the network each second.
    pub windows_per_second: f64,
    /// The device it ran on.
    pub device: String,
    /// Threads that found work.
    pub threads: usize,
}

/// Rolling-origin scores on the test part; `None` where nothing could be scored or fitted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ScoresSummary {
    /// The preset's with this network.
    pub model: Option<Scores>,
    /// Those of what was in service before.
    pub champion: Option<Scores>,
    /// Those of the value one day before.
    pub seasonal_naive: Option<Scores>,
}
