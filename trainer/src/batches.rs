//! Scaled windows, and batches of them as tensors.

use burn::tensor::{Device, Tensor, TensorData};
use forecast::scale::MinMaxScaler;
use forecast::windows::Windows;
use model::Tile;

/// Scaled windows and the value that follows each.
#[derive(Clone, Debug)]
pub(crate) struct Examples {
    lookback: usize,
    /// `[windows, lookback]`, row-major.
    windows: Vec<f32>,
    /// `[windows]`.
    targets: Vec<f32>,
}

/// Some of them on a device.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// `[lookback, batch]`.
    pub(crate) windows: Tensor<2>,
    /// `[1, batch]`.
    pub(crate) targets: Tensor<2>,
}

impl Examples {
    pub(crate) fn scale(windows: &Windows<'_>, lookback: usize, scaler: &MinMaxScaler) -> Self {
        let scaled = |load: &f64| scaler.transform(*load) as f32;
        Self {
            lookback,
            windows: windows.iter().flat_map(|w| w.lookback.iter().map(scaled)).collect(),
            targets: windows.iter().map(|w| scaled(&w.targets[0])).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.targets.len()
    }

    /// Adds an example to a tile.
    pub(crate) fn push(&self, index: usize, tile: &mut Tile) {
        let window = &self.windows[index * self.lookback..][..self.lookback];
        tile.push(window, self.targets[index]);
    }

    /// The examples `indices`. They are gathered on the host: a batch is a few kilobytes, less than
    /// a gather on the device costs to start.
    pub(crate) fn batch(&self, indices: &[usize], device: &Device) -> Batch {
        let (lookback, count) = (self.lookback, indices.len());
        let step = |t: usize| indices.iter().map(move |i| self.windows[i * lookback + t]);
        let windows: Vec<f32> = (0..lookback).flat_map(step).collect();
        let targets: Vec<f32> = indices.iter().map(|&i| self.targets[i]).collect();
        Batch {
            windows: Tensor::from_data(TensorData::new(windows, [lookback, count]), device),
            targets: Tensor::from_data(TensorData::new(targets, [1, count]), device),
        }
    }
}
