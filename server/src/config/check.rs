//! From raw values to a configuration that holds together.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use capacity::{Mode, Policy, PolicyError, PolicySpec};
use datasets::{Aggregation, CsvError, Prometheus, PrometheusConfig, WorkloadKind};
use forecast::events::Events;
use forecast::mask::Mask;
use forecast::{HORIZON, LOOKBACK, POINTS_MAX, Step};
use jiff::SignedDuration;
use k8s::{ClusterConfig, Workload};
use serde_saphyr::{Location, Spanned};
use trainer::{TrainingConfig, TrainingConfigError, TrainingOptions};

use super::raw::{
    RawBehavior, RawConfig, RawKubernetes, RawMetric, RawPrometheus, RawTraining, RawWorkload,
    unlocated,
};
use super::{
    Config, ConfigError, MODEL_DIR, Origin, Place, SourceConfig, WorkloadConfig, quantity,
};

use crate::output::causes;

/// Days of history that are read when nothing else is said.
const HISTORY_DAYS: usize = 14;
/// The fewest steps that can be split into training, validation and test.
const HISTORY_STEPS_MIN: usize = 10 * (LOOKBACK + HORIZON);
/// A load is unknown once this many steps have passed without one, when nothing else is said.
const STALENESS_STEPS: i64 = 3;
const LISTEN: &str = "0.0.0.0:8080";

/// Checks values and remembers where they came from.
pub(super) struct Checker {
    origin: Origin,
}

type Checked<T> = Result<T, ConfigError>;

impl Checker {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin }
    }

    fn refuse<T>(&self, location: Location, message: impl ToString) -> Checked<T> {
        let line = (location != Location::UNKNOWN).then(|| location.line());
        let place = Place { origin: self.origin.clone(), line };
        Err(ConfigError::Value { place, message: message.to_string() })
    }

    fn parse<T>(&self, text: &Spanned<String>, expected: &str) -> Checked<T>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        text.value.parse().or_else(|error| {
            self.refuse(text.referenced, format!("{:?}: {error}; expected {expected}", text.value))
        })
    }

    fn duration(&self, text: &Spanned<String>, field: &str) -> Checked<SignedDuration> {
        text.value.parse().or_else(|_| {
            let message = format!("{field} is {:?}: expected a duration such as 10m", text.value);
            self.refuse(text.referenced, message)
        })
    }

    pub(super) fn config(&self, raw: RawConfig) -> Checked<Config> {
        let source = match (raw.prometheus, raw.history) {
            (Some(_), Some(_)) => {
                return self.refuse(
                    Location::UNKNOWN,
                    "a history file and a Prometheus exclude each other: give one",
                );
            }
            (Some(prometheus), None) => self.prometheus(prometheus)?,
            (None, Some(path)) => SourceConfig::File(path),
            (None, None) => {
                return self.refuse(
                    Location::UNKNOWN,
                    "no source of history: set prometheus.url, --prometheus-url, \
                     PROMETHEUS_URL or --history FILE",
                );
            }
        };
        let workloads = self.workloads(&raw.workloads, &source)?;
        let listen = raw.listen.unwrap_or_else(|| unlocated(LISTEN.to_owned()));
        let device = raw.device.unwrap_or_else(|| unlocated("cpu".to_owned()));
        Ok(Config {
            source,
            model_dir: raw.model_dir.unwrap_or_else(|| PathBuf::from(MODEL_DIR)),
            listen: self
                .parse::<SocketAddr>(&listen, "an address and port such as 0.0.0.0:8080")?,
            cluster: cluster(raw.kubernetes),
            training: self.training(raw.training, &device)?,
            workloads,
        })
    }

    fn prometheus(&self, raw: RawPrometheus) -> Checked<SourceConfig> {
        let Some(url) = raw.url else {
            return self.refuse(Location::UNKNOWN, "prometheus has no url: expected url: http://…");
        };
        let mut config = PrometheusConfig::new(url.value);
        config.headers = raw.headers.into_iter().collect();
        if let Some(text) = &raw.request_timeout {
            config.request_timeout = self.positive(text, "requestTimeout")?;
        }
        if let Some(text) = &raw.deadline {
            config.deadline = self.positive(text, "deadline")?;
        }
        // What needs no file is checked here, with its line; the files are where it will run.
        Prometheus::new(config.clone()).or_else(|error| self.refuse(url.referenced, error))?;
        if raw.basic_auth.is_some() && raw.bearer_token_file.is_some() {
            let message = "basicAuth and bearerTokenFile exclude each other: give one";
            return self.refuse(url.referenced, message);
        }
        config.bearer_token_file = raw.bearer_token_file;
        config.ca_file = raw.ca_file;
        let password_file = raw.basic_auth.map(|basic| (basic.username, basic.password_file));
        Ok(SourceConfig::Prometheus { config: Box::new(config), password_file })
    }

    fn positive(&self, text: &Spanned<String>, field: &str) -> Checked<Duration> {
        let duration = self.duration(text, field)?;
        Duration::try_from(duration).ok().filter(|d| !d.is_zero()).map_or_else(
            || self.refuse(text.referenced, format!("{field}: expected more than zero")),
            Ok,
        )
    }

    fn training(&self, raw: RawTraining, device: &Spanned<String>) -> Checked<TrainingConfig> {
        let preset = raw.preset.as_ref().map(|preset| preset.value.as_str());
        let mut options = match (preset, raw.from_scratch) {
            (None | Some("lstm"), false) => TrainingOptions::lstm(),
            (None | Some("lstm"), true) => TrainingOptions::lstm_from_scratch(),
            (Some("reference"), from_scratch) => {
                TrainingOptions { from_scratch, ..TrainingOptions::reference() }
            }
            (Some(other), _) => {
                let at = raw.preset.as_ref().map_or(Location::UNKNOWN, |preset| preset.referenced);
                return self.refuse(at, format!("preset is {other:?}: expected lstm or reference"));
            }
        };
        options.device = self.parse(device, "cpu, ndarray or wgpu")?;
        set(&mut options.epochs, raw.epochs.as_ref());
        set(&mut options.threads, raw.threads.as_ref());
        if raw.early_stopping == Some(false) {
            options.patience = None;
        }
        if let Some(seed) = raw.seed {
            options.seed = seed;
        }
        TrainingConfig::try_from(options).or_else(|error| {
            let at = match &error {
                TrainingConfigError::Count { name: "threads", .. } => at(raw.threads.as_ref()),
                TrainingConfigError::Device(_) => Some(device.referenced),
                TrainingConfigError::FromScratch => at(raw.preset.as_ref()),
                _ => at(raw.epochs.as_ref()),
            };
            self.refuse(at.unwrap_or(Location::UNKNOWN), error)
        })
    }

    fn workloads(
        &self,
        raw: &[Spanned<RawWorkload>],
        source: &SourceConfig,
    ) -> Checked<Vec<WorkloadConfig>> {
        if raw.is_empty() {
            return self.refuse(
                Location::UNKNOWN,
                "no workload: list at least one under workloads, or set NAMESPACE and DEPLOYMENT",
            );
        }
        if matches!(source, SourceConfig::File(_)) && raw.len() > 1 {
            return self.refuse(Location::UNKNOWN, "one history file serves one workload");
        }
        let mut seen = BTreeSet::new();
        let mut workloads = Vec::with_capacity(raw.len());
        for entry in raw {
            let workload = self.workload(&entry.value, entry.referenced)?;
            let name = (entry.value.namespace.clone(), entry.value.name.clone());
            if !seen.insert(name) {
                // Metrics and answers go by namespace and name, whatever the kind.
                let message =
                    format!("{}/{} is listed twice", entry.value.namespace, entry.value.name);
                return self.refuse(entry.referenced, message);
            }
            if matches!(source, SourceConfig::File(_)) && workload.mode == Mode::Active {
                let message = "mode is active, but a recorded history is no reason to scale a live \
                               workload: use mode shadow, or Prometheus";
                return self.refuse(entry.referenced, message);
            }
            workloads.push(workload);
        }
        Ok(workloads)
    }

    fn workload(&self, raw: &RawWorkload, at: Location) -> Checked<WorkloadConfig> {
        let api_version = raw.api_version.as_deref().unwrap_or("apps/v1");
        let kind = raw.kind.as_deref().unwrap_or("Deployment");
        let workload = Workload::new(api_version, kind, &raw.namespace, &raw.name)
            .or_else(|error| self.refuse(at, error))?;
        let series = workload.series_id();
        let step = self.step(&raw.metric)?;
        let query = match &raw.metric.query {
            Some(query) => query.clone(),
            None => datasets::cpu_query(pods_of(kind), workload.namespace(), workload.name())
                .or_else(|error| self.refuse(at, error))?,
        };
        Ok(WorkloadConfig {
            series,
            query,
            aggregation: self.aggregation(&raw.metric)?,
            step,
            history_steps: self.history_steps(&raw.metric, step)?,
            events: Arc::new(match &raw.forecast.events {
                Some(path) => self.read(path, datasets::read_events)?,
                None => Events::default(),
            }),
            mask: Arc::new(match &raw.forecast.mask {
                Some(path) => self.read(path, datasets::read_mask)?,
                None => Mask::default(),
            }),
            policy: self.policy(raw, step, at)?,
            mode: self.mode(raw)?,
            workload,
        })
    }

    /// What a file that is named in the configuration says.
    fn read<T>(
        &self,
        path: &Spanned<PathBuf>,
        read: fn(&Path) -> Result<T, CsvError>,
    ) -> Checked<T> {
        read(&path.value).or_else(|error| self.refuse(path.referenced, causes(&error.into())))
    }

    fn step(&self, raw: &RawMetric) -> Checked<Step> {
        let Some(text) = &raw.step else { return Ok(Step::FIVE_MINUTES) };
        text.value.parse().or_else(|error| self.refuse(text.referenced, error))
    }

    /// Steps of the history: two weeks where nothing is said, or as many steps as training needs.
    fn history_steps(&self, raw: &RawMetric, step: Step) -> Checked<usize> {
        let Some(text) = &raw.history else {
            return Ok((HISTORY_DAYS * step.per_day()).clamp(HISTORY_STEPS_MIN, POINTS_MAX));
        };
        let seconds = usize::try_from(self.duration(text, "history")?.as_secs()).unwrap_or(0);
        let steps = seconds / step.seconds() as usize;
        if (HISTORY_STEPS_MIN..=POINTS_MAX).contains(&steps) && steps >= 2 * step.per_day() {
            return Ok(steps);
        }
        let message = format!(
            "history is {:?}, {steps} steps of {step}: expected two days at least and \
             {HISTORY_STEPS_MIN} to {POINTS_MAX} steps, such as 336h for two weeks",
            text.value
        );
        self.refuse(text.referenced, message)
    }

    fn aggregation(&self, raw: &RawMetric) -> Checked<Option<Aggregation>> {
        let Some(text) = &raw.aggregation else { return Ok(None) };
        let known = [Aggregation::Sum, Aggregation::Avg, Aggregation::Max, Aggregation::Min];
        match known.into_iter().find(|aggregation| aggregation.as_str() == text.value) {
            Some(aggregation) => Ok(Some(aggregation)),
            None => {
                let message =
                    format!("aggregation is {:?}: expected sum, avg, max or min", text.value);
                self.refuse(text.referenced, message)
            }
        }
    }

    fn mode(&self, raw: &RawWorkload) -> Checked<Mode> {
        match raw.mode.as_ref().map(|mode| (mode.value.as_str(), mode.referenced)) {
            None | Some(("shadow", _)) => Ok(Mode::Shadow),
            Some(("active", _)) => Ok(Mode::Active),
            Some((other, at)) => {
                self.refuse(at, format!("mode is {other:?}: expected shadow or active"))
            }
        }
    }

    fn policy(&self, raw: &RawWorkload, step: Step, at: Location) -> Checked<Policy> {
        let mut spec = PolicySpec::default();
        let step_seconds = i64::from(step.seconds());
        let patience = SignedDuration::from_secs(STALENESS_STEPS * step_seconds);
        spec.staleness_max = spec.staleness_max.max(patience);
        set(&mut spec.min_replicas, raw.min_replicas.as_ref());
        set(&mut spec.max_replicas, raw.max_replicas.as_ref());
        set(&mut spec.headroom, raw.capacity.headroom.as_ref());
        set(&mut spec.quantile, raw.forecast.quantile.as_ref());
        set(&mut spec.readiness_steps, raw.forecast.readiness_steps.as_ref());
        if let Some(text) = &raw.capacity.per_replica {
            spec.load_per_replica = quantity::parse(&text.value).map_or_else(
                || {
                    let message = format!(
                        "perReplica is {:?}: expected a quantity such as 700m or 2",
                        text.value
                    );
                    self.refuse(text.referenced, message)
                },
                Ok,
            )?;
        }
        self.behavior(&raw.behavior, &mut spec)?;
        if let Some(text) = &raw.behavior.staleness_max
            && spec.staleness_max.as_secs() < 2 * step_seconds
        {
            let message = format!("stalenessMax is {:?}: expected two steps of {step}", text.value);
            return self.refuse(text.referenced, message);
        }
        Policy::try_from(spec).or_else(|error| {
            let location = policy_location(raw, &error).unwrap_or(at);
            self.refuse(location, error)
        })
    }

    fn behavior(&self, raw: &RawBehavior, spec: &mut PolicySpec) -> Checked<()> {
        spec.step_up_max = raw.step_up_max.as_ref().map(|limit| limit.value);
        spec.step_down_max = raw.step_down_max.as_ref().map(|limit| limit.value);
        if let Some(text) = &raw.scale_down_stabilization {
            spec.scale_down_stabilization = self.duration(text, "scaleDownStabilization")?;
        }
        if let Some(text) = &raw.staleness_max {
            spec.staleness_max = self.duration(text, "stalenessMax")?;
        }
        Ok(())
    }
}

fn set<T: Copy>(target: &mut T, value: Option<&Spanned<T>>) {
    if let Some(value) = value {
        *target = value.value;
    }
}

/// The line of a field.
fn at<T>(value: Option<&Spanned<T>>) -> Option<Location> {
    value.map(|value| value.referenced)
}

/// The line of the field that `error` is about.
fn policy_location(raw: &RawWorkload, error: &PolicyError) -> Option<Location> {
    let behavior = &raw.behavior;
    match error {
        PolicyError::LoadPerReplica(_) => at(raw.capacity.per_replica.as_ref()),
        PolicyError::Headroom(_) => at(raw.capacity.headroom.as_ref()),
        PolicyError::Bounds { .. } => {
            at(raw.min_replicas.as_ref()).or(at(raw.max_replicas.as_ref()))
        }
        PolicyError::Quantile(_) | PolicyError::QuantileRange(_) => {
            at(raw.forecast.quantile.as_ref())
        }
        PolicyError::ReadinessSteps { .. } => at(raw.forecast.readiness_steps.as_ref()),
        PolicyError::StepLimit { field: "stepUpMax" } => at(behavior.step_up_max.as_ref()),
        PolicyError::StepLimit { .. } => at(behavior.step_down_max.as_ref()),
        PolicyError::Duration { field: "stalenessMax", .. } => at(behavior.staleness_max.as_ref()),
        PolicyError::Duration { .. } => at(behavior.scale_down_stabilization.as_ref()),
    }
}

/// How the pods of a workload of this kind are named.
fn pods_of(kind: &str) -> WorkloadKind {
    match kind {
        // An Argo Rollout names its pods as a Deployment does.
        "Deployment" | "Rollout" => WorkloadKind::Deployment,
        "StatefulSet" => WorkloadKind::StatefulSet,
        "ReplicaSet" => WorkloadKind::ReplicaSet,
        _ => WorkloadKind::Other,
    }
}

fn cluster(raw: RawKubernetes) -> ClusterConfig {
    ClusterConfig {
        kubeconfig: raw.kubeconfig,
        context: raw.context,
        dry_run: raw.dry_run,
        ..ClusterConfig::default()
    }
}
