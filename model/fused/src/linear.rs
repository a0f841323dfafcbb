//! A linear layer on tiles of sixteen samples, forward and backward.

use crate::outer::{OuterProducts, Steps, Transpose};
use crate::product::Packed;
use crate::simd::{Isa, LANES, Row};

/// The weights of a layer, packed for both directions.
#[derive(Clone, Debug)]
pub struct LinearLayer {
    isa: Isa,
    inputs: usize,
    outputs: usize,
    forward: Packed,
    backward: Packed,
}

impl LinearLayer {
    /// A layer of zeros.
    pub fn new(inputs: usize, outputs: usize, isa: Isa) -> Self {
        let forward = Packed::new(inputs, outputs, isa);
        Self { isa, inputs, outputs, forward, backward: Packed::new(outputs, inputs, isa) }
    }

    /// Takes weights `[inputs, outputs]` and biases `[outputs]`.
    pub fn set(&mut self, weight: &[f32], bias: &[f32]) {
        self.forward.set(weight, bias);
        self.backward.set_transposed(weight);
    }

    /// Room for its outputs, of which there are more than it has, to whole blocks.
    pub fn output(&self) -> Vec<Row> {
        vec![Row::ZERO; self.forward.outputs().next_multiple_of(LANES)]
    }

    /// Room for the derivatives by its inputs, likewise.
    pub fn d_input(&self) -> Vec<Row> {
        vec![Row::ZERO; self.backward.outputs()]
    }

    /// From `[inputs]` to `[outputs]`.
    pub fn forward(&self, input: &[Row], output: &mut [Row]) {
        self.forward.apply(&input[..self.inputs], output);
    }

    /// From the loss's derivatives by its outputs to those by its inputs.
    pub fn backward(&self, d_output: &[Row], d_input: &mut [Row]) {
        self.backward.apply(&d_output[..self.outputs], d_input);
    }

    /// Adds the gradients, in the shapes of [`Self::set`].
    pub fn add_gradients(
        &self,
        input: &[Row],
        d_output: &mut [Row],
        weight: &mut [f32],
        bias: &mut [f32],
    ) {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let input = &input[..inputs];
        for (bias, row) in bias.iter_mut().zip(&d_output[..outputs]) {
            *bias += row.0.iter().sum::<f32>();
        }
        self.isa.run(Transpose(d_output));
        self.isa.run(OuterProducts {
            inputs: Steps { rows: input, stride: inputs, count: inputs },
            derivatives: Steps { rows: d_output, stride: d_output.len(), count: outputs },
            gradient: weight,
        });
    }
}
