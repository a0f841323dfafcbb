//! The reference network: the field's tutorial, two LSTM layers and two linear ones.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};

use crate::dropout::DropoutMasks;
use crate::lstm::Lstm;
use crate::weights::{TENSORS, Weights};

/// The sizes of a network.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NetworkConfig {
    /// Past steps that it sees.
    pub lookback: usize,
    /// Width of each LSTM layer.
    pub hidden: usize,
    /// Width of the first linear layer.
    pub dense: usize,
    /// Share of values dropped after each LSTM layer, in training only.
    pub dropout: f64,
}

impl NetworkConfig {
    /// The tutorial's network: 24 past steps, two layers of 50, 25, 1; dropout 0.2.
    pub const REFERENCE: Self =
        Self { lookback: forecast::LOOKBACK, hidden: 50, dense: 25, dropout: 0.2 };

    /// Floating-point operations of the products that predict one value: two a weight and step.
    #[must_use]
    pub fn forward_operations(&self) -> f64 {
        let Self { lookback, hidden, dense, .. } = *self;
        let lstms = lookback * ((1 + hidden) + 2 * hidden) * 4 * hidden;
        2.0 * (lstms + hidden * dense + dense) as f64
    }

    /// Those of a training window, as they are usually counted: forward, and as many each for the
    /// gradients of all activations and of all weights.
    #[must_use]
    pub fn training_operations(&self) -> f64 {
        3.0 * self.forward_operations()
    }
}

/// LSTM(1 → hidden, whole sequence) → dropout → LSTM(hidden → hidden, last step) → dropout →
/// linear → linear, without an activation between the two linear layers, as in the tutorial.
#[derive(Module, Debug)]
pub struct ReferenceNetwork {
    lstm_1: Lstm,
    lstm_2: Lstm,
    dense: Linear,
    output: Linear,
}

impl ReferenceNetwork {
    /// The network with these weights. On a device with autodiff it can be trained.
    #[must_use]
    pub fn new(weights: &Weights, device: &Device) -> Self {
        let linear = |index: usize| Linear {
            weight: {
                let (values, columns) = (weights.values(index), weights.values(index + 1).len());
                let shape = [values.len() / columns, columns];
                Param::from_data(TensorData::new(values.to_vec(), shape), device)
            },
            bias: Some(Param::from_data(
                TensorData::new(
                    weights.values(index + 1).to_vec(),
                    [weights.values(index + 1).len()],
                ),
                device,
            )),
        };
        let lstm =
            |index| Lstm::from_values(weights.values(index), weights.values(index + 1), device);
        Self { lstm_1: lstm(0), lstm_2: lstm(2), dense: linear(4), output: linear(6) }
    }

    /// The values that follow: from scaled windows `[lookback, batch]` to `[1, batch]`. Masks are
    /// given in training only.
    pub fn forward(&self, windows: Tensor<2>, masks: Option<&DropoutMasks>) -> Tensor<2> {
        let steps = windows.dims()[0];
        let inputs = (0..steps).map(|t| windows.clone().narrow(0, t, 1)).collect();
        let mut sequence = self.lstm_1.forward(inputs);
        let (hidden, device) = (self.lstm_1.hidden(), windows.device());
        if let Some(masks) = masks {
            let masks = masks.sequence(&device);
            let mask = |t: usize| masks.clone().narrow(0, t * hidden, hidden);
            sequence = sequence.into_iter().enumerate().map(|(t, state)| state * mask(t)).collect();
        }
        let mut last = self.lstm_2.forward(sequence).pop().expect("a window has at least one step");
        if let Some(masks) = masks {
            last = last * masks.last(&device);
        }
        affine(&self.output, affine(&self.dense, last))
    }

    /// `horizon` values after each of `windows` `[lookback, batch]`, each fed back as the newest
    /// value of the next window: `[horizon, batch]`.
    pub fn autoregress(&self, windows: Tensor<2>, horizon: usize) -> Tensor<2> {
        let lookback = windows.dims()[0];
        let mut known = windows;
        let mut predicted = Vec::with_capacity(horizon);
        for _ in 0..horizon {
            let next = self.forward(known.clone(), None);
            known = Tensor::cat(vec![known.narrow(0, 1, lookback - 1), next.clone()], 0);
            predicted.push(next);
        }
        Tensor::cat(predicted, 0)
    }

    /// Its tensors, as numbers, in the order of [`Weights::iter`].
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn to_values(&self) -> Result<[Vec<f32>; TENSORS], String> {
        fn read<const D: usize>(param: &Param<Tensor<D>>) -> Result<Vec<f32>, String> {
            param.val().try_into_vec_as::<f32>().map_err(|e| e.to_string())
        }
        let bias = |linear: &Linear| linear.bias.as_ref().map_or(Ok(Vec::new()), read);
        Ok([
            read(&self.lstm_1.weight)?,
            read(&self.lstm_1.bias)?,
            read(&self.lstm_2.weight)?,
            read(&self.lstm_2.bias)?,
            read(&self.dense.weight)?,
            bias(&self.dense)?,
            read(&self.output.weight)?,
            bias(&self.output)?,
        ])
    }
}

/// `Wᵀ x + b` for feature-major `x` `[input, batch]`.
fn affine(linear: &Linear, x: Tensor<2>) -> Tensor<2> {
    let product = linear.weight.val().transpose().matmul(x);
    match &linear.bias {
        Some(bias) => product + bias.val().unsqueeze_dim(1),
        None => product,
    }
}
