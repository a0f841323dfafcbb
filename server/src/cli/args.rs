//! Arguments that several commands share, and how they become a raw configuration.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_saphyr::Spanned;

use crate::config::{
    Config, ConfigError, Origin, RawConfig, RawPrometheus, RawWorkload, unlocated,
};

/// Where history comes from and what it is about.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "History")]
pub(super) struct SourceArgs {
    /// A YAML file with Prometheus, workloads and policies, instead of the flags below.
    /// With it, --namespace and --deployment choose among its workloads.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["history", "prometheus_url", "query",
        "aggregate", "step", "bearer_token_file", "ca_file", "header"])]
    pub(super) config: Option<PathBuf>,
    /// A CSV file with the columns timestamp (unix seconds or RFC 3339) and value.
    #[arg(long, value_name = "FILE", conflicts_with = "prometheus_url")]
    pub(super) history: Option<PathBuf>,
    /// The base URL of a Prometheus [env: PROMETHEUS_URL].
    #[arg(long, value_name = "URL")]
    pub(super) prometheus_url: Option<String>,
    /// A file with the bearer token for Prometheus; PROMETHEUS_BEARER_TOKEN holds one as well.
    #[arg(long, value_name = "FILE", conflicts_with = "history")]
    pub(super) bearer_token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the system's.
    #[arg(long, value_name = "FILE", conflicts_with = "history")]
    pub(super) ca_file: Option<PathBuf>,
    /// A header for Prometheus, such as X-Scope-OrgID=shop; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = header, conflicts_with = "history")]
    pub(super) header: Vec<(String, String)>,
    /// PromQL of the load; the default is the CPU use of the workload's pods, in cores.
    #[arg(long, value_name = "PROMQL")]
    pub(super) query: Option<String>,
    /// Make several series one: sum, avg, max or min.
    #[arg(long, value_name = "HOW")]
    pub(super) aggregate: Option<String>,
    /// A CSV file with the columns from, to, multiplier and name: holidays, campaigns, and what they
    /// multiply the load by.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(super) events: Option<PathBuf>,
    /// A CSV file with the columns from, to and why: outages and the like, which are not learned from.
    /// Gaps and runs of zeros in a load that is never zero are left out anyway.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(super) mask: Option<PathBuf>,
    /// The sampling interval.
    #[arg(long, value_name = "STEP", default_value = "5m")]
    pub(super) step: String,
    /// The workload's namespace [env: NAMESPACE] [default: default].
    #[arg(long, value_name = "NAME")]
    pub(super) namespace: Option<String>,
    /// The Deployment's name [env: DEPLOYMENT] [default: the history file's name].
    #[arg(long, value_name = "NAME", visible_alias = "workload")]
    pub(super) deployment: Option<String>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Where artifacts are and where they run.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelArgs {
    /// The directory of the artifacts [default: models].
    #[arg(long, value_name = "DIR")]
    pub(super) model_dir: Option<PathBuf>,
    /// Where the network runs: cpu, or wgpu and ndarray where they are built in [default: cpu].
    #[arg(long, value_name = "DEVICE")]
    pub(super) device: Option<String>,
}

/// The networks that can be trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Preset {
    /// The network that ships with the program, trained on, on the workload's history, and weighed
    /// together with ridge and seasonal naive.
    Lstm,
    /// LSTM 50, LSTM 50, dense 25, dense 1, as in the field's tutorials.
    Reference,
}

/// How the workload of the flags is scaled; a file's workloads say it themselves.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Scaling")]
pub(super) struct PolicyArgs {
    /// Never fewer replicas [default: 2].
    #[arg(long, value_name = "N")]
    min_replicas: Option<u32>,
    /// Never more replicas [default: 50].
    #[arg(long, value_name = "N")]
    max_replicas: Option<u32>,
    /// The load that one replica carries, such as 700m or 2 [default: 700m].
    #[arg(long, value_name = "QUANTITY", allow_hyphen_values = true)]
    per_replica: Option<String>,
    /// The spare share on top of the forecast peak [default: 0.2].
    #[arg(long, value_name = "SHARE")]
    headroom: Option<f64>,
    /// The quantile of the forecast that is planned for, 0.5 to 0.99 [default: 0.9].
    #[arg(long, value_name = "Q")]
    quantile: Option<f64>,
    /// Steps ahead for which capacity must be ready, 1 to 12 [default: 2].
    #[arg(long, value_name = "N")]
    readiness_steps: Option<usize>,
}

impl PolicyArgs {
    /// Whether one of them was given.
    pub(super) fn is_given(&self) -> bool {
        self.min_replicas.is_some()
            || self.max_replicas.is_some()
            || self.per_replica.is_some()
            || self.headroom.is_some()
            || self.quantile.is_some()
            || self.readiness_steps.is_some()
    }

    /// Writes those that were given into `workload`.
    pub(super) fn apply(&self, workload: &mut RawWorkload) {
        fn set<T: Clone>(field: &mut Option<Spanned<T>>, value: Option<&T>) {
            if let Some(value) = value {
                *field = Some(unlocated(value.clone()));
            }
        }
        set(&mut workload.min_replicas, self.min_replicas.as_ref());
        set(&mut workload.max_replicas, self.max_replicas.as_ref());
        set(&mut workload.capacity.per_replica, self.per_replica.as_ref());
        set(&mut workload.capacity.headroom, self.headroom.as_ref());
        set(&mut workload.forecast.quantile, self.quantile.as_ref());
        set(&mut workload.forecast.readiness_steps, self.readiness_steps.as_ref());
    }
}

/// How a model is trained.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Training")]
pub(super) struct TrainingArgs {
    /// The network and its recipe [default: lstm].
    #[arg(long, value_enum)]
    pub(super) preset: Option<Preset>,
    /// Start the preset lstm from random weights rather than from the network that ships.
    #[arg(long)]
    pub(super) from_scratch: bool,
    /// Passes over the training windows, or for the preset lstm rounds of thirty steps, at most
    /// [default: 8 for lstm, 50 for reference and from scratch].
    #[arg(long, value_name = "N")]
    pub(super) epochs: Option<usize>,
    /// Train for all epochs and keep the last weights, whatever the validation loss does.
    #[arg(long)]
    pub(super) no_early_stopping: bool,
    /// The seed of weights, shuffling and dropout: one seed, one model [default: 42].
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Threads to train with, at most two of which find work; any number yields the same model
    /// [default: 1].
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
}

/// The configuration that these arguments, or the file that they name, make.
pub(super) fn raw_config(
    source: &SourceArgs,
    model: &ModelArgs,
    training: &TrainingArgs,
) -> Result<(RawConfig, Origin), ConfigError> {
    let (mut raw, origin) = match &source.config {
        Some(path) => (from_file(path, source)?, Origin::File(path.clone())),
        None => (from_flags(source), Origin::CommandLine),
    };
    if let Some(dir) = &model.model_dir {
        raw.model_dir = Some(dir.clone());
    }
    if let Some(device) = &model.device {
        raw.device = Some(unlocated(device.clone()));
    }
    if let Some(epochs) = training.epochs {
        raw.training.epochs = Some(unlocated(epochs));
    }
    if training.no_early_stopping {
        raw.training.early_stopping = Some(false);
    }
    raw.training.seed = training.seed.or(raw.training.seed);
    if let Some(threads) = training.threads {
        raw.training.threads = Some(unlocated(threads));
    }
    if let Some(preset) = training.preset {
        let name = match preset {
            Preset::Lstm => trainer::Preset::Lstm,
            Preset::Reference => trainer::Preset::Reference,
        };
        raw.training.preset = Some(unlocated(name.as_str().to_owned()));
    }
    raw.training.from_scratch |= training.from_scratch;
    Ok((raw, origin))
}

/// The checked configuration of these arguments.
pub(super) fn config(
    source: &SourceArgs,
    model: &ModelArgs,
    training: &TrainingArgs,
) -> Result<Config, ConfigError> {
    let (raw, origin) = raw_config(source, model, training)?;
    Config::from_raw(raw, origin)
}

/// The file's configuration; PROMETHEUS_URL stands in for a URL that it leaves out, and only the
/// workloads that the flags choose are kept.
fn from_file(path: &Path, source: &SourceArgs) -> Result<RawConfig, ConfigError> {
    let mut raw = RawConfig::from_file(path)?;
    if let Some(url) = environment("PROMETHEUS_URL") {
        let prometheus = raw.prometheus.get_or_insert_default();
        prometheus.url.get_or_insert_with(|| unlocated(url));
    }
    let is = |asked: &Option<String>, name: &str| asked.as_ref().is_none_or(|a| a == name);
    raw.workloads.retain(|workload| {
        let RawWorkload { namespace, name, .. } = &workload.value;
        is(&source.namespace, namespace) && is(&source.deployment, name)
    });
    Ok(raw)
}

/// Flags come before the environment, and a history file needs neither.
fn from_flags(source: &SourceArgs) -> RawConfig {
    let variable = |name| source.history.is_none().then(|| environment(name)).flatten();
    let url = source.prometheus_url.clone().or_else(|| variable("PROMETHEUS_URL"));
    let namespace = source.namespace.clone().or_else(|| variable("NAMESPACE"));
    let name = source
        .deployment
        .clone()
        .or_else(|| variable("DEPLOYMENT"))
        .or_else(|| source.history.as_deref().map(name_of));
    let workload = name.map(|name| {
        let mut workload = RawWorkload::named(namespace.as_deref().unwrap_or("default"), &name);
        workload.metric.query = source.query.clone();
        workload.metric.aggregation = source.aggregate.clone().map(unlocated);
        workload.metric.step = Some(unlocated(source.step.clone()));
        workload.forecast.events = source.events.clone().map(unlocated);
        workload.forecast.mask = source.mask.clone().map(unlocated);
        unlocated(workload)
    });
    RawConfig {
        prometheus: url.map(|url| RawPrometheus {
            url: Some(unlocated(url)),
            bearer_token_file: source.bearer_token_file.clone(),
            ca_file: source.ca_file.clone(),
            headers: source.header.iter().cloned().collect(),
            ..RawPrometheus::default()
        }),
        history: source.history.clone(),
        workloads: workload.into_iter().collect(),
        ..RawConfig::default()
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var_os(name)
        .and_then(|value: OsString| value.into_string().ok())
        .filter(|value| !value.is_empty())
}

/// A history file's name as a workload's: lower case, what a workload's name cannot hold as `-`.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "history".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_file_names_its_workload() {
        assert_eq!(name_of(Path::new("/tmp/X.csv")), "x");
        assert_eq!(name_of(Path::new("azure_vm_00.csv")), "azure-vm-00");
        assert_eq!(name_of(Path::new("_.csv")), "history");
    }
}
