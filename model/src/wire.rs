//! The manifest as JSON: the artifact's format, which changes only with [`SCHEMA_VERSION`].

use forecast::accuracy::Scores;
use forecast::scale::MinMaxScaler;
use forecast::{IntervalSource, Quantile, Quantiles, ResidualQuantiles, SeriesId, Step, Timestamp};
use serde::{Deserialize, Serialize};

use crate::manifest::{DataSummary, Manifest, ScoresSummary, TrainingSummary};
use crate::network::NetworkConfig;

/// The version of the format that this program reads and writes.
pub(crate) const SCHEMA_VERSION: u32 = 1;
/// The one kind of network.
const NETWORK_KIND: &str = "reference";
/// A network wider than this is refused before memory is asked for it.
const WIDTH_MAX: usize = 4096;

/// Only the version, so that a manifest of another one can be told from a broken one.
#[derive(Deserialize)]
pub(crate) struct VersionWire {
    pub(crate) schema_version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManifestWire {
    schema_version: u32,
    tool_version: String,
    created: String,
    series: String,
    step_seconds: u32,
    horizon: usize,
    network: NetworkWire,
    scaler: ScalerWire,
    data: DataWire,
    seed: u64,
    training: TrainingWire,
    scores: ScoresSummaryWire,
    residuals: ResidualsWire,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkWire {
    kind: String,
    lookback: usize,
    hidden: usize,
    dense: usize,
    dropout: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScalerWire {
    min: f64,
    max: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DataWire {
    first: String,
    last: String,
    points: usize,
    gaps: usize,
    fingerprint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainingWire {
    epochs_max: usize,
    epochs_run: usize,
    best_epoch: usize,
    stopped_early: bool,
    train_loss: Vec<f64>,
    validation_loss: Vec<f64>,
    seconds: f64,
    windows: usize,
    windows_per_second: f64,
    device: String,
    threads: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScoresSummaryWire {
    model: Option<ScoresWire>,
    seasonal_naive: Option<ScoresWire>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScoresWire {
    count: usize,
    mae: f64,
    rmse: f64,
    mape: Option<f64>,
    mape_excluded: f64,
    smape: f64,
    wape: Option<f64>,
    mase: Option<f64>,
    wql: Option<f64>,
    coverage_80: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResidualsWire {
    source: String,
    levels: Vec<f64>,
    /// `[levels][horizon]`
    offsets: Vec<Vec<f64>>,
}

impl From<&Manifest> for ManifestWire {
    fn from(manifest: &Manifest) -> Self {
        let NetworkConfig { lookback, hidden, dense, dropout } = manifest.network;
        let kind = NETWORK_KIND.to_owned();
        let residuals = &manifest.residuals;
        Self {
            schema_version: SCHEMA_VERSION,
            tool_version: manifest.tool_version.clone(),
            created: manifest.created.to_string(),
            series: manifest.series.as_str().to_owned(),
            step_seconds: manifest.step.seconds(),
            horizon: manifest.horizon,
            network: NetworkWire { kind, lookback, hidden, dense, dropout },
            scaler: ScalerWire { min: manifest.scaler.min(), max: manifest.scaler.max() },
            data: (&manifest.data).into(),
            seed: manifest.seed,
            training: (&manifest.training).into(),
            scores: ScoresSummaryWire {
                model: manifest.scores.model.as_ref().map(Into::into),
                seasonal_naive: manifest.scores.seasonal_naive.as_ref().map(Into::into),
            },
            residuals: ResidualsWire {
                source: residuals.source().as_str().to_owned(),
                levels: residuals.quantiles().as_slice().iter().map(|q| q.level()).collect(),
                offsets: residuals.offsets().to_vec(),
            },
        }
    }
}

impl ManifestWire {
    /// The manifest, checked.
    pub(crate) fn parse(self) -> Result<Manifest, String> {
        Ok(Manifest {
            tool_version: self.tool_version,
            created: time("created", &self.created)?,
            series: SeriesId::new(self.series).map_err(|e| e.to_string())?,
            step: Step::from_seconds(self.step_seconds).map_err(|e| e.to_string())?,
            horizon: self.horizon,
            network: self.network.parse()?,
            scaler: MinMaxScaler::from_bounds(self.scaler.min, self.scaler.max)
                .map_err(|e| e.to_string())?,
            data: self.data.parse()?,
            seed: self.seed,
            training: self.training.into(),
            scores: ScoresSummary {
                model: self.scores.model.map(Into::into),
                seasonal_naive: self.scores.seasonal_naive.map(Into::into),
            },
            residuals: self.residuals.parse()?,
        })
    }
}

fn time(field: &str, text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("{field} is not an RFC 3339 time: {text:?}"))
}

impl NetworkWire {
    fn parse(self) -> Result<NetworkConfig, String> {
        let Self { kind, lookback, hidden, dense, dropout } = self;
        if kind != NETWORK_KIND {
            return Err(format!("the network kind {kind:?} is not known, only {NETWORK_KIND:?}"));
        }
        for (name, width) in [("lookback", lookback), ("hidden", hidden), ("dense", dense)] {
            if !(1..=WIDTH_MAX).contains(&width) {
                return Err(format!("{name} is {width}, expected 1 to {WIDTH_MAX}"));
            }
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(format!("dropout is {dropout}, expected at least 0 and below 1"));
        }
        Ok(NetworkConfig { lookback, hidden, dense, dropout })
    }
}

impl From<&DataSummary> for DataWire {
    fn from(data: &DataSummary) -> Self {
        Self {
            first: data.first.to_string(),
            last: data.last.to_string(),
            points: data.points,
            gaps: data.gaps,
            fingerprint: data.fingerprint.clone(),
        }
    }
}

impl DataWire {
    fn parse(self) -> Result<DataSummary, String> {
        Ok(DataSummary {
            first: time("data.first", &self.first)?,
            last: time("data.last", &self.last)?,
            points: self.points,
            gaps: self.gaps,
            fingerprint: self.fingerprint,
        })
    }
}

impl From<&TrainingSummary> for TrainingWire {
    fn from(training: &TrainingSummary) -> Self {
        let training = training.clone();
        Self {
            epochs_max: training.epochs_max,
            epochs_run: training.epochs_run,
            best_epoch: training.best_epoch,
            stopped_early: training.stopped_early,
            train_loss: training.train_loss,
            validation_loss: training.validation_loss,
            seconds: training.seconds,
            windows: training.windows,
            windows_per_second: training.windows_per_second,
            device: training.device,
            threads: training.threads,
        }
    }
}

impl From<TrainingWire> for TrainingSummary {
    fn from(wire: TrainingWire) -> Self {
        Self {
            epochs_max: wire.epochs_max,
            epochs_run: wire.epochs_run,
            best_epoch: wire.best_epoch,
            stopped_early: wire.stopped_early,
            train_loss: wire.train_loss,
            validation_loss: wire.validation_loss,
            seconds: wire.seconds,
            windows: wire.windows,
            windows_per_second: wire.windows_per_second,
            device: wire.device,
            threads: wire.threads,
        }
    }
}

impl From<&Scores> for ScoresWire {
    fn from(scores: &Scores) -> Self {
        let Scores { count, mae, rmse, mape, mape_excluded, smape, .. } = *scores;
        let Scores { wape, mase, wql, coverage_80, .. } = *scores;
        Self { count, mae, rmse, mape, mape_excluded, smape, wape, mase, wql, coverage_80 }
    }
}

impl From<ScoresWire> for Scores {
    fn from(wire: ScoresWire) -> Self {
        let ScoresWire { count, mae, rmse, mape, mape_excluded, smape, .. } = wire;
        let ScoresWire { wape, mase, wql, coverage_80, .. } = wire;
        Self { count, mae, rmse, mape, mape_excluded, smape, wape, mase, wql, coverage_80 }
    }
}

impl ResidualsWire {
    fn parse(self) -> Result<ResidualQuantiles, String> {
        let source = [IntervalSource::ValidationResiduals, IntervalSource::TrainingResiduals]
            .into_iter()
            .find(|source| source.as_str() == self.source)
            .ok_or_else(|| format!("the interval source {:?} is not known", self.source))?;
        let levels: Result<Vec<Quantile>, _> =
            self.levels.iter().map(|level| Quantile::new(*level)).collect();
        let levels = levels.map_err(|e| e.to_string())?;
        let quantiles = Quantiles::new(levels.clone()).map_err(|e| e.to_string())?;
        if quantiles.as_slice() != levels {
            return Err("the levels of the residuals are not in rising order".to_owned());
        }
        ResidualQuantiles::from_offsets(quantiles, self.offsets, source).map_err(|e| e.to_string())
    }
}
