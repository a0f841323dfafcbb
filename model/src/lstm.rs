//! A layer of long short-term memory (Hochreiter and Schmidhuber, 1997; with the forget gate of
//! Gers et al., 2000), composed of Burn's operations.

use burn::module::{Module, Param};
use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::{Device, Tensor, TensorData};

/// One layer. Activations are kept feature-major, `[features, batch]`, so that a gate is a run of
/// consecutive rows and no operation has to gather it.
#[derive(Module, Debug)]
pub struct Lstm {
    /// `[input + hidden, 4 × hidden]`: rows of the input first; gates in the order i, f, g, o.
    pub weight: Param<Tensor<2>>,
    /// `[4 × hidden]`.
    pub bias: Param<Tensor<1>>,
}

impl Lstm {
    /// A layer with these numbers, row-major; `weight` is `[input + hidden, 4 × hidden]`.
    pub(crate) fn from_values(weight: &[f32], bias: &[f32], device: &Device) -> Self {
        let columns = bias.len();
        let shape = [weight.len() / columns, columns];
        Self {
            weight: Param::from_data(TensorData::new(weight.to_vec(), shape), device),
            bias: Param::from_data(TensorData::new(bias.to_vec(), [columns]), device),
        }
    }

    /// Width of the state.
    pub(crate) fn hidden(&self) -> usize {
        self.bias.dims()[0] / 4
    }

    /// The hidden state after each time step: from `[input, batch]` a step to `[hidden, batch]` a
    /// step. The state before the first step is zero.
    pub fn forward(&self, inputs: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        let Some(first) = inputs.first() else { return Vec::new() };
        let ([_, batch], device) = (first.dims(), first.device());
        let hidden = self.hidden();
        // The bias is one more row of the weights, fed by a row of ones: one product a time step
        // then yields all four gates.
        let weight = Tensor::cat(vec![self.weight.val(), self.bias.val().unsqueeze_dim(0)], 0);
        let weight = weight.transpose();
        let ones = Tensor::ones([1, batch], &device);
        let mut cell: Tensor<2> = Tensor::zeros([hidden, batch], &device);
        let mut state = cell.clone();
        let step = |input: Tensor<2>| {
            let fed = Tensor::cat(vec![input, state.clone(), ones.clone()], 0);
            let gates = weight.clone().matmul(fed);
            let gate = |i: usize| gates.clone().narrow(0, i * hidden, hidden);
            let (input, forget, output) = (sigmoid(gate(0)), sigmoid(gate(1)), sigmoid(gate(3)));
            cell = forget * cell.clone() + input * tanh(gate(2));
            state = output * tanh(cell.clone());
            state.clone()
        };
        inputs.into_iter().map(step).collect()
    }
}
