//! A linear layer on tiles of sixteen samples, forward and backward.

use crate::lstm::Gradients;
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
    #[must_use]
    pub fn new(inputs: usize, outputs: usize, isa: Isa) -> Self {
        let forward = Packed::new(inputs, outputs, isa);
        Self { isa, inputs, outputs, forward, backward: Packed::new(outputs, inputs, isa) }
    }

    /// Takes weights `[inputs, outputs]` and biases `[outputs]`.
    pub fn set(&mut self, weight: &[f32], bias: &[f32]) {
        self.forward.set(weight, bias);
        self.backward.set_transposed(weight);
    }

    /// Room for its outputs, or for the derivatives by them: `[outputs]`, rounded up to sixteen
    /// rows.
    #[must_use]
    pub fn output(&self) -> Vec<Row> {
        vec![Row::ZERO; self.outputs.next_multiple_of(LANES)]
    }

    /// From `[inputs]` to `[outputs]`.
    pub fn forward(&self, input: &[Row], output: &mut [Row]) {
        self.forward.apply(&input[..self.inputs], output);
    }

    /// From the loss's derivatives by its outputs, in a room of [`Self::output`], to those by its
    /// inputs `[inputs]`; adds the weights' gradients. `d_output` holds nothing of use afterwards.
    pub fn backward(
        &self,
        input: &[Row],
        d_output: &mut [Row],
        d_input: &mut [Row],
        gradients: Gradients<'_>,
    ) {
        let (inputs, outputs) = (self.inputs, self.outputs);
        self.backward.apply(&d_output[..outputs], d_input);
        for (bias, row) in gradients.bias.iter_mut().zip(&d_output[..outputs]) {
            *bias += row.0.iter().sum::<f32>();
        }
        self.isa.run(Transpose(d_output));
        self.isa.run(OuterProducts {
            inputs: Steps { rows: &input[..inputs], stride: inputs, count: inputs },
            derivatives: Steps { rows: d_output, stride: d_output.len(), count: outputs },
            gradient: gradients.weight,
        });
    }
}
