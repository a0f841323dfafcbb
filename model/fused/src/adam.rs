//! Adam (Kingma and Ba, 2015).

use crate::simd::{Isa, Kernel, Simd};

/// The optimiser's settings and what it remembers of each parameter.
#[derive(Clone, Debug)]
pub struct Adam {
    isa: Isa,
    learning_rate: f64,
    steps: i32,
    /// The running means of each tensor's gradients.
    means: Vec<Vec<f32>>,
    /// The running means of their squares.
    squares: Vec<Vec<f32>>,
}

/// Decay of the mean of gradients, the paper's β₁.
const MEAN_DECAY: f64 = 0.9;
/// Decay of the mean of their squares, β₂.
const SQUARE_DECAY: f64 = 0.999;
/// ε as in PyTorch; Keras has 1e-7 and Burn 1e-5.
const EPSILON: f32 = 1e-8;

impl Adam {
    /// For tensors of these sizes.
    #[must_use]
    pub fn new(learning_rate: f64, sizes: &[usize], isa: Isa) -> Self {
        let zeros = || sizes.iter().map(|&size| vec![0.0; size]).collect();
        Self { isa, learning_rate, steps: 0, means: zeros(), squares: zeros() }
    }

    /// Changes the learning rate of the steps to come.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    /// One step: changes `parameters` by their `gradients`.
    pub fn step(&mut self, parameters: &mut [Vec<f32>], gradients: &[Vec<f32>]) {
        self.steps += 1;
        let mean_correction = 1.0 - MEAN_DECAY.powi(self.steps);
        let square_correction = 1.0 - SQUARE_DECAY.powi(self.steps);
        let moments = self.means.iter_mut().zip(&mut self.squares);
        for ((parameters, gradients), (means, squares)) in
            parameters.iter_mut().zip(gradients).zip(moments)
        {
            self.isa.run(Update {
                rate: (self.learning_rate / mean_correction) as f32,
                square_scale: (1.0 / square_correction) as f32,
                parameters,
                gradients,
                means,
                squares,
            });
        }
    }
}

/// The update of one tensor; all slices are of one length.
struct Update<'a> {
    /// The learning rate, over what the young mean lacks.
    rate: f32,
    /// One over what the young mean of squares lacks.
    square_scale: f32,
    parameters: &'a mut [f32],
    gradients: &'a [f32],
    means: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    // Plain code, which the compiler vectorises for the instruction set that it is inlined into.
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (decay, square_decay) = (MEAN_DECAY as f32, SQUARE_DECAY as f32);
        let (gain, square_gain) = ((1.0 - MEAN_DECAY) as f32, (1.0 - SQUARE_DECAY) as f32);
        let count = self.parameters.len();
        let (gradients, means) = (&self.gradients[..count], &mut self.means[..count]);
        let squares = &mut self.squares[..count];
        for i in 0..count {
            let gradient = gradients[i];
            means[i] = decay * means[i] + gain * gradient;
            squares[i] = square_decay * squares[i] + square_gain * gradient * gradient;
            let scale = (squares[i] * self.square_scale).sqrt() + EPSILON;
            self.parameters[i] -= self.rate * means[i] / scale;
        }
    }
}
