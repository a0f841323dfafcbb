//! Intervals from past errors: for each horizon step, the empirical quantiles of the residuals.

use thiserror::Error;

use crate::forecast::{Forecast, ForecastError, ForecastParts, IntervalSource};
use crate::quantile::{Quantiles, empirical_quantile};
use crate::step::Step;
use jiff::Timestamp;

/// Quantiles of the residuals (actual − forecast) by horizon step.
#[derive(Clone, PartialEq, Debug)]
pub struct ResidualQuantiles {
    quantiles: Quantiles,
    /// `[quantiles][horizon]`, in the unit of the load.
    offsets: Vec<Vec<f64>>,
    source: IntervalSource,
}

/// Why there are no residual quantiles.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum ResidualsError {
    /// A horizon step has no residual.
    #[error("there is no residual at step {step} to fit an interval on")]
    Empty {
        /// The first such step, counted from 1.
        step: usize,
    },
    /// The offsets are not finite, cross, or have the wrong shape.
    #[error(transparent)]
    Offsets(#[from] ForecastError),
}

impl ResidualQuantiles {
    /// Fits on `residuals`: for each horizon step the list of actual − forecast.
    ///
    /// # Errors
    /// When a step has no residual or one is not finite.
    pub fn fit(
        residuals: &[Vec<f64>],
        quantiles: Quantiles,
        source: IntervalSource,
    ) -> Result<Self, ResidualsError> {
        let mut offsets = vec![Vec::with_capacity(residuals.len()); quantiles.len()];
        for (k, at_step) in residuals.iter().enumerate() {
            let mut sorted = at_step.clone();
            sorted.sort_by(f64::total_cmp);
            for (path, &quantile) in offsets.iter_mut().zip(quantiles.as_slice()) {
                let offset = empirical_quantile(&sorted, quantile);
                path.push(offset.ok_or(ResidualsError::Empty { step: k + 1 })?);
            }
        }
        Self::from_offsets(quantiles, offsets, source)
    }

    /// Residual quantiles that were fitted before: `offsets` is `[quantiles][horizon]`.
    ///
    /// # Errors
    /// When the shape is wrong, a value is not finite, or the quantiles cross.
    pub fn from_offsets(
        quantiles: Quantiles,
        offsets: Vec<Vec<f64>>,
        source: IntervalSource,
    ) -> Result<Self, ResidualsError> {
        let horizon = offsets.first().map_or(0, Vec::len);
        // Offsets obey the rules of a forecast around zero: finite, in order, of one length.
        let checked = Forecast::new(ForecastParts {
            origin: Timestamp::UNIX_EPOCH,
            step: Step::FIVE_MINUTES,
            points: vec![0.0; horizon],
            quantiles: quantiles.clone(),
            paths: offsets.clone(),
            peaks: None,
            interval: source,
        });
        checked?;
        Ok(Self { quantiles, offsets, source })
    }

    /// The longest horizon that it has intervals for.
    #[must_use]
    pub fn horizon(&self) -> usize {
        self.offsets.first().map_or(0, Vec::len)
    }

    /// The levels.
    #[must_use]
    pub fn quantiles(&self) -> &Quantiles {
        &self.quantiles
    }

    /// The offsets: `[quantiles][horizon]`, in the unit of the load.
    #[must_use]
    pub fn offsets(&self) -> &[Vec<f64>] {
        &self.offsets
    }

    /// What they were fitted on.
    #[must_use]
    pub fn source(&self) -> IntervalSource {
        self.source
    }

    /// A forecast with these intervals around `points`; what would be below zero is zero, since a
    /// load is never negative.
    ///
    /// # Errors
    /// When `points` is empty, longer than [`Self::horizon`] or not finite.
    pub fn around(
        &self,
        points: &[f64],
        origin: Timestamp,
        step: Step,
    ) -> Result<Forecast, ForecastError> {
        if points.len() > self.horizon() {
            let (expected, got) = (self.horizon(), points.len());
            return Err(ForecastError::Shape { what: "steps at most", expected, got });
        }
        if let Some(k) = points.iter().position(|point| !point.is_finite()) {
            return Err(ForecastError::NotFinite { step: k + 1 });
        }
        let shifted = |offsets: &Vec<f64>| {
            points.iter().zip(offsets).map(|(point, offset)| (point + offset).max(0.0)).collect()
        };
        Forecast::new(ForecastParts {
            origin,
            step,
            points: points.iter().map(|point| point.max(0.0)).collect(),
            quantiles: self.quantiles.clone(),
            paths: self.offsets.iter().map(shifted).collect(),
            peaks: None,
            interval: self.source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantile::Quantile;
    use proptest::prelude::*;

    const SOURCE: IntervalSource = IntervalSource::ValidationResiduals;

    #[test]
    fn refuses_a_step_without_residuals() {
        let fit = ResidualQuantiles::fit(&[vec![1.0], vec![]], Quantiles::standard(), SOURCE);
        assert_eq!(fit, Err(ResidualsError::Empty { step: 2 }));
        let fit = ResidualQuantiles::fit(&[vec![f64::NAN]], Quantiles::standard(), SOURCE);
        assert!(matches!(fit, Err(ResidualsError::Offsets(_))));
    }

    #[test]
    fn a_point_that_is_not_a_number_is_refused_rather_than_clipped() {
        let fit = ResidualQuantiles::fit(&[vec![1.0, 2.0]], Quantiles::standard(), SOURCE).unwrap();
        let forecast = fit.around(&[f64::NAN], Timestamp::UNIX_EPOCH, Step::FIVE_MINUTES);
        assert_eq!(forecast, Err(ForecastError::NotFinite { step: 1 }));
    }

    proptest! {
        #[test]
        fn covers_the_residuals_it_was_fitted_on(
            residuals in prop::collection::vec(-5.0..5.0_f64, 50..200)
        ) {
            let fit =
                ResidualQuantiles::fit(std::slice::from_ref(&residuals), Quantiles::standard(), SOURCE).unwrap();
            let forecast =
                fit.around(&[100.0], Timestamp::UNIX_EPOCH, Step::FIVE_MINUTES).unwrap();
            let (low, high) =
                (forecast.quantile(Quantile::P10, 0), forecast.quantile(Quantile::P90, 0));
            let inside = residuals.iter().filter(|r| (low..=high).contains(&(100.0 + **r))).count();
            let share = inside as f64 / residuals.len() as f64;
            prop_assert!((0.75..=0.86).contains(&share), "{share}");
        }
    }
}
