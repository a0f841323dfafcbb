//! The manifest as JSON: the artifact's format, which changes only with [`SCHEMA_VERSION`].

use forecast::accuracy::Scores;
use forecast::drift::{Extent, Promise};
use forecast::scale::MinMaxScaler;
use forecast::{IntervalSource, Quantile, Quantiles, ResidualQuantiles, SeriesId, Step, Timestamp};
use serde::{Deserialize, Serialize};

use crate::manifest::{DataSummary, Manifest, ScoresSummary, TrainingSummary};
use crate::network::NetworkConfig;
use crate::quantile::QuantileConfig;

/// The version of the format that this program writes.
pub(crate) const SCHEMA_VERSION: u32 = 2;
/// The oldest version that it reads: without champions and forced promotions, reference networks
/// only.
pub(crate) const SCHEMA_VERSION_MIN: u32 = 1;
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scaler: Option<ScalerWire>,
    data: DataWire,
    seed: u64,
    training: TrainingWire,
    scores: ScoresSummaryWire,
    #[serde(default)]
    trained_until: Option<String>,
    #[serde(default)]
    promise: Option<PromiseWire>,
    #[serde(default)]
    forced: bool,
    residuals: ResidualsWire,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PromiseWire {
    mae: f64,
    wape: Option<f64>,
    /// Lowest and highest.
    levels: [f64; 2],
    spreads: [f64; 2],
}

impl From<&Promise> for PromiseWire {
    fn from(promise: &Promise) -> Self {
        let ends = |extent: &Extent| [extent.low, extent.high];
        let (levels, spreads) = (ends(&promise.levels), ends(&promise.spreads));
        Self { mae: promise.mae, wape: promise.wape, levels, spreads }
    }
}

impl From<PromiseWire> for Promise {
    fn from(wire: PromiseWire) -> Self {
        let extent = |[low, high]: [f64; 2]| Extent { low, high };
        let (levels, spreads) = (extent(wire.levels), extent(wire.spreads));
        Self { mae: wire.mae, wape: wire.wape, levels, spreads }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
enum NetworkWire {
    #[serde(rename = "reference")]
    Reference { lookback: usize, hidden: usize, dense: usize, dropout: f64 },
    // As `Pretrained::KIND`: which inputs and outputs it has.
    #[serde(rename = "lstm-quantiles-1")]
    Lstm { hidden: usize, dense: usize, dropout: f64 },
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
    #[serde(default)]
    champion: Option<ScoresWire>,
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

/// The sizes of a network, by its kind, and the scaler of one that has it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum NetworkSpec {
    Reference(NetworkConfig, MinMaxScaler),
    Lstm(QuantileConfig),
}

impl ManifestWire {
    /// The manifest of a network.
    pub(crate) fn new(manifest: &Manifest, network: NetworkSpec) -> Self {
        let (network, scaler) = match network {
            NetworkSpec::Reference(config, scaler) => {
                let NetworkConfig { lookback, hidden, dense, dropout } = config;
                let scaler = ScalerWire { min: scaler.min(), max: scaler.max() };
                (NetworkWire::Reference { lookback, hidden, dense, dropout }, Some(scaler))
            }
            NetworkSpec::Lstm(QuantileConfig { hidden, dense, dropout }) => {
                (NetworkWire::Lstm { hidden, dense, dropout }, None)
            }
        };
        let residuals = &manifest.residuals;
        let scores = |scores: &Option<Scores>| scores.as_ref().map(Into::into);
        Self {
            schema_version: SCHEMA_VERSION,
            tool_version: manifest.tool_version.clone(),
            created: manifest.created.to_string(),
            series: manifest.series.as_str().to_owned(),
            step_seconds: manifest.step.seconds(),
            horizon: manifest.horizon,
            network,
            scaler,
            data: (&manifest.data).into(),
            seed: manifest.seed,
            training: (&manifest.training).into(),
            scores: ScoresSummaryWire {
                model: scores(&manifest.scores.model),
                champion: scores(&manifest.scores.champion),
                seasonal_naive: scores(&manifest.scores.seasonal_naive),
            },
            trained_until: manifest.trained_until.map(|time| time.to_string()),
            promise: manifest.promise.as_ref().map(Into::into),
            forced: manifest.forced,
            residuals: ResidualsWire {
                source: residuals.source().as_str().to_owned(),
                levels: residuals.quantiles().as_slice().iter().map(|q| q.level()).collect(),
                offsets: residuals.offsets().to_vec(),
            },
        }
    }

    /// The manifest and what it says of its network, checked.
    pub(crate) fn parse(self) -> Result<(Manifest, NetworkSpec), String> {
        let network = self.network.parse(self.scaler)?;
        let manifest = Manifest {
            tool_version: self.tool_version,
            created: time("created", &self.created)?,
            series: SeriesId::new(self.series).map_err(|e| e.to_string())?,
            step: Step::from_seconds(self.step_seconds).map_err(|e| e.to_string())?,
            horizon: self.horizon,
            data: self.data.parse()?,
            seed: self.seed,
            training: self.training.into(),
            scores: ScoresSummary {
                model: self.scores.model.map(Into::into),
                champion: self.scores.champion.map(Into::into),
                seasonal_naive: self.scores.seasonal_naive.map(Into::into),
            },
            trained_until: self
                .trained_until
                .map(|text| time("trained_until", &text))
                .transpose()?,
            promise: self.promise.map(Into::into),
            forced: self.forced,
            residuals: self.residuals.parse()?,
        };
        Ok((manifest, network))
    }
}

fn time(field: &str, text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("{field} is not an RFC 3339 time: {text:?}"))
}

impl NetworkWire {
    fn parse(self, scaler: Option<ScalerWire>) -> Result<NetworkSpec, String> {
        match self {
            Self::Reference { lookback, hidden, dense, dropout } => {
                let config = NetworkConfig { lookback, hidden, dense, dropout };
                check_widths(&[("lookback", lookback), ("hidden", hidden), ("dense", dense)])?;
                check_dropout(dropout)?;
                let ScalerWire { min, max } =
                    scaler.ok_or("the reference network has no scaler")?;
                let scaler = MinMaxScaler::from_bounds(min, max).map_err(|e| e.to_string())?;
                Ok(NetworkSpec::Reference(config, scaler))
            }
            Self::Lstm { hidden, dense, dropout } => {
                check_widths(&[("hidden", hidden), ("dense", dense)])?;
                check_dropout(dropout)?;
                match scaler {
                    None => Ok(NetworkSpec::Lstm(QuantileConfig { hidden, dense, dropout })),
                    Some(_) => Err("a quantile network has no scaler".to_owned()),
                }
            }
        }
    }
}

fn check_widths(widths: &[(&str, usize)]) -> Result<(), String> {
    match widths.iter().find(|(_, width)| !(1..=WIDTH_MAX).contains(width)) {
        Some((name, width)) => Err(format!("{name} is {width}, expected 1 to {WIDTH_MAX}")),
        None => Ok(()),
    }
}

fn check_dropout(dropout: f64) -> Result<(), String> {
    match (0.0..1.0).contains(&dropout) {
        true => Ok(()),
        false => Err(format!("dropout is {dropout}, expected at least 0 and below 1")),
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
        let source = IntervalSource::ALL
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
