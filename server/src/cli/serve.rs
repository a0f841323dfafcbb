//! `serve`: the scaling loop of every configured workload, and HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use capacity::Mode;
use clap::{Args, ValueEnum};
use k8s::Cluster;

use super::args::{ModelArgs, PolicyArgs, SourceArgs, TrainingArgs, raw_config};
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
    policy: PolicyArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Where HTTP is answered, such as 127.0.0.1:8080 [default: 0.0.0.0:8080].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Whether and where replicas are set.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
struct ClusterArgs {
    /// shadow plans and records; active sets the replicas [default: shadow].
    #[arg(long, value_enum, conflicts_with = "config")]
    mode: Option<ModeArg>,
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

impl ServeArgs {
    fn apply(&self, raw: &mut RawConfig) -> anyhow::Result<()> {
        anyhow::ensure!(
            !(self.policy.is_given() && self.source.config.is_some()),
            "the scaling flags exclude --config: its workloads say how they are scaled"
        );
        let cluster = &self.cluster;
        if let Some(path) = &cluster.kubeconfig {
            raw.kubernetes.kubeconfig = Some(path.clone());
        }
        if let Some(context) = &cluster.context {
            raw.kubernetes.context = Some(context.clone());
        }
        raw.kubernetes.dry_run |= cluster.dry_run;
        if let Some(address) = self.listen {
            raw.listen = Some(unlocated(address.to_string()));
        }
        for entry in &mut raw.workloads {
            self.policy.apply(&mut entry.value);
            if let Some(mode) = cluster.mode {
                let mode = match mode {
                    ModeArg::Shadow => Mode::Shadow,
                    ModeArg::Active => Mode::Active,
                };
                entry.value.mode = Some(unlocated(mode.as_str().to_owned()));
            }
        }
        Ok(())
    }
}

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let stop = service::stop_on_signal()?;
    let (mut raw, origin) = raw_config(&args.source, &args.model, &args.training)?;
    args.apply(&mut raw)?;
    let config = Config::from_raw(raw, origin)?;
    let listener = http::bind(config.listen).await?;
    tracing::info!(address = %listener.local_addr()?, workloads = config.workloads.len(),
        "serving");
    let (source, clock) = open(&config).await?;
    let cluster = connect(&config).await?;
    let shared = service::share(&config, clock, stop)?;
    if cluster.is_none() {
        for workload in &config.workloads {
            shared.board.update(&workload.series, |view| view.replicas_assumed = true);
        }
    }
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
        source @ SourceConfig::Prometheus { .. } => {
            Ok((Source::Prometheus(Arc::new(source.prometheus()?)), Clock::System))
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
        Err(error) if config.workloads.iter().all(|w| w.mode == Mode::Shadow) => {
            tracing::warn!(%error, "no cluster: the replicas are assumed, which shadow mode allows");
            Ok(None)
        }
        Err(error) => Err(error).context("mode active needs a cluster"),
    }
}
