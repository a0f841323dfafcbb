//! What Prometheus scrapes: one registry, and for each workload the gauges that its loop sets.

use forecast::baseline::SeasonalNaive;
use forecast::drift::Verdict;
use forecast::ridge::Ridge;
use model::QuantileForecaster;
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use trainer::{LSTM_RESCALED, RIDGE_RESCALED};

const WORKLOAD_LABELS: [&str; 2] = ["namespace", "workload"];
/// Why a model may have drifted.
const DRIFT_REASONS: [&str; 3] = ["error", "level", "spread"];
/// The methods that the preset `lstm` is weighed together from.
const METHODS: [&str; 6] = [
    QuantileForecaster::NAME,
    QuantileForecaster::FINE_TUNED,
    Ridge::NAME,
    SeasonalNaive::NAME,
    LSTM_RESCALED,
    RIDGE_RESCALED,
];

/// All metrics of the process.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    error_percent: GaugeVec,
    current_replicas: IntGaugeVec,
    predicted_replicas: IntGaugeVec,
    load: GaugeVec,
    forecast_peak: GaugeVec,
    forecast_origin: GaugeVec,
    wape: GaugeVec,
    mase: GaugeVec,
    coverage: GaugeVec,
    coverage_by_step: GaugeVec,
    share: GaugeVec,
    fallback: IntGaugeVec,
    model_ready: IntGaugeVec,
    drifted: IntGaugeVec,
    decisions: IntCounterVec,
    errors: IntCounterVec,
    forecast_seconds: HistogramVec,
    cycle_seconds: HistogramVec,
}

/// A value of each gauge with the workload's labels on it.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadMetrics {
    all: Metrics,
    namespace: String,
    workload: String,
}

/// The step of a cycle that failed; the label `stage` of the error counter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// Reading the history.
    Source,
    /// Loading or training the model.
    Model,
    /// Computing the forecast.
    Forecast,
    /// Reading or setting the replicas.
    Cluster,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Model => "model",
            Self::Forecast => "forecast",
            Self::Cluster => "cluster",
        }
    }
}

impl Metrics {
    /// A registry with every metric registered, and those of the process.
    ///
    /// # Errors
    /// When two metrics have one name: a fault of this file.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let gauge =
            |name, help| register(&registry, GaugeVec::new(options(name, help), &WORKLOAD_LABELS)?);
        let int_gauge = |name, help| {
            register(&registry, IntGaugeVec::new(options(name, help), &WORKLOAD_LABELS)?)
        };
        let labelled = |name, help, labels: &[&str]| {
            register(&registry, GaugeVec::new(options(name, help), labels)?)
        };
        let counter = |name, help, labels: &[&str]| {
            register(&registry, IntCounterVec::new(options(name, help), labels)?)
        };
        let seconds = |name, help| {
            let buckets = prometheus::exponential_buckets(0.000_5, 3.0, 12)?;
            let opts = HistogramOpts::from(options(name, help)).buckets(buckets);
            register(&registry, HistogramVec::new(opts, &WORKLOAD_LABELS)?)
        };
        let metrics = Self {
            error_percent: gauge(
                "error_percent",
                "Mean absolute percentage error of the matured forecasts, in percent.",
            )?,
            current_replicas: int_gauge("current_replicas", "Replicas asked for at present.")?,
            predicted_replicas: int_gauge("predicted_replicas", "Replicas of the last plan.")?,
            load: gauge("load", "The newest load, in the unit of the query (CPU cores).")?,
            forecast_peak: gauge(
                "forecast_peak_load",
                "The planned quantile's peak within the readiness window, in the load's unit.",
            )?,
            forecast_origin: gauge(
                "forecast_origin_timestamp_seconds",
                "The last time known to the newest forecast, in seconds since the epoch.",
            )?,
            wape: gauge("wape_ratio", "Sum of absolute errors over the sum of loads.")?,
            mase: gauge(
                "mase_ratio",
                "Mean absolute error over that of seasonal naive on the history.",
            )?,
            coverage: gauge(
                "coverage_80_ratio",
                "Share of loads inside of the 80 % interval of their forecast.",
            )?,
            coverage_by_step: labelled(
                "coverage_80_step_ratio",
                "The same share by the step of the horizon, the nearest being 1.",
                &["namespace", "workload", "step"],
            )?,
            share: labelled(
                "forecast_share_ratio",
                "The weight of each method in the newest forecast.",
                &["namespace", "workload", "method"],
            )?,
            fallback: int_gauge(
                "fallback_active",
                "1 while plans do not rest on a fresh forecast of the model.",
            )?,
            model_ready: int_gauge("model_ready", "1 while a model is loaded.")?,
            drifted: register(
                &registry,
                IntGaugeVec::new(
                    options("drifted", "1 while the model does not do what it promised, by why."),
                    &["namespace", "workload", "reason"],
                )?,
            )?,
            decisions: counter(
                "decisions_total",
                "Decisions by their direction: up, down or none.",
                &["namespace", "workload", "direction"],
            )?,
            errors: counter(
                "errors_total",
                "Failed stages of a cycle: source, model, forecast, cluster.",
                &["namespace", "workload", "stage"],
            )?,
            forecast_seconds: seconds(
                "forecast_duration_seconds",
                "Time to compute the forecasts of a cycle.",
            )?,
            cycle_seconds: seconds("cycle_duration_seconds", "Time of a whole cycle.")?,
            registry,
        };
        metrics.register_process()?;
        Ok(metrics)
    }

    fn register_process(&self) -> prometheus::Result<()> {
        let info = Opts::new("predictive_scaler_build_info", "Always 1; the version is a label.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        let info = prometheus::IntGauge::with_opts(info)?;
        info.set(1);
        self.registry.register(Box::new(info))?;
        #[cfg(target_os = "linux")]
        {
            let process = prometheus::process_collector::ProcessCollector::for_self();
            self.registry.register(Box::new(process))?;
        }
        Ok(())
    }

    /// The metrics of one workload.
    pub(crate) fn workload(&self, namespace: &str, workload: &str) -> WorkloadMetrics {
        let metrics = WorkloadMetrics {
            all: self.clone(),
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
        };
        // A counter that is absent until its first error cannot be alerted on.
        for stage in [Stage::Source, Stage::Model, Stage::Forecast, Stage::Cluster] {
            metrics.errors(stage).inc_by(0);
        }
        for direction in ["up", "down", "none"] {
            metrics.decisions(direction).inc_by(0);
        }
        metrics
    }

    /// The Prometheus text format, version 0.0.4.
    ///
    /// # Errors
    /// When a metric cannot be written as text: a fault of this file.
    pub(crate) fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl WorkloadMetrics {
    fn labels(&self) -> [&str; 2] {
        [&self.namespace, &self.workload]
    }

    /// Counts a decision and shows it.
    pub(crate) fn decided(&self, decision: &capacity::Decision) {
        let all = &self.all;
        let fallback = decision.reasons.iter().any(capacity::Reason::is_fallback);
        all.current_replicas.with_label_values(&self.labels()).set(decision.current.into());
        all.predicted_replicas.with_label_values(&self.labels()).set(decision.planned.into());
        all.fallback.with_label_values(&self.labels()).set(fallback.into());
        self.show(&all.load, decision.load);
        self.show(&all.forecast_peak, decision.peak.map(|peak| peak.upper));
        let direction = match decision.planned.cmp(&decision.current) {
            std::cmp::Ordering::Greater => "up",
            std::cmp::Ordering::Less => "down",
            std::cmp::Ordering::Equal => "none",
        };
        self.decisions(direction).inc();
    }

    /// Shows the newest scores.
    pub(crate) fn scored(&self, scores: &forecast::accuracy::Scores) {
        self.show(&self.all.error_percent, scores.mape.map(|mape| 100.0 * mape));
        self.show(&self.all.wape, scores.wape);
        self.show(&self.all.mase, scores.mase);
        self.show(&self.all.coverage, Some(scores.coverage_80));
    }

    /// Shows the newest scores of each step of the horizon, nearest first.
    pub(crate) fn scored_by_step(&self, scores: &[Option<forecast::accuracy::Scores>]) {
        for (k, scores) in scores.iter().enumerate() {
            let step = (k + 1).to_string();
            let labels = [self.namespace.as_str(), &self.workload, &step];
            if let Some(scores) = scores {
                self.all.coverage_by_step.with_label_values(&labels).set(scores.coverage_80);
            }
        }
    }

    /// Sets a gauge; one without a value goes away rather than showing the last one for ever.
    fn show(&self, gauge: &GaugeVec, value: Option<f64>) {
        match value {
            Some(value) => gauge.with_label_values(&self.labels()).set(value),
            // It is not there yet where there never was a value.
            None => drop(gauge.remove_label_values(&self.labels())),
        }
    }

    /// Shows the newest forecast's origin.
    pub(crate) fn forecast_made(&self, forecast: &forecast::Forecast) {
        let origin = forecast.origin().as_second() as f64;
        self.all.forecast_origin.with_label_values(&self.labels()).set(origin);
        // A method that has no part in it any more must not be shown with its last weight.
        for method in METHODS {
            let share = forecast.shares().iter().find(|share| share.method == method);
            let labels = [self.namespace.as_str(), &self.workload, method];
            let gauge = self.all.share.with_label_values(&labels);
            gauge.set(share.map_or(0.0, |share| share.weight));
        }
    }

    /// Shows whether a model is loaded.
    pub(crate) fn model_ready(&self, ready: bool) {
        self.all.model_ready.with_label_values(&self.labels()).set(ready.into());
    }

    /// Shows whether the model has drifted.
    pub(crate) fn drifted(&self, verdict: &Verdict) {
        for reason in DRIFT_REASONS {
            let labels = [self.namespace.as_str(), &self.workload, reason];
            let drifted = match verdict {
                Verdict::Drifted(reasons) => reasons.iter().any(|r| r.as_str() == reason),
                Verdict::Steady | Verdict::Unknown { .. } => false,
            };
            self.all.drifted.with_label_values(&labels).set(drifted.into());
        }
    }

    /// Counts a failed stage.
    pub(crate) fn failed(&self, stage: Stage) {
        self.errors(stage).inc();
    }

    /// The time to compute a forecast.
    pub(crate) fn forecast_seconds(&self) -> Histogram {
        self.all.forecast_seconds.with_label_values(&self.labels())
    }

    /// The time of a whole cycle.
    pub(crate) fn cycle_seconds(&self) -> Histogram {
        self.all.cycle_seconds.with_label_values(&self.labels())
    }

    fn errors(&self, stage: Stage) -> prometheus::IntCounter {
        let labels = [self.namespace.as_str(), &self.workload, stage.as_str()];
        self.all.errors.with_label_values(&labels)
    }

    fn decisions(&self, direction: &str) -> prometheus::IntCounter {
        let labels = [self.namespace.as_str(), &self.workload, direction];
        self.all.decisions.with_label_values(&labels)
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("predictive_scaler")
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_names_of_the_field_are_there_with_help() {
        let metrics = Metrics::new().unwrap();
        let workload = metrics.workload("shop", "web");
        workload.all.error_percent.with_label_values(&workload.labels()).set(3.0);
        let text = metrics.text().unwrap();
        let line = "predictive_scaler_error_percent{namespace=\"shop\",workload=\"web\"} 3";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("# HELP predictive_scaler_error_percent "), "{text}");
        assert!(text.contains("stage=\"cluster\",workload=\"web\"} 0"), "{text}");
    }
}
