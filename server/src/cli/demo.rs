//! `demo`: the whole product on one machine: train, then scale a simulated Deployment in fast time.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use capacity::{Decision, Mode, replicas_for};
use clap::Args;
use datasets::Synthetic;
use forecast::{Quantiles, Series, SeriesView, Step, Timestamp};
use model::Artifact;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use trainer::Promotion;

use super::args::{ModelArgs, PolicyArgs, SourceArgs, TrainingArgs, raw_config};
use super::{history, train};
use crate::clock::Clock;
use crate::compute::ComputeThread;
use crate::config::{Config, WorkloadConfig, unlocated};
use crate::control::{Actuator, Shared, Source, WorkloadLoop};
use crate::http::{PlanAnswer, forecast_steps};
use crate::output::{minute, plot, print_line};
use crate::{http, service};

/// Days of synthetic load before now.
const PAST_DAYS: u32 = 28;
/// Days of synthetic load after now, which the simulation lives through.
const FUTURE_DAYS: u32 = 7;
/// Days that the model is trained on.
const TRAINING_DAYS: usize = 14;
/// The synthetic load begins on this Monday, so that one seed gives one demo on any day.
const START: &str = "2026-01-05T00:00:00Z";

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  predictive-scaler demo                        synthetic load; answers on 127.0.0.1:8080
  predictive-scaler demo --history load.csv     your own load; its last part is played back
  predictive-scaler demo --once --json          one full round for a script")]
pub(crate) struct DemoArgs {
    /// A CSV file to train on and to play back, instead of synthetic load.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Seconds of simulated time in one second.
    #[arg(long, default_value_t = 300.0, value_parser = speed)]
    speed: f64,
    /// The seed of the load and of the model.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Rounds of training, at most [default: 8].
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// The sampling interval of the history.
    #[arg(long, value_name = "STEP", default_value = "5m")]
    step: String,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Do one full round, print it and end.
    #[arg(long)]
    once: bool,
    /// Print the round as one JSON object; goes with --once.
    #[arg(long, requires = "once")]
    json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (1.0..=100_000.0).contains(&speed) {
        Ok(speed)
    } else {
        Err("expected 1 to 100000; 300 is one decision a second".to_owned())
    }
}

/// What the demo plays with.
struct Stage {
    config: Config,
    workload: WorkloadConfig,
    /// The load before and after `now`.
    series: Series,
    now: Timestamp,
}

impl Stage {
    /// The load that is known now.
    fn known(&self) -> SeriesView<'_> {
        self.series.view().until(self.now)
    }
}

pub(super) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    // A port that is taken is said before a minute of training, not after.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = if args.once { None } else { Some(http::bind(address).await?) };
    let models = tempfile::tempdir().context("cannot make a directory for the model")?;
    let stage = set_up(&args, models.path()).await?;
    if !args.json {
        introduce(&args, &stage)?;
    }
    let artifact = learn(&stage).await?;
    if !args.json {
        print_line(train::scores(&artifact))?;
    }
    match listener {
        None => once(&args, stage, &artifact).await,
        Some(listener) => play(&args, stage, listener).await,
    }
}

async fn set_up(args: &DemoArgs, models: &Path) -> anyhow::Result<Stage> {
    let source = SourceArgs {
        history: args.history.clone(),
        namespace: Some("demo".to_owned()),
        deployment: args.history.is_none().then(|| "web".to_owned()),
        step: args.step.clone(),
        ..SourceArgs::default()
    };
    let model = ModelArgs { model_dir: Some(models.to_owned()), device: None };
    let training =
        TrainingArgs { epochs: args.epochs, seed: Some(args.seed), ..TrainingArgs::default() };
    let (mut raw, origin) = raw_config(&source, &model, &training)?;
    for entry in &mut raw.workloads {
        args.policy.apply(&mut entry.value);
    }
    // The synthetic load stands for a file's.
    raw.history.get_or_insert_with(|| PathBuf::from("synthetic load"));
    raw.listen = Some(unlocated(format!("127.0.0.1:{}", args.port)));
    let config = Config::from_raw(raw, origin)?;
    let mut workload = config.workloads.first().cloned().context("the demo has one workload")?;
    workload.mode = Mode::Active;
    let config = Config { workloads: vec![workload.clone()], ..config };
    let (series, now) = match &args.history {
        Some(_) => recorded(&config, &workload).await?,
        None => synthetic(args.seed, &workload)?,
    };
    Ok(Stage { config, workload, series, now })
}

fn synthetic(seed: u64, workload: &WorkloadConfig) -> anyhow::Result<(Series, Timestamp)> {
    let step = workload.step;
    let start: Timestamp = START.parse().context("the demo's start is a time")?;
    let load = Synthetic { seed, step, start, days: PAST_DAYS + FUTURE_DAYS };
    let series = load.generate(workload.series.clone())?;
    let past = i64::from(PAST_DAYS) * i64::try_from(step.per_day())?;
    Ok((series, step.offset(start, past - 1)))
}

/// The file's load; its last day, or its last tenth, is what the simulation lives through.
async fn recorded(
    config: &Config,
    workload: &WorkloadConfig,
) -> anyhow::Result<(Series, Timestamp)> {
    let series = history::read(&config.source, workload).await?.series;
    let length = series.view().len();
    let future = Step::per_day(workload.step).min(length / 10);
    let now = series.view().time_at(length - 1 - future);
    Ok((series, now))
}

fn introduce(args: &DemoArgs, stage: &Stage) -> anyhow::Result<()> {
    let known = stage.known();
    let days = known.len() / known.step().per_day().max(1);
    let what = match &args.history {
        Some(path) => format!("{}: {days} days", path.display()),
        None => format!("{days} days of synthetic CPU load, seed {}", args.seed),
    };
    print_line(format_args!("1. The load: {what}, up to {} UTC.", minute(stage.now)))?;
    print_line(format_args!(
        "2. Training the two-layer LSTM that ships with the program on, on the last {} days of it; \
         their last tenth is kept for the score below.",
        days.min(TRAINING_DAYS)
    ))?;
    Ok(())
}

async fn learn(stage: &Stage) -> anyhow::Result<Artifact> {
    let steps = TRAINING_DAYS * stage.workload.step.per_day();
    let training_part = stage.known().suffix(steps).to_series()?;
    let compute = ComputeThread::start("train")?;
    let rules = train::Rules::default();
    let trained = train::fit(&compute, training_part, &stage.config.training, rules).await?;
    // What does worse than seasonal naive is scored all the same; the network that ships scales then.
    if !matches!(trained.promotion, Promotion::Refused(_)) {
        let path = Artifact::path_in(&stage.config.model_dir, &stage.workload.series);
        trained.artifact.save(&path)?;
    }
    Ok(trained.artifact)
}

fn assemble(
    stage: &Stage,
    clock: Clock,
    stop: CancellationToken,
) -> anyhow::Result<(Arc<Shared>, WorkloadLoop)> {
    let shared = service::share(&stage.config, clock, stop)?;
    shared.board.update(&stage.workload.series, |view| view.replicas_assumed = true);
    let workload = WorkloadLoop::new(
        stage.workload.clone(),
        Arc::clone(&shared),
        Source::Recorded(stage.series.clone()),
        Actuator::Assumed { replicas: None },
    );
    Ok((shared, workload))
}

/// One cycle of the very loop that `serve` runs, printed.
async fn once(args: &DemoArgs, stage: Stage, artifact: &Artifact) -> anyhow::Result<()> {
    let (shared, mut workload) =
        assemble(&stage, Clock::Frozen(stage.now), CancellationToken::new())?;
    let decision = workload.cycle(stage.now).await.context("nothing was decided")?;
    let view = shared.board.views().into_iter().next().context("the demo has one workload")?;
    let issued = view.issued.as_ref().context("nothing was forecast")?;
    if !args.json {
        print_line(plot(stage.known(), &issued.forecast))?;
        print_line(decision_line(&decision))?;
        return Ok(());
    }
    let manifest = artifact.manifest();
    let model = manifest.scores.model.context("the test part has no scores")?;
    let seasonal = manifest.scores.seasonal_naive;
    let plan = PlanAnswer::new(&view).context("nothing was decided")?;
    let object = json!({
        "series": stage.workload.series.as_str(),
        "train": {
            "epochs": manifest.training.epochs_run,
            "seconds": manifest.training.seconds,
            "windows_per_second": manifest.training.windows_per_second,
            "fingerprint": artifact.fingerprint(),
        },
        "accuracy": {
            "mape": model.mape,
            "wape": model.wape,
            "mase": model.mase,
            "mae": model.mae,
            "coverage_80": model.coverage_80,
            "seasonal_naive": seasonal.map(|s| json!({
                "mape": s.mape, "wape": s.wape, "mase": s.mase, "mae": s.mae,
            })),
        },
        "forecast": forecast_steps(&issued.forecast, &Quantiles::deciles()),
        "plan": plan,
    });
    print_line(object)?;
    Ok(())
}

async fn play(
    args: &DemoArgs,
    stage: Stage,
    listener: tokio::net::TcpListener,
) -> anyhow::Result<()> {
    let (address, spec) = (listener.local_addr()?, stage.workload.policy.spec());
    print_line(format_args!(
        "3. Scaling a simulated Deployment of {} to {} replicas, {} each, at {} times the speed of \
         time, until the load ends; Ctrl-C ends it sooner.\n   \
         http://{address}/forecast  /plan  /accuracy  /metrics\n",
        spec.min_replicas, spec.max_replicas, spec.load_per_replica, args.speed
    ))?;
    let clock = Clock::accelerated(stage.now, args.speed);
    let (shared, workload) = assemble(&stage, clock, service::stop_on_signal()?)?;
    let (stop, end) = (shared.stop.clone(), stage.series.view().last_time());
    let tally = Arc::new(Mutex::new(Tally::default()));
    let counted = Arc::clone(&tally);
    let per_replica = spec.load_per_replica;
    let decided = move |decision: &Decision| {
        counted.lock().unwrap_or_else(PoisonError::into_inner).count(decision, per_replica);
        let printed = print_line(decision_line(decision));
        if printed.is_err() || decision.time >= end {
            stop.cancel();
        }
    };
    service::run(shared, vec![workload], listener, decided).await?;
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    print_line(tally.summary())?;
    Ok(())
}

/// What the simulation came to.
#[derive(Default)]
struct Tally {
    decisions: u32,
    scalings: u32,
    /// Decisions at which the replicas that were there did not carry the load of the moment.
    short: u32,
    replicas: u64,
}

impl Tally {
    fn count(&mut self, decision: &Decision, load_per_replica: f64) {
        let need = decision.load.and_then(|load| replicas_for(load, 0.0, load_per_replica));
        self.decisions += 1;
        self.scalings += u32::from(decision.planned != decision.current);
        self.short += u32::from(need.is_some_and(|need| need > decision.current));
        self.replicas += u64::from(decision.planned);
    }

    fn summary(&self) -> String {
        let Self { decisions, scalings, short, replicas } = self;
        let mean = *replicas as f64 / f64::from((*decisions).max(1));
        format!(
            "\n{decisions} decisions, {scalings} scalings, {mean:.1} replicas on average; the load \
             was above what the replicas carry at {short} of them"
        )
    }
}

/// Time, load, forecast peak with its interval, replicas before → after, reasons.
fn decision_line(decision: &Decision) -> String {
    let load = decision.load.map_or("-".to_owned(), |load| format!("{load:.2}"));
    let peak = decision.peak.map_or("-".to_owned(), |peak| {
        format!("{:.2} ({:.2} to {:.2})", peak.value, peak.lower, peak.upper)
    });
    let reasons: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
    format!(
        "{}  load {load:>6}  peak {peak:<22}  replicas {:>2} → {:<2}  {}",
        minute(decision.time),
        decision.current,
        decision.planned,
        reasons.join("; ")
    )
}
