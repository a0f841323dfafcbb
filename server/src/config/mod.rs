//! Configuration: raw from a file, flags or the environment, checked once into [`Config`].

mod check;
mod quantity;
mod raw;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use capacity::{Mode, Policy};
use datasets::{Aggregation, Prometheus, PrometheusConfig, RangeQuery, Secret};
use forecast::events::{Events, WithEvents};
use forecast::mask::{Mask, WithMask};
use forecast::{Forecaster, Series, SeriesId, SeriesView, Step, Timestamp};
use k8s::{ClusterConfig, Workload};
use thiserror::Error;
use trainer::TrainingConfig;

pub(crate) use raw::{RawConfig, RawPrometheus, RawWorkload, unlocated};

/// Where artifacts are when nothing else is said.
pub(crate) const MODEL_DIR: &str = "models";

/// A configuration that holds together.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where history comes from.
    pub(crate) source: SourceConfig,
    /// Where artifacts are.
    pub(crate) model_dir: PathBuf,
    /// Where HTTP is answered.
    pub(crate) listen: SocketAddr,
    /// How the cluster is reached.
    pub(crate) cluster: ClusterConfig,
    /// How models are trained, and on which device they run.
    pub(crate) training: TrainingConfig,
    /// What is scaled; at least one, each series once.
    pub(crate) workloads: Vec<WorkloadConfig>,
}

/// Where history comes from.
#[derive(Debug)]
pub(crate) enum SourceConfig {
    /// A Prometheus.
    Prometheus {
        /// How it is reached.
        config: Box<PrometheusConfig>,
        /// The user, and the file that holds the password.
        password_file: Option<(String, PathBuf)>,
    },
    /// A recorded history, whose end stands for now.
    File(PathBuf),
}

/// The variable that holds a bearer token for Prometheus, where no file does.
const TOKEN_VARIABLE: &str = "PROMETHEUS_BEARER_TOKEN";

impl SourceConfig {
    /// A client of the Prometheus, its secrets read.
    ///
    /// # Errors
    /// When a file with a secret or a certificate cannot be used, or there is no Prometheus.
    pub(crate) fn prometheus(&self) -> anyhow::Result<Prometheus> {
        let Self::Prometheus { config, password_file } = self else {
            anyhow::bail!("a recorded history has no Prometheus");
        };
        let mut config = config.as_ref().clone();
        if let Some((user, path)) = password_file {
            let password = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the password file {}", path.display()))?;
            let password = Secret::new(password.trim_end_matches(['\r', '\n']));
            config.basic_auth = Some((user.clone(), password));
        } else if config.bearer_token_file.is_none() {
            config.bearer_token = std::env::var(TOKEN_VARIABLE).ok().map(Secret::new);
        }
        Ok(Prometheus::new(config)?)
    }
}

impl WorkloadConfig {
    /// What may be learned from in `history`: the load as it would have been without the events, and
    /// without what is masked.
    ///
    /// # Errors
    /// When that leaves no value.
    pub(crate) fn learnable(&self, history: SeriesView<'_>) -> anyhow::Result<Series> {
        let ordinary = self.events.normalise(history)?;
        self.mask.apply(ordinary.view()).with_context(|| {
            format!("nothing of the history of {} is left once it is masked", self.series)
        })
    }

    /// `forecaster`, which was fitted on what may be learned from in `history`, aware of the events, of
    /// what is masked, and of the faults that show in the history itself.
    pub(crate) fn aware(
        &self,
        forecaster: Arc<dyn Forecaster>,
        history: SeriesView<'_>,
    ) -> Arc<dyn Forecaster> {
        let mask = self.mask.and(&Mask::of_faults(history));
        let forecaster = match mask.spans() {
            [] => forecaster,
            _ => Arc::new(WithMask::new(forecaster, Arc::new(mask))),
        };
        match self.events.as_slice() {
            [] => forecaster,
            _ => Arc::new(WithEvents::new(forecaster, Arc::clone(&self.events))),
        }
    }

    /// What is asked of Prometheus at `now`.
    pub(crate) fn range_query(&self, now: Timestamp) -> RangeQuery {
        let steps = i64::try_from(self.history_steps).unwrap_or(i64::MAX);
        RangeQuery {
            promql: self.query.clone(),
            aggregation: self.aggregation,
            id: self.series.clone(),
            step: self.step,
            from: self.step.offset(now, -steps),
            to: now,
        }
    }
}

/// One workload.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadConfig {
    /// The object that is scaled.
    pub(crate) workload: Workload,
    /// The name of its series and of its artifact.
    pub(crate) series: SeriesId,
    /// The PromQL of its load.
    pub(crate) query: String,
    /// How several series are made one.
    pub(crate) aggregation: Option<Aggregation>,
    /// The sampling interval, and the distance of two decisions.
    pub(crate) step: Step,
    /// Steps of history that are read.
    pub(crate) history_steps: usize,
    /// Events that are known, and what they multiply the load by.
    pub(crate) events: Arc<Events>,
    /// What is not learned from.
    pub(crate) mask: Arc<Mask>,
    /// How replicas are planned.
    pub(crate) policy: Policy,
    /// Whether decisions are carried out.
    pub(crate) mode: Mode,
}

/// Where raw values came from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A file.
    File(PathBuf),
    /// Flags and the environment.
    CommandLine,
}

/// A configuration that is refused: where, and what was expected.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not YAML of the expected shape.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, the column and what was expected.
        message: String,
    },
    /// A value does not hold.
    #[error("{place}: {message}")]
    Value {
        /// The file and line, or the command line.
        place: Place,
        /// What was expected.
        message: String,
    },
}

/// A place in a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    origin: Origin,
    line: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, self.line) {
            (Origin::File(path), Some(line)) => write!(f, "{}:{line}", path.display()),
            (Origin::File(path), None) => write!(f, "{}", path.display()),
            (Origin::CommandLine, _) => write!(f, "command line"),
        }
    }
}

impl Config {
    /// Reads and checks a YAML file.
    ///
    /// # Errors
    /// When it cannot be read, is not of the expected shape, or contradicts itself.
    pub(crate) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        Self::from_raw(RawConfig::from_file(path)?, Origin::File(path.to_owned()))
    }

    /// Checks raw values.
    ///
    /// # Errors
    /// When a value does not hold or two contradict each other.
    pub(crate) fn from_raw(raw: RawConfig, origin: Origin) -> Result<Self, ConfigError> {
        check::Checker::new(origin).config(raw)
    }
}

impl RawConfig {
    /// Reads a YAML file without checking its values.
    ///
    /// # Errors
    /// When it cannot be read or is not of the expected shape.
    pub(crate) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        serde_saphyr::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests;
