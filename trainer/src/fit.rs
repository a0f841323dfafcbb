//! The epochs: steps in a new order each time, validation, early stopping.

use std::ops::ControlFlow;
use std::time::Instant;

use model::{Device, Purpose, TENSORS, Weights, below, stream};
use rand::Rng;

use crate::batches::Examples;
use crate::burn_engine::BurnEngine;
use crate::config::TrainingOptions;
use crate::engine::Engine;
use crate::error::TrainingError;
use crate::event::TrainingEvent;
use crate::fused_engine::{FusedEngine, Shared};
use crate::team::Team;

/// Who is told, and may cancel.
pub(crate) type Observer<'a> = dyn FnMut(TrainingEvent) -> ControlFlow<()> + 'a;

/// What a fit leaves.
#[derive(Clone, Debug)]
pub(crate) struct Fitted {
    pub(crate) weights: Weights,
    pub(crate) train_loss: Vec<f64>,
    pub(crate) validation_loss: Vec<f64>,
    pub(crate) best_epoch: usize,
    pub(crate) stopped_early: bool,
    /// Threads of ours that found work.
    pub(crate) threads: usize,
}

/// Tells an event; an observer that breaks cancels.
pub(crate) fn tell(observer: &mut Observer<'_>, event: TrainingEvent) -> Result<(), TrainingError> {
    match observer(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(TrainingError::Cancelled),
    }
}

/// Fits a network to `train`, watching `validation`.
pub(crate) fn fit(
    train: &Examples,
    validation: &Examples,
    options: &TrainingOptions,
    device: &Device,
    observer: &mut Observer<'_>,
) -> Result<Fitted, TrainingError> {
    let weights = Weights::initial(options.network, options.seed);
    if device.kind().is_fused() {
        let shared = Shared::new(options, train, validation, &weights);
        let fitted = Team::with(shared.threads(), &|tile| shared.work(tile), |team| {
            let mut engine = FusedEngine::new(&shared, team, &weights);
            epochs(&mut engine, train.len(), options, observer)
        });
        let fitted = fitted.map_err(|e| TrainingError::Compute(format!("no threads: {e}")))?;
        Ok(Fitted { threads: shared.threads(), ..fitted? })
    } else {
        let mut engine = BurnEngine::new(options, train, validation, &weights, device);
        epochs(&mut engine, train.len(), options, observer)
    }
}

/// The best epoch so far.
pub(crate) struct Best {
    pub(crate) epoch: usize,
    pub(crate) validation_loss: f64,
    pub(crate) weights: [Vec<f32>; TENSORS],
}

fn epochs(
    engine: &mut dyn Engine,
    windows: usize,
    options: &TrainingOptions,
    observer: &mut Observer<'_>,
) -> Result<Fitted, TrainingError> {
    let mut order: Vec<usize> = (0..windows).collect();
    let mut shuffling = stream(options.seed, Purpose::Shuffling);
    let mut best = Best { epoch: 0, validation_loss: f64::INFINITY, weights: engine.weights()? };
    let (mut train_losses, mut validation_losses) = (Vec::new(), Vec::new());
    let mut stopped_early = false;
    for epoch in 1..=options.epochs {
        let started = Instant::now();
        shuffle(&mut order, &mut shuffling);
        let batches = windows.div_ceil(options.batch);
        for (done, indices) in order.chunks(options.batch).enumerate() {
            engine.step(indices);
            tell(observer, TrainingEvent::Batch { epoch, done: done + 1, of: batches })?;
        }
        let train_loss = engine.take_squared_errors()? / windows as f64;
        let validation_loss = engine.validation_loss()?;
        if !(train_loss.is_finite() && validation_loss.is_finite()) {
            return Err(TrainingError::Diverged { epoch });
        }
        train_losses.push(train_loss);
        validation_losses.push(validation_loss);
        if validation_loss < best.validation_loss || options.patience.is_none() {
            best = Best { epoch, validation_loss, weights: engine.weights()? };
        }
        let seconds = started.elapsed().as_secs_f64();
        tell(observer, TrainingEvent::Epoch { epoch, train_loss, validation_loss, seconds })?;
        if options.patience.is_some_and(|patience| epoch - best.epoch >= patience) {
            stopped_early = epoch < options.epochs;
            break;
        }
    }
    let weights = Weights::new(options.network, best.weights)
        .map_err(|_| TrainingError::Diverged { epoch: best.epoch })?;
    Ok(Fitted {
        weights,
        train_loss: train_losses,
        validation_loss: validation_losses,
        best_epoch: best.epoch,
        stopped_early,
        threads: 1,
    })
}

/// A random permutation (Fisher and Yates, 1938).
fn shuffle(order: &mut [usize], rng: &mut impl Rng) {
    for last in (1..order.len()).rev() {
        order.swap(last, below(last + 1, rng));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation_that_the_seed_decides() {
        let shuffled = |seed| {
            let mut order: Vec<usize> = (0..100).collect();
            shuffle(&mut order, &mut stream(seed, Purpose::Shuffling));
            order
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
