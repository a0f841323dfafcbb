//! Forecasts from a network: the last values scaled, run through it, fed back, scaled back.

use forecast::accuracy::Outcome;
use forecast::backtest::{Backtest, Plan};
use forecast::gaps::Filled;
use forecast::scale::MinMaxScaler;
use forecast::{
    Forecast, ForecastError, ForecastFailure, Forecaster, ResidualQuantiles, SeriesView, Step,
    Timestamp,
};

use burn::tensor::{Tensor, TensorData};

use crate::device::Device;
use crate::network::{NetworkConfig, ReferenceNetwork};
use crate::weights::Weights;

/// Windows that are run through the network at once: enough to keep any device busy, few enough
/// that the intermediate tensors stay in the caches of a CPU.
const BATCH_MAX: usize = 512;

/// A network without intervals: plain numbers in, plain numbers out.
#[derive(Clone, Debug)]
pub struct PointForecaster {
    network: ReferenceNetwork,
    config: NetworkConfig,
    scaler: MinMaxScaler,
    device: Device,
}

impl PointForecaster {
    /// The network with these weights, on `device`.
    #[must_use]
    pub fn new(weights: &Weights, scaler: MinMaxScaler, device: &Device) -> Self {
        let network = ReferenceNetwork::new(weights, device.tensors());
        Self { network, config: weights.config(), scaler, device: device.clone() }
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
    /// As [`Self::points`].
    pub fn points_before(
        &self,
        series: SeriesView<'_>,
        ends: &[usize],
        horizon: usize,
    ) -> Result<Vec<Vec<f64>>, ForecastFailure> {
        // The filling of gaps is causal, so the whole series filled once holds every prefix.
        let filled = Filled::from_view(series);
        let (needed, leading) = (self.config.lookback, series.len() - filled.len());
        let window = |&end: &usize| {
            let got = end.min(series.len()).saturating_sub(leading);
            let start = got.checked_sub(needed);
            let start = start.ok_or(ForecastFailure::TooShort { needed, got })?;
            Ok(&filled.values()[start..got])
        };
        let windows = ends.iter().map(window).collect::<Result<Vec<_>, ForecastFailure>>()?;
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
        let known = TensorData::new(known, [lookback, batch]);
        let known = Tensor::<2>::from_data(known, self.device.tensors());
        let predicted = self.network.autoregress(known, horizon);
        let predicted: Vec<f32> =
            predicted.try_into_vec_as().map_err(|e| ForecastFailure::Model(e.to_string()))?;
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

/// A network with its intervals: the forecaster that is served.
#[derive(Clone, Debug)]
pub struct LstmForecaster {
    points: PointForecaster,
    residuals: ResidualQuantiles,
    step: Step,
}

impl LstmForecaster {
    /// A network with intervals, for series of `step`.
    #[must_use]
    pub fn from_parts(points: PointForecaster, residuals: ResidualQuantiles, step: Step) -> Self {
        Self { points, residuals, step }
    }

    /// What [`Plan::run`] does with this forecaster, in a few large batches instead of one window
    /// at a time.
    ///
    /// # Errors
    /// As [`Forecaster::forecast`].
    pub fn backtest(
        &self,
        plan: &Plan,
        series: SeriesView<'_>,
    ) -> Result<Backtest, ForecastFailure> {
        let origins: Vec<usize> = plan.origins(series).collect();
        let known: Vec<SeriesView<'_>> = origins.iter().map(|&o| series.prefix(o)).collect();
        let points = self.points_before(series, &origins, plan.horizon)?;
        let mut backtest = Backtest { outcomes: Vec::new(), origins: origins.len() };
        for ((origin, known), points) in origins.iter().zip(known).zip(points) {
            let forecast = self.around(&points, known.last_time())?;
            for k in 0..plan.horizon {
                if let Some(actual) = series.values()[origin + k] {
                    backtest.outcomes.push(Outcome::new(&forecast, k, actual));
                }
            }
        }
        Ok(backtest)
    }

    fn points_before(
        &self,
        series: SeriesView<'_>,
        ends: &[usize],
        horizon: usize,
    ) -> Result<Vec<Vec<f64>>, ForecastFailure> {
        let (given, longest) = (series.step(), self.residuals.horizon());
        if given != self.step {
            return Err(ForecastFailure::OtherStep { fitted: self.step, given });
        }
        if horizon > longest {
            return Err(ForecastFailure::HorizonTooLong { longest, asked: horizon });
        }
        self.points.points_before(series, ends, horizon)
    }

    fn around(&self, points: &[f64], origin: Timestamp) -> Result<Forecast, ForecastFailure> {
        Ok(self.residuals.around(points, origin, self.step)?)
    }
}

impl LstmForecaster {
    /// The preset's name.
    pub const NAME: &str = "reference";
}

impl Forecaster for LstmForecaster {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        let points = self.points_before(history, &[history.len()], horizon)?;
        self.around(&points[0], history.last_time())
    }
}
