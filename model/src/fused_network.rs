//! The reference network on tiles of sixteen windows: forward, and the gradients of a step.

use fused::{Gradients, Isa, LANES, LinearLayer, LstmLayer, Mask, Row, Tape};

use crate::dropout::TileMasks;
use crate::network::NetworkConfig;
use crate::weights::{TENSORS, Weights};

/// The network of [`crate::ReferenceNetwork`], with the same weights, packed for the CPU.
#[derive(Clone, Debug)]
pub struct FusedNetwork {
    pub(crate) config: NetworkConfig,
    isa: Isa,
    pub(crate) lstm_1: LstmLayer,
    pub(crate) lstm_2: LstmLayer,
    pub(crate) dense: LinearLayer,
    pub(crate) output: LinearLayer,
}

/// Up to sixteen windows, and the value that follows each.
#[derive(Clone, PartialEq, Debug)]
pub struct Tile {
    /// `[lookback]`
    windows: Vec<Row>,
    targets: Row,
    count: usize,
}

impl Tile {
    /// Most windows in a tile.
    pub const WINDOWS_MAX: usize = LANES;

    /// An empty tile of windows of `lookback` values.
    #[must_use]
    pub fn new(lookback: usize) -> Self {
        Self { windows: vec![Row::ZERO; lookback], targets: Row::ZERO, count: 0 }
    }

    /// Takes out all windows.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds a window of `lookback` values and the value that follows it. Beyond
    /// [`Self::WINDOWS_MAX`], and with a window of another length, it panics.
    pub fn push(&mut self, window: &[f32], target: f32) {
        assert_eq!(window.len(), self.windows.len(), "a window has as many values as the lookback");
        for (row, value) in self.windows.iter_mut().zip(window) {
            row.0[self.count] = *value;
        }
        self.targets.0[self.count] = target;
        self.count += 1;
    }
}

/// A tile of a training batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchTile<'a> {
    /// The windows.
    pub tile: &'a Tile,
    /// Which activations are dropped.
    pub masks: &'a TileMasks,
    /// Windows of the whole batch, over which the loss is a mean.
    pub batch: usize,
}

/// What the network needs for one tile, kept from step to step so that none allocates.
#[derive(Clone, Debug)]
pub struct Workspace {
    tape_1: Tape,
    tape_2: Tape,
    /// The second layer's last state after dropout.
    last: Vec<Row>,
    dense: Vec<Row>,
    output: Vec<Row>,
    d_output: Vec<Row>,
    d_dense: Vec<Row>,
    d_last: Vec<Row>,
    d_state_1: Vec<Row>,
    d_state_2: Vec<Row>,
}

impl FusedNetwork {
    /// The network with these weights.
    #[must_use]
    pub fn new(weights: &Weights, isa: Isa) -> Self {
        let config = weights.config();
        let NetworkConfig { hidden, dense, .. } = config;
        let mut network = Self {
            config,
            isa,
            lstm_1: LstmLayer::new(1, hidden, false, isa),
            lstm_2: LstmLayer::new(hidden, hidden, true, isa),
            dense: LinearLayer::new(hidden, dense, isa),
            output: LinearLayer::new(dense, 1, isa),
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
    pub fn workspace(&self) -> Workspace {
        let NetworkConfig { lookback, hidden, .. } = self.config;
        Workspace {
            tape_1: self.lstm_1.tape(lookback),
            tape_2: self.lstm_2.tape(lookback),
            last: vec![Row::ZERO; hidden],
            dense: self.dense.output(),
            output: self.output.output(),
            d_output: self.output.output(),
            d_dense: self.dense.output(),
            d_last: vec![Row::ZERO; hidden],
            d_state_1: vec![Row::ZERO; hidden],
            d_state_2: vec![Row::ZERO; hidden],
        }
    }

    /// Adds the gradients of Σ (prediction − target)² / batch over a tile to `gradients`, in the
    /// shapes of [`Weights::iter`]; the sum of the squared errors.
    pub fn add_gradients(
        &self,
        BatchTile { tile, masks, batch }: BatchTile<'_>,
        workspace: &mut Workspace,
        gradients: &mut [Vec<f32>; TENSORS],
    ) -> f64 {
        self.forward(tile, Some(masks), workspace);
        let mut squared_errors = 0.0;
        workspace.d_output.fill(Row::ZERO);
        for lane in 0..tile.count {
            let error = workspace.output[0].0[lane] - tile.targets.0[lane];
            squared_errors += f64::from(error).powi(2);
            workspace.d_output[0].0[lane] = 2.0 * error / batch as f32;
        }
        self.backward(masks, workspace, gradients);
        squared_errors
    }

    /// The sum of the squared errors on a tile, without dropout.
    pub fn squared_errors(&self, tile: &Tile, workspace: &mut Workspace) -> f64 {
        self.forward(tile, None, workspace);
        let errors = workspace.output[0].0.iter().zip(&tile.targets.0).take(tile.count);
        errors.map(|(got, target)| f64::from(got - target).powi(2)).sum()
    }

    /// The value that follows each window of a tile, without dropout.
    pub fn predictions<'a>(&self, tile: &Tile, workspace: &'a mut Workspace) -> &'a [f32] {
        self.forward(tile, None, workspace);
        &workspace.output[0].0[..tile.count]
    }

    fn forward(&self, tile: &Tile, masks: Option<&TileMasks>, workspace: &mut Workspace) {
        let NetworkConfig { lookback, hidden, .. } = self.config;
        let Workspace { tape_1, tape_2, last, dense, output, .. } = workspace;
        for t in 0..lookback {
            tape_1.input_mut(t)[0] = tile.windows[t];
            self.lstm_1.forward_step(tape_1, t);
            let masks = masks.map(|masks| (&masks.sequence[t * hidden..][..hidden], masks.scale));
            self.mask(tape_1.state(t), masks, tape_2.input_mut(t));
            self.lstm_2.forward_step(tape_2, t);
        }
        let masks = masks.map(|masks| (masks.last.as_slice(), masks.scale));
        self.mask(tape_2.state(lookback - 1), masks, last);
        self.dense.forward(last, dense);
        self.output.forward(dense, output);
    }

    fn backward(
        &self,
        masks: &TileMasks,
        workspace: &mut Workspace,
        gradients: &mut [Vec<f32>; TENSORS],
    ) {
        let NetworkConfig { lookback, hidden, .. } = self.config;
        let Workspace { tape_1, tape_2, last, dense, d_output, d_dense, d_last, .. } = workspace;
        let (d_state_1, d_state_2) = (&mut workspace.d_state_1, &mut workspace.d_state_2);
        let [weight_1, bias_1, weight_2, bias_2, dense_w, dense_b, output_w, output_b] = gradients;
        let gradients = Gradients { weight: output_w, bias: output_b };
        self.output.backward(dense, d_output, d_dense, gradients);
        let gradients = Gradients { weight: dense_w, bias: dense_b };
        self.dense.backward(last, d_dense, d_last, gradients);
        self.mask(d_last, Some((&masks.last, masks.scale)), d_state_2);
        for t in (0..lookback).rev() {
            let gradients = Gradients { weight: weight_2, bias: bias_2 };
            self.lstm_2.backward_step(tape_2, t, d_state_2, gradients);
            // The loss depends on the last state alone.
            if t + 1 == lookback {
                d_state_2.fill(Row::ZERO);
            }
            let mask = &masks.sequence[t * hidden..][..hidden];
            self.mask(tape_2.d_input(), Some((mask, masks.scale)), d_state_1);
            let gradients = Gradients { weight: weight_1, bias: bias_1 };
            self.lstm_1.backward_step(tape_1, t, d_state_1, gradients);
        }
    }

    /// Drops and scales `rows`, where there are masks, into `to`.
    fn mask(&self, rows: &[Row], masks: Option<(&[Mask], f32)>, to: &mut [Row]) {
        match masks {
            Some((masks, scale)) => fused::mask(self.isa, rows, masks, scale, to),
            None => to.copy_from_slice(rows),
        }
    }
}
