//! Forecasts of the quantile network, in the series' unit.

use std::array::from_fn;
use std::sync::Arc;

use forecast::covariates::{Covariates, Past};
use forecast::gaps::{Filled, require_observed};
use forecast::{
    Forecast, ForecastError, ForecastFailure, ForecastParts, Forecaster, HORIZON, IntervalSource,
    LOOKBACK, Quantile, Quantiles, SeriesView, forecast_alone,
};
use fused::Isa;

use super::config::QuantileConfig;
use super::head::{Head, LEVELS};
use super::network::{QuantileNetwork, QuantileWorkspace};
use super::stepper::QuantileStepper;
use super::windows::QuantileTile;
use crate::pretrained::Pretrained;
use crate::weights::Weights;

/// A quantile network that forecasts any series.
#[derive(Clone, Debug)]
pub struct QuantileForecaster {
    name: &'static str,
    network: Arc<QuantileNetwork>,
    stepper: Arc<QuantileStepper>,
}

/// Windows from which on a tile of sixteen is faster than so many alone: at some ten, both take as long.
const TILE_MIN: usize = 12;

impl QuantileForecaster {
    /// The name of the network that ships, and of the preset that rests on it.
    pub const NAME: &str = "lstm";
    /// The name of one that was trained on, on a workload's own history.
    pub const FINE_TUNED: &str = "lstm-fine-tuned";

    /// The network with these weights, on the CPU.
    #[must_use]
    pub fn new(weights: &Weights<QuantileConfig>) -> Self {
        let isa = Isa::best();
        Self {
            name: Self::NAME,
            network: Arc::new(QuantileNetwork::new(weights, isa)),
            stepper: Arc::new(QuantileStepper::new(weights, isa)),
        }
    }

    /// The network that ships with the program.
    #[must_use]
    pub fn embedded() -> Self {
        Self::new(Pretrained::embedded().weights())
    }

    /// The same network under another name, to be told apart in a mixture.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }
}

impl Forecaster for QuantileForecaster {
    fn name(&self) -> &'static str {
        self.name
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        forecast_alone(self, history, horizon)
    }

    fn forecasts(
        &self,
        series: SeriesView<'_>,
        origins: &[usize],
        horizon: usize,
    ) -> Result<Vec<Forecast>, ForecastFailure> {
        if horizon == 0 {
            return Err(ForecastError::Empty.into());
        }
        if horizon > HORIZON {
            return Err(ForecastFailure::HorizonTooLong { longest: HORIZON, asked: horizon });
        }
        let day = series.step().per_day();
        // The filling is causal, so that of the whole series is that of every prefix.
        let filled = Filled::from_view(series);
        let window = |&origin: &usize| {
            let known = series.prefix(origin);
            let end = (filled.len() + origin).saturating_sub(series.len());
            let too_short = ForecastFailure::TooShort { needed: LOOKBACK / 2, got: end };
            if end < LOOKBACK / 2 {
                return Err(too_short);
            }
            require_observed(&known.values()[origin.saturating_sub(LOOKBACK)..])?;
            let past = Past::before(&filled, end, end, day).ok_or(too_short)?;
            Ok((known, Covariates::of(&past)))
        };
        let mut workspace = None;
        let mut forecasts = Vec::with_capacity(origins.len());
        for origins in origins.chunks(QuantileTile::WINDOWS_MAX) {
            let windows: Vec<(SeriesView<'_>, Covariates)> =
                origins.iter().map(window).collect::<Result<_, ForecastFailure>>()?;
            let heads = self.heads(&windows, &mut workspace);
            for ((known, covariates), heads) in windows.iter().zip(&heads) {
                forecasts.push(in_units_of(*known, covariates, &heads[..horizon])?);
            }
        }
        Ok(forecasts)
    }
}

impl QuantileForecaster {
    /// What the network says of each of at most sixteen windows.
    fn heads(
        &self,
        windows: &[(SeriesView<'_>, Covariates)],
        workspace: &mut Option<QuantileWorkspace>,
    ) -> Vec<[Head; HORIZON]> {
        if windows.len() < TILE_MIN {
            return windows.iter().map(|(_, known)| self.stepper.forecast(known)).collect();
        }
        let mut tile = QuantileTile::new();
        windows.iter().for_each(|(_, covariates)| tile.push(covariates));
        let workspace = workspace.get_or_insert_with(|| self.network.workspace());
        self.network.forecast(&tile, workspace);
        (0..windows.len()).map(|lane| from_fn(|k| *workspace.head(k, lane))).collect()
    }
}

/// The forecast of one window in the unit of its series.
fn in_units_of(
    known: SeriesView<'_>,
    covariates: &Covariates,
    heads: &[Head],
) -> Result<Forecast, ForecastError> {
    let (quantiles, levels) = (Quantiles::standard(), Quantiles::deciles());
    let load = |unit: f32| covariates.load(f64::from(unit));
    let mut paths = vec![Vec::with_capacity(heads.len()); quantiles.len()];
    let mut peaks = paths.clone();
    for (k, head) in heads.iter().enumerate() {
        for (paths, deciles) in [(&mut paths, &head.value), (&mut peaks, &head.peak)] {
            let deciles = deciles.map(load);
            if deciles.iter().any(|value| !value.is_finite()) {
                return Err(ForecastError::NotFinite { step: k + 1 });
            }
            for (path, quantile) in paths.iter_mut().zip(quantiles.as_slice()) {
                // A load is never negative.
                path.push(with_tails(&levels, &deciles, *quantile).max(0.0));
            }
        }
    }
    Forecast::cohere(&paths, &mut peaks);
    let points = (0..heads.len())
        .map(|k| quantiles.interpolate(Quantile::MEDIAN, |i| paths[i][k]))
        .collect();
    Forecast::new(ForecastParts {
        origin: known.last_time(),
        step: known.step(),
        points,
        quantiles,
        paths,
        peaks: Some(peaks),
        interval: IntervalSource::Learned,
    })
}

/// The value at `level` of a distribution with these deciles: linear between them, and beyond them
/// with the tails of an exponential distribution, on which the last two lie.
fn with_tails(levels: &Quantiles, deciles: &[f64; LEVELS.len()], level: Quantile) -> f64 {
    const LAST: usize = LEVELS.len() - 1;
    let beyond = |share: f64| (0.1 / share).log2();
    if level.level() < Quantile::P10.level() {
        deciles[0] - (deciles[1] - deciles[0]) * beyond(level.level())
    } else if level.level() > Quantile::P90.level() {
        deciles[LAST] + (deciles[LAST] - deciles[LAST - 1]) * beyond(1.0 - level.level())
    } else {
        levels.interpolate(level, |i| deciles[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn deciles_are_kept_and_tails_are_exponential() {
        // −ln(1 − p), the quantile function of the exponential distribution.
        let deciles = LEVELS.map(|level| -(1.0 - f64::from(level)).ln());
        let levels = Quantiles::deciles();
        for (level, decile) in levels.as_slice().iter().zip(deciles) {
            assert_eq!(with_tails(&levels, &deciles, *level), decile);
        }
        for level in [0.95, 0.975, 0.99] {
            let exact = -(1.0_f64 - level).ln();
            let got = with_tails(&levels, &deciles, Quantile::new(level).unwrap());
            assert!((got - exact).abs() < 1e-5, "{level}");
        }
    }

    proptest! {
        #[test]
        fn quantiles_rise_with_their_levels(
            mut deciles in prop::array::uniform9(-5.0..5.0_f64)
        ) {
            deciles.sort_by(f64::total_cmp);
            let standard = Quantiles::standard();
            let levels = Quantiles::deciles();
            let value = |level: &Quantile| with_tails(&levels, &deciles, *level);
            let values: Vec<f64> = standard.as_slice().iter().map(value).collect();
            prop_assert!(values.is_sorted(), "{:?}", values);
        }
    }
}
