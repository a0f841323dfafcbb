//! One quantile network trained on many series at once.

use std::ops::ControlFlow;

use forecast::{HORIZON, LOOKBACK, SeriesView};
use model::{QuantileConfig, TENSORS, Weights};

use crate::error::TrainingError;
use crate::quantile_engine::{QuantileEngine, QuantileOptions, Shared, Source};
use crate::team::Team;

/// How far a pre-training is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PretrainingProgress {
    /// Steps done.
    pub done: usize,
    /// Steps to do.
    pub of: usize,
    /// The running mean of the windows' loss, in units of their scales.
    pub loss: f64,
}

/// Trains one quantile network of these sizes on all of `corpus`. One seed and corpus yield the same
/// weights with any number of threads, on the same instruction set.
///
/// # Errors
/// When a series has no window, the loss diverges, or the observer breaks.
pub fn pretrain(
    corpus: &[SeriesView<'_>],
    network: QuantileConfig,
    options: &QuantileOptions,
    observer: &mut dyn FnMut(PretrainingProgress) -> ControlFlow<()>,
) -> Result<Weights<QuantileConfig>, TrainingError> {
    let mut sources = Vec::with_capacity(corpus.len());
    for series in corpus {
        let (needed, id) = (LOOKBACK + HORIZON, series.id().clone());
        let source = Source::of(*series);
        sources.push(source.ok_or(TrainingError::NoWindowsIn { series: id, needed })?);
    }
    if sources.is_empty() {
        return Err(TrainingError::NoWindows { part: "training", needed: LOOKBACK + HORIZON });
    }
    let weights = Weights::initial_quantile(network, options.seed);
    let shared = Shared::new(options, sources, &weights);
    let trained = Team::with(shared.threads(), &|tile| shared.work(tile), |team| {
        steps(QuantileEngine::new(&shared, team, &weights), options.steps, observer)
    });
    let tensors = trained.map_err(|e| TrainingError::Compute(format!("no threads: {e}")))??;
    Weights::new(network, tensors)
        .map_err(|_| TrainingError::DivergedAtStep { step: options.steps })
}

fn steps(
    mut engine: QuantileEngine<'_>,
    of: usize,
    observer: &mut dyn FnMut(PretrainingProgress) -> ControlFlow<()>,
) -> Result<[Vec<f32>; TENSORS], TrainingError> {
    for done in 1..=of {
        let loss = engine.step()?;
        if observer(PretrainingProgress { done, of, loss }).is_break() {
            return Err(TrainingError::Cancelled);
        }
    }
    Ok(engine.mean_weights().clone())
}
