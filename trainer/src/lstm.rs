//! The preset `lstm`: the network that ships, trained on, on one workload.

use std::ops::ControlFlow;
use std::time::Instant;

use forecast::mask::Mask;
use forecast::split::{Shares, Split};
use forecast::{HORIZON, LOOKBACK, SeriesView, Timestamp};
use model::{Network, Pretrained, QuantileConfig, TrainingSummary, Weights};
use tracing::debug;

use crate::config::TrainingOptions;
use crate::contender::{Contender, LstmNetworks};
use crate::error::TrainingError;
use crate::evaluation::Evaluation;
use crate::fine_tune::{EPOCH_STEPS, FineTuning, Tuned, fine_tune};
use crate::fit::Observer;
use crate::train::Challenger;

/// Fits the network on the training part and takes its residuals on the validation part.
pub(crate) fn fit(
    evaluation: &Evaluation<'_>,
    options: &TrainingOptions,
    observer: &mut Observer<'_>,
) -> Result<Challenger, TrainingError> {
    evaluation.require_origins()?;
    let start = match options.from_scratch {
        true => Weights::initial_quantile(QuantileConfig::STANDARD, options.seed),
        false => Pretrained::embedded().weights().clone(),
    };
    let fitting = Instant::now();
    let tuned = tune(&start, evaluation.view, evaluation.split, options, observer)?;
    let seconds = fitting.elapsed().as_secs_f64();
    debug!(seconds, epochs = tuned.train_loss.len(), best = tuned.best_epoch, "trained on");
    let until = Some(trained_until(evaluation.view, evaluation.split));
    let contender = Contender::Lstm(LstmNetworks::shipped().with_tuned(&tuned.weights, until));
    let residuals = evaluation.residuals_of(&contender, observer)?;
    let training = summary(&tuned, options, seconds);
    Ok(Challenger {
        network: Network::Lstm { weights: tuned.weights },
        contender,
        residuals,
        training,
    })
}

/// The last time that weights are fitted on.
pub(crate) fn trained_until(view: SeriesView<'_>, split: &Split) -> Timestamp {
    view.time_at(split.train.end - 1)
}

/// Trains `start` on, on the training part, watching the validation part.
fn tune(
    start: &Weights<QuantileConfig>,
    view: SeriesView<'_>,
    split: &Split,
    options: &TrainingOptions,
    observer: &mut Observer<'_>,
) -> Result<Tuned, TrainingError> {
    let tuning = FineTuning {
        epochs: options.epochs,
        patience: options.patience,
        batch: options.batch,
        learning_rate: options.learning_rate,
        seed: options.seed,
        threads: options.threads,
    };
    fine_tune(start, view, [split.train.clone(), split.validation.clone()], &tuning, observer)
}

impl LstmNetworks {
    /// The network that knows many workloads, and beside it the same trained on, on `history`, as
    /// [`crate::train`] does it.
    ///
    /// # Errors
    /// When the history is too short or too gapped, or the loss diverges.
    pub fn tuned_on(
        &self,
        history: SeriesView<'_>,
        options: &TrainingOptions,
    ) -> Result<Self, TrainingError> {
        let series = Mask::of_faults(history).apply(history)?;
        let split = Split::chronological(series.view().len(), Shares::TENTHS, LOOKBACK + HORIZON)?;
        let mut quiet = |_| ControlFlow::Continue(());
        let tuned = tune(self.known(), series.view(), &split, options, &mut quiet)?;
        let until = Some(trained_until(series.view(), &split));
        Ok(self.clone().with_tuned(&tuned.weights, until))
    }
}

fn summary(tuned: &Tuned, options: &TrainingOptions, seconds: f64) -> TrainingSummary {
    let epochs_run = tuned.train_loss.len();
    let passed = epochs_run * EPOCH_STEPS * options.batch;
    TrainingSummary {
        epochs_max: options.epochs,
        epochs_run,
        best_epoch: tuned.best_epoch,
        stopped_early: tuned.stopped_early,
        train_loss: tuned.train_loss.clone(),
        validation_loss: tuned.validation_loss.clone(),
        seconds,
        windows: tuned.windows,
        windows_per_second: passed as f64 / seconds.max(f64::MIN_POSITIVE),
        device: options.device.to_string(),
        threads: tuned.threads,
    }
}
