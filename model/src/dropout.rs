//! Dropout (Srivastava et al., 2014): which activations are dropped in a step of training.
//!
//! Masks are data, drawn from a seed a tile, so that the same seed drops the same values on every
//! device and with any number of threads.

use burn::tensor::{Device, Tensor, TensorData};
use fused::{LANES, Mask};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::network::NetworkConfig;

/// Which activations of a tile of sixteen samples are kept, and what they are multiplied with:
/// 1/(1 − p), so that their mean stays.
#[derive(Clone, PartialEq, Debug)]
pub struct TileMasks {
    pub(crate) scale: f32,
    /// After the first layer: `[lookback × hidden]`, time-major.
    pub(crate) sequence: Vec<Mask>,
    /// After the second layer: `[hidden]`.
    pub(crate) last: Vec<Mask>,
}

impl TileMasks {
    /// Masks that drop nothing and do not scale.
    #[must_use]
    pub fn none(config: &NetworkConfig) -> Self {
        let all = |rows| vec![Mask::MAX; rows];
        let sequence = all(config.lookback * config.hidden);
        Self { scale: 1.0, sequence, last: all(config.hidden) }
    }

    /// Draws the masks anew, for the share `dropout` to be dropped.
    pub fn draw(&mut self, dropout: f64, seed: u64) {
        self.scale = (1.0 / (1.0 - dropout)) as f32;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        draw(&mut self.sequence, dropout, &mut rng);
        draw(&mut self.last, dropout, &mut rng);
    }
}

/// Draws masks that drop the share `dropout`.
pub(crate) fn draw(masks: &mut [Mask], dropout: f64, rng: &mut impl Rng) {
    // The share is met to 2⁻¹⁷, with sixteen bits of randomness for each activation.
    let kept = ((1.0 - dropout) * 65_536.0).round() as u32;
    for rows in masks.chunks_mut(4) {
        let drawn = bernoulli(kept, rng);
        for (r, mask) in rows.iter_mut().enumerate() {
            *mask = (drawn >> (16 * r)) as Mask;
        }
    }
}

/// 64 bits, each of them one in `share` of 65 536 cases: with u uniform and the binary digits of
/// u compared to those of the share from the last to the first, a digit 1 of the share is an "or"
/// and a digit 0 an "and".
fn bernoulli(share: u32, rng: &mut impl Rng) -> u64 {
    if share >= 65_536 {
        return u64::MAX;
    }
    (share.trailing_zeros()..16).fold(0, |drawn, digit| {
        let random = rng.next_u64();
        if share >> digit & 1 == 1 { drawn | random } else { drawn & random }
    })
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

    /// Masks from their numbers, each 0 or 1/(1 − p): `sequence` is `[lookback, hidden, batch]`,
    /// `last` `[hidden, batch]`, row-major.
    #[must_use]
    pub fn from_values(sequence: &[f32], last: &[f32], batch: usize) -> Self {
        let scale = sequence.iter().chain(last).copied().fold(0.0, f32::max);
        let mask = |samples: &[f32]| {
            let bits = samples.iter().enumerate().filter(|(_, value)| **value != 0.0);
            bits.fold(0, |mask: Mask, (lane, _)| mask | 1 << lane)
        };
        let tile = |tile: usize| {
            let first = tile * LANES;
            let masks = |values: &[f32]| -> Vec<Mask> {
                let of_tile = |row: &[f32]| mask(&row[first..row.len().min(first + LANES)]);
                values.chunks(batch).map(of_tile).collect()
            };
            TileMasks { scale, sequence: masks(sequence), last: masks(last) }
        };
        Self { batch, tiles: (0..batch.div_ceil(LANES)).map(tile).collect() }
    }

    /// One a tile.
    #[must_use]
    pub fn tiles(&self) -> &[TileMasks] {
        &self.tiles
    }

    /// After the first layer: `[lookback × hidden, batch]`.
    pub(crate) fn sequence(&self, device: &Device) -> Tensor<2> {
        self.tensor(|tile| &tile.sequence, device)
    }

    /// After the second layer: `[hidden, batch]`.
    pub(crate) fn last(&self, device: &Device) -> Tensor<2> {
        self.tensor(|tile| &tile.last, device)
    }

    fn tensor(&self, of: impl Fn(&TileMasks) -> &[Mask], device: &Device) -> Tensor<2> {
        let rows = self.tiles.first().map_or(0, |tile| of(tile).len());
        let factor = |row: usize, sample: usize| {
            let tile = &self.tiles[sample / LANES];
            let kept = of(tile)[row] >> (sample % LANES) & 1 == 1;
            if kept { tile.scale } else { 0.0 }
        };
        let factor = &factor;
        let values: Vec<f32> = (0..rows)
            .flat_map(|row| (0..self.batch).map(move |sample| factor(row, sample)))
            .collect();
        Tensor::from_data(TensorData::new(values, [rows, self.batch]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: NetworkConfig = NetworkConfig::REFERENCE;

    fn drawn(dropout: f64, seed: u64) -> TileMasks {
        let mut masks = TileMasks::none(&CONFIG);
        masks.draw(dropout, seed);
        masks
    }

    #[test]
    fn as_many_are_kept_as_asked_for_and_their_mean_stays() {
        for dropout in [0.0, 0.1, 0.2, 0.5, 0.9] {
            let masks: Vec<TileMasks> = (0..50).map(|seed| drawn(dropout, seed)).collect();
            let bits = |masks: &TileMasks| {
                masks.sequence.iter().chain(&masks.last).map(|mask| mask.count_ones()).sum::<u32>()
            };
            let kept: u32 = masks.iter().map(bits).sum();
            let share = f64::from(kept) / (50.0 * 16.0 * (24.0 * 50.0 + 50.0));
            // Five standard deviations of a million draws.
            assert!((share - (1.0 - dropout)).abs() < 0.0025, "{dropout}: {share}");
            let scale = f64::from(masks[0].scale);
            assert!((scale * (1.0 - dropout) - 1.0).abs() < 1e-6, "{dropout}: {scale}");
        }
    }

    #[test]
    fn every_lane_and_every_row_has_its_own() {
        let masks = drawn(0.5, 7);
        for lane in 0..LANES {
            let kept = masks.sequence.iter().filter(|mask| **mask >> lane & 1 == 1).count();
            assert!((480..720).contains(&kept), "lane {lane}: {kept} of 1200");
        }
        let same = masks.sequence.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!(same < 5, "{same} rows repeat the one before");
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(drawn(0.2, 1), drawn(0.2, 1));
        assert_ne!(drawn(0.2, 1), drawn(0.2, 2));
    }
}
