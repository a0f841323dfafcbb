//! Fits, stops early, calibrates and scores a network, and hands back an artifact.
//!
//! ```text
//! series ─▶ split ─▶ scaler, windows (train) ─▶ fit ◀─ windows (validation) stop it
//!                                                │
//!               artifact ◀─ scores (test) ◀─ intervals (validation)
//! ```
//!
//! Nothing of the test part reaches weights, scaler or intervals. What is absent on purpose: no
//! file and no wall clock; `created` is an argument, and saving is the caller's.

mod batches;
mod burn_engine;
mod config;
mod engine;
mod error;
mod event;
mod fit;
mod fused_engine;
mod pretrain;
mod team;
mod tiles;
mod train;

pub use config::{TrainingConfig, TrainingConfigError, TrainingOptions};
pub use error::TrainingError;
pub use event::TrainingEvent;
pub use pretrain::{PretrainingOptions, PretrainingProgress, pretrain};
pub use train::{Trained, train};
