//! The weights of a network as plain numbers, and how they are drawn at first.

use thiserror::Error;

use crate::network::NetworkConfig;
use crate::random::{Purpose, normal, stream, unit};

/// Number of tensors in a network.
pub const TENSORS: usize = 8;

/// The sizes of a network, from which the shapes of its weights follow.
pub trait Layout: Copy + PartialEq {
    /// The name and the shape of each tensor, in the order in which they are kept.
    fn layout(&self) -> [(&'static str, Vec<usize>); TENSORS];
}

/// The weights of a network: right shapes, all finite.
#[derive(Clone, PartialEq, Debug)]
pub struct Weights<C = NetworkConfig> {
    config: C,
    tensors: [Vec<f32>; TENSORS],
}

/// Why numbers are not the [`Weights`] of a network.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum WeightsError {
    /// A tensor has the wrong size.
    #[error("the tensor {name} has {got} values, but the network needs {expected}")]
    Size {
        /// The tensor.
        name: &'static str,
        /// Values needed.
        expected: usize,
        /// Values found.
        got: usize,
    },
    /// A value is NaN or infinite.
    #[error("the tensor {name} has a value that is not finite")]
    NotFinite {
        /// The tensor.
        name: &'static str,
    },
}

impl Layout for NetworkConfig {
    fn layout(&self) -> [(&'static str, Vec<usize>); TENSORS] {
        let Self { hidden, dense, .. } = *self;
        [
            ("lstm_1.weight", vec![1 + hidden, 4 * hidden]),
            ("lstm_1.bias", vec![4 * hidden]),
            ("lstm_2.weight", vec![2 * hidden, 4 * hidden]),
            ("lstm_2.bias", vec![4 * hidden]),
            ("dense.weight", vec![hidden, dense]),
            ("dense.bias", vec![dense]),
            ("output.weight", vec![dense, 1]),
            ("output.bias", vec![1]),
        ]
    }
}

impl<C: Layout> Weights<C> {
    /// Weights from their numbers, row-major, in the order of [`Self::iter`].
    ///
    /// # Errors
    /// When a tensor has the wrong size or a value that is not finite.
    pub fn new(config: C, tensors: [Vec<f32>; TENSORS]) -> Result<Self, WeightsError> {
        for ((name, shape), values) in config.layout().into_iter().zip(&tensors) {
            let (expected, got) = (shape.iter().product(), values.len());
            if got != expected {
                return Err(WeightsError::Size { name, expected, got });
            }
            if values.iter().any(|value| !value.is_finite()) {
                return Err(WeightsError::NotFinite { name });
            }
        }
        Ok(Self { config, tensors })
    }

    /// Weights that are known to have the right shapes.
    pub(crate) fn of(config: C, tensors: [Vec<f32>; TENSORS]) -> Self {
        Self { config, tensors }
    }

    /// The network that they belong to.
    #[must_use]
    pub fn config(&self) -> C {
        self.config
    }

    /// Each tensor's name, shape and numbers (row-major).
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Vec<usize>, &[f32])> {
        let named = self.config.layout().into_iter().zip(&self.tensors);
        named.map(|((name, shape), values)| (name, shape, values.as_slice()))
    }

    /// The numbers of all tensors, in the order of [`Self::iter`].
    #[must_use]
    pub fn tensors(&self) -> &[Vec<f32>; TENSORS] {
        &self.tensors
    }

    /// The numbers of the tensor `index`.
    pub(crate) fn values(&self, index: usize) -> &[f32] {
        &self.tensors[index]
    }
}

impl Weights {
    /// The weights that training starts from, as Keras draws them: Glorot-uniform input and dense
    /// kernels, orthogonal recurrent kernels, biases zero but for the forget gates' ones.
    #[must_use]
    pub fn initial(config: NetworkConfig, seed: u64) -> Self {
        let mut rng = stream(seed, Purpose::Weights);
        let NetworkConfig { hidden, dense, .. } = config;
        let lstm_1 = lstm_kernel(1, hidden, &mut rng);
        let lstm_2 = lstm_kernel(hidden, hidden, &mut rng);
        let tensors = [
            lstm_1,
            forget_bias(hidden),
            lstm_2,
            forget_bias(hidden),
            glorot_uniform(hidden, dense, &mut rng),
            vec![0.0; dense],
            glorot_uniform(dense, 1, &mut rng),
            vec![0.0],
        ];
        Self { config, tensors }
    }
}

/// An LSTM layer's weights: Glorot-uniform ones of the inputs, orthogonal ones of the state.
pub(crate) fn lstm_kernel(inputs: usize, hidden: usize, rng: &mut impl rand::Rng) -> Vec<f32> {
    let mut kernel = glorot_uniform(inputs, 4 * hidden, rng);
    kernel.extend(orthogonal(hidden, 4 * hidden, rng));
    kernel
}

/// Uniform in ±√(6 / (rows + columns)) (Glorot and Bengio, 2010).
pub(crate) fn glorot_uniform(rows: usize, columns: usize, rng: &mut impl rand::Rng) -> Vec<f32> {
    let limit = (6.0 / (rows + columns) as f64).sqrt();
    (0..rows * columns).map(|_| (limit * (2.0 * unit(rng) - 1.0)) as f32).collect()
}

/// Orthonormal rows: the Gram–Schmidt process on normal rows, `rows` at most `columns` (Saxe et
/// al., 2013). It is run twice over, since once loses orthogonality to rounding.
fn orthogonal(rows: usize, columns: usize, rng: &mut impl rand::Rng) -> Vec<f32> {
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(rows);
    for _ in 0..rows {
        let mut row: Vec<f64> = (0..columns).map(|_| normal(rng)).collect();
        for _ in 0..2 {
            for earlier in &basis {
                let along: f64 = row.iter().zip(earlier).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(earlier).for_each(|(a, b)| *a -= along * b);
            }
            let norm = row.iter().map(|a| a * a).sum::<f64>().sqrt();
            row.iter_mut().for_each(|a| *a /= norm);
        }
        basis.push(row);
    }
    basis.into_iter().flatten().map(|a| a as f32).collect()
}

/// Zero, and one for the forget gate, which is the second of four (Jozefowicz et al., 2015).
pub(crate) fn forget_bias(hidden: usize) -> Vec<f32> {
    (0..4 * hidden).map(|i| if i / hidden == 1 { 1.0 } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recurrent_rows_are_orthonormal() {
        let rows = orthogonal(50, 200, &mut stream(1, Purpose::Weights));
        for (i, a) in rows.chunks(200).enumerate() {
            for (j, b) in rows.chunks(200).enumerate() {
                let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((dot - expected).abs() < 1e-5, "rows {i} and {j}: {dot}");
            }
        }
    }

    #[test]
    fn the_seed_decides_and_the_forget_gate_starts_open() {
        let config = NetworkConfig::REFERENCE;
        assert_eq!(Weights::initial(config, 1), Weights::initial(config, 1));
        assert_ne!(Weights::initial(config, 1), Weights::initial(config, 2));
        let bias = Weights::initial(config, 1).values(1).to_vec();
        assert!(bias[..50].iter().all(|b| *b == 0.0) && bias[50..100].iter().all(|b| *b == 1.0));
        let count: usize = Weights::initial(config, 1).iter().map(|(_, _, v)| v.len()).sum();
        assert_eq!(count, 31_901);
    }

    #[test]
    fn refuses_wrong_sizes_and_values() {
        let config = NetworkConfig::REFERENCE;
        let mut tensors = Weights::initial(config, 1).tensors;
        tensors[7] = vec![f32::NAN];
        let error = Weights::new(config, tensors.clone()).unwrap_err();
        assert_eq!(error, WeightsError::NotFinite { name: "output.bias" });
        tensors[7] = vec![];
        let error = Weights::new(config, tensors).unwrap_err();
        assert_eq!(error, WeightsError::Size { name: "output.bias", expected: 1, got: 0 });
    }
}
