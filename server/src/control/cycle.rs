//! One cycle of one workload, and what is remembered between two.

use std::sync::Arc;
use std::time::Instant;

use capacity::{Autoscaler, Decision, Effect, FallbackCause, Input, Observation, Outlook};
use forecast::accuracy::Reference;
use forecast::baseline::SeasonalNaive;
use forecast::drift::{Change, Drift, Verdict};
use forecast::ledger::Ledger;
use forecast::{Forecast, ForecastFailure, Forecaster as _, HORIZON, Series, Step, Timestamp};
use k8s::ScaleError;

use super::model_keeper::{Model, ModelKeeper};
use super::{Actuator, Shared, Source};
use crate::board::{AccuracyView, Issued, ModelIdentity};
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
    /// The model's forecasts, which the scores are about.
    ledger: Ledger,
    /// Seasonal naive's forecasts over the same time, to compare with.
    seasonal_ledger: Ledger,
    models: ModelKeeper,
    /// The model that made the last forecast of one.
    forecast_by: Option<Issuer>,
    /// Whether the model does what it promised, and which model that is.
    drift: Option<Watched>,
    metrics: WorkloadMetrics,
}

/// Which model made a forecast.
#[derive(Clone, Debug)]
struct Issuer {
    name: String,
    identity: ModelIdentity,
}

/// A model that is watched for drift.
#[derive(Debug)]
struct Watched {
    model: ModelIdentity,
    /// When it came into service.
    since: Timestamp,
    /// `None` for one that promised nothing.
    drift: Option<Drift>,
}

/// What the compute thread made of a history.
struct Outcome {
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
            seasonal_ledger: Ledger::default(),
            forecast_by: None,
            drift: None,
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
    /// so that there was nothing to decide on, or when the end was asked for before it was decided.
    pub(crate) async fn cycle(&mut self, now: Timestamp) -> Option<Decision> {
        let timer = self.metrics.cycle_seconds().start_timer();
        let stop = self.shared.stop.clone();
        let history = tokio::select! {
            biased;
            // A source that does not answer must not hold up the end.
            () = stop.cancelled() => return None,
            history = self.observe(now) => history,
        };
        let model = self.models.current(now, history.as_ref()).await;
        self.metrics.model_ready(model.is_some());
        self.watch_drift(now, history.as_ref(), model.as_ref()).await;
        self.forecast(now, history, model).await;
        self.publish_forecast(now);
        let decision = self.decide(now).await;
        self.shared.board.update(&self.config.series, |view| {
            view.cycled = Some(now);
            view.progressed = Instant::now();
        });
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
        self.seasonal_ledger.mature(view);
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
        let by_step: Vec<_> = (0..HORIZON).map(|k| self.ledger.scores_at(k, reference)).collect();
        self.metrics.scored_by_step(&by_step);
        let accuracy = AccuracyView {
            overall,
            by_step,
            seasonal_naive: self.seasonal_ledger.scores(reference),
            pending: self.ledger.pending(),
            unscored: self.ledger.unscored(),
        };
        self.shared.board.update(&self.config.series, |view| view.accuracy = Some(accuracy));
    }

    /// Compares the last day with what the model promised; where it has drifted, another is trained in
    /// the background.
    async fn watch_drift(
        &mut self,
        now: Timestamp,
        history: Option<&Series>,
        model: Option<&Model>,
    ) {
        let (Some(history), Some(model)) = (history, model) else { return };
        if self.drift.as_ref().is_none_or(|watched| watched.model != model.identity) {
            let drift = model.promise.map(|promise| Drift::new(promise, self.config.step));
            self.drift = Some(Watched { model: model.identity.clone(), since: now, drift });
        }
        let Some(Watched { since, drift, .. }) = &mut self.drift else { return };
        let Some(drift) = drift else {
            // One that promised nothing has nothing to drift from.
            self.metrics.drifted(&Verdict::Steady);
            self.shared.board.update(&self.config.series, |view| view.drift = None);
            return;
        };
        // What was promised was learned without events and without what is masked.
        let Ok(learnable) = self.config.learnable(history.view()) else { return };
        let view = learnable.view();
        let steps = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let day_ago = self.config.step.offset(now, -steps(view.step().per_day()));
        // Until its own first forecasts have come true, the errors are those of the model before it.
        let own = self.config.step.offset(*since, steps(HORIZON));
        let reference = Reference::from_training(view);
        let recent = self.ledger.scores_since(day_ago.max(own), &reference);
        match drift.observe(now, recent.as_ref(), view) {
            Some(Change::Drifted(reasons)) => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                tracing::warn!(series = %self.config.series, reasons = reasons.join("; "),
                    "the model has drifted");
            }
            Some(Change::Recovered { since }) => {
                tracing::info!(series = %self.config.series, %since, "the model is as promised again");
            }
            None => {}
        }
        let verdict = drift.verdict().clone();
        self.metrics.drifted(&verdict);
        if matches!(verdict, Verdict::Drifted(_)) {
            self.models.retrain(now, Some(history), "drift").await;
        }
        self.shared.board.update(&self.config.series, |view| view.drift = Some(verdict));
    }

    /// Forecasts on the compute thread and tells the autoscaler what came out.
    async fn forecast(&mut self, now: Timestamp, history: Option<Series>, model: Option<Model>) {
        let Some(history) = history else { return };
        let forecaster = model.as_ref().map(|model| Arc::clone(&model.forecaster));
        let timer = self.metrics.forecast_seconds();
        let computed = self
            .shared
            .forecasting
            .run(move || {
                let _timed = timer.start_timer();
                Outcome {
                    model: forecaster.map(|f| f.forecast(history.view(), HORIZON)),
                    seasonal: seasonal_forecast(&history),
                }
            })
            .await;
        match computed {
            Ok(outcome) => self.take_in(now, outcome, model),
            Err(error) => self.forecast_failed(now, FallbackCause::ModelFailed, &error),
        }
    }

    /// Tells the autoscaler and the ledgers what was computed.
    fn take_in(&mut self, now: Timestamp, outcome: Outcome, model: Option<Model>) {
        if let Some(seasonal) = outcome.seasonal {
            self.seasonal_ledger.issue(&seasonal);
            self.autoscaler.handle(now, Input::SeasonalForecast(seasonal));
        }
        match outcome.model {
            Some(Ok(forecast)) => {
                self.ledger.issue(&forecast);
                self.autoscaler.handle(now, Input::Forecast(forecast));
                self.forecast_by = model.map(|model| Issuer {
                    name: model.forecaster.name().to_owned(),
                    identity: model.identity,
                });
            }
            Some(Err(failure)) => {
                let cause = match failure {
                    ForecastFailure::TooShort { .. } | ForecastFailure::TooGapped { .. } => {
                        FallbackCause::HistoryTooShort
                    }
                    _ => FallbackCause::ModelFailed,
                };
                self.forecast_failed(now, cause, &failure);
            }
            None => {
                let cause = self.models.why_missing();
                self.autoscaler.handle(now, Input::ForecastFailed(cause));
            }
        }
    }

    /// Shows the forecast that a decision rests on.
    fn publish_forecast(&self, now: Timestamp) {
        let issued = match (self.autoscaler.outlook(now), &self.forecast_by) {
            (Outlook::Fresh(forecast) | Outlook::LastGood(forecast, _), Some(issuer)) => Issued {
                forecast: forecast.clone(),
                by: issuer.name.clone(),
                model: Some(issuer.identity.clone()),
            },
            (Outlook::Seasonal(forecast, _), _) => Issued {
                forecast: forecast.clone(),
                by: SeasonalNaive::NAME.to_owned(),
                model: None,
            },
            _ => return,
        };
        self.metrics.forecast_made(&issued.forecast);
        self.shared.board.update(&self.config.series, |view| view.issued = Some(issued));
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

    /// Reads the replicas, decides, and sets them where the autoscaler wants it. Where somebody else
    /// scaled in between, decides once more on the replicas that are there now.
    async fn decide(&mut self, now: Timestamp) -> Option<Decision> {
        let first = self.decide_once(now).await;
        match first {
            Err(ScaleError::Changed { .. }) => self.decide_once(now).await,
            other => other,
        }
        .map_err(|error| self.cluster_failed(&error))
        .ok()
    }

    async fn decide_once(&mut self, now: Timestamp) -> Result<Decision, ScaleError> {
        let reactive = self.autoscaler.reactive_need(now);
        let current = self.actuator.read(reactive).await?;
        let effects = self.autoscaler.handle(now, Input::Decide { current: current.replicas() });
        let (mut recorded, mut wanted) = (None, None);
        for effect in effects {
            match effect {
                Effect::Record(decision) => recorded = Some(decision),
                Effect::SetReplicas { to, .. } => wanted = Some(to),
            }
        }
        let decision = recorded.expect("an autoscaler records each decision");
        self.record(&decision);
        if let Some(to) = wanted {
            let applied = self.actuator.set(&current, to).await?;
            tracing::info!(series = %self.config.series, from = decision.current,
                to = applied.replicas, dry_run = applied.dry_run, "replicas set");
        }
        self.shared.board.update(&self.config.series, |view| view.cluster_error = None);
        Ok(decision)
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

    fn cluster_failed(&self, error: &ScaleError) {
        self.metrics.failed(Stage::Cluster);
        tracing::error!(series = %self.config.series, label = error.label(), %error, "the cluster");
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
