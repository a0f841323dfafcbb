//! Quantiles: levels strictly between 0 and 1, in order.

use std::fmt;

use thiserror::Error;

/// A predictive quantile's level, strictly between 0 and 1.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub struct Quantile(f64);

/// Why a number is not a [`Quantile`], or a list not a set of [`Quantiles`].
#[derive(Clone, PartialEq, Debug, Error)]
pub enum QuantileError {
    /// It is not strictly between 0 and 1.
    #[error("a quantile of {0} is not possible: expected a number between 0 and 1, such as 0.9")]
    OutOfRange(f64),
    /// There is none.
    #[error("a set of quantiles needs at least one")]
    Empty,
}

impl Quantile {
    /// The middle.
    pub const MEDIAN: Self = Self(0.5);
    /// The lower end of the 80 % interval.
    pub const P10: Self = Self(0.1);
    /// The upper end of the 80 % interval.
    pub const P90: Self = Self(0.9);

    /// A quantile at `level`.
    ///
    /// # Errors
    /// When `level` is not strictly between 0 and 1.
    pub fn new(level: f64) -> Result<Self, QuantileError> {
        if level > 0.0 && level < 1.0 {
            Ok(Self(level))
        } else {
            Err(QuantileError::OutOfRange(level))
        }
    }

    /// The level.
    #[must_use]
    pub fn level(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Distinct quantiles in rising order; at least one.
#[derive(Clone, PartialEq, Debug)]
pub struct Quantiles(Vec<Quantile>);

impl Quantiles {
    /// The set of `quantiles`, sorted, each once.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(mut quantiles: Vec<Quantile>) -> Result<Self, QuantileError> {
        quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        quantiles.dedup();
        if quantiles.is_empty() { Err(QuantileError::Empty) } else { Ok(Self(quantiles)) }
    }

    /// The levels that every forecast of ours carries: the deciles, by which forecasts are scored,
    /// and the tails, which a careful planner asks for.
    #[must_use]
    pub fn standard() -> Self {
        const LEVELS: [f64; 15] =
            [0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99];
        Self(LEVELS.map(Quantile).to_vec())
    }

    /// 0.1, 0.2 … 0.9.
    #[must_use]
    pub fn deciles() -> Self {
        let standard = Self::standard().0.into_iter();
        Self(standard.filter(|q| (Quantile::P10.0..=Quantile::P90.0).contains(&q.0)).collect())
    }

    /// The quantiles, lowest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Quantile] {
        &self.0
    }

    /// The number of quantiles.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value at `wanted` of a curve that has `value(i)` at the quantile `i`: linear between its
    /// neighbours, and that of the outermost quantile beyond it.
    pub fn interpolate(&self, wanted: Quantile, value: impl Fn(usize) -> f64) -> f64 {
        let above = self.0.partition_point(|q| q.0 < wanted.0);
        if above == 0 {
            return value(0);
        }
        if above == self.0.len() {
            return value(above - 1);
        }
        let (low, high) = (self.0[above - 1].0, self.0[above].0);
        let share = (wanted.0 - low) / (high - low);
        let (from, to) = (value(above - 1), value(above));
        if share >= 1.0 { to } else { from + share * (to - from) }
    }
}

/// The `quantile` of `sorted`, linear between order statistics (type 7 of Hyndman and Fan, 1996,
/// the default of R and NumPy). `None` when there are no values.
#[must_use]
pub(crate) fn empirical_quantile(sorted: &[f64], quantile: Quantile) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = quantile.level() * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let share = position - below as f64;
    Some(sorted[below] + share * (sorted[above] - sorted[below]))
}

/// The middle of `values`, which it sorts; `None` when there are none.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    empirical_quantile(values, Quantile::MEDIAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_levels_outside_of_the_open_interval() {
        for level in [0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
            assert!(Quantile::new(level).is_err(), "{level}");
        }
        assert_eq!(Quantiles::new(Vec::new()), Err(QuantileError::Empty));
    }

    #[test]
    fn empirical_quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8], [0.1, 0.5, 0.9]) == [1.3, 3.0, 6.8]
        let sorted = [1.0, 2.0, 4.0, 8.0];
        for (level, expected) in [(0.1, 1.3), (0.5, 3.0), (0.9, 6.8)] {
            let quantile = Quantile::new(level).unwrap();
            assert!((empirical_quantile(&sorted, quantile).unwrap() - expected).abs() < 1e-12);
        }
        assert_eq!(empirical_quantile(&[], Quantile::MEDIAN), None);
    }

    #[test]
    fn the_set_is_sorted_and_interpolates() {
        let set = Quantiles::new(vec![Quantile::P90, Quantile::P10, Quantile::P90]).unwrap();
        assert_eq!(set.as_slice(), [Quantile::P10, Quantile::P90]);
        let value = |i: usize| [10.0, 90.0][i];
        assert!((set.interpolate(Quantile::MEDIAN, value) - 50.0).abs() < 1e-9);
        assert_eq!(set.interpolate(Quantile::P90, value), 90.0);
        assert_eq!(set.interpolate(Quantile::new(0.99).unwrap(), value), 90.0);
    }
}
