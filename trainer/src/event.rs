//! What a training tells while it runs.

/// Progress. An observer that breaks cancels the training.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum TrainingEvent {
    /// The windows are made; the first epoch begins.
    Started {
        /// Training windows.
        windows: usize,
        /// Epochs at most.
        epochs: usize,
    },
    /// A batch is done.
    Batch {
        /// The epoch, counted from 1.
        epoch: usize,
        /// Batches done in it.
        done: usize,
        /// Batches in it.
        of: usize,
    },
    /// An epoch is done. Losses are mean squared errors of scaled values.
    Epoch {
        /// The epoch, counted from 1.
        epoch: usize,
        /// Loss on the training windows, with dropout.
        train_loss: f64,
        /// Loss on the validation windows.
        validation_loss: f64,
        /// Seconds it took.
        seconds: f64,
    },
    /// A portion of the forecasts is done that the intervals come from, and after them the scores
    /// of the network and those of the value one day before; each of the three counts anew.
    Evaluated {
        /// Forecasts done.
        done: usize,
        /// Forecasts to do.
        of: usize,
    },
    /// The artifact is complete.
    Finished {
        /// Epochs run.
        epochs: usize,
        /// The epoch whose weights are kept, counted from 1.
        best_epoch: usize,
        /// Seconds since the start.
        seconds: f64,
    },
}
