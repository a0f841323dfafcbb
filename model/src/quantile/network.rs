//! The quantile network on tiles of sixteen windows: forward, and the gradients of a step.

use std::array::from_fn;

use forecast::covariates::{STEPS, squash};
use forecast::{HORIZON, LOOKBACK};
use fused::{Gradients, Isa, LANES, LinearLayer, LstmLayer, Mask, Row, Tape};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::config::{INPUTS, QuantileConfig};
use super::head::{Around, Head, LEVELS, OUTPUTS, pinball};
use super::windows::{QuantileTile, Window};
use crate::dropout;
use crate::weights::{TENSORS, Weights};

/// Weight of the peak's loss beside that of the values.
const PEAK_WEIGHT: f32 = 0.1;

/// The quantile network, packed for the CPU.
///
/// Two LSTM layers run over the lookback and on over the horizon, their state carried through; past
/// the origin they are fed their own median. Two linear layers, which see the state and the step's
/// numbers, yield what [`Head`] makes quantiles of.
#[derive(Clone, Debug)]
pub struct QuantileNetwork {
    config: QuantileConfig,
    isa: Isa,
    lstm_1: LstmLayer,
    lstm_2: LstmLayer,
    dense: LinearLayer,
    output: LinearLayer,
}

/// Room for one tile, kept from step to step so that none allocates.
#[derive(Clone, Debug)]
pub struct QuantileWorkspace {
    tape_1: Tape,
    tape_2: Tape,
    ahead: Vec<Ahead>,
    d_output: Vec<Row>,
    d_dense: Vec<Row>,
    d_fed: Vec<Row>,
    d_state_1: Vec<Row>,
    d_state_2: Vec<Row>,
    /// After the first layer `[STEPS × hidden]`, then after the second `[HORIZON × hidden]`.
    masks: Vec<Mask>,
    losses: [f32; LANES],
}

/// What is remembered of one step ahead.
#[derive(Clone, Debug)]
struct Ahead {
    /// `[hidden + INPUTS]`: what the linear layers see.
    fed: Vec<Row>,
    /// After the ReLU.
    dense: Vec<Row>,
    output: Vec<Row>,
    heads: [Head; LANES],
    /// The highest median of the steps before.
    highest: [f32; LANES],
}

impl Ahead {
    fn outputs(&self, lane: usize) -> [f32; OUTPUTS] {
        from_fn(|i| self.output[i].0[lane])
    }

    fn around<'a>(&self, window: &'a Window, k: usize, lane: usize) -> Around<'a> {
        Around {
            bases: &window.bases[k],
            log_spreads: &window.log_spreads,
            highest: self.highest[lane],
        }
    }
}

impl QuantileWorkspace {
    /// Draws the dropout masks of the next gradients.
    pub fn draw_masks(&mut self, dropout: f64, seed: u64) {
        dropout::draw(&mut self.masks, dropout, &mut Xoshiro256PlusPlus::seed_from_u64(seed));
    }

    /// What was forecast for step `k` of the window `lane`.
    #[must_use]
    pub fn head(&self, k: usize, lane: usize) -> &Head {
        &self.ahead[k].heads[lane]
    }

    /// The mean pinball loss of each window of the last gradients or evaluation, in units of its
    /// scale.
    #[must_use]
    pub fn losses(&self) -> &[f32; LANES] {
        &self.losses
    }
}

impl QuantileNetwork {
    /// The network with these weights.
    #[must_use]
    pub fn new(weights: &Weights<QuantileConfig>, isa: Isa) -> Self {
        let config = weights.config();
        let QuantileConfig { hidden, dense, .. } = config;
        let mut network = Self {
            config,
            isa,
            lstm_1: LstmLayer::new(INPUTS, hidden, false, isa),
            lstm_2: LstmLayer::new(hidden, hidden, true, isa),
            dense: LinearLayer::new(hidden + INPUTS, dense, isa),
            output: LinearLayer::new(dense, OUTPUTS, isa),
        };
        network.set(weights.tensors());
        network
    }

    /// Takes other weights of the same sizes, in the order of [`Weights::iter`].
    pub fn set(&mut self, tensors: &[Vec<f32>; TENSORS]) {
        let [weight_1, bias_1, weight_2, bias_2, dense, dense_bias, output, output_bias] = tensors;
        self.lstm_1.set(weight_1, bias_1);
        self.lstm_2.set(weight_2, bias_2);
        self.dense.set(dense, dense_bias);
        self.output.set(output, output_bias);
    }

    /// Room for one tile.
    #[must_use]
    pub fn workspace(&self) -> QuantileWorkspace {
        let QuantileConfig { hidden, .. } = self.config;
        let rows = |count| vec![Row::ZERO; count];
        let ahead = Ahead {
            fed: rows(hidden + INPUTS),
            dense: self.dense.output(),
            output: self.output.output(),
            heads: [Head::default(); LANES],
            highest: [0.0; LANES],
        };
        QuantileWorkspace {
            tape_1: self.lstm_1.tape(STEPS),
            tape_2: self.lstm_2.tape(STEPS),
            ahead: vec![ahead; HORIZON],
            d_output: self.output.output(),
            d_dense: self.dense.output(),
            d_fed: rows(hidden + INPUTS),
            d_state_1: rows(hidden),
            d_state_2: rows(hidden),
            masks: vec![Mask::MAX; (STEPS + HORIZON) * hidden],
            losses: [0.0; LANES],
        }
    }

    /// Its sizes.
    #[must_use]
    pub fn config(&self) -> QuantileConfig {
        self.config
    }

    /// Forecasts the windows, without dropout; the workspace has what came out.
    pub fn forecast(&self, tile: &QuantileTile, workspace: &mut QuantileWorkspace) {
        self.forward(tile, workspace, false);
    }

    /// Computes the losses of the windows, without dropout; [`QuantileWorkspace::losses`] has them.
    pub fn evaluate(&self, tile: &QuantileTile, workspace: &mut QuantileWorkspace) {
        self.forward(tile, workspace, false);
        let QuantileWorkspace { ahead, losses, .. } = workspace;
        *losses = [0.0; LANES];
        for (k, ahead) in ahead.iter().enumerate() {
            for (lane, window) in tile.windows.iter().enumerate() {
                losses[lane] += loss(window, &ahead.heads[lane], k).0;
            }
        }
    }

    /// Adds the gradients of Σ weight × loss over the windows to `gradients`, in the shapes of
    /// [`Weights::iter`]. The loss is the mean pinball loss over quantiles and observed steps, and a
    /// part of that of the peaks. What is fed back counts as given: gradients through it made no
    /// forecast better, and the step 7 % slower.
    pub fn add_gradients(
        &self,
        tile: &QuantileTile,
        workspace: &mut QuantileWorkspace,
        gradients: &mut [Vec<f32>; TENSORS],
    ) {
        self.forward(tile, workspace, true);
        self.backward(tile, workspace, gradients);
    }

    fn forward(&self, tile: &QuantileTile, workspace: &mut QuantileWorkspace, training: bool) {
        let hidden = self.config.hidden;
        for t in 0..STEPS {
            let input = workspace.tape_1.input_mut(t);
            input.copy_from_slice(&tile.inputs[t * INPUTS..(t + 1) * INPUTS]);
            if let Some(k) = t.checked_sub(LOOKBACK) {
                for (lane, window) in tile.windows.iter().enumerate() {
                    input[0].0[lane] = match k.checked_sub(1) {
                        None => window.last,
                        Some(before) => squash(workspace.ahead[before].heads[lane].median()),
                    };
                }
            }
            self.lstm_1.forward_step(&mut workspace.tape_1, t);
            let masks = training.then(|| &workspace.masks[t * hidden..][..hidden]);
            self.mask(workspace.tape_1.state(t), masks, workspace.tape_2.input_mut(t));
            self.lstm_2.forward_step(&mut workspace.tape_2, t);
            if let Some(k) = t.checked_sub(LOOKBACK) {
                self.forward_head(tile, workspace, k, training);
            }
        }
    }

    fn forward_head(
        &self,
        tile: &QuantileTile,
        workspace: &mut QuantileWorkspace,
        k: usize,
        training: bool,
    ) {
        let (hidden, t) = (self.config.hidden, LOOKBACK + k);
        let (before, ahead) = workspace.ahead.split_at_mut(k);
        let ahead = &mut ahead[0];
        let (state, inputs) = ahead.fed.split_at_mut(hidden);
        let masks = training.then(|| &workspace.masks[(STEPS + k) * hidden..][..hidden]);
        self.mask(workspace.tape_2.state(t), masks, state);
        inputs.copy_from_slice(workspace.tape_1.input_mut(t));
        self.dense.forward(&ahead.fed, &mut ahead.dense);
        ahead.dense.iter_mut().flat_map(|row| &mut row.0).for_each(|x| *x = x.max(0.0));
        self.output.forward(&ahead.dense, &mut ahead.output);
        for (lane, window) in tile.windows.iter().enumerate() {
            ahead.highest[lane] = match before.last() {
                Some(before) => before.highest[lane].max(before.heads[lane].median()),
                None => f32::NEG_INFINITY,
            };
            ahead.heads[lane] = Head::forward(&ahead.outputs(lane), &ahead.around(window, k, lane));
        }
    }

    fn backward(
        &self,
        tile: &QuantileTile,
        workspace: &mut QuantileWorkspace,
        gradients: &mut [Vec<f32>; TENSORS],
    ) {
        let hidden = self.config.hidden;
        let [weight_1, bias_1, weight_2, bias_2, dense_w, dense_b, output_w, output_b] = gradients;
        workspace.losses = [0.0; LANES];
        for t in (0..STEPS).rev() {
            match t.checked_sub(LOOKBACK) {
                Some(k) => {
                    let head = [
                        Gradients { weight: dense_w, bias: dense_b },
                        Gradients { weight: output_w, bias: output_b },
                    ];
                    self.backward_head(tile, workspace, k, head);
                }
                None => workspace.d_state_2.fill(Row::ZERO),
            }
            let QuantileWorkspace { tape_1, tape_2, d_state_1, d_state_2, .. } = workspace;
            let gradients = Gradients { weight: weight_2, bias: bias_2 };
            self.lstm_2.backward_step(tape_2, t, d_state_2, gradients);
            let masks = &workspace.masks[t * hidden..][..hidden];
            self.mask(tape_2.d_input(), Some(masks), d_state_1);
            let gradients = Gradients { weight: weight_1, bias: bias_1 };
            self.lstm_1.backward_step(tape_1, t, d_state_1, gradients);
        }
    }

    /// From the loss at step `k` to the derivatives by the second layer's state.
    fn backward_head(
        &self,
        tile: &QuantileTile,
        workspace: &mut QuantileWorkspace,
        k: usize,
        [dense, output]: [Gradients<'_>; 2],
    ) {
        let hidden = self.config.hidden;
        let QuantileWorkspace { ahead, d_output, d_dense, d_fed, losses, .. } = workspace;
        let ahead = &ahead[k];
        d_output.fill(Row::ZERO);
        for (lane, window) in tile.windows.iter().enumerate() {
            let (loss, d_quantiles) = loss(window, &ahead.heads[lane], k);
            losses[lane] += loss;
            let (x, around) = (ahead.outputs(lane), ahead.around(window, k, lane));
            let d = ahead.heads[lane].backward(&x, &around, &d_quantiles);
            d_output.iter_mut().zip(d).for_each(|(row, d)| row.0[lane] = d);
        }
        self.output.backward(&ahead.dense, d_output, d_dense, output);
        for (d, y) in d_dense.iter_mut().zip(&ahead.dense) {
            d.0.iter_mut().zip(&y.0).filter(|(_, y)| **y <= 0.0).for_each(|(d, _)| *d = 0.0);
        }
        self.dense.backward(&ahead.fed, d_dense, d_fed, dense);
        let masks = &workspace.masks[(STEPS + k) * hidden..][..hidden];
        self.mask(&workspace.d_fed[..hidden], Some(masks), &mut workspace.d_state_2);
    }

    /// Drops and scales `rows`, where there are masks, into `to`.
    fn mask(&self, rows: &[Row], masks: Option<&[Mask]>, to: &mut [Row]) {
        match masks {
            Some(masks) => {
                let scale = (1.0 / (1.0 - self.config.dropout)) as f32;
                fused::mask(self.isa, rows, masks, scale, to);
            }
            None => to.copy_from_slice(rows),
        }
    }
}

/// The loss of step `k` of a window, its weight aside, and the derivatives of the weighted loss by
/// the quantiles of the value and of the peak.
fn loss(window: &Window, head: &Head, k: usize) -> (f32, [[f32; LEVELS.len()]; 2]) {
    let observed = window.targets.iter().flatten().count();
    let share = 1.0 / observed.max(1) as f32;
    let (mut loss, mut d_value, mut d_peak) = (0.0, [0.0; LEVELS.len()], [0.0; LEVELS.len()]);
    if let Some(actual) = window.targets[k] {
        let (value, d) = pinball(&head.value, actual);
        loss = value * share;
        d_value = d.map(|d| d * share * window.weight);
    }
    if let Some(peak) = window.targets[..=k].iter().flatten().copied().reduce(f32::max) {
        let (_, d) = pinball(&head.peak, peak);
        d_peak = d.map(|d| PEAK_WEIGHT * d * share * window.weight);
    }
    (loss, [d_value, d_peak])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantile::testing::{covariates, small};

    /// What single precision leaves of a difference quotient here.
    const TOLERANCE: f64 = 3e-2;

    /// Σ weight × loss, without the peaks.
    fn objective(network: &QuantileNetwork, tile: &QuantileTile) -> f64 {
        let mut workspace = network.workspace();
        network.forecast(tile, &mut workspace);
        let mut sum = 0.0;
        for (lane, window) in tile.windows.iter().enumerate() {
            let observed = window.targets.iter().flatten().count() as f32;
            for k in 0..HORIZON {
                let head = workspace.head(k, lane);
                if let Some(actual) = window.targets[k] {
                    let loss = pinball(&head.value, actual).0;
                    sum += f64::from(loss * window.weight / observed);
                }
            }
        }
        sum
    }

    #[test]
    fn gradients_are_those_of_difference_quotients() {
        // One step ahead is observed, so that nothing fed back is in the loss; far from the
        // quantiles, where the pinball loss has no corner.
        let config = QuantileConfig { dropout: 0.0, ..small() };
        // The peak does not pull at the median by design, so its numbers are cut off from the rest.
        let mut tensors = Weights::initial_quantile(config, 3).tensors().clone();
        for (i, weight) in tensors[6].iter_mut().enumerate() {
            if i % OUTPUTS >= Head::VALUE_OUTPUTS {
                *weight = 0.0;
            }
        }
        let weights = Weights::new(config, tensors.clone()).unwrap();
        let mut tile = QuantileTile::new();
        for seed in 0..5 {
            let mut actuals = [None; HORIZON];
            actuals[0] = Some(if seed % 2 == 0 { 1000.0 } else { -1000.0 });
            tile.push_example(&covariates(seed), actuals, 1.0 + seed as f32);
        }
        let mut network = QuantileNetwork::new(&weights, Isa::best());
        let mut workspace = network.workspace();
        let mut gradients = weights.tensors().each_ref().map(|tensor| vec![0.0; tensor.len()]);
        network.add_gradients(&tile, &mut workspace, &mut gradients);
        for tensor in 0..TENSORS {
            // The largest gradients, where rounding matters least.
            let mut order: Vec<usize> = (0..gradients[tensor].len())
                .filter(|i| tensor < 6 || i % OUTPUTS < Head::VALUE_OUTPUTS)
                .collect();
            order.sort_by(|a, b| {
                gradients[tensor][*b].abs().total_cmp(&gradients[tensor][*a].abs())
            });
            for &i in order.iter().take(6) {
                let step = 4e-3;
                let at = tensors[tensor][i];
                let mut moved = |to: f32| {
                    tensors[tensor][i] = to;
                    network.set(&tensors);
                    objective(&network, &tile)
                };
                let slope = (moved(at + step) - moved(at - step)) / f64::from(2.0 * step);
                tensors[tensor][i] = at;
                let gradient = f64::from(gradients[tensor][i]);
                let error = (slope - gradient).abs() / gradient.abs().max(0.05);
                assert!(error < TOLERANCE, "tensor {tensor}, {i}: {slope} {gradient}");
            }
        }
    }

    #[test]
    fn every_quantile_is_finite_and_none_crosses() {
        let weights = Weights::initial_quantile(small(), 1);
        let network = QuantileNetwork::new(&weights, Isa::best());
        let mut tile = QuantileTile::new();
        (0..16).for_each(|seed| tile.push(&covariates(seed)));
        let mut workspace = network.workspace();
        network.forecast(&tile, &mut workspace);
        for lane in 0..16 {
            for k in 0..HORIZON {
                let head = workspace.head(k, lane);
                for quantiles in [&head.value, &head.peak] {
                    assert!(quantiles.iter().all(|q| q.is_finite()));
                    assert!(quantiles.is_sorted());
                }
            }
        }
    }

    #[test]
    fn a_window_is_forecast_alike_in_any_company() {
        let weights = Weights::initial_quantile(small(), 1);
        let network = QuantileNetwork::new(&weights, Isa::best());
        let mut workspace = network.workspace();
        let mut tile = QuantileTile::new();
        tile.push(&covariates(4));
        network.forecast(&tile, &mut workspace);
        let alone = workspace.head(HORIZON - 1, 0).value;
        tile.clear();
        (0..5).for_each(|seed| tile.push(&covariates(seed)));
        network.forecast(&tile, &mut workspace);
        assert_eq!(workspace.head(HORIZON - 1, 4).value, alone);
        assert_ne!(workspace.head(HORIZON - 1, 3).value, alone);
    }
}
