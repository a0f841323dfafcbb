//! The quantile network for one window: its weights pass once a step, their columns in the lanes.

use std::array::from_fn;

use forecast::covariates::{Covariates, STEPS, squash};
use forecast::{HORIZON, LOOKBACK};
use fused::{Columns, Isa, LstmStepper};

use super::config::{INPUTS, QuantileConfig};
use super::head::{Around, Head, OUTPUTS};
use crate::weights::Weights;

/// The network, laid out to forecast one window.
///
/// All inputs but the value are known at the origin: what they contribute to a layer is computed for
/// all steps at once, so that only the rest of the weights passes at each step.
#[derive(Clone, Debug)]
pub(super) struct QuantileStepper {
    hidden: usize,
    known_1: Columns,
    lstm_1: LstmStepper,
    lstm_2: LstmStepper,
    known_dense: Columns,
    dense: Columns,
    output: Columns,
}

/// Inputs that are known at the origin: all but the first, the value.
const KNOWN: usize = INPUTS - 1;

impl QuantileStepper {
    pub(super) fn new(weights: &Weights<QuantileConfig>, isa: Isa) -> Self {
        let [weight_1, bias_1, weight_2, bias_2, dense, dense_bias, output, output_bias] =
            weights.tensors();
        let QuantileConfig { hidden, dense: width, .. } = weights.config();
        // Rows of the first layer: the value, what is known, the state.
        let (value, rest) = weight_1.split_at(4 * hidden);
        let (known, state) = rest.split_at(KNOWN * 4 * hidden);
        // Rows of the dense layer: the state, the value, what is known.
        let (unknown_dense, known_dense) = dense.split_at((hidden + 1) * width);
        let no_bias = vec![0.0; 4 * hidden];
        Self {
            hidden,
            known_1: Columns::new(known, bias_1, isa),
            lstm_1: LstmStepper::new(&[value, state].concat(), &no_bias, isa),
            lstm_2: LstmStepper::new(weight_2, bias_2, isa),
            known_dense: Columns::new(known_dense, dense_bias, isa),
            dense: Columns::new(unknown_dense, &vec![0.0; width], isa),
            output: Columns::new(output, output_bias, isa),
        }
    }

    /// What [`super::QuantileNetwork::forecast`] yields for this window, but for rounding.
    pub(super) fn forecast(&self, covariates: &Covariates) -> [Head; HORIZON] {
        let known: Vec<f32> = covariates
            .steps
            .iter()
            .flat_map(|step| step[1..].iter().chain(&covariates.statics))
            .copied()
            .collect();
        let (width_1, width_dense) = (self.known_1.width(), self.known_dense.width());
        let mut sums_1 = vec![0.0; STEPS * width_1];
        self.known_1.apply(&known, KNOWN, STEPS, &mut sums_1);
        let mut dense = vec![0.0; HORIZON * width_dense];
        self.known_dense.apply(&known[LOOKBACK * KNOWN..], KNOWN, HORIZON, &mut dense);

        let mut heads = [Head::default(); HORIZON];
        let (mut first, mut second) = (self.lstm_1.sequences(1), self.lstm_2.sequences(1));
        let mut unknown = vec![0.0; self.hidden + 1];
        let mut output = vec![0.0; self.output.width()];
        let mut highest = f32::NEG_INFINITY;
        for t in 0..STEPS {
            let value = match t.checked_sub(LOOKBACK) {
                None => covariates.steps[t][0],
                Some(0) => covariates.steps[LOOKBACK - 1][0],
                Some(k) => squash(heads[k - 1].median()),
            };
            first.input_mut(0)[0] = value;
            self.lstm_1.advance_one_from(&mut first, &sums_1[t * width_1..]);
            second.input_mut(0).copy_from_slice(first.state(0));
            self.lstm_2.advance(&mut second, 0..1);
            let Some(k) = t.checked_sub(LOOKBACK) else { continue };
            unknown[..self.hidden].copy_from_slice(second.state(0));
            unknown[self.hidden] = value;
            let dense = &mut dense[k * width_dense..(k + 1) * width_dense];
            self.dense.add(&unknown, unknown.len(), 1, dense);
            dense.iter_mut().for_each(|x| *x = x.max(0.0));
            self.output.apply(dense, dense.len(), 1, &mut output);
            let x: [f32; OUTPUTS] = from_fn(|i| output[i]);
            let (bases, log_spreads) = (&covariates.bases[k], &covariates.log_spreads);
            heads[k] = Head::forward(&x, &Around { bases, log_spreads, highest });
            highest = highest.max(heads[k].median());
        }
        heads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantile::testing::{covariates, small};
    use crate::quantile::{QuantileNetwork, QuantileTile};

    #[test]
    fn one_window_is_forecast_as_in_a_tile() {
        for config in [small(), QuantileConfig::STANDARD] {
            let weights = Weights::initial_quantile(config, 5);
            for isa in Isa::all() {
                let network = QuantileNetwork::new(&weights, isa);
                let mut workspace = network.workspace();
                let mut tile = QuantileTile::new();
                tile.push(&covariates(2));
                network.forecast(&tile, &mut workspace);
                let alone = QuantileStepper::new(&weights, isa).forecast(&covariates(2));
                for (k, head) in alone.iter().enumerate() {
                    let (tile, name) = (workspace.head(k, 0), isa.name());
                    let pairs = head.value.iter().chain(&head.peak);
                    for (a, b) in pairs.zip(tile.value.iter().chain(&tile.peak)) {
                        assert!((a - b).abs() <= 2e-5 * b.abs().max(1.0), "{name} {k}: {a} {b}");
                    }
                }
            }
        }
    }
}
