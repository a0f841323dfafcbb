//! One cycle of one workload, and what is remembered between two.

use std::sync::Arc;

use capacity::{Autoscaler, Decision, Effect, FallbackCause, Input, Observation};
use forecast::accuracy::Reference;
use forecast::baseline::SeasonalNaive;
use forecast::ledger::Ledger;
use forecast::{Forecast, ForecastFailure, Forecaster as _, HORIZON, Series, Step, Timestamp};

use super::model_keeper::{Model, ModelKeeper};
use super::{Actuator, Shared, Source};
use crate::board::{AccuracyView, Issued};
use crate::compute::ComputeError;
use crate::config::WorkloadConfig;
use crate::metrics::{Stage, WorkloadMetrics};

/// The loop of one workload.
#[derive(Debug)]
pub(crate) struct WorkloadLoop {
    config: WorkloadConfig,
    shared: Arc<Shared>,
    source: Source,
    actuator: Actuator,
    autoscaler: Autoscaler,
    ledger: Ledger,
    models: ModelKeeper,
    metrics: WorkloadMetrics,
}

/// What the compute thread made of a history.
struct Outlook {
    model: Option<Result<Forecast, ForecastFailure>>,
    seasonal: Option<Forecast>,
}

impl WorkloadLoop {
    /// A loop that has not cycled yet.
    pub(crate) fn new(
        config: WorkloadConfig,
        shared: Arc<Shared>,
        source: Source,
        actuator: Actuator,
    ) -> Self {
        let metrics = shared.metrics.workload(config.workload.namespace(), config.workload.name());
        Self {
            autoscaler: Autoscaler::new(config.policy.clone(), config.mode),
            ledger: Ledger::default(),
            models: ModelKeeper::new(&config, Arc::clone(&shared), metrics.clone()),
            metrics,
            config,
            shared,
            source,
            actuator,
        }
    }

    /// What the loops share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The distance of two cycles.
    pub(crate) fn step(&self) -> Step {
        self.config.step
    }

    /// Returns once a model has been trained; waits for ever while none is in training.
    pub(crate) async fn model_changed(&mut self) {
        self.models.trained().await;
    }

    /// Runs a cycle: observe → forecast → decide → actuate. `None` when the replicas are not known,
    /// so that there was nothing to decide on.
    pub(crate) async fn cycle(&mut self, now: Timestamp) -> Option<Decision> {
        let timer = self.metrics.cycle_seconds().start_timer();
        let history = self.observe(now).await;
        let model = self.models.current(now, history.as_ref()).await;
        self.metrics.model_ready(model.is_some());
        self.forecast(now, history, model).await;
        let decision = self.decide(now).await;
        self.shared.board.update(&self.config.series, |view| view.cycled = Some(now));
        timer.observe_duration();
        decision
    }

    /// Reads the history, matures the forecasts that it has the truth for, notes the load.
    async fn observe(&mut self, now: Timestamp) -> Option<Series> {
        let result = self.source.history(&self.config, now).await;
        let error = result.as_ref().err().map(ToString::to_string);
        self.shared.board.update(&self.config.series, |view| view.source_error.clone_from(&error));
        let history = match result {
            Ok(history) => history,
            Err(error) => {
                self.metrics.failed(Stage::Source);
                tracing::warn!(series = %self.config.series, %error, "no history");
                let cause = FallbackCause::MetricsUnavailable;
                self.autoscaler.handle(now, Input::ForecastFailed(cause));
                return None;
            }
        };
        let view = history.view();
        self.ledger.mature(view);
        if let Some(load) = view.value_at(view.last_time()) {
            let observation = Observation { time: view.last_time(), load };
            self.autoscaler.handle(now, Input::Observed(observation));
        }
        self.publish_accuracy(&Reference::from_training(view));
        Some(history)
    }

    fn publish_accuracy(&self, reference: &Reference) {
        let overall = self.ledger.scores(reference);
        if let Some(scores) = &overall {
            self.metrics.scored(scores);
        }
        let accuracy = AccuracyView {
            overall,
            by_step: (0..HORIZON).map(|k| self.ledger.scores_at(k, reference)).collect(),
            pending: self.ledger.pending(),
            unscored: self.ledger.unscored(),
        };
        self.shared.board.update(&self.config.series, |view| view.accuracy = Some(accuracy));
    }

    /// Forecasts on the compute thread, tells the autoscaler, and issues what is used.
    async fn forecast(&mut self, now: Timestamp, history: Option<Series>, model: Option<Model>) {
        let Some(history) = history else { return };
        let timer = self.metrics.forecast_seconds().start_timer();
        let forecaster = model.as_ref().map(|model| Arc::clone(&model.forecaster));
        let computed = self
            .shared
            .forecasting
            .run(move || Outlook {
                model: forecaster.map(|f| f.forecast(history.view(), HORIZON)),
                seasonal: seasonal_forecast(&history),
            })
            .await;
        timer.observe_duration();
        let (forecast, seasonal) = self.sort_out(now, computed);
        let issued = match (forecast, seasonal, model) {
            (Some(forecast), _, Some(model)) => {
                let by = model.forecaster.name().to_owned();
                Some(Issued { forecast, by, model: Some(model.identity) })
            }
            (_, Some(forecast), _) => {
                Some(Issued { forecast, by: "seasonal-naive".to_owned(), model: None })
            }
            _ => None,
        };
        if let Some(issued) = issued {
            self.ledger.issue(&issued.forecast);
            self.metrics.forecast_made(&issued.forecast);
            self.shared.board.update(&self.config.series, |view| view.issued = Some(issued));
        }
    }

    /// Tells the autoscaler what was computed; returns the model's and the seasonal forecast.
    fn sort_out(
        &mut self,
        now: Timestamp,
        computed: Result<Outlook, ComputeError>,
    ) -> (Option<Forecast>, Option<Forecast>) {
        let Outlook { model, seasonal } = match computed {
            Ok(outlook) => outlook,
            Err(error) => {
                self.forecast_failed(now, FallbackCause::ModelFailed, &error);
                return (None, None);
            }
        };
        if let Some(seasonal) = &seasonal {
            self.autoscaler.handle(now, Input::SeasonalForecast(seasonal.clone()));
        }
        let forecast = match model {
            Some(Ok(forecast)) => {
                self.autoscaler.handle(now, Input::Forecast(forecast.clone()));
                Some(forecast)
            }
            Some(Err(failure)) => {
                let cause = match failure {
                    ForecastFailure::TooShort { .. } => FallbackCause::HistoryTooShort,
                    _ => FallbackCause::ModelFailed,
                };
                self.forecast_failed(now, cause, &failure);
                None
            }
            None => {
                self.autoscaler.handle(now, Input::ForecastFailed(FallbackCause::NoModel));
                None
            }
        };
        (forecast, seasonal)
    }

    fn forecast_failed(
        &mut self,
        now: Timestamp,
        cause: FallbackCause,
        error: &dyn std::error::Error,
    ) {
        self.metrics.failed(Stage::Forecast);
        tracing::warn!(series = %self.config.series, %error, "no forecast");
        self.autoscaler.handle(now, Input::ForecastFailed(cause));
    }

    /// Reads the replicas, decides, and sets them where the autoscaler wants it.
    async fn decide(&mut self, now: Timestamp) -> Option<Decision> {
        let reactive = self.autoscaler.reactive_need(now);
        let read = self.actuator.read(reactive).await;
        let current = match read {
            Ok(current) => current,
            Err(error) => {
                self.cluster_failed(error.label(), &error);
                return None;
            }
        };
        let mut recorded = None;
        let mut trouble = None;
        for effect in self.autoscaler.handle(now, Input::Decide { current: current.replicas() }) {
            match effect {
                Effect::Record(decision) => {
                    self.record(&decision);
                    recorded = Some(decision);
                }
                Effect::SetReplicas { to, .. } => {
                    trouble = self.actuator.set(&current, to).await.err();
                }
            }
        }
        match trouble {
            Some(error) => self.cluster_failed(error.label(), &error),
            None => self.shared.board.update(&self.config.series, |v| v.cluster_error = None),
        }
        recorded
    }

    fn record(&self, decision: &Decision) {
        self.metrics.decided(decision);
        let reasons: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
        tracing::info!(
            series = %self.config.series,
            time = %decision.time,
            mode = decision.mode.as_str(),
            load = decision.load,
            forecast_peak = decision.peak.map(|peak| peak.upper),
            current_replicas = decision.current,
            predicted_replicas = decision.planned,
            reasons = reasons.join("; "),
            "decision"
        );
        self.shared.board.update(&self.config.series, |view| view.record(decision.clone()));
    }

    fn cluster_failed(&self, label: &'static str, error: &dyn std::error::Error) {
        self.metrics.failed(Stage::Cluster);
        tracing::error!(series = %self.config.series, label, %error, "the cluster");
        let text = error.to_string();
        self.shared.board.update(&self.config.series, |view| view.cluster_error = Some(text));
    }
}

/// What seasonal naive says; `None` with less than a day of history.
fn seasonal_forecast(history: &Series) -> Option<Forecast> {
    let view = history.view();
    let fitted = SeasonalNaive::fit(view, view.step().per_day(), HORIZON).ok()?;
    fitted.forecast(view, HORIZON).ok()
}
