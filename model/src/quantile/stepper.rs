//! The quantile network for one window: its weights pass once a step, their columns in the lanes.

use std::array::from_fn;

use forecast::covariates::{Covariates, STEPS, squash};
use forecast::{HORIZON, LOOKBACK};
use fused::{Columns, Isa, LstmStepper};

use super::config::QuantileConfig;
use super::head::{Around, Head, OUTPUTS};
use crate::weights::Weights;

/// The network, laid out to forecast one window.
#[derive(Clone, Debug)]
pub(super) struct QuantileStepper {
    hidden: usize,
    lstm_1: LstmStepper,
    lstm_2: LstmStepper,
    dense: Columns,
    output: Columns,
}

impl QuantileStepper {
    pub(super) fn new(weights: &Weights<QuantileConfig>, isa: Isa) -> Self {
        let [weight_1, bias_1, weight_2, bias_2, dense, dense_bias, output, output_bias] =
            weights.tensors();
        Self {
            hidden: weights.config().hidden,
            lstm_1: LstmStepper::new(weight_1, bias_1, isa),
            lstm_2: LstmStepper::new(weight_2, bias_2, isa),
            dense: Columns::new(dense, dense_bias, isa),
            output: Columns::new(output, output_bias, isa),
        }
    }

    /// What [`super::QuantileNetwork::forecast`] yields for this window, but for rounding.
    pub(super) fn forecast(&self, covariates: &Covariates) -> [Head; HORIZON] {
        let mut heads = [Head::default(); HORIZON];
        let (mut first, mut second) = (self.lstm_1.sequences(1), self.lstm_2.sequences(1));
        let mut dense = vec![0.0; self.dense.width()];
        let mut output = vec![0.0; self.output.width()];
        let mut highest = f32::NEG_INFINITY;
        for t in 0..STEPS {
            let mut step = covariates.steps[t];
            if let Some(k) = t.checked_sub(LOOKBACK) {
                step[0] = match k.checked_sub(1) {
                    None => covariates.steps[LOOKBACK - 1][0],
                    Some(before) => squash(heads[before].median()),
                };
            }
            let inputs = step.iter().chain(&covariates.statics);
            first.input_mut(0).iter_mut().zip(inputs).for_each(|(to, from)| *to = *from);
            self.lstm_1.advance(&mut first, 0..1);
            second.input_mut(0).copy_from_slice(first.state(0));
            self.lstm_2.advance(&mut second, 0..1);
            let Some(k) = t.checked_sub(LOOKBACK) else { continue };
            let mut fed = Vec::with_capacity(self.hidden + step.len() + covariates.statics.len());
            fed.extend_from_slice(second.state(0));
            fed.extend(step.iter().chain(&covariates.statics));
            self.dense.apply(&fed, fed.len(), 1, &mut dense);
            dense.iter_mut().for_each(|x| *x = x.max(0.0));
            self.output.apply(&dense, dense.len(), 1, &mut output);
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
