//! The epochs: gradients, Adam, validation, early stopping.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use model::{DropoutMasks, Purpose, ReferenceNetwork, Weights, stream};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::batches::Examples;
use crate::config::TrainingConfig;
use crate::error::TrainingError;
use crate::event::TrainingEvent;

/// Adam's ε as in PyTorch; Keras has 1e-7 and Burn 1e-5.
const ADAM_EPSILON: f32 = 1e-8;
/// Validation windows that are run through the network at once.
const VALIDATION_BATCH: usize = 512;

/// Who is told, and may cancel.
pub(crate) type Observer<'a> = dyn FnMut(TrainingEvent) -> ControlFlow<()> + 'a;

/// What a fit leaves.
#[derive(Clone, Debug)]
pub(crate) struct Fitted {
    pub(crate) weights: Weights,
    pub(crate) train_loss: Vec<f64>,
    pub(crate) validation_loss: Vec<f64>,
    pub(crate) best_epoch: usize,
    pub(crate) stopped_early: bool,
}

/// Tells an event; an observer that breaks cancels.
pub(crate) fn tell(observer: &mut Observer<'_>, event: TrainingEvent) -> Result<(), TrainingError> {
    match observer(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(TrainingError::Cancelled),
    }
}

/// Fits a network to `train`, watching `validation`.
pub(crate) fn fit(
    train: &Examples,
    validation: &Examples,
    config: &TrainingConfig,
    device: &model::Device,
    observer: &mut Observer<'_>,
) -> Result<Fitted, TrainingError> {
    let options = config.options();
    let mut fit = Fit::start(train, config, device)?;
    let mut best = (f64::INFINITY, 0, fit.network.valid());
    let (mut train_loss, mut validation_loss) = (Vec::new(), Vec::new());
    let mut stopped_early = false;
    for epoch in 1..=options.epochs {
        let started = Instant::now();
        let mut on_batch = |done, of| tell(observer, TrainingEvent::Batch { epoch, done, of });
        train_loss.push(fit.epoch(&mut on_batch)?);
        validation_loss.push(fit.loss(validation)?);
        let (trained, validated) = (train_loss[epoch - 1], validation_loss[epoch - 1]);
        if !(trained.is_finite() && validated.is_finite()) {
            return Err(TrainingError::Diverged { epoch });
        }
        if validated < best.0 || options.patience.is_none() {
            best = (validated, epoch, fit.network.valid());
        }
        let seconds = started.elapsed().as_secs_f64();
        let (train_loss, validation_loss) = (trained, validated);
        tell(observer, TrainingEvent::Epoch { epoch, train_loss, validation_loss, seconds })?;
        if options.patience.is_some_and(|patience| epoch - best.1 >= patience) {
            stopped_early = epoch < options.epochs;
            break;
        }
    }
    let (_, best_epoch, network) = best;
    let values = network.to_values().map_err(TrainingError::Compute)?;
    let weights = Weights::new(options.network, values)
        .map_err(|_| TrainingError::Diverged { epoch: best_epoch })?;
    Ok(Fitted { weights, train_loss, validation_loss, best_epoch, stopped_early })
}

/// A fit under way.
struct Fit<'a> {
    config: &'a TrainingConfig,
    train: &'a Examples,
    network: ReferenceNetwork,
    optimizer: ModuleOptimizer,
    shuffling: ChaCha8Rng,
    dropout: ChaCha8Rng,
    order: Vec<usize>,
    pool: ThreadPool,
    device: Device,
}

impl<'a> Fit<'a> {
    fn start(
        train: &'a Examples,
        config: &'a TrainingConfig,
        device: &model::Device,
    ) -> Result<Self, TrainingError> {
        let options = config.options();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
        let device = device.tensors().clone().autodiff();
        let weights = Weights::initial(options.network, options.seed);
        Ok(Self {
            config,
            train,
            network: ReferenceNetwork::new(&weights, &device),
            optimizer: AdamConfig::new().with_epsilon(ADAM_EPSILON).init(),
            shuffling: stream(options.seed, Purpose::Shuffling),
            dropout: stream(options.seed, Purpose::Dropout),
            order: (0..train.len()).collect(),
            pool: pool.map_err(|e| TrainingError::Compute(e.to_string()))?,
            device,
        })
    }

    /// One pass over the training windows, in a new order; the mean loss.
    fn epoch(
        &mut self,
        on_batch: &mut dyn FnMut(usize, usize) -> Result<(), TrainingError>,
    ) -> Result<f64, TrainingError> {
        shuffle(&mut self.order, &mut self.shuffling);
        let order = std::mem::take(&mut self.order);
        let batch = self.config.options().batch;
        let batches = order.len().div_ceil(batch);
        // The loss is read once an epoch: reading it makes a device wait.
        let mut squared_errors: Tensor<1> = Tensor::zeros([1], &self.device).inner();
        for (done, indices) in order.chunks(batch).enumerate() {
            squared_errors = squared_errors + self.step(indices);
            on_batch(done + 1, batches)?;
        }
        let sum = read(squared_errors)?;
        let mean = sum / order.len() as f64;
        self.order = order;
        Ok(mean)
    }

    /// One step of Adam on the mean squared error over `indices`; the sum of squared errors.
    fn step(&mut self, indices: &[usize]) -> Tensor<1> {
        let options = self.config.options();
        let share = indices.len().div_ceil(options.threads);
        let mut draw = |share: &'_ [usize]| {
            DropoutMasks::draw(&options.network, share.len(), || self.dropout.next_u64())
        };
        let shares: Vec<_> = indices.chunks(share).map(|share| (share, draw(share))).collect();
        let count = indices.len() as f64;
        let (network, train, device) = (&self.network, self.train, &self.device);
        let parts: Vec<(GradientsParams, Tensor<1>)> = self.pool.install(|| {
            let gradients = |(share, masks): (&[usize], DropoutMasks)| {
                // A fork has the same parameters but a graph of its own, so that threads do not
                // wait for each other's.
                let network = network.clone().fork(device);
                let batch = train.batch(share, device);
                let errors = network.forward(batch.windows, Some(&masks)) - batch.targets;
                let squared = errors.square().sum();
                let loss = squared.clone().div_scalar(count);
                let mut gradients = loss.backward();
                (GradientsParams::from_module(&mut gradients, &network), squared.inner())
            };
            shares.into_par_iter().map(gradients).collect()
        });
        let mut sum = GradientsAccumulator::new();
        let mut squared_errors: Tensor<1> = Tensor::zeros([1], &self.device).inner();
        for (gradients, squared) in parts {
            sum.accumulate(&self.network, gradients);
            squared_errors = squared_errors + squared;
        }
        let network = self.network.clone();
        self.network = self.optimizer.step(options.learning_rate, network, sum.grads());
        squared_errors
    }

    /// The mean loss on `examples`, without dropout.
    fn loss(&self, examples: &Examples) -> Result<f64, TrainingError> {
        let (network, device) = (self.network.valid(), self.device.clone().inner());
        let indices: Vec<usize> = (0..examples.len()).collect();
        let mut sum = 0.0;
        for indices in indices.chunks(VALIDATION_BATCH) {
            let batch = examples.batch(indices, &device);
            let errors = network.forward(batch.windows, None) - batch.targets;
            sum += read(errors.square().sum())?;
        }
        Ok(sum / examples.len() as f64)
    }
}

fn read(scalar: Tensor<1>) -> Result<f64, TrainingError> {
    let value = scalar.try_into_scalar::<f32>();
    value.map(f64::from).map_err(|e| TrainingError::Compute(e.to_string()))
}

/// A random permutation (Fisher and Yates, 1938).
fn shuffle(order: &mut [usize], rng: &mut impl Rng) {
    for last in (1..order.len()).rev() {
        // The remainder's bias, 1 in 2⁴⁴ at a million windows, does not matter here.
        let chosen = (rng.next_u64() % (last as u64 + 1)) as usize;
        order.swap(last, chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation_that_the_seed_decides() {
        let shuffled = |seed| {
            let mut order: Vec<usize> = (0..100).collect();
            shuffle(&mut order, &mut stream(seed, Purpose::Shuffling));
            order
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
