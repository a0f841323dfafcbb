//! How a network is trained: options as they are given, and the checked configuration.

use std::fmt::Write as _;

use model::{DeviceKind, NetworkConfig, Pretrained, QuantileForecaster, ReferenceForecaster};
use thiserror::Error;

/// Most epochs that can be asked for.
const EPOCHS_MAX: usize = 10_000;
/// Most threads that can be asked for.
const THREADS_MAX: usize = 256;
/// Largest batch that can be asked for.
const BATCH_MAX: usize = 4096;
/// Widest layer and longest lookback that can be asked for.
const WIDTH_MAX: usize = 4096;

/// Which network is trained, and how it forecasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Preset {
    /// The network that ships, trained on, on the workload's history, and weighed together with ridge
    /// and seasonal naive.
    #[default]
    Lstm,
    /// The tutorial's network, from random weights, alone.
    Reference,
}

impl Preset {
    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lstm => QuantileForecaster::NAME,
            Self::Reference => ReferenceForecaster::NAME,
        }
    }
}

/// The options of a training, as given; [`TrainingConfig`] is the checked form.
#[derive(Clone, PartialEq, Debug)]
pub struct TrainingOptions {
    /// Which network.
    pub preset: Preset,
    /// Whether the preset `lstm` starts from random weights rather than from the network that ships.
    pub from_scratch: bool,
    /// Passes over the training windows, or for the preset `lstm` rounds of thirty steps: 1 to
    /// 10 000.
    pub epochs: usize,
    /// Epochs without a lower validation loss after which the training stops and the best weights
    /// are kept. `None`: all epochs run and the last weights are kept, as in the tutorial.
    pub patience: Option<usize>,
    /// Decides the initial weights, the order of the windows and the dropout.
    pub seed: u64,
    /// Threads on the device `cpu`, of which each takes tiles of sixteen windows of a batch. Their
    /// gradients are added in the order of the tiles: any number yields the same weights.
    pub threads: usize,
    /// Where the network is computed.
    pub device: DeviceKind,
    /// Windows a batch.
    pub batch: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// The sizes of the reference network.
    pub network: NetworkConfig,
}

impl TrainingOptions {
    /// The preset `lstm`, on one thread.
    #[must_use]
    pub fn lstm() -> Self {
        Self {
            preset: Preset::Lstm,
            epochs: 8,
            patience: Some(3),
            batch: 64,
            learning_rate: 3e-3,
            ..Self::reference()
        }
    }

    /// The preset `lstm` from random weights.
    #[must_use]
    pub fn lstm_from_scratch() -> Self {
        Self { from_scratch: true, epochs: 50, ..Self::lstm() }
    }

    /// The tutorial's recipe, stopped early; one thread.
    #[must_use]
    pub fn reference() -> Self {
        Self {
            preset: Preset::Reference,
            from_scratch: false,
            epochs: 50,
            patience: Some(5),
            seed: 42,
            threads: 1,
            device: DeviceKind::Cpu,
            batch: 32,
            learning_rate: 1e-3,
            network: NetworkConfig::REFERENCE,
        }
    }
}

/// Checked [`TrainingOptions`].
#[derive(Clone, PartialEq, Debug)]
pub struct TrainingConfig(TrainingOptions);

/// Why options are refused.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum TrainingConfigError {
    /// A count is out of its range.
    #[error("{name} is {given}, expected 1 to {max}")]
    Count {
        /// The option.
        name: &'static str,
        /// Its value.
        given: usize,
        /// The greatest value allowed.
        max: usize,
    },
    /// The learning rate is no rate.
    #[error("the learning rate is {0}, expected a number above 0 and up to 1, such as 0.001")]
    LearningRate(f64),
    /// The quantile network is computed by our own kernels.
    #[error(
        "the preset lstm runs on the CPU, not on {0}: leave the device out, or take the preset reference"
    )]
    Device(DeviceKind),
    /// The reference network always starts from random weights.
    #[error("the preset reference always starts from scratch: leave that out")]
    FromScratch,
    /// The dropout is no share.
    #[error("dropout is {0}, expected at least 0 and below 1, such as 0.2")]
    Dropout(f64),
}

impl TryFrom<TrainingOptions> for TrainingConfig {
    type Error = TrainingConfigError;

    fn try_from(options: TrainingOptions) -> Result<Self, TrainingConfigError> {
        let NetworkConfig { lookback, hidden, dense, dropout } = options.network;
        let counts = [
            ("epochs", options.epochs, EPOCHS_MAX),
            ("patience", options.patience.unwrap_or(1), EPOCHS_MAX),
            ("threads", options.threads, THREADS_MAX),
            ("batch", options.batch, BATCH_MAX),
            ("lookback", lookback, WIDTH_MAX),
            ("hidden", hidden, WIDTH_MAX),
            ("dense", dense, WIDTH_MAX),
        ];
        if let Some(&(name, given, max)) = counts.iter().find(|(_, n, max)| *n < 1 || n > max) {
            return Err(TrainingConfigError::Count { name, given, max });
        }
        if !(options.learning_rate > 0.0 && options.learning_rate <= 1.0) {
            return Err(TrainingConfigError::LearningRate(options.learning_rate));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(TrainingConfigError::Dropout(dropout));
        }
        match options.preset {
            Preset::Lstm if !options.device.is_fused() => {
                return Err(TrainingConfigError::Device(options.device));
            }
            Preset::Reference if options.from_scratch => {
                return Err(TrainingConfigError::FromScratch);
            }
            Preset::Lstm | Preset::Reference => {}
        }
        Ok(Self(options))
    }
}

impl TrainingConfig {
    /// The options.
    #[must_use]
    pub fn options(&self) -> &TrainingOptions {
        &self.0
    }

    /// A text that tells apart the configurations that lead to other weights.
    pub(crate) fn fingerprint_text(&self) -> String {
        let TrainingOptions { preset, from_scratch, epochs, patience, .. } = self.0;
        let TrainingOptions { seed, batch, learning_rate, .. } = self.0;
        let NetworkConfig { lookback, hidden, dense, dropout } = self.0.network;
        let preset = preset.as_str();
        let mut text =
            format!("{preset} epochs {epochs} patience {patience:?} seed {seed} batch {batch}");
        // Writing to a string does not fail.
        let _ = write!(text, " learning_rate {learning_rate}");
        let _ =
            write!(text, " lookback {lookback} hidden {hidden} dense {dense} dropout {dropout}");
        let _ = write!(text, " from_scratch {from_scratch}");
        if preset == Preset::Lstm.as_str() {
            let _ = write!(text, " start {}", Pretrained::embedded().fingerprint());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut TrainingOptions)) -> String {
        let mut options = TrainingOptions::reference();
        change(&mut options);
        TrainingConfig::try_from(options).unwrap_err().to_string()
    }

    #[test]
    fn refuses_what_makes_no_sense_and_says_what_does() {
        assert!(TrainingConfig::try_from(TrainingOptions::reference()).is_ok());
        assert_eq!(refused(|o| o.epochs = 0), "epochs is 0, expected 1 to 10000");
        assert!(refused(|o| o.epochs = 10_001).contains("1 to 10000"));
        assert!(refused(|o| o.patience = Some(0)).starts_with("patience"));
        assert!(refused(|o| o.threads = 0).starts_with("threads"));
        assert!(refused(|o| o.learning_rate = f64::NAN).contains("such as 0.001"));
        assert!(refused(|o| o.network.dropout = 1.0).contains("below 1"));
        assert!(refused(|o| o.from_scratch = true).contains("leave that out"));
    }
}
