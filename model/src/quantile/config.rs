//! The sizes of the quantile network, and the weights that its training starts from.

use forecast::covariates::{STATIC_COVARIATES, STEP_COVARIATES};

use super::head::OUTPUTS;
use crate::random::{Purpose, stream};
use crate::weights::{Layout, TENSORS, Weights, forget_bias, glorot_uniform, lstm_kernel};

/// Numbers that go into the network at each step: the step's, and those of the whole window.
pub(crate) const INPUTS: usize = STEP_COVARIATES + STATIC_COVARIATES;

/// The last layer starts small, so that the first forecasts are the mean of the simple ones.
const OUTPUT_GAIN: f32 = 0.3;

/// The sizes of a quantile network.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct QuantileConfig {
    /// Width of each LSTM layer.
    pub hidden: usize,
    /// Width of the linear layer after them.
    pub dense: usize,
    /// Share of values dropped after each LSTM layer, in training only.
    pub dropout: f64,
}

impl QuantileConfig {
    /// The network that ships with the program.
    pub const STANDARD: Self = Self { hidden: 50, dense: 64, dropout: 0.2 };
}

impl Layout for QuantileConfig {
    fn layout(&self) -> [(&'static str, Vec<usize>); TENSORS] {
        let Self { hidden, dense, .. } = *self;
        [
            ("lstm_1.weight", vec![INPUTS + hidden, 4 * hidden]),
            ("lstm_1.bias", vec![4 * hidden]),
            ("lstm_2.weight", vec![2 * hidden, 4 * hidden]),
            ("lstm_2.bias", vec![4 * hidden]),
            ("dense.weight", vec![hidden + INPUTS, dense]),
            ("dense.bias", vec![dense]),
            ("output.weight", vec![dense, OUTPUTS]),
            ("output.bias", vec![OUTPUTS]),
        ]
    }
}

impl Weights<QuantileConfig> {
    /// The weights that training starts from: Glorot-uniform input and dense kernels, orthogonal
    /// recurrent kernels, biases zero but for the forget gates' ones.
    #[must_use]
    pub fn initial_quantile(config: QuantileConfig, seed: u64) -> Self {
        let mut rng = stream(seed, Purpose::Weights);
        let QuantileConfig { hidden, dense, .. } = config;
        let lstm_1 = lstm_kernel(INPUTS, hidden, &mut rng);
        let lstm_2 = lstm_kernel(hidden, hidden, &mut rng);
        let dense_weight = glorot_uniform(hidden + INPUTS, dense, &mut rng);
        let output = glorot_uniform(dense, OUTPUTS, &mut rng);
        Self::of(
            config,
            [
                lstm_1,
                forget_bias(hidden),
                lstm_2,
                forget_bias(hidden),
                dense_weight,
                vec![0.0; dense],
                output.into_iter().map(|weight| OUTPUT_GAIN * weight).collect(),
                vec![0.0; OUTPUTS],
            ],
        )
    }
}
