//! What the benches have in common: two weeks of load, and the parts of a training step.

use forecast::{Series, SeriesId, Step, Timestamp};
use model::{
    Adam, BatchTile, FusedNetwork, Isa, NetworkConfig, TENSORS, Tile, TileMasks, Weights, Workspace,
};

/// The network that is timed.
pub const CONFIG: NetworkConfig = NetworkConfig::REFERENCE;
/// Windows of a training batch.
pub const BATCH: usize = 32;

/// A series' name.
///
/// # Panics
/// When it is empty.
#[must_use]
pub fn id(name: &str) -> SeriesId {
    SeriesId::new(name).expect("a bench's series has a name")
}

/// A workload's load, `points` steps of five minutes long.
///
/// # Panics
/// Not for the seed that it has.
#[must_use]
pub fn load(points: usize) -> Series {
    let start = Timestamp::from_second(1_767_571_200).expect("a time");
    let days = u32::try_from(points.div_ceil(288)).expect("few days");
    let synthetic = datasets::Synthetic { seed: 42, step: Step::FIVE_MINUTES, start, days };
    let series = synthetic.generate(id("bench/web")).expect("a load");
    series.view().prefix(points).to_series().expect("a load")
}

/// Numbers in 0..1 that repeat after a while: speed does not depend on them.
#[must_use]
pub fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 1009) as f32 / 1009.0).collect()
}

/// The kernels' part of a training step: what the trainer adds, gathering the windows and adding up
/// the tiles' gradients, is left out.
#[derive(Debug)]
pub struct TrainingStep {
    parameters: [Vec<f32>; TENSORS],
    gradients: [Vec<f32>; TENSORS],
    network: FusedNetwork,
    workspace: Workspace,
    adam: Adam,
    masks: TileMasks,
    tiles: Vec<Tile>,
    seed: u64,
}

impl TrainingStep {
    /// A step on a batch of [`BATCH`] windows.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        let weights = Weights::initial(CONFIG, 1);
        let parameters = weights.tensors().clone();
        let network = FusedNetwork::new(&weights, isa);
        let windows = numbers(BATCH * CONFIG.lookback);
        let mut tiles = Vec::new();
        for windows in windows.chunks(CONFIG.lookback * Tile::WINDOWS_MAX) {
            let mut tile = Tile::new(CONFIG.lookback);
            windows.chunks(CONFIG.lookback).for_each(|window| tile.push(window, 0.5));
            tiles.push(tile);
        }
        Self {
            gradients: parameters.clone(),
            adam: Adam::new(1e-3, &parameters.each_ref().map(Vec::len), isa),
            workspace: network.workspace(),
            masks: TileMasks::none(&CONFIG),
            parameters,
            network,
            tiles,
            seed: 0,
        }
    }

    /// Forward, backward, Adam, packing.
    pub fn run(&mut self) {
        self.gradients();
        self.adam.step(&mut self.parameters, &self.gradients);
        self.network.set(&self.parameters);
    }

    /// Forward and backward alone.
    pub fn gradients(&mut self) {
        self.gradients.iter_mut().for_each(|gradient| gradient.fill(0.0));
        for tile in &self.tiles {
            self.seed += 1;
            self.masks.draw(CONFIG.dropout, self.seed);
            let tile = BatchTile { tile, masks: &self.masks, batch: BATCH };
            self.network.add_gradients(tile, &mut self.workspace, &mut self.gradients);
        }
    }

    /// Forward alone, of one tile.
    pub fn forward(&mut self) -> f32 {
        self.network.predictions(&self.tiles[0], &mut self.workspace)[0]
    }
}
