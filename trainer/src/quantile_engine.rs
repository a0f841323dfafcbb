//! Steps of Adam on the pinball loss of a quantile network, over windows of one series or many.
//!
//! Each step draws windows from all series alike, whatever their lengths, each series' loss divided by
//! its own recent loss: a series that is hard to forecast does not drown those that are not. What is
//! kept is the running mean of the weights.

use std::ops::Range;
use std::sync::{Mutex, PoisonError, RwLock};

use forecast::covariates::{Covariates, Past};
use forecast::gaps::Filled;
use forecast::{HORIZON, LOOKBACK, SeriesView};
use model::{
    Adam, Isa, Purpose, QuantileConfig, QuantileNetwork, QuantileTile, QuantileWorkspace, TENSORS,
    Weights, below, stream, unit,
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::error::TrainingError;
use crate::team::Team;
use crate::tiles::{add_tensors, lock, lock_any, zeros};

/// The settings of a training of a quantile network.
#[derive(Clone, PartialEq, Debug)]
pub struct QuantileOptions {
    /// Steps of Adam.
    pub steps: usize,
    /// Windows of a step.
    pub batch: usize,
    /// The highest learning rate: it rises over the first steps and falls as a cosine.
    pub learning_rate: f64,
    /// Share of the learning rate that weights, not biases, shrink by in a step (Loshchilov and
    /// Hutter, 2019).
    pub weight_decay: f64,
    /// Share of windows that see only the end of their history, so that the network learns what to
    /// do for a workload that is young.
    pub shortened: f64,
    /// The seed of weights, windows and dropout.
    pub seed: u64,
    /// Threads of the CPU.
    pub threads: usize,
}

impl Default for QuantileOptions {
    /// Those of the network that ships, on one thread.
    fn default() -> Self {
        Self {
            steps: 6000,
            batch: 256,
            learning_rate: 3e-3,
            weight_decay: 0.05,
            shortened: 0.1,
            seed: 1,
            threads: 1,
        }
    }
}

/// Steps over which the learning rate rises.
const WARM_UP_STEPS: f64 = 100.0;
/// The share of a short training over which it rises.
const WARM_UP_SHARE: f64 = 0.1;
/// The longest gradient that is followed as it is; a longer one is cut to it.
const GRADIENT_NORM_MAX: f64 = 1.0;
/// Decay of the running mean of the weights.
const WEIGHTS_DECAY: f64 = 0.995;
/// Decay of a series' running loss.
const LOSS_DECAY: f64 = 0.98;
/// Added to a running loss before it divides: a series that is forecast almost exactly must not
/// count for all.
const LOSS_FLOOR: f64 = 0.003;
/// Bounds of a window's weight.
const WEIGHT_RANGE: (f64, f64) = (0.05, 8.0);
/// Days of a shortened history, at most.
const SHORTENED_DAYS_MAX: f64 = 7.5;
/// Observed steps that a training window's lookback needs, and the steps ahead.
const OBSERVED_MIN: (usize, usize) = (18, 6);

/// A series that windows are drawn from.
pub(crate) struct Source<'a> {
    filled: Filled,
    /// From the first observed value on, as `filled`.
    actuals: &'a [Option<f64>],
    day: usize,
    /// Offsets of the first step ahead.
    origins: Vec<usize>,
}

impl<'a> Source<'a> {
    /// All of `series`; `None` where it has no window.
    pub(crate) fn of(series: SeriesView<'a>) -> Option<Self> {
        Self::within(series, 0..series.len())
    }

    /// The windows of `series` whose steps ahead lie in `part`, given by offset; `None` where there
    /// is none.
    pub(crate) fn within(series: SeriesView<'a>, part: Range<usize>) -> Option<Self> {
        let series = series.prefix(part.end);
        let filled = Filled::from_view(series);
        let leading = series.len() - filled.len();
        let actuals = &series.values()[leading..];
        let day = series.step().per_day();
        // The first day says little about what a workload with a history is like.
        let young = day.min(filled.len() / 4).max(LOOKBACK);
        let first = young.max(part.start.saturating_sub(leading));
        let seen = |values: &[Option<f64>]| values.iter().flatten().count();
        let origins: Vec<usize> = (first..=actuals.len().saturating_sub(HORIZON))
            .filter(|&origin| {
                seen(&actuals[origin - LOOKBACK..origin]) >= OBSERVED_MIN.0
                    && seen(&actuals[origin..origin + HORIZON]) >= OBSERVED_MIN.1
            })
            .collect();
        (!origins.is_empty()).then_some(Self { filled, actuals, day, origins })
    }

    /// The number of its windows.
    pub(crate) fn windows(&self) -> usize {
        self.origins.len()
    }

    /// Adds a window, with all of its history, to `tile`.
    pub(crate) fn push(&self, window: usize, tile: &mut QuantileTile) {
        self.push_seeing(self.origins[window], usize::MAX, 1.0, tile);
    }

    /// Adds the window at `origin`, which sees at most `steps_max` before it.
    fn push_seeing(&self, origin: usize, steps_max: usize, weight: f32, tile: &mut QuantileTile) {
        let past = Past::before(&self.filled, origin, steps_max, self.day);
        let past = past.expect("an origin has a lookback before it");
        let actuals = std::array::from_fn(|k| self.actuals[origin + k]);
        tile.push_example(&Covariates::of(&past), actuals, weight);
    }
}

/// A window of a batch.
#[derive(Clone, Copy)]
struct Pick {
    source: usize,
    origin: usize,
    /// Steps of history that it may see.
    steps_max: usize,
    weight: f32,
}

/// What all threads share.
pub(crate) struct Shared<'a> {
    options: &'a QuantileOptions,
    sources: Vec<Source<'a>>,
    round: RwLock<Round>,
    tiles: Vec<Mutex<TileResult>>,
    scratch: Vec<Mutex<Scratch>>,
}

struct Round {
    network: QuantileNetwork,
    picks: Vec<Pick>,
    seeds: Vec<u64>,
}

struct TileResult {
    gradients: [Vec<f32>; TENSORS],
    losses: [f32; QuantileTile::WINDOWS_MAX],
}

struct Scratch {
    tile: QuantileTile,
    workspace: QuantileWorkspace,
}

impl<'a> Shared<'a> {
    /// Room for a training from `weights` on `sources`.
    pub(crate) fn new(
        options: &'a QuantileOptions,
        sources: Vec<Source<'a>>,
        weights: &Weights<QuantileConfig>,
    ) -> Self {
        let network = QuantileNetwork::new(weights, Isa::best());
        let tiles = options.batch.div_ceil(QuantileTile::WINDOWS_MAX);
        let result = || TileResult {
            gradients: zeros(weights.tensors()),
            losses: [0.0; QuantileTile::WINDOWS_MAX],
        };
        let scratch = || Scratch { tile: QuantileTile::new(), workspace: network.workspace() };
        let threads = options.threads.clamp(1, tiles.max(1));
        Self {
            options,
            sources,
            tiles: (0..tiles).map(|_| Mutex::new(result())).collect(),
            scratch: (0..threads).map(|_| Mutex::new(scratch())).collect(),
            round: RwLock::new(Round { network, picks: Vec::new(), seeds: Vec::new() }),
        }
    }

    /// Threads that find work.
    pub(crate) fn threads(&self) -> usize {
        self.scratch.len()
    }

    /// Computes the gradients of tile `i` of the round.
    pub(crate) fn work(&self, i: usize) {
        let round = self.round.read().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = lock_any(&self.scratch);
        let Scratch { tile, workspace } = &mut *scratch;
        let mut result = lock(&self.tiles[i]);
        tile.clear();
        for pick in tile_of(&round.picks, i) {
            let Pick { source, origin, steps_max, weight } = *pick;
            self.sources[source].push_seeing(origin, steps_max, weight, tile);
        }
        workspace.draw_masks(round.network.config().dropout, round.seeds[i]);
        let TileResult { gradients, losses } = &mut *result;
        gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        round.network.add_gradients(tile, workspace, gradients);
        *losses = *workspace.losses();
    }
}

fn tile_of(picks: &[Pick], i: usize) -> &[Pick] {
    picks.chunks(QuantileTile::WINDOWS_MAX).nth(i).unwrap_or(&[])
}

/// A training as the thread that steers the others sees it.
pub(crate) struct QuantileEngine<'a> {
    shared: &'a Shared<'a>,
    team: &'a Team<'a>,
    weights: [Vec<f32>; TENSORS],
    mean_weights: [Vec<f32>; TENSORS],
    adam: Adam,
    /// Each source's running loss.
    losses: Vec<f64>,
    loss: Option<f64>,
    /// Steps done.
    done: usize,
    windows: ChaCha8Rng,
    dropout: ChaCha8Rng,
}

impl<'a> QuantileEngine<'a> {
    pub(crate) fn new(
        shared: &'a Shared<'a>,
        team: &'a Team<'a>,
        weights: &Weights<QuantileConfig>,
    ) -> Self {
        let sizes = weights.tensors().each_ref().map(Vec::len);
        Self {
            shared,
            team,
            weights: weights.tensors().clone(),
            mean_weights: weights.tensors().clone(),
            adam: Adam::new(shared.options.learning_rate, &sizes, Isa::best()),
            losses: vec![0.1; shared.sources.len()],
            loss: None,
            done: 0,
            windows: stream(shared.options.seed, Purpose::Shuffling),
            dropout: stream(shared.options.seed, Purpose::Dropout),
        }
    }

    /// Takes one step; returns the running mean of the windows' loss, in units of their scales.
    ///
    /// # Errors
    /// When the loss is no number any more.
    pub(crate) fn step(&mut self) -> Result<f64, TrainingError> {
        self.draw();
        self.team.run(self.shared.tiles.len());
        self.update();
        self.done += 1;
        let loss = self.loss.filter(|loss| loss.is_finite());
        loss.ok_or(TrainingError::DivergedAtStep { step: self.done })
    }

    /// The running mean of the weights.
    pub(crate) fn mean_weights(&self) -> &[Vec<f32>; TENSORS] {
        &self.mean_weights
    }

    /// Draws the windows of the next step, and their weights in the loss.
    fn draw(&mut self) {
        let Self { windows, dropout, .. } = self;
        let Shared { options, sources, tiles, round, .. } = self.shared;
        let mut round = round.write().unwrap_or_else(PoisonError::into_inner);
        round.picks.clear();
        for _ in 0..options.batch {
            let source = below(sources.len(), windows);
            let Source { origins, day, .. } = &sources[source];
            let origin = origins[below(origins.len(), windows)];
            let shortened = unit(windows) < options.shortened;
            // Squared, so that the first hours of a workload are seen often.
            let days = SHORTENED_DAYS_MAX * unit(windows).powi(2);
            let steps_max =
                if shortened { LOOKBACK + (days * *day as f64) as usize } else { usize::MAX };
            round.picks.push(Pick { source, origin, steps_max, weight: 0.0 });
        }
        let raw = |pick: &Pick| 1.0 / (self.losses[pick.source] + LOSS_FLOOR);
        let mean = round.picks.iter().map(raw).sum::<f64>() / options.batch as f64;
        for pick in &mut round.picks {
            let weight = (raw(pick) / mean).clamp(WEIGHT_RANGE.0, WEIGHT_RANGE.1);
            pick.weight = (weight / options.batch as f64) as f32;
        }
        round.seeds.clear();
        round.seeds.extend(tiles.iter().map(|_| dropout.next_u64()));
    }

    /// Takes the tiles' gradients for one step of Adam.
    fn update(&mut self) {
        let step = self.done;
        let Shared { options, tiles, round, .. } = self.shared;
        let mut round = round.write().unwrap_or_else(PoisonError::into_inner);
        let mut batch_loss = 0.0;
        for (i, tile) in tiles.iter().enumerate() {
            for (pick, loss) in tile_of(&round.picks, i).iter().zip(lock(tile).losses) {
                let running = &mut self.losses[pick.source];
                *running = LOSS_DECAY * *running + (1.0 - LOSS_DECAY) * f64::from(loss);
                batch_loss += f64::from(loss) / options.batch as f64;
            }
        }
        let running = self.loss.unwrap_or(batch_loss);
        self.loss = Some(LOSS_DECAY * running + (1.0 - LOSS_DECAY) * batch_loss);
        let mut sum = lock(&tiles[0]);
        for tile in &tiles[1..] {
            add_tensors(&mut sum.gradients, &lock(tile).gradients);
        }
        clip(&mut sum.gradients);
        let rate = learning_rate(step, options);
        self.adam.set_learning_rate(rate);
        let kept = (1.0 - rate * options.weight_decay) as f32;
        // Matrices and biases alternate.
        self.weights.iter_mut().step_by(2).flatten().for_each(|weight| *weight *= kept);
        self.adam.step(&mut self.weights, &sum.gradients);
        round.network.set(&self.weights);
        // The first weights are soon forgotten.
        let decay = WEIGHTS_DECAY.min((1 + step) as f64 / (10 + step) as f64) as f32;
        let pairs = self.mean_weights.iter_mut().flatten().zip(self.weights.iter().flatten());
        pairs.for_each(|(mean, weight)| *mean = decay * *mean + (1.0 - decay) * weight);
    }
}

fn clip(gradients: &mut [Vec<f32>; TENSORS]) {
    let square = |gradient: &f32| f64::from(*gradient).powi(2);
    let norm = gradients.iter().flatten().map(square).sum::<f64>().sqrt();
    if norm > GRADIENT_NORM_MAX {
        let factor = (GRADIENT_NORM_MAX / norm) as f32;
        gradients.iter_mut().flatten().for_each(|gradient| *gradient *= factor);
    }
}

fn learning_rate(step: usize, options: &QuantileOptions) -> f64 {
    let done = step as f64;
    let steps = options.steps as f64;
    let warm_up = WARM_UP_STEPS.min(WARM_UP_SHARE * steps);
    if done < warm_up {
        return options.learning_rate * (done + 1.0) / warm_up;
    }
    let left = (steps - warm_up).max(1.0);
    let turn = std::f64::consts::PI * (done - warm_up) / left;
    options.learning_rate * 0.5 * (1.0 + turn.cos())
}
