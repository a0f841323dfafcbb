//! The configuration as it is written: a YAML file, or flags put into the same shape.
//!
//! Values whose checks can fail are [`Spanned`], so that an error names the line it came from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RawConfig {
    pub(crate) prometheus: Option<RawPrometheus>,
    /// A recorded history instead of Prometheus; flags only.
    #[serde(skip)]
    pub(crate) history: Option<PathBuf>,
    pub(crate) model_dir: Option<PathBuf>,
    pub(crate) listen: Option<Spanned<String>>,
    pub(crate) device: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) kubernetes: RawKubernetes,
    #[serde(default)]
    pub(crate) training: RawTraining,
    #[serde(default)]
    pub(crate) workloads: Vec<Spanned<RawWorkload>>,
}

/// How Prometheus is reached.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RawPrometheus {
    pub(crate) url: Option<Spanned<String>>,
    pub(crate) bearer_token_file: Option<PathBuf>,
    pub(crate) basic_auth: Option<RawBasicAuth>,
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) request_timeout: Option<Spanned<String>>,
    pub(crate) deadline: Option<Spanned<String>>,
}

/// A user and where the password is read from; a password does not belong into this file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RawBasicAuth {
    pub(crate) username: String,
    pub(crate) password_file: PathBuf,
}

/// How the cluster is reached.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RawKubernetes {
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) context: Option<String>,
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// How models are trained.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RawTraining {
    pub(crate) preset: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) from_scratch: bool,
    pub(crate) epochs: Option<Spanned<usize>>,
    pub(crate) early_stopping: Option<bool>,
    pub(crate) seed: Option<u64>,
    pub(crate) threads: Option<Spanned<usize>>,
}

/// One workload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RawWorkload {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) api_version: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) mode: Option<Spanned<String>>,
    pub(crate) min_replicas: Option<Spanned<u32>>,
    pub(crate) max_replicas: Option<Spanned<u32>>,
    #[serde(default)]
    pub(crate) capacity: RawCapacity,
    #[serde(default)]
    pub(crate) forecast: RawForecast,
    #[serde(default)]
    pub(crate) metric: RawMetric,
    #[serde(default)]
    pub(crate) behavior: RawBehavior,
}

/// What one replica carries.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RawCapacity {
    pub(crate) per_replica: Option<Spanned<String>>,
    pub(crate) headroom: Option<Spanned<f64>>,
}

/// What is planned for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RawForecast {
    pub(crate) quantile: Option<Spanned<f64>>,
    pub(crate) readiness_steps: Option<Spanned<usize>>,
    /// A CSV file with known events and their multipliers.
    pub(crate) events: Option<Spanned<PathBuf>>,
    /// A CSV file with stretches that are not learned from.
    pub(crate) mask: Option<Spanned<PathBuf>>,
}

/// What is measured.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RawMetric {
    pub(crate) query: Option<String>,
    pub(crate) aggregation: Option<Spanned<String>>,
    pub(crate) step: Option<Spanned<String>>,
    pub(crate) history: Option<Spanned<String>>,
}

/// How fast replicas change.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RawBehavior {
    pub(crate) scale_down_stabilization: Option<Spanned<String>>,
    pub(crate) step_up_max: Option<Spanned<u32>>,
    pub(crate) step_down_max: Option<Spanned<u32>>,
    pub(crate) staleness_max: Option<Spanned<String>>,
}

/// A value that was not read from a file.
pub(crate) fn unlocated<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Location::UNKNOWN, Location::UNKNOWN)
}

impl RawWorkload {
    /// A Deployment with every default.
    pub(crate) fn named(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            api_version: None,
            kind: None,
            mode: None,
            min_replicas: None,
            max_replicas: None,
            capacity: RawCapacity::default(),
            forecast: RawForecast::default(),
            metric: RawMetric::default(),
            behavior: RawBehavior::default(),
        }
    }
}
