//! `serve`: the scaling loop of every configured workload, and HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use datasets::Prometheus;
use k8s::Cluster;

use super::args::{ModelArgs, SourceArgs, TrainingArgs, raw_config};
use super::history;
use crate::clock::Clock;
use crate::config::{Config, RawConfig, SourceConfig, unlocated};
use crate::control::{Source, WorkloadLoop};
use crate::{http, service};

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  predictive-scaler serve --config config.yaml
  predictive-scaler serve --history load.csv --model-dir models --mode shadow
  PROMETHEUS_URL=http://prometheus:9090 NAMESPACE=shop DEPLOYMENT=web predictive-scaler serve")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    scaling: ScalingArgs,
    /// Where HTTP is answered [default: 0.0.0.0:8080].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// How the workload of the flags is scaled; a file's workloads say it themselves.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scaling")]
struct ScalingArgs {
    /// shadow plans and records; active sets the replicas [default: shadow].
    #[arg(long, value_enum, conflicts_with = "config")]
    mode: Option<ModeArg>,
    /// Never fewer replicas [default: 2].
    #[arg(long, value_name = "N", conflicts_with = "config")]
    min_replicas: Option<u32>,
    /// Never more replicas [default: 50].
    #[arg(long, value_name = "N", conflicts_with = "config")]
    max_replicas: Option<u32>,
    /// The load that one replica carries [default: 700m].
    #[arg(long, value_name = "QUANTITY", conflicts_with = "config")]
    per_replica: Option<String>,
    /// The quantile of the forecast that is planned for [default: 0.9].
    #[arg(long, value_name = "Q", conflicts_with = "config")]
    quantile: Option<f64>,
    /// The kubeconfig [default: in the cluster its own, else KUBECONFIG or ~/.kube/config].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Ask the cluster to check each change, but not to make it.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArg {
    Shadow,
    Active,
}

impl ScalingArgs {
    fn apply(&self, raw: &mut RawConfig) {
        if let Some(path) = &self.kubeconfig {
            raw.kubernetes.kubeconfig = Some(path.clone());
        }
        if let Some(context) = &self.context {
            raw.kubernetes.context = Some(context.clone());
        }
        raw.kubernetes.dry_run |= self.dry_run;
        for entry in &mut raw.workloads {
            let workload = &mut entry.value;
            if let Some(mode) = self.mode {
                let mode = match mode {
                    ModeArg::Shadow => "shadow",
                    ModeArg::Active => "active",
                };
                workload.mode = Some(unlocated(mode.to_owned()));
            }
            if let Some(min) = self.min_replicas {
                workload.min_replicas = Some(unlocated(min));
            }
            if let Some(max) = self.max_replicas {
                workload.max_replicas = Some(unlocated(max));
            }
            if let Some(quantity) = &self.per_replica {
                workload.capacity.per_replica = Some(unlocated(quantity.clone()));
            }
            if let Some(quantile) = self.quantile {
                workload.forecast.quantile = Some(unlocated(quantile));
            }
        }
    }
}

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let (mut raw, origin) = raw_config(&args.source, &args.model, &args.training)?;
    args.scaling.apply(&mut raw);
    if let Some(address) = args.listen {
        raw.listen = Some(unlocated(address.to_string()));
    }
    let config = Config::from_raw(raw, origin)?;
    let listener = http::bind(config.listen).await?;
    tracing::info!(address = %listener.local_addr()?, workloads = config.workloads.len(),
        "serving");
    let (source, clock) = open(&config).await?;
    let cluster = connect(&config).await?;
    let shared = service::share(&config, clock)?;
    let loops = config.workloads.into_iter().map(|workload| {
        let actuator = service::actuator(&workload, cluster.as_ref());
        WorkloadLoop::new(workload, Arc::clone(&shared), source.clone(), actuator)
    });
    let loops = loops.collect();
    service::run(shared, loops, listener, |_| ()).await
}

/// The source of history, and the clock that goes with it.
async fn open(config: &Config) -> anyhow::Result<(Source, Clock)> {
    match &config.source {
        SourceConfig::Prometheus(prometheus) => {
            let prometheus = Prometheus::new(prometheus.clone())?;
            Ok((Source::Prometheus(Arc::new(prometheus)), Clock::System))
        }
        source @ SourceConfig::File(_) => {
            let [workload] = &config.workloads[..] else {
                anyhow::bail!("one history file serves one workload");
            };
            let series = history::read(source, workload).await?.series;
            let end = series.view().last_time();
            tracing::info!(%end, "the end of the recorded history stands for now");
            Ok((Source::Recorded(series), Clock::Frozen(end)))
        }
    }
}

/// The cluster; `None` where a recorded history is replayed, or where shadow mode finds none.
async fn connect(config: &Config) -> anyhow::Result<Option<Cluster>> {
    if matches!(config.source, SourceConfig::File(_)) {
        return Ok(None);
    }
    match Cluster::connect(config.cluster.clone()).await {
        Ok(cluster) => Ok(Some(cluster)),
        Err(error) if config.workloads.iter().all(|w| w.mode == capacity::Mode::Shadow) => {
            tracing::warn!(%error, "no cluster: the replicas are assumed, which shadow mode allows");
            Ok(None)
        }
        Err(error) => Err(error).context("mode active needs a cluster"),
    }
}
