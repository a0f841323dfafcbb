//! The JSON of the answers; converted from the domain's types here and nowhere else.

use capacity::{Decision, Reason};
use forecast::accuracy::Scores;
use forecast::{Forecast, Quantile, Quantiles, Share, Timestamp};
use serde::Serialize;

use crate::board::{AccuracyView, Issued, ModelState, WorkloadView};

/// The 80 % interval's ends.
const LOWER: Quantile = Quantile::P10;
const UPPER: Quantile = Quantile::P90;

/// The answer of `/forecast`.
#[derive(Debug, Serialize)]
pub(crate) struct ForecastAnswer {
    namespace: String,
    workload: String,
    origin: String,
    step_seconds: u32,
    age_seconds: i64,
    model: ModelWire,
    interval: IntervalWire,
    forecast: Vec<ForecastStepWire>,
}

#[derive(Debug, Serialize)]
struct ModelWire {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// The methods that it was weighed together from, the weightiest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shares: Vec<ShareWire>,
}

#[derive(Debug, Serialize)]
struct ShareWire {
    method: &'static str,
    weight: f64,
    /// Recent loss, as a multiple of the best one's.
    relative_loss: f64,
}

#[derive(Debug, Serialize)]
struct IntervalWire {
    lower: f64,
    upper: f64,
    fitted_on: &'static str,
}

/// One step of a forecast.
#[derive(Debug, Serialize)]
pub(crate) struct ForecastStepWire {
    time: String,
    value: f64,
    median: f64,
    lower: f64,
    upper: f64,
    quantiles: Vec<QuantileWire>,
}

#[derive(Debug, Serialize)]
struct QuantileWire {
    level: f64,
    value: f64,
    /// Whether it lies between two levels that were forecast, or beyond them all, where it is the
    /// outermost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    interpolated: bool,
}

impl From<&Share> for ShareWire {
    fn from(share: &Share) -> Self {
        Self { method: share.method, weight: share.weight, relative_loss: share.loss }
    }
}

impl ForecastAnswer {
    /// The answer for `issued` at `now`, with these quantiles.
    pub(crate) fn new(
        [namespace, workload]: [&str; 2],
        issued: &Issued,
        quantiles: &Quantiles,
        now: Timestamp,
    ) -> Self {
        let forecast = &issued.forecast;
        Self {
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
            origin: forecast.origin().to_string(),
            step_seconds: forecast.step().seconds(),
            age_seconds: now.duration_since(forecast.origin()).as_secs(),
            model: ModelWire {
                name: issued.by.clone(),
                fingerprint: issued.model.as_ref().map(|m| m.fingerprint.clone()),
                created: issued.model.as_ref().and_then(|m| m.created.clone()),
                shares: forecast.shares().iter().map(ShareWire::from).collect(),
            },
            interval: IntervalWire {
                lower: LOWER.level(),
                upper: UPPER.level(),
                fitted_on: forecast.interval().as_str(),
            },
            forecast: forecast_steps(forecast, quantiles),
        }
    }
}

/// The steps of `forecast` with its 80 % interval and these quantiles.
pub(crate) fn forecast_steps(forecast: &Forecast, quantiles: &Quantiles) -> Vec<ForecastStepWire> {
    let quantile = |k, quantile: &Quantile| QuantileWire {
        level: quantile.level(),
        value: forecast.quantile(*quantile, k),
        interpolated: !forecast.quantiles().as_slice().contains(quantile),
    };
    let step = |k| ForecastStepWire {
        time: forecast.time_at(k).to_string(),
        value: forecast.points()[k],
        median: forecast.quantile(Quantile::MEDIAN, k),
        lower: forecast.quantile(LOWER, k),
        upper: forecast.quantile(UPPER, k),
        quantiles: quantiles.as_slice().iter().map(|asked| quantile(k, asked)).collect(),
    };
    (0..forecast.horizon()).map(step).collect()
}

/// The answer of `/plan`.
#[derive(Debug, Serialize)]
pub(crate) struct PlanAnswer {
    namespace: String,
    workload: String,
    /// Whether the replicas are assumed, since there is no cluster to ask.
    replicas_assumed: bool,
    #[serde(flatten)]
    latest: DecisionWire,
    recent: Vec<DecisionWire>,
}

#[derive(Debug, Serialize)]
struct DecisionWire {
    time: String,
    mode: &'static str,
    load: Option<f64>,
    forecast_peak: Option<PeakWire>,
    current_replicas: u32,
    predicted_replicas: u32,
    reasons: Vec<ReasonWire>,
}

#[derive(Debug, Serialize)]
struct PeakWire {
    value: f64,
    lower: f64,
    upper: f64,
}

/// A reason of a plan: a stable code and its words.
#[derive(Debug, Serialize)]
pub(crate) struct ReasonWire {
    code: &'static str,
    text: String,
}

impl From<&Reason> for ReasonWire {
    fn from(reason: &Reason) -> Self {
        Self { code: reason.code(), text: reason.to_string() }
    }
}

impl From<&Decision> for DecisionWire {
    fn from(decision: &Decision) -> Self {
        let peak = |p: capacity::Peak| PeakWire { value: p.value, lower: p.lower, upper: p.upper };
        Self {
            time: decision.time.to_string(),
            mode: decision.mode.as_str(),
            load: decision.load,
            forecast_peak: decision.peak.map(peak),
            current_replicas: decision.current,
            predicted_replicas: decision.planned,
            reasons: decision.reasons.iter().map(ReasonWire::from).collect(),
        }
    }
}

impl PlanAnswer {
    /// Recent decisions in an answer, newest first.
    const RECENT_MAX: usize = 12;

    /// The answer for a workload that has decided at least once.
    pub(crate) fn new(view: &WorkloadView) -> Option<Self> {
        let mut newest_first = view.journal.iter().rev();
        Some(Self {
            namespace: view.namespace.clone(),
            workload: view.name.clone(),
            replicas_assumed: view.replicas_assumed,
            latest: newest_first.next()?.into(),
            recent: newest_first.take(Self::RECENT_MAX).map(DecisionWire::from).collect(),
        })
    }
}

/// The answer of `/accuracy`.
#[derive(Debug, Serialize)]
pub(crate) struct AccuracyAnswer {
    namespace: String,
    workload: String,
    /// How loads of zero are treated.
    mape_rule: &'static str,
    overall: Option<ScoresWire>,
    by_step: Vec<Option<ScoresWire>>,
    seasonal_naive: Option<ScoresWire>,
    /// The model's over the last day beside what it promised, in words.
    drift: Option<String>,
    pending_forecasts: usize,
    unscored_values: u64,
}

/// Scores as JSON; shares and ratios are plain numbers, not percent.
#[derive(Debug, Serialize)]
pub(crate) struct ScoresWire {
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

impl From<&Scores> for ScoresWire {
    fn from(scores: &Scores) -> Self {
        Self {
            count: scores.count,
            mae: scores.mae,
            rmse: scores.rmse,
            mape: scores.mape,
            mape_excluded: scores.mape_excluded,
            smape: scores.smape,
            wape: scores.wape,
            mase: scores.mase,
            wql: scores.wql,
            coverage_80: scores.coverage_80,
        }
    }
}

impl AccuracyAnswer {
    pub(super) fn new(view: &WorkloadView, accuracy: &AccuracyView) -> Self {
        Self {
            namespace: view.namespace.clone(),
            workload: view.name.clone(),
            mape_rule: "loads up to 1 % of the history's mean are left out of the MAPE; \
                        their share is mape_excluded",
            overall: accuracy.overall.as_ref().map(ScoresWire::from),
            by_step: accuracy.by_step.iter().map(|s| s.as_ref().map(ScoresWire::from)).collect(),
            seasonal_naive: accuracy.seasonal_naive.as_ref().map(ScoresWire::from),
            drift: view.drift.as_ref().map(ToString::to_string),
            pending_forecasts: accuracy.pending,
            unscored_values: accuracy.unscored,
        }
    }
}

/// The answer of `/readyz` and `/`.
#[derive(Debug, Serialize)]
pub(crate) struct StatusAnswer {
    status: &'static str,
    version: &'static str,
    workloads: Vec<WorkloadStatusWire>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endpoints: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct WorkloadStatusWire {
    namespace: String,
    workload: String,
    mode: &'static str,
    model: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_error: Option<String>,
    last_cycle: Option<String>,
    /// Whether the model does what it promised, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<String>,
}

impl StatusAnswer {
    pub(super) fn new(
        status: &'static str,
        views: &[std::sync::Arc<WorkloadView>],
        endpoints: Vec<&'static str>,
    ) -> Self {
        let workloads = views.iter().map(|view| WorkloadStatusWire::from(view.as_ref())).collect();
        Self { status, version: env!("CARGO_PKG_VERSION"), workloads, endpoints }
    }
}

impl From<&WorkloadView> for WorkloadStatusWire {
    fn from(view: &WorkloadView) -> Self {
        let (model, detail) = match &view.model {
            ModelState::Missing(why) => ("missing", why.clone()),
            ModelState::Refused(why) => ("refused", why.clone()),
            ModelState::Training { epoch, epochs } => {
                ("training", format!("epoch {epoch} of at most {epochs}"))
            }
            ModelState::Ready(identity) => ("ready", identity.to_string()),
        };
        Self {
            namespace: view.namespace.clone(),
            workload: view.name.clone(),
            mode: view.mode.as_str(),
            model,
            detail,
            source_error: view.source_error.clone(),
            cluster_error: view.cluster_error.clone(),
            last_cycle: view.cycled.map(|time| time.to_string()),
            drift: view.drift.as_ref().map(ToString::to_string),
        }
    }
}
