//! Training on the CPU, on our own kernels.
//!
//! A batch is cut into tiles of sixteen windows. Each tile has its own dropout masks and gradients,
//! whichever thread computes them, and gradients are added in the order of the tiles: any number of
//! threads yields the same weights, bit for bit.

use std::sync::{Mutex, PoisonError, RwLock};

use model::{
    Adam, BatchTile, FusedNetwork, Isa, Purpose, TENSORS, Tile, TileMasks, Weights, Workspace,
    stream,
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::batches::Examples;
use crate::config::TrainingOptions;
use crate::engine::Engine;
use crate::error::TrainingError;
use crate::team::Team;
use crate::tiles::{add_tensors, lock, lock_any, zeros};

/// What all threads of a training share.
pub(crate) struct Shared<'a> {
    options: &'a TrainingOptions,
    train: &'a Examples,
    validation: &'a Examples,
    /// Written between the rounds, by one thread.
    round: RwLock<Round>,
    /// One a tile of the round; the gradients of those beyond a batch are never asked for.
    tiles: Vec<Mutex<TileResult>>,
    /// One a thread; whoever works takes a free one.
    scratch: Vec<Mutex<Scratch>>,
}

/// What is computed in a round.
struct Round {
    network: FusedNetwork,
    task: Task,
    /// Training examples of the batch.
    indices: Vec<usize>,
    /// Dropout's seeds, one a tile.
    seeds: Vec<u64>,
}

#[derive(Clone, Copy)]
enum Task {
    Gradients,
    Validation,
}

/// What a tile yields.
struct TileResult {
    gradients: [Vec<f32>; TENSORS],
    squared_errors: f64,
}

/// What a thread needs for a tile, kept so that no step allocates.
struct Scratch {
    tile: Tile,
    masks: TileMasks,
    workspace: Workspace,
}

impl<'a> Shared<'a> {
    /// What a training with these options needs, from these weights on.
    pub(crate) fn new(
        options: &'a TrainingOptions,
        train: &'a Examples,
        validation: &'a Examples,
        weights: &Weights,
    ) -> Self {
        let network = FusedNetwork::new(weights, Isa::best());
        let scratch = || {
            Mutex::new(Scratch {
                tile: Tile::new(options.network.lookback),
                masks: TileMasks::none(&options.network),
                workspace: network.workspace(),
            })
        };
        let batch = tiles(options.batch.min(train.len()));
        // A batch has no more tiles to share.
        let scratch = (0..options.threads.min(batch)).map(|_| scratch()).collect();
        let tile = |i: usize| {
            let gradients = if i < batch { zeros(weights.tensors()) } else { Default::default() };
            Mutex::new(TileResult { gradients, squared_errors: 0.0 })
        };
        let tiles = (0..batch.max(tiles(validation.len()))).map(tile).collect();
        let round = RwLock::new(Round {
            network,
            task: Task::Gradients,
            indices: Vec::new(),
            seeds: Vec::new(),
        });
        Self { options, train, validation, round, tiles, scratch }
    }

    /// Threads that find work.
    pub(crate) fn threads(&self) -> usize {
        self.scratch.len()
    }

    /// Computes tile `i` of the round.
    pub(crate) fn work(&self, i: usize) {
        let round = self.round.read().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = lock_any(&self.scratch);
        let Scratch { tile, masks, workspace } = &mut *scratch;
        let mut result = lock(&self.tiles[i]);
        tile.clear();
        let range = |count: usize| i * Tile::WINDOWS_MAX..count.min((i + 1) * Tile::WINDOWS_MAX);
        result.squared_errors = match round.task {
            Task::Gradients => {
                for &index in &round.indices[range(round.indices.len())] {
                    self.train.push(index, tile);
                }
                masks.draw(self.options.network.dropout, round.seeds[i]);
                let gradients = &mut result.gradients;
                gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
                let tile = BatchTile { tile, masks, batch: round.indices.len() };
                round.network.add_gradients(tile, workspace, gradients)
            }
            Task::Validation => {
                for index in range(self.validation.len()) {
                    self.validation.push(index, tile);
                }
                round.network.squared_errors(tile, workspace)
            }
        };
    }
}

fn tiles(windows: usize) -> usize {
    windows.div_ceil(Tile::WINDOWS_MAX)
}

/// The training as the thread that steers the others sees it.
pub(crate) struct FusedEngine<'a> {
    shared: &'a Shared<'a>,
    team: &'a Team<'a>,
    weights: [Vec<f32>; TENSORS],
    adam: Adam,
    dropout: ChaCha8Rng,
    squared_errors: f64,
}

impl<'a> FusedEngine<'a> {
    /// A training that `team` computes; its work is [`Shared::work`] of `shared`.
    pub(crate) fn new(shared: &'a Shared<'a>, team: &'a Team<'a>, weights: &Weights) -> Self {
        let options = shared.options;
        let sizes = weights.tensors().each_ref().map(Vec::len);
        Self {
            shared,
            team,
            weights: weights.tensors().clone(),
            adam: Adam::new(options.learning_rate, &sizes, Isa::best()),
            dropout: stream(options.seed, Purpose::Dropout),
            squared_errors: 0.0,
        }
    }

    /// Has the team compute a round of `count` windows; the sum of the squared errors.
    fn run(&self, count: usize) -> f64 {
        self.team.run(tiles(count));
        self.shared.tiles[..tiles(count)].iter().map(|tile| lock(tile).squared_errors).sum()
    }
}

impl Engine for FusedEngine<'_> {
    fn step(&mut self, indices: &[usize]) {
        let tiles = tiles(indices.len());
        {
            let mut round = self.shared.round.write().unwrap_or_else(PoisonError::into_inner);
            round.task = Task::Gradients;
            round.indices.clear();
            round.indices.extend_from_slice(indices);
            round.seeds.clear();
            round.seeds.extend((0..tiles).map(|_| self.dropout.next_u64()));
        }
        self.squared_errors += self.run(indices.len());
        let mut sum = lock(&self.shared.tiles[0]);
        for tile in &self.shared.tiles[1..tiles] {
            add_tensors(&mut sum.gradients, &lock(tile).gradients);
        }
        self.adam.step(&mut self.weights, &sum.gradients);
        let mut round = self.shared.round.write().unwrap_or_else(PoisonError::into_inner);
        round.network.set(&self.weights);
    }

    fn take_squared_errors(&mut self) -> Result<f64, TrainingError> {
        Ok(std::mem::take(&mut self.squared_errors))
    }

    fn validation_loss(&mut self) -> Result<f64, TrainingError> {
        let count = self.shared.validation.len();
        self.shared.round.write().unwrap_or_else(PoisonError::into_inner).task = Task::Validation;
        Ok(self.run(count) / count as f64)
    }

    fn weights(&self) -> Result<[Vec<f32>; TENSORS], TrainingError> {
        Ok(self.weights.clone())
    }
}

#[cfg(test)]
mod tests {
    use forecast::gaps::Filled;
    use forecast::scale::MinMaxScaler;
    use forecast::windows::Windows;
    use forecast::{Series, SeriesId, Step, Timestamp};

    use model::{Device, DeviceKind, NetworkConfig};

    use super::*;
    use crate::burn_engine::BurnEngine;

    fn examples(count: usize, lookback: usize) -> Examples {
        let values = (0..count + lookback).map(|i| Some((i * 7 % 13) as f64)).collect();
        let id = SeriesId::new("test").unwrap();
        let series =
            Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values).unwrap();
        let filled = Filled::from_view(series.view());
        let windows = Windows::over(&filled, 0..count + lookback, lookback, 1);
        Examples::scale(&windows, lookback, &MinMaxScaler::fit(&[0.0, 13.0]).unwrap())
    }

    const NETWORK: NetworkConfig = NetworkConfig { lookback: 5, hidden: 7, dense: 3, dropout: 0.2 };

    #[test]
    fn steps_are_those_of_burns_autodiff() {
        // Three tiles a batch, the last of them not full.
        let options =
            TrainingOptions { batch: 40, network: NETWORK, ..TrainingOptions::reference() };
        let (train, validation) = (examples(80, 5), examples(20, 5));
        let weights = Weights::initial(NETWORK, options.seed);
        let device = Device::open(DeviceKind::Cpu).unwrap();
        let mut burn = BurnEngine::new(&options, &train, &validation, &weights, &device);
        let shared = Shared::new(&options, &train, &validation, &weights);
        let compared = Team::with(1, &|tile| shared.work(tile), |team| {
            let mut fused = FusedEngine::new(&shared, team, &weights);
            let order: Vec<usize> = (0..80).map(|i| i * 7 % 80).collect();
            for indices in [&order[..40], &order[40..80], &order[..33]] {
                fused.step(indices);
                burn.step(indices);
            }
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-4 * b.abs();
            let (ours, theirs) = (fused.take_squared_errors(), burn.take_squared_errors());
            assert!(close(ours.unwrap(), theirs.unwrap()), "with dropout");
            let (ours, theirs) = (fused.validation_loss(), burn.validation_loss());
            assert!(close(ours.unwrap(), theirs.unwrap()), "validation");
            let (ours, theirs) = (fused.weights().unwrap(), burn.weights().unwrap());
            for (ours, theirs) in ours.concat().iter().zip(theirs.concat()) {
                assert!((ours - theirs).abs() < 1e-5, "{ours} {theirs}");
            }
            assert_ne!(ours, *weights.tensors());
        });
        compared.unwrap();
    }

    #[test]
    fn no_step_but_the_first_allocates() {
        let options = TrainingOptions { batch: 40, ..TrainingOptions::reference() };
        let (train, validation) = (examples(80, 24), examples(40, 24));
        let weights = Weights::initial(options.network, options.seed);
        let shared = Shared::new(&options, &train, &validation, &weights);
        let counted = Team::with(1, &|tile| shared.work(tile), |team| {
            let mut engine = FusedEngine::new(&shared, team, &weights);
            let indices: Vec<usize> = (0..40).collect();
            engine.step(&indices);
            allocation_counter::measure(|| {
                engine.step(&indices);
                engine.step(&indices[..33]);
                engine.validation_loss().unwrap();
            })
        });
        assert_eq!(counted.unwrap().count_total, 0);
    }
}
