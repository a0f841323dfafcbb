//! A quantile network trained on, on the history of one workload.
//!
//! The network that ships knows many workloads; some hundred steps on the history of this one teach it
//! what is peculiar here. Epochs that do not make it better on the validation part are not kept.

use std::ops::Range;
use std::time::Instant;

use forecast::{HORIZON, LOOKBACK, SeriesView};
use model::{
    Isa, QuantileConfig, QuantileNetwork, QuantileTile, QuantileWorkspace, TENSORS, Weights,
};

use crate::error::TrainingError;
use crate::event::TrainingEvent;
use crate::fit::{Best, Observer, tell};
use crate::quantile_engine::{QuantileEngine, QuantileOptions, Shared, Source};
use crate::team::Team;

/// Steps between two looks at the validation part.
pub(crate) const EPOCH_STEPS: usize = 30;
/// Without weight decay: what many workloads have taught is not to fade.
const WEIGHT_DECAY: f64 = 0.0;

/// How a network is trained on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct FineTuning {
    /// Epochs of [`EPOCH_STEPS`], at most.
    pub(crate) epochs: usize,
    /// Epochs without a lower validation loss after which it ends; `None`: never, and the last
    /// weights are kept.
    pub(crate) patience: Option<usize>,
    /// Windows of a step.
    pub(crate) batch: usize,
    /// The highest learning rate.
    pub(crate) learning_rate: f64,
    /// Decides windows and dropout.
    pub(crate) seed: u64,
    /// Threads; any number yields the same weights.
    pub(crate) threads: usize,
}

/// What a fine-tuning leaves. Losses are mean pinball losses in units of each window's scale.
#[derive(Clone, Debug)]
pub(crate) struct Tuned {
    pub(crate) weights: Weights<QuantileConfig>,
    pub(crate) train_loss: Vec<f64>,
    pub(crate) validation_loss: Vec<f64>,
    /// 0 where no epoch was better than the start.
    pub(crate) best_epoch: usize,
    pub(crate) stopped_early: bool,
    pub(crate) threads: usize,
    /// Windows of the training part.
    pub(crate) windows: usize,
}

/// Trains `start` on, on the part `train` of `series`, watching the part `validation`.
///
/// # Errors
/// When a part has no window, the loss diverges, or the observer breaks.
pub(crate) fn fine_tune(
    start: &Weights<QuantileConfig>,
    series: SeriesView<'_>,
    [train, validation]: [Range<usize>; 2],
    tuning: &FineTuning,
    observer: &mut Observer<'_>,
) -> Result<Tuned, TrainingError> {
    let needed = LOOKBACK + HORIZON;
    let part = |part, range| {
        Source::within(series, range).ok_or(TrainingError::NoWindows { part, needed })
    };
    let source = part("training", train)?;
    let mut validation = Validation::new(part("validation", validation)?, start);
    let windows = source.windows();
    tell(observer, TrainingEvent::Started { windows, epochs: tuning.epochs })?;
    let options = QuantileOptions {
        steps: tuning.epochs * EPOCH_STEPS,
        batch: tuning.batch,
        learning_rate: tuning.learning_rate,
        weight_decay: WEIGHT_DECAY,
        shortened: 0.0,
        seed: tuning.seed,
        threads: tuning.threads,
    };
    let shared = Shared::new(&options, vec![source], start);
    let tuned = Team::with(shared.threads(), &|tile| shared.work(tile), |team| {
        let engine = QuantileEngine::new(&shared, team, start);
        epochs(engine, start, &mut validation, tuning, observer)
    });
    let tuned = tuned.map_err(|e| TrainingError::Compute(format!("no threads: {e}")))??;
    Ok(Tuned { threads: shared.threads(), windows, ..tuned })
}

fn epochs(
    mut engine: QuantileEngine<'_>,
    start: &Weights<QuantileConfig>,
    validation: &mut Validation<'_>,
    tuning: &FineTuning,
    observer: &mut Observer<'_>,
) -> Result<Tuned, TrainingError> {
    let weights = start.tensors().clone();
    let mut best = Best { epoch: 0, validation_loss: validation.loss(&weights), weights };
    let (mut train_losses, mut validation_losses) = (Vec::new(), Vec::new());
    let mut stopped_early = false;
    for epoch in 1..=tuning.epochs {
        let (started, mut loss) = (Instant::now(), f64::NAN);
        for done in 1..=EPOCH_STEPS {
            loss = engine.step()?;
            tell(observer, TrainingEvent::Batch { epoch, done, of: EPOCH_STEPS })?;
        }
        let validated = validation.loss(engine.mean_weights());
        if !validated.is_finite() {
            return Err(TrainingError::Diverged { epoch });
        }
        train_losses.push(loss);
        validation_losses.push(validated);
        if validated < best.validation_loss || tuning.patience.is_none() {
            let weights = engine.mean_weights().clone();
            best = Best { epoch, validation_loss: validated, weights };
        }
        let seconds = started.elapsed().as_secs_f64();
        let (train_loss, validation_loss) = (loss, validated);
        tell(observer, TrainingEvent::Epoch { epoch, train_loss, validation_loss, seconds })?;
        if tuning.patience.is_some_and(|patience| epoch - best.epoch >= patience) {
            stopped_early = epoch < tuning.epochs;
            break;
        }
    }
    let weights = Weights::new(start.config(), best.weights)
        .map_err(|_| TrainingError::Diverged { epoch: best.epoch })?;
    Ok(Tuned {
        weights,
        train_loss: train_losses,
        validation_loss: validation_losses,
        best_epoch: best.epoch,
        stopped_early,
        threads: 1,
        windows: 0,
    })
}

/// The windows that tell whether an epoch has made the network better.
struct Validation<'a> {
    source: Source<'a>,
    network: QuantileNetwork,
    workspace: QuantileWorkspace,
    tile: QuantileTile,
}

impl<'a> Validation<'a> {
    fn new(source: Source<'a>, weights: &Weights<QuantileConfig>) -> Self {
        let network = QuantileNetwork::new(weights, Isa::best());
        let workspace = network.workspace();
        Self { source, network, workspace, tile: QuantileTile::new() }
    }

    /// The mean loss of all windows, without dropout.
    fn loss(&mut self, weights: &[Vec<f32>; TENSORS]) -> f64 {
        self.network.set(weights);
        let (windows, mut sum) = (self.source.windows(), 0.0);
        for first in (0..windows).step_by(QuantileTile::WINDOWS_MAX) {
            let last = windows.min(first + QuantileTile::WINDOWS_MAX);
            self.tile.clear();
            (first..last).for_each(|window| self.source.push(window, &mut self.tile));
            self.network.evaluate(&self.tile, &mut self.workspace);
            let losses = &self.workspace.losses()[..last - first];
            sum += losses.iter().copied().map(f64::from).sum::<f64>();
        }
        sum / windows as f64
    }
}
