//! Sixteen windows of covariates, their numbers in the lanes.

use forecast::covariates::{BASES, Covariates, SPREADS, STEPS};
use forecast::{HORIZON, LOOKBACK};
use fused::{LANES, Row};

use super::config::INPUTS;

/// Bound of a target in units of the scale: a burst beyond it teaches nothing more.
const TARGET_MAX: f64 = 20.0;

/// Up to sixteen windows and what followed them.
#[derive(Clone, PartialEq, Debug)]
pub struct QuantileTile {
    /// `[STEPS, INPUTS]`
    pub(super) inputs: Vec<Row>,
    /// What each window knows besides: `[windows]`.
    pub(super) windows: Vec<Window>,
}

/// What a window knows besides what goes into the network, and what followed it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Window {
    pub(super) bases: [[f32; BASES]; HORIZON],
    pub(super) log_spreads: [f32; SPREADS],
    /// The last value, as the network is fed it.
    pub(super) last: f32,
    /// In units of the scale; `None` where it was not observed.
    pub(super) targets: [Option<f32>; HORIZON],
    /// In the loss.
    pub(super) weight: f32,
}

impl Default for QuantileTile {
    fn default() -> Self {
        Self::new()
    }
}

impl QuantileTile {
    /// Most windows in a tile.
    pub const WINDOWS_MAX: usize = LANES;

    /// An empty tile.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inputs: vec![Row::ZERO; STEPS * INPUTS],
            windows: Vec::with_capacity(Self::WINDOWS_MAX),
        }
    }

    /// Takes out all windows.
    pub fn clear(&mut self) {
        self.windows.clear();
    }

    /// How many windows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Adds a window that is only forecast. Beyond [`Self::WINDOWS_MAX`] it panics.
    pub fn push(&mut self, covariates: &Covariates) {
        self.push_example(covariates, [None; HORIZON], 0.0);
    }

    /// Adds a window, the loads that followed it, and its weight in the loss. Beyond
    /// [`Self::WINDOWS_MAX`] it panics.
    pub fn push_example(
        &mut self,
        covariates: &Covariates,
        actuals: [Option<f64>; HORIZON],
        weight: f32,
    ) {
        let lane = self.windows.len();
        assert!(lane < LANES, "a tile has at most sixteen windows");
        for (rows, step) in self.inputs.chunks_exact_mut(INPUTS).zip(&covariates.steps) {
            for (row, number) in rows.iter_mut().zip(step.iter().chain(&covariates.statics)) {
                row.0[lane] = *number;
            }
        }
        let unit = |load: f64| covariates.unit(load).clamp(-TARGET_MAX, TARGET_MAX) as f32;
        self.windows.push(Window {
            bases: covariates.bases,
            log_spreads: covariates.log_spreads,
            last: covariates.steps[LOOKBACK - 1][0],
            targets: actuals.map(|load| load.map(unit)),
            weight,
        });
    }
}
