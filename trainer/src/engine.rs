//! What computes the steps of a training: our own kernels on the CPU, Burn on any other device.

use model::TENSORS;

use crate::error::TrainingError;

/// A network that is trained.
pub(crate) trait Engine {
    /// One step of Adam on the mean squared error over the training examples `indices`.
    fn step(&mut self, indices: &[usize]);

    /// The sum of the squared errors, with dropout, of all steps since it was last asked for.
    fn take_squared_errors(&mut self) -> Result<f64, TrainingError>;

    /// The mean loss on the validation examples, without dropout.
    fn validation_loss(&mut self) -> Result<f64, TrainingError>;

    /// The weights as they are now, in the order of `Weights::iter`.
    fn weights(&self) -> Result<[Vec<f32>; TENSORS], TrainingError>;
}
