//! Training on any device of Burn's, by its autodiff.

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use model::{DropoutMasks, Purpose, ReferenceNetwork, TENSORS, Weights, stream};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::batches::Examples;
use crate::config::TrainingOptions;
use crate::engine::Engine;
use crate::error::TrainingError;

/// Adam's ε as in PyTorch; Keras has 1e-7 and Burn 1e-5.
const ADAM_EPSILON: f32 = 1e-8;
/// Validation windows that are run through the network at once.
const VALIDATION_BATCH: usize = 512;

pub(crate) struct BurnEngine<'a> {
    options: &'a TrainingOptions,
    train: &'a Examples,
    validation: &'a Examples,
    network: ReferenceNetwork,
    optimizer: ModuleOptimizer,
    dropout: ChaCha8Rng,
    squared_errors: Tensor<1>,
    device: Device,
}

impl<'a> BurnEngine<'a> {
    pub(crate) fn new(
        options: &'a TrainingOptions,
        train: &'a Examples,
        validation: &'a Examples,
        weights: &Weights,
        device: &model::Device,
    ) -> Self {
        let device = device.tensors().clone().autodiff();
        Self {
            options,
            train,
            validation,
            network: ReferenceNetwork::new(weights, &device),
            optimizer: AdamConfig::new().with_epsilon(ADAM_EPSILON).init(),
            dropout: stream(options.seed, Purpose::Dropout),
            squared_errors: Tensor::zeros([1], &device).inner(),
            device,
        }
    }
}

impl Engine for BurnEngine<'_> {
    fn step(&mut self, indices: &[usize]) {
        let draw = || self.dropout.next_u64();
        let masks = DropoutMasks::draw(&self.options.network, indices.len(), draw);
        let batch = self.train.batch(indices, &self.device);
        let errors = self.network.forward(batch.windows, Some(&masks)) - batch.targets;
        let squared = errors.square().sum();
        let loss = squared.clone().div_scalar(indices.len() as f64);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        let network = self.network.clone();
        self.network = self.optimizer.step(self.options.learning_rate, network, gradients);
        // Read once an epoch: reading makes a device wait.
        self.squared_errors = self.squared_errors.clone() + squared.inner();
    }

    fn take_squared_errors(&mut self) -> Result<f64, TrainingError> {
        let zero = Tensor::zeros([1], &self.device).inner();
        read(std::mem::replace(&mut self.squared_errors, zero))
    }

    fn validation_loss(&mut self) -> Result<f64, TrainingError> {
        let (network, device) = (self.network.valid(), self.device.clone().inner());
        let indices: Vec<usize> = (0..self.validation.len()).collect();
        let mut sum = 0.0;
        for indices in indices.chunks(VALIDATION_BATCH) {
            let batch = self.validation.batch(indices, &device);
            let errors = network.forward(batch.windows, None) - batch.targets;
            sum += read(errors.square().sum())?;
        }
        Ok(sum / self.validation.len() as f64)
    }

    fn weights(&self) -> Result<[Vec<f32>; TENSORS], TrainingError> {
        self.network.valid().to_values().map_err(TrainingError::Compute)
    }
}

fn read(scalar: Tensor<1>) -> Result<f64, TrainingError> {
    let value = scalar.try_into_scalar::<f32>();
    value.map(f64::from).map_err(|e| TrainingError::Compute(e.to_string()))
}
