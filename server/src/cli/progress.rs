//! A progress bar for a training; hidden where nobody looks.

use std::ops::ControlFlow;

use indicatif::{ProgressBar, ProgressStyle};
use trainer::TrainingEvent;

/// Where standard error is no terminal, a line is written every so many epochs.
const EPOCHS_PER_LINE: usize = 10;

/// A bar of `length`, drawn by indicatif's `template`.
pub(super) fn bar(length: usize, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar
}

/// Shows how far a training is, on standard error: a bar in a terminal, a line now and then in a
/// log.
#[derive(Debug)]
pub(super) struct TrainingProgress {
    bar: ProgressBar,
    epochs: usize,
}

impl TrainingProgress {
    /// Progress of at most `epochs` epochs.
    pub(super) fn new(epochs: usize) -> Self {
        let bar = bar(0, "training {bar:32} {percent:>3} %  {msg}  (at most {eta} left)");
        Self { bar, epochs }
    }

    /// Takes in an event; never asks to stop.
    pub(super) fn observe(&mut self, event: &TrainingEvent) -> ControlFlow<()> {
        match event {
            TrainingEvent::Started { .. } => {}
            TrainingEvent::Batch { epoch, done, of } => {
                let of = *of as u64;
                self.bar.set_length(of * self.epochs as u64);
                self.bar.set_position((*epoch as u64 - 1) * of + *done as u64);
            }
            TrainingEvent::Epoch { epoch, train_loss, validation_loss, .. } => {
                let epochs = self.epochs;
                let message = format!(
                    "epoch {epoch}/{epochs}, loss {train_loss:.5}, validation {validation_loss:.5}"
                );
                let due = (epoch - 1) % EPOCHS_PER_LINE == 0 || *epoch == epochs;
                if self.bar.is_hidden() && due {
                    eprintln!("training: {message}");
                }
                self.bar.set_message(message);
            }
            TrainingEvent::Evaluated { .. } | TrainingEvent::Finished { .. } => {
                self.bar.finish_and_clear();
            }
        }
        ControlFlow::Continue(())
    }
}
