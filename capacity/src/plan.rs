//! One decision, from what is known now: the safety order of the product in one function.

use forecast::{Forecast, Quantile};
use jiff::{SignedDuration, Timestamp};

use crate::autoscaler::{FallbackCause, Observation};
use crate::demand::replicas_for;
use crate::policy::Policy;
use crate::reason::Reason;

/// What is known when a decision is due.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Situation<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// Replicas asked for at present.
    pub current: u32,
    /// The newest load, unless it is unknown or stale.
    pub load: Option<Observation>,
    /// What is expected.
    pub outlook: Outlook<'a>,
    /// The highest recommendation within the stabilization window.
    pub recommended: Option<u32>,
}

/// What is expected, and how far it can be trusted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Outlook<'a> {
    /// A fresh forecast of the model.
    Fresh(&'a Forecast),
    /// The model's last good forecast, whose horizon lasts still.
    LastGood(&'a Forecast, FallbackCause),
    /// The forecast of seasonal naive.
    Seasonal(&'a Forecast, FallbackCause),
    /// Nothing.
    Nothing(FallbackCause),
}

/// The expected peak within the readiness window, in the unit of the load.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Peak {
    /// The highest of the points.
    pub value: f64,
    /// The highest of the 0.1 quantiles.
    pub lower: f64,
    /// The highest of the quantiles that are planned for.
    pub upper: f64,
}

/// How many replicas there should be, and why.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The replicas.
    pub replicas: u32,
    /// What the load and the forecast ask for before anything holds it up or limits it; within the
    /// bounds.
    pub recommendation: u32,
    /// The expected peak, where there is a forecast.
    pub peak: Option<Peak>,
    /// Why, in the order of the decision.
    pub reasons: Vec<Reason>,
}

/// Plans. In this order:
///
/// 1. A workload at zero was stopped by somebody: it is left alone.
/// 2. Never below what the load of now needs.
/// 3. Raised to what the planned quantile needs within the readiness window, by our ramp.
/// 4. Lowered only when the load is known, there is a forecast that is not stale, its whole horizon
///    needs less and so did every recommendation within the stabilization window.
/// 5. The bounds come last.
#[must_use]
pub fn plan(policy: &Policy, situation: &Situation<'_>) -> Plan {
    let current = situation.current;
    if current == 0 {
        let reasons = vec![Reason::ScaledToZero];
        return Plan { replicas: 0, recommendation: 0, peak: None, reasons };
    }
    let mut reasons = Vec::new();
    let reactive = reactive_need(policy, situation, &mut reasons);
    let expected = expected_need(policy, situation, &mut reasons);
    let soon = reactive.unwrap_or(0).max(expected.map_or(0, |e| e.soon));
    let whole = soon.max(expected.map_or(0, |e| e.whole));
    // What is held up for want of knowledge is recommended, or it would be cut when knowledge is
    // back, without the stabilization that it is owed.
    let mut recommendation = whole;
    let wanted = match (reactive, expected) {
        _ if soon > current => raise(policy, current, soon, reactive.unwrap_or(0), &mut reasons),
        (Some(_), Some(expected)) if expected.may_lower => {
            lower(policy, situation, soon, expected, &mut reasons)
        }
        _ => {
            reasons.push(Reason::Hold { replicas: current });
            recommendation = whole.max(current);
            current
        }
    };
    Plan {
        replicas: bound(policy, wanted, &mut reasons),
        recommendation: policy.bound(recommendation),
        peak: expected.map(|e| e.peak),
        reasons,
    }
}

/// Replicas for the load of now: what a reactive autoscaler with the same target would say.
fn reactive_need(
    policy: &Policy,
    situation: &Situation<'_>,
    reasons: &mut Vec<Reason>,
) -> Option<u32> {
    let load_per_replica = policy.spec().load_per_replica;
    let need = situation.load.and_then(|Observation { time, load }| {
        let replicas = replicas_for(load, 0.0, load_per_replica)?;
        let age = situation.now.duration_since(time);
        Some((Reason::LoadNow { load, age, load_per_replica, replicas }, replicas))
    });
    let (reason, replicas) = match need {
        Some((reason, replicas)) => (reason, Some(replicas)),
        None => (Reason::LoadUnknown, None),
    };
    reasons.push(reason);
    replicas
}

/// What the forecast needs.
#[derive(Clone, Copy)]
struct Expected {
    /// Replicas for the readiness window.
    soon: u32,
    /// Replicas for the rest of the horizon, and its peak.
    whole: u32,
    whole_load: f64,
    peak: Peak,
    /// Whether enough of the horizon is left to give capacity away by it.
    may_lower: bool,
}

fn expected_need(
    policy: &Policy,
    situation: &Situation<'_>,
    reasons: &mut Vec<Reason>,
) -> Option<Expected> {
    let now = situation.now;
    let forecast = match situation.outlook {
        Outlook::Fresh(forecast) => forecast,
        Outlook::LastGood(forecast, cause) => {
            let age = now.duration_since(forecast.origin());
            reasons.push(Reason::LastGoodForecast { cause, age });
            forecast
        }
        Outlook::Seasonal(forecast, cause) => {
            reasons.push(Reason::SeasonalForecast { cause });
            forecast
        }
        Outlook::Nothing(cause) => {
            reasons.push(Reason::NoForecast { cause });
            return None;
        }
    };
    let expected = needs_of(policy, forecast, now);
    match expected {
        Some(Expected { soon, peak, .. }) => {
            reasons.push(Reason::ForecastPeak {
                quantile: policy.quantile(),
                load: peak.upper,
                within: readiness_window(policy, forecast),
                headroom: policy.spec().headroom,
                replicas: soon,
            });
            if !forecast.shares().is_empty() {
                reasons.push(Reason::Carried { shares: forecast.shares().to_vec() });
            }
        }
        None => reasons.push(Reason::NoForecast { cause: FallbackCause::Stale }),
    }
    expected
}

fn needs_of(policy: &Policy, forecast: &Forecast, now: Timestamp) -> Option<Expected> {
    let remaining = forecast.steps_after(now);
    let soon = remaining.start..remaining.end.min(remaining.start + policy.spec().readiness_steps);
    let peak = Peak {
        value: forecast.points()[soon.clone()].iter().copied().reduce(f64::max)?,
        lower: forecast.peak(Quantile::P10, soon.clone())?,
        upper: forecast.peak(policy.quantile(), soon)?,
    };
    let whole_load = forecast.peak(policy.quantile(), remaining)?;
    let spec = policy.spec();
    let need = |load| replicas_for(load, spec.headroom, spec.load_per_replica);
    let may_lower = now.duration_since(forecast.origin()) <= spec.staleness_max;
    Some(Expected {
        soon: need(peak.upper)?,
        whole: need(whole_load)?,
        whole_load,
        peak,
        may_lower,
    })
}

fn readiness_window(policy: &Policy, forecast: &Forecast) -> SignedDuration {
    let steps = i64::try_from(policy.spec().readiness_steps).unwrap_or(i64::MAX);
    SignedDuration::from_secs(steps.saturating_mul(i64::from(forecast.step().seconds())))
}

/// Raises to `soon`; our ramp limits what only the forecast asks for, never what the load needs.
fn raise(
    policy: &Policy,
    current: u32,
    soon: u32,
    reactive: u32,
    reasons: &mut Vec<Reason>,
) -> u32 {
    let limit = policy.ramp_up(current).max(reactive);
    if soon > limit {
        reasons.push(Reason::RampUp { wanted: soon, limit });
    }
    soon.min(limit)
}

/// Lowers towards `soon`, held up by the rest of the horizon and by recent recommendations.
fn lower(
    policy: &Policy,
    situation: &Situation<'_>,
    soon: u32,
    expected: Expected,
    reasons: &mut Vec<Reason>,
) -> u32 {
    let current = situation.current;
    let Expected { whole, whole_load, .. } = expected;
    let mut wanted = soon;
    if whole > wanted {
        wanted = whole.min(current);
        reasons.push(Reason::HorizonPeak { load: whole_load, replicas: whole, kept: wanted });
    }
    if let Some(recommended) = situation.recommended
        && recommended > wanted
        && wanted < current
    {
        let window = policy.spec().scale_down_stabilization;
        wanted = recommended.min(current);
        reasons.push(Reason::Stabilization { kept: wanted, window });
    }
    let limit = policy.ramp_down(current);
    if wanted < limit {
        reasons.push(Reason::RampDown { wanted, limit });
    }
    wanted.max(limit)
}

fn bound(policy: &Policy, wanted: u32, reasons: &mut Vec<Reason>) -> u32 {
    let bounded = policy.bound(wanted);
    let (min, max) = (policy.spec().min_replicas, policy.spec().max_replicas);
    if bounded > wanted {
        reasons.push(Reason::MinReplicas { wanted, min });
    } else if bounded < wanted {
        reasons.push(Reason::MaxReplicas { wanted, max });
    }
    bounded
}
