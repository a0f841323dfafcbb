//! Min-max scaling: the load mapped to 0..1 by what the training part spans.

use linfa::prelude::*;
use linfa_preprocessing::linear_scaling::LinearScaler;
use ndarray::Array2;
use thiserror::Error;

/// A fitted min-max scaler: `(x − min) / (max − min)`. What lies outside the span it was fitted on
/// maps outside 0..1; nothing is clipped.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MinMaxScaler {
    min: f64,
    max: f64,
}

/// Why there is no scaler.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum ScaleError {
    /// There was nothing to fit on.
    #[error("there is no value to fit the scaler on")]
    Empty,
    /// The span is zero.
    #[error(
        "all values are {value}: a constant load has nothing to learn; a fixed number of replicas serves it"
    )]
    Constant {
        /// The one value.
        value: f64,
    },
    /// The bounds are not finite numbers in order.
    #[error("the scaler's bounds {min} and {max} are not two finite numbers in order")]
    Bounds {
        /// The lower bound.
        min: f64,
        /// The upper bound.
        max: f64,
    },
}

impl MinMaxScaler {
    /// Fits on the training part.
    ///
    /// # Errors
    /// When `training` is empty, constant or not finite.
    pub fn fit(training: &[f64]) -> Result<Self, ScaleError> {
        let records = Array2::from_shape_vec((training.len(), 1), training.to_vec())
            .map_err(|_| ScaleError::Empty)?;
        let fitted = LinearScaler::min_max()
            .fit(&DatasetBase::from(records))
            .map_err(|_| ScaleError::Empty)?;
        let (offset, scale) = (fitted.offsets()[0], fitted.scales()[0]);
        let max = training.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if max <= offset || scale.abs() < f64::MIN_POSITIVE {
            return Err(ScaleError::Constant { value: offset });
        }
        Self::from_bounds(offset, max)
    }

    /// A scaler that was fitted before.
    ///
    /// # Errors
    /// When the bounds are not finite or not in order.
    pub fn from_bounds(min: f64, max: f64) -> Result<Self, ScaleError> {
        let span = max - min;
        if span.is_finite() && span > 0.0 && span.recip().is_finite() {
            Ok(Self { min, max })
        } else {
            Err(ScaleError::Bounds { min, max })
        }
    }

    /// The least value of the training part; it maps to 0.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.min
    }

    /// The greatest value of the training part; it maps to 1.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.max
    }

    /// A load, scaled.
    #[must_use]
    pub fn transform(&self, load: f64) -> f64 {
        (load - self.min) / (self.max - self.min)
    }

    /// A scaled value, back in the unit of the load.
    #[must_use]
    pub fn inverse(&self, scaled: f64) -> f64 {
        scaled * (self.max - self.min) + self.min
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_a_constant_series() {
        let error = MinMaxScaler::fit(&[3.0, 3.0]).unwrap_err().to_string();
        assert!(error.contains("all values are 3"), "{error}");
        assert_eq!(MinMaxScaler::fit(&[]), Err(ScaleError::Empty));
    }

    proptest! {
        #[test]
        fn inverse_undoes_transform(
            training in prop::collection::vec(0.0..1e9_f64, 2..50), x in 0.0..1e9_f64
        ) {
            let Ok(scaler) = MinMaxScaler::fit(&training) else { return Ok(()) };
            let tolerance = 1e-9 * (x.abs() + scaler.max());
            prop_assert!((scaler.inverse(scaler.transform(x)) - x).abs() <= tolerance);
        }

        #[test]
        fn agrees_with_the_library_it_is_fitted_by(
            training in prop::collection::vec(0.0..1e6_f64, 2..50)
        ) {
            let Ok(scaler) = MinMaxScaler::fit(&training) else { return Ok(()) };
            let records = Array2::from_shape_vec((training.len(), 1), training.clone()).unwrap();
            let fitted = LinearScaler::min_max().fit(&DatasetBase::from(records.clone())).unwrap();
            for (x, theirs) in training.iter().zip(fitted.transform(records).iter()) {
                prop_assert!((scaler.transform(*x) - theirs).abs() <= 1e-9);
            }
        }
    }
}
