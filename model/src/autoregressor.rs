//! Forecasts of the reference network on the CPU: many steps ahead, over its own predictions.
//!
//! A step ahead is predicted from the last `lookback` values, the newest of them predicted before;
//! each such window starts from a state of zero. Nothing is shared between windows, so that the
//! numbers are those of [`crate::ReferenceNetwork::autoregress`]; only the order differs. A value
//! goes into all windows that hold it at once, as soon as it is known:
//!
//! ```text
//! value      v₁  v₂  v₃ │ v₄  v₅        the windows of three values for v₄, v₅ and v₆
//! window 1   ●   ●   ●  ▶ v₄
//! window 2       ●   ●    ●  ▶ v₅
//! window 3           ●    ●   ●  ▶ v₆
//! ```
//!
//! So the weights pass lookback + horizon − 1 times rather than lookback × horizon times.

use fused::{Columns, Isa, LANES, LstmStepper, Row};

use crate::fused_network::FusedNetwork;
use crate::weights::Weights;

/// Series from which on a tile of sixteen is faster than so many sequences, as measured.
const TILE_MIN: usize = 14;

/// The reference network, laid out to forecast on the CPU.
#[derive(Clone, Debug)]
pub struct Autoregressor {
    weights: Weights,
    isa: Isa,
    lstm_1: LstmStepper,
    lstm_2: LstmStepper,
    dense: Columns,
    output: Columns,
}

impl Autoregressor {
    /// The network with these weights.
    #[must_use]
    pub fn new(weights: &Weights, isa: Isa) -> Self {
        let [weight_1, bias_1, weight_2, bias_2, dense, dense_bias, output, output_bias] =
            weights.tensors();
        Self {
            weights: weights.clone(),
            isa,
            lstm_1: LstmStepper::new(weight_1, bias_1, isa),
            lstm_2: LstmStepper::new(weight_2, bias_2, isa),
            dense: Columns::new(dense, dense_bias, isa),
            output: Columns::new(output, output_bias, isa),
        }
    }

    /// The next `horizon` values of each of `series`: from scaled values `[lookback, series]` to
    /// `[horizon, series]`, both row-major.
    #[must_use]
    pub fn forecast(&self, known: &[f32], series: usize, horizon: usize) -> Vec<f32> {
        let mut forecasts = vec![0.0; horizon * series];
        // Packed for this call only: a forecaster is kept for each of many workloads.
        let tiles = (series >= TILE_MIN).then(|| FusedNetwork::new(&self.weights, self.isa));
        for first in (0..series).step_by(LANES) {
            let range = first..series.min(first + LANES);
            let known: Vec<f32> =
                known.chunks(series).flat_map(|step| &step[range.clone()]).copied().collect();
            let forecast = match &tiles {
                Some(network) if range.len() >= TILE_MIN => {
                    tile(network, &known, range.len(), horizon)
                }
                _ => self.few(known, range.len(), horizon),
            };
            for (to, from) in forecasts.chunks_mut(series).zip(forecast.chunks(range.len())) {
                to[range.clone()].copy_from_slice(from);
            }
        }
        forecasts
    }

    /// As [`Self::forecast`], for a few series: the windows under way are sequences side by side.
    fn few(&self, mut values: Vec<f32>, series: usize, horizon: usize) -> Vec<f32> {
        let lookback = self.weights.config().lookback;
        let mut first = self.lstm_1.sequences(horizon * series);
        let mut second = self.lstm_2.sequences(horizon * series);
        let mut dense = vec![0.0; series * self.dense.width()];
        let mut output = vec![0.0; series * self.output.width()];
        for t in 0..lookback + horizon - 1 {
            // The windows that hold value t, each of all series.
            let windows = (t + 1).saturating_sub(lookback)..horizon.min(t + 1);
            let holding = windows.start * series..windows.end * series;
            for i in holding.clone() {
                first.input_mut(i)[0] = values[t * series + i % series];
            }
            self.lstm_1.advance(&mut first, holding.clone());
            for i in holding.clone() {
                second.input_mut(i).copy_from_slice(first.state(i));
            }
            self.lstm_2.advance(&mut second, holding);
            if t + 1 >= lookback {
                let (states, stride) = second.states(windows.start * series);
                self.dense.apply(states, stride, series, &mut dense);
                self.output.apply(&dense, self.dense.width(), series, &mut output);
                values.extend(output.iter().step_by(self.output.width()));
            }
        }
        values.split_off(lookback * series)
    }
}

/// As [`Autoregressor::forecast`], for at most sixteen series.
fn tile(network: &FusedNetwork, known: &[f32], series: usize, horizon: usize) -> Vec<f32> {
    let row = |values: &[f32]| {
        let mut row = Row::ZERO;
        row.0[..values.len()].copy_from_slice(values);
        row
    };
    let lookback = network.config.lookback;
    let mut values: Vec<Row> = known.chunks(series).map(row).collect();
    let (mut first, mut second) = (network.lstm_1.tile_state(), network.lstm_2.tile_state());
    let (mut dense, mut output) = (network.dense.output(), network.output.output());
    for window in 0..horizon {
        first.reset();
        second.reset();
        for value in &values[window..window + lookback] {
            first.input_mut()[0] = *value;
            network.lstm_1.advance(&mut first);
            second.input_mut().copy_from_slice(first.state());
            network.lstm_2.advance(&mut second);
        }
        network.dense.forward(second.state(), &mut dense);
        network.output.forward(&dense, &mut output);
        values.push(output[0]);
    }
    values[lookback..].iter().flat_map(|row| &row.0[..series]).copied().collect()
}
