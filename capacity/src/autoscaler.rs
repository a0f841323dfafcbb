//! The scaling loop of one workload as a state machine that is handed time and inputs.

use std::collections::VecDeque;
use std::fmt;

use forecast::Forecast;
use jiff::Timestamp;

use crate::demand::replicas_for;
use crate::plan::{Outlook, Peak, Plan, Situation, plan};
use crate::policy::Policy;
use crate::reason::Reason;

/// Whether decisions are carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Decide and record; touch nothing.
    Shadow,
    /// Decide, record, and set the replicas.
    Active,
}

impl Mode {
    /// The mode as it is written in configuration and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Active => "active",
        }
    }
}

/// Why the model's own fresh forecast is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FallbackCause {
    /// No model has been trained yet.
    NoModel,
    /// There is a model, but it cannot be used: damaged, or made for something else.
    ModelRefused,
    /// The source of metrics does not answer.
    MetricsUnavailable,
    /// The newest value is too old.
    Stale,
    /// The history is too short or has too long a gap.
    HistoryTooShort,
    /// The model failed or gave values that are not finite.
    ModelFailed,
    /// The forecasts have been wrong by more than was promised.
    Drifting,
}

impl fmt::Display for FallbackCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoModel => "no model yet",
            Self::ModelRefused => "model refused",
            Self::MetricsUnavailable => "metrics unavailable",
            Self::Stale => "metrics stale",
            Self::HistoryTooShort => "history too short",
            Self::ModelFailed => "model failed",
            Self::Drifting => "forecast drifting",
        })
    }
}

/// A load and its time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Observation {
    /// When it was observed.
    pub time: Timestamp,
    /// The load.
    pub load: f64,
}

/// What the autoscaler is told.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// The newest load.
    Observed(Observation),
    /// The model's fresh forecast.
    Forecast(Forecast),
    /// The model has no fresh forecast.
    ForecastFailed(FallbackCause),
    /// What seasonal naive says; used when the model's forecasts have run out.
    SeasonalForecast(Forecast),
    /// A decision is due, at so many replicas.
    Decide {
        /// Replicas asked for at present.
        current: u32,
    },
}

/// What the autoscaler wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Write this down.
    Record(Decision),
    /// Ask the cluster for so many replicas.
    SetReplicas {
        /// Replicas that were there when it was decided.
        from: u32,
        /// Replicas that should be there.
        to: u32,
    },
}

/// A decision, as it is recorded.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// When it was made.
    pub time: Timestamp,
    /// Whether it is carried out.
    pub mode: Mode,
    /// The load that was known.
    pub load: Option<f64>,
    /// The expected peak within the readiness window.
    pub peak: Option<Peak>,
    /// Replicas before.
    pub current: u32,
    /// Replicas planned.
    pub planned: u32,
    /// Why, in the order of the decision.
    pub reasons: Vec<Reason>,
}

/// The state machine of one workload. It remembers the last good forecast, the stand-in for it, the
/// newest load and the recommendations within the stabilization window.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    policy: Policy,
    mode: Mode,
    observation: Option<Observation>,
    forecast: Option<Forecast>,
    seasonal: Option<Forecast>,
    /// Why the forecast at hand is not fresh; `None` when it is.
    cause: Option<FallbackCause>,
    recommendations: VecDeque<(Timestamp, u32)>,
    /// Whether the replicas found at the start have been counted as recommended.
    seeded: bool,
}

impl Autoscaler {
    /// An autoscaler that knows nothing yet.
    #[must_use]
    pub fn new(policy: Policy, mode: Mode) -> Self {
        Self {
            policy,
            mode,
            observation: None,
            forecast: None,
            seasonal: None,
            cause: Some(FallbackCause::NoModel),
            recommendations: VecDeque::new(),
            seeded: false,
        }
    }

    /// The policy it decides by.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether its decisions are carried out.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Replicas that the load of `now` needs, within the bounds; the minimum while it is unknown.
    #[must_use]
    pub fn reactive_need(&self, now: Timestamp) -> u32 {
        let per_replica = self.policy.spec().load_per_replica;
        let need = self.fresh_load(now).and_then(|o| replicas_for(o.load, 0.0, per_replica));
        self.policy.bound(need.unwrap_or(0))
    }

    /// Takes in what happened at `now` and answers with what is to be done.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        match input {
            Input::Observed(observation) => self.observation = Some(observation),
            Input::Forecast(forecast) => {
                self.forecast = Some(forecast);
                self.cause = None;
            }
            Input::ForecastFailed(cause) => self.cause = Some(cause),
            Input::SeasonalForecast(forecast) => self.seasonal = Some(forecast),
            Input::Decide { current } => return self.decide(now, current),
        }
        Vec::new()
    }

    fn decide(&mut self, now: Timestamp, current: u32) -> Vec<Effect> {
        let load = self.fresh_load(now);
        let recommended = self.recommended_within_window(now, current);
        let situation = Situation { now, current, load, outlook: self.outlook(now), recommended };
        let Plan { replicas, recommendation, peak, reasons } = plan(&self.policy, &situation);
        self.remember(now, recommendation);
        let mode = self.mode;
        let load = load.map(|observation| observation.load);
        let decision =
            Decision { time: now, mode, load, peak, current, planned: replicas, reasons };
        let mut effects = vec![Effect::Record(decision)];
        if mode == Mode::Active && replicas != current {
            effects.push(Effect::SetReplicas { from: current, to: replicas });
        }
        effects
    }

    fn is_stale(&self, now: Timestamp, time: Timestamp) -> bool {
        now.duration_since(time) > self.policy.spec().staleness_max
    }

    fn fresh_load(&self, now: Timestamp) -> Option<Observation> {
        let observation = self.observation.filter(|o| !self.is_stale(now, o.time))?;
        Some(observation).filter(|o| o.load.is_finite() && o.load >= 0.0)
    }

    /// What a decision at `now` would rest on: the model's forecast while it lasts, then seasonal
    /// naive's while that lasts, then nothing.
    #[must_use]
    pub fn outlook(&self, now: Timestamp) -> Outlook<'_> {
        let lasting = |forecast: &&Forecast| !forecast.steps_after(now).is_empty();
        let forecast = self.forecast.as_ref().filter(lasting);
        let stale = forecast.is_some_and(|f| self.is_stale(now, f.origin()));
        let cause = self.cause.or(stale.then_some(FallbackCause::Stale));
        match (forecast, cause) {
            (Some(forecast), None) => Outlook::Fresh(forecast),
            // A forecast that is known to be wrong is not better for being the last one.
            (Some(forecast), Some(cause)) if cause != FallbackCause::Drifting => {
                Outlook::LastGood(forecast, cause)
            }
            (_, cause) => {
                let cause = cause.unwrap_or(FallbackCause::Stale);
                match self.seasonal.as_ref().filter(lasting) {
                    Some(seasonal) => Outlook::Seasonal(seasonal, cause),
                    None => Outlook::Nothing(cause),
                }
            }
        }
    }

    /// The highest recommendation within the stabilization window; forgets older ones. As with the
    /// HPA, the replicas found at the start count as recommended, so that a restart does not scale
    /// down at once; so do those of a workload that somebody started from zero.
    fn recommended_within_window(&mut self, now: Timestamp, current: u32) -> Option<u32> {
        let window = self.policy.spec().scale_down_stabilization.as_secs();
        // Whole seconds, so that the milliseconds by which a loop wakes late do not matter.
        self.recommendations.retain(|(time, _)| now.duration_since(*time).as_secs() <= window);
        if current == 0 {
            self.recommendations.clear();
            self.seeded = false;
        } else if !self.seeded {
            self.seeded = true;
            self.recommendations.push_back((now, current));
        }
        self.recommendations.iter().map(|(_, replicas)| *replicas).max()
    }

    /// Remembers one recommendation a time: the highest.
    fn remember(&mut self, now: Timestamp, recommendation: u32) {
        if !self.seeded {
            return;
        }
        match self.recommendations.back_mut() {
            Some((time, replicas)) if *time == now => *replicas = recommendation.max(*replicas),
            _ => self.recommendations.push_back((now, recommendation)),
        }
    }
}
