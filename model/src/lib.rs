//! The LSTM, in Burn and on our own kernels, and the artifact that it is stored in.
//!
//! ```text
//!                          ┌▶ ReferenceNetwork  any device, by Burn ─┐
//! NetworkConfig ─▶ Weights ┼▶ Autoregressor     CPU: forecasts ──────┴▶ ReferenceForecaster : Forecaster
//!                     ▲    └▶ FusedNetwork      CPU: gradients               ▲
//!                     └──────────── Artifact (weights + Manifest, one file) ─┘
//! ```
//!
//! Weights are plain numbers until they are put on a [`Device`]; tensors do not leave this crate and
//! `trainer`. What is absent on purpose: no clock (`created` is an argument), no training.

mod artifact;
mod autoregressor;
mod device;
mod digest;
mod dropout;
mod file;
mod forecaster;
mod fused_network;
mod lstm;
mod manifest;
mod network;
mod pretrained;
mod quantile;
mod random;
mod weights;
mod wire;

pub use artifact::{Artifact, ArtifactError, LoadError, Network, Replaced, SaveError};
pub use autoregressor::Autoregressor;
pub use device::{Device, DeviceError, DeviceKind, DeviceKindError};
pub use dropout::{DropoutMasks, TileMasks};
pub use file::ARTIFACT_BYTES_MAX;
pub use forecaster::{PointForecaster, ReferenceForecaster};
pub use fused::{Adam, Isa, Peak};
pub use fused_network::{BatchTile, FusedNetwork, Tile, Workspace};
pub use lstm::Lstm;
pub use manifest::{DataSummary, Manifest, ScoresSummary, TrainingSummary};
pub use network::{NetworkConfig, ReferenceNetwork};
pub use pretrained::{ModelCard, Pretrained, PretrainedError};
pub use quantile::{
    Head, LEVELS, QuantileConfig, QuantileForecaster, QuantileNetwork, QuantileTile,
    QuantileWorkspace,
};
pub use random::{Purpose, below, stream, unit};
pub use weights::{Layout, TENSORS, Weights, WeightsError};
