//! Trains networks, measures them against what is in service, and hands back artifacts.
//!
//! ```text
//! series ─▶ split ─▶ fit on the training part ◀─ the validation part stops it
//!                      │ lstm: fine_tune from the network that ships, on the quantile_engine
//!                      │ reference: fit from random weights, on the fused_engine or Burn's
//!                      ▼
//!                  contender ─▶ evaluation: residuals (validation), scores (test) ─▶ promotion ─▶ artifact
//! ```
//!
//! Nothing of the test part reaches weights, scaler or intervals, but for the choice between what was
//! learned and the network that ships as it is. What is absent on purpose: no
//! file and no wall clock; `created` is an argument, and saving is the caller's.

mod batches;
mod burn_engine;
mod config;
mod contender;
mod engine;
mod error;
mod evaluation;
mod event;
mod fine_tune;
mod fit;
mod fused_engine;
mod lstm;
mod pretrain;
mod promotion;
mod quantile_engine;
mod reference;
mod team;
mod tiles;
mod train;

pub use config::{Preset, TrainingConfig, TrainingConfigError, TrainingOptions};
pub use contender::{Contender, LSTM_RESCALED, LstmNetworks, RIDGE_RESCALED};
pub use error::TrainingError;
pub use event::TrainingEvent;
pub use pretrain::{PretrainingProgress, pretrain};
pub use promotion::{Defeat, Promotion};
pub use quantile_engine::QuantileOptions;
pub use train::{InService, Trained, train};
