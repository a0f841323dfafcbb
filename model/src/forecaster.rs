//! Forecasts from a network: the last values scaled, run through it, fed back, scaled back.

use forecast::gaps::{FilledView, require_observed};
use forecast::scale::MinMaxScaler;
use forecast::{
    Forecast, ForecastError, ForecastFailure, Forecaster, ResidualQuantiles, SeriesView, Step,
    forecast_alone,
};

use burn::tensor::{Tensor, TensorData};
use fused::Isa;

use crate::autoregressor::Autoregressor;
use crate::device::Device;
use crate::network::{NetworkConfig, ReferenceNetwork};
use crate::weights::Weights;

/// Windows that are run through the network at once: enough to keep any device busy, few enough for
/// the memory of a small one.
const BATCH_MAX: usize = 512;

/// A network without intervals: plain numbers in, plain numbers out.
#[derive(Clone, Debug)]
pub struct PointForecaster {
    backend: Backend,
    config: NetworkConfig,
    scaler: MinMaxScaler,
}

/// A network where it is computed.
#[derive(Clone, Debug)]
enum Backend {
    /// On the CPU, by our own kernels.
    Fused(Box<Autoregressor>),
    /// On any other device, by Burn.
    Burn(Box<ReferenceNetwork>, Device),
}

impl PointForecaster {
    /// The network with these weights, on `device`.
    #[must_use]
    pub fn new(weights: &Weights, scaler: MinMaxScaler, device: &Device) -> Self {
        let backend = match device.kind().is_fused() {
            true => Backend::Fused(Box::new(Autoregressor::new(weights, Isa::best()))),
            false => {
                let network = ReferenceNetwork::new(weights, device.tensors());
                Backend::Burn(Box::new(network), device.clone())
            }
        };
        Self { backend, config: weights.config(), scaler }
    }

    /// The next `horizon` loads after each of `windows`, each of which is the last `lookback`
    /// loads, oldest first.
    ///
    /// # Errors
    /// When a window is too short, the device fails, or a value is not finite.
    pub fn points(
        &self,
        windows: &[&[f64]],
        horizon: usize,
    ) -> Result<Vec<Vec<f64>>, ForecastFailure> {
        if horizon == 0 {
            return Err(ForecastError::Empty.into());
        }
        let needed = self.config.lookback;
        if let Some(short) = windows.iter().find(|window| window.len() != needed) {
            return Err(ForecastFailure::TooShort { needed, got: short.len() });
        }
        let mut points = Vec::with_capacity(windows.len());
        for batch in windows.chunks(BATCH_MAX) {
            points.extend(self.batch_points(batch, horizon)?);
        }
        Ok(points)
    }

    /// The next `horizon` loads after the first `end` grid points of `series`, for each of `ends`;
    /// gaps are filled from what was known at that end.
    ///
    /// # Errors
    /// As [`Self::points`], and when less than half of a lookback was observed.
    pub fn points_before(
        &self,
        series: SeriesView<'_>,
        ends: &[usize],
        horizon: usize,
    ) -> Result<Vec<Vec<f64>>, ForecastFailure> {
        // The filling of gaps is causal, so that of the whole series is that of every prefix.
        let filled = FilledView::of(series);
        let (needed, leading) = (self.config.lookback, series.len() - filled.len());
        let window = |&end: &usize| {
            let end = end.min(series.len());
            let got = end.saturating_sub(leading);
            let start = got.checked_sub(needed);
            let start = start.ok_or(ForecastFailure::TooShort { needed, got })?;
            require_observed(&series.values()[end - needed..end])?;
            Ok((start..got).map(|index| filled.at(index)).collect())
        };
        let windows: Vec<Vec<f64>> =
            ends.iter().map(window).collect::<Result<_, ForecastFailure>>()?;
        let windows: Vec<&[f64]> = windows.iter().map(Vec::as_slice).collect();
        self.points(&windows, horizon)
    }

    fn batch_points(
        &self,
        windows: &[&[f64]],
        horizon: usize,
    ) -> Result<Vec<Vec<f64>>, ForecastFailure> {
        let (lookback, batch) = (self.config.lookback, windows.len());
        let scaled = |t: usize| windows.iter().map(move |w| self.scaler.transform(w[t]) as f32);
        let known: Vec<f32> = (0..lookback).flat_map(scaled).collect();
        let predicted = self.backend.autoregress(known, batch, horizon)?;
        let load = |k: usize, i: usize| {
            let load = self.scaler.inverse(f64::from(predicted[k * batch + i]));
            // A load is never negative; a value that is no number must not become zero.
            if load.is_finite() {
                Ok(load.max(0.0))
            } else {
                Err(ForecastError::NotFinite { step: k + 1 }.into())
            }
        };
        (0..batch).map(|i| (0..horizon).map(|k| load(k, i)).collect()).collect()
    }
}

impl Backend {
    /// From scaled windows `[lookback, batch]` to `[horizon, batch]`.
    fn autoregress(
        &self,
        known: Vec<f32>,
        batch: usize,
        horizon: usize,
    ) -> Result<Vec<f32>, ForecastFailure> {
        match self {
            Self::Fused(network) => Ok(network.forecast(&known, batch, horizon)),
            Self::Burn(network, device) => {
                let lookback = known.len() / batch;
                let known = TensorData::new(known, [lookback, batch]);
                let known = Tensor::<2>::from_data(known, device.tensors());
                let predicted = network.autoregress(known, horizon);
                predicted.try_into_vec_as().map_err(|e| ForecastFailure::Model(e.to_string()))
            }
        }
    }
}

/// A reference network with its intervals.
#[derive(Clone, Debug)]
pub struct ReferenceForecaster {
    points: PointForecaster,
    residuals: ResidualQuantiles,
    step: Step,
}

impl ReferenceForecaster {
    /// The preset's name.
    pub const NAME: &str = "reference";

    /// A network with intervals, for series of `step`.
    #[must_use]
    pub fn from_parts(points: PointForecaster, residuals: ResidualQuantiles, step: Step) -> Self {
        Self { points, residuals, step }
    }
}

impl Forecaster for ReferenceForecaster {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        forecast_alone(self, history, horizon)
    }

    /// In batches, which use a device better than one window does.
    fn forecasts(
        &self,
        series: SeriesView<'_>,
        origins: &[usize],
        horizon: usize,
    ) -> Result<Vec<Forecast>, ForecastFailure> {
        let (given, longest) = (series.step(), self.residuals.horizon());
        if given != self.step {
            return Err(ForecastFailure::OtherStep { fitted: self.step, given });
        }
        if horizon > longest {
            return Err(ForecastFailure::HorizonTooLong { longest, asked: horizon });
        }
        let points = self.points.points_before(series, origins, horizon)?;
        let around = |(&origin, points): (&usize, Vec<f64>)| {
            let last = series.prefix(origin).last_time();
            Ok(self.residuals.around(&points, last, self.step)?)
        };
        origins.iter().zip(points).map(around).collect()
    }
}
