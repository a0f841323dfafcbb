//! Dropout (Srivastava et al., 2014): which activations are dropped in a step of training.
//!
//! Masks are data, drawn from a seed a tile, so that the same seed drops the same values on every
//! device and with any number of threads.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::fused::{LANES, Row};
use crate::network::NetworkConfig;

/// What the activations of a tile of sixteen samples are multiplied with: 0, or 1/(1 − p) so that
/// their mean stays.
#[derive(Clone, PartialEq, Debug)]
pub struct TileMasks {
    /// After the first layer: `[lookback × hidden]`, time-major.
    pub(crate) sequence: Vec<Row>,
    /// After the second layer: `[hidden]`.
    pub(crate) last: Vec<Row>,
}

impl TileMasks {
    /// Masks that drop nothing and do not scale.
    #[must_use]
    pub fn none(config: &NetworkConfig) -> Self {
        let ones = |rows| vec![Row([1.0; LANES]); rows];
        Self { sequence: ones(config.lookback * config.hidden), last: ones(config.hidden) }
    }

    /// Draws the masks anew.
    pub fn draw(&mut self, dropout: f64, seed: u64) {
        // Of 65 536 values, so that a number of 64 bits decides four: p is met to 8e-6.
        let threshold = (dropout * 65_536.0).round() as u16;
        let kept = (1.0 / (1.0 - dropout)) as f32;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        for row in self.sequence.iter_mut().chain(&mut self.last) {
            let mut drawn = [0_u16; LANES];
            for four in drawn.as_chunks_mut::<4>().0 {
                let bits = rng.next_u64();
                *four = [bits as u16, (bits >> 16) as u16, (bits >> 32) as u16, (bits >> 48) as u16];
            }
            for (mask, drawn) in row.0.iter_mut().zip(drawn) {
                *mask = if drawn < threshold { 0.0 } else { kept };
            }
        }
    }
}

/// The masks of a batch, tile by tile.
#[derive(Clone, PartialEq, Debug)]
pub struct DropoutMasks {
    batch: usize,
    tiles: Vec<TileMasks>,
}

impl DropoutMasks {
    /// Draws masks for a batch; `seeds` yields one a tile.
    pub fn draw(config: &NetworkConfig, batch: usize, mut seeds: impl FnMut() -> u64) -> Self {
        let draw = |_| {
            let mut masks = TileMasks::none(config);
            masks.draw(config.dropout, seeds());
            masks
        };
        Self { batch, tiles: (0..batch.div_ceil(LANES)).map(draw).collect() }
    }

    /// Masks from their numbers: `sequence` is `[lookback, hidden, batch]`, `last`
    /// `[hidden, batch]`, row-major.
    #[must_use]
    pub fn from_values(sequence: &[f32], last: &[f32], batch: usize) -> Self {
        let tile = |tile: usize| {
            let rows = |values: &[f32]| -> Vec<Row> {
                let row = |samples: &[f32]| {
                    let mut row = Row::ZERO;
                    let samples = samples.iter().skip(tile * LANES);
                    row.0.iter_mut().zip(samples).for_each(|(lane, sample)| *lane = *sample);
                    row
                };
                values.chunks(batch).map(row).collect()
            };
            TileMasks { sequence: rows(sequence), last: rows(last) }
        };
        Self { batch, tiles: (0..batch.div_ceil(LANES)).map(tile).collect() }
    }

    /// One a tile.
    #[must_use]
    pub fn tiles(&self) -> &[TileMasks] {
        &self.tiles
    }

    /// After the first layer, a step each: `[hidden, batch]`.
    pub(crate) fn sequence(&self, hidden: usize, device: &Device) -> Vec<Tensor<2>> {
        let steps = self.tiles.first().map_or(0, |tile| tile.sequence.len() / hidden);
        let step = |t| {
            self.tensor(hidden, |tile| &tile.sequence[t * hidden..(t + 1) * hidden], device)
        };
        (0..steps).map(step).collect()
    }

    /// After the second layer: `[hidden, batch]`.
    pub(crate) fn last(&self, hidden: usize, device: &Device) -> Tensor<2> {
        self.tensor(hidden, |tile| &tile.last, device)
    }

    fn tensor<'a>(
        &'a self,
        rows: usize,
        of: impl Fn(&'a TileMasks) -> &'a [Row],
        device: &Device,
    ) -> Tensor<2> {
        let row = |r: usize| self.tiles.iter().flat_map({ let of = &of; move |tile| of(tile)[r].0 });
        let values: Vec<f32> = (0..rows).flat_map(|r| row(r).take(self.batch)).collect();
        Tensor::from_data(TensorData::new(values, [rows, self.batch]), device)
    }
}
