//! What the user asks for, checked once.

use forecast::{Quantile, QuantileError};
use jiff::SignedDuration;
use thiserror::Error;

/// The most replicas that can be asked for: beyond it, a typing error is likelier than a workload.
pub const REPLICAS_MAX: u32 = 100_000;
/// The longest scale-down stabilization, one day.
pub const STABILIZATION_MAX: SignedDuration = SignedDuration::from_hours(24);

/// A policy as written; [`Policy::try_from`] checks it.
#[derive(Clone, PartialEq, Debug)]
pub struct PolicySpec {
    /// The load that one replica carries, in the unit of the load (cores of CPU).
    pub load_per_replica: f64,
    /// Spare share on top of the forecast peak: 0.2 is 20 %.
    pub headroom: f64,
    /// Never fewer replicas than this.
    pub min_replicas: u32,
    /// Never more replicas than this.
    pub max_replicas: u32,
    /// The quantile of the forecast that is planned for.
    pub quantile: f64,
    /// Steps ahead for which capacity must be ready when they come: readiness lag in steps, and one
    /// more for the time until the next decision.
    pub readiness_steps: usize,
    /// For this long a scale-down stays above everything that was recommended.
    pub scale_down_stabilization: SignedDuration,
    /// Replicas that one decision may add because of a forecast; `None` is the larger of four and
    /// as many as there are.
    pub step_up_max: Option<u32>,
    /// Replicas that one decision may remove; `None` is the larger of one and a half of them.
    pub step_down_max: Option<u32>,
    /// A load older than this is unknown.
    pub staleness_max: SignedDuration,
}

impl Default for PolicySpec {
    /// The field's usual figures.
    fn default() -> Self {
        Self {
            load_per_replica: 0.7,
            headroom: 0.2,
            min_replicas: 2,
            max_replicas: 50,
            quantile: 0.9,
            readiness_steps: 2,
            scale_down_stabilization: SignedDuration::from_mins(10),
            step_up_max: None,
            step_down_max: None,
            staleness_max: SignedDuration::from_mins(15),
        }
    }
}

/// A policy that holds together.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    spec: PolicySpec,
    quantile: Quantile,
}

/// Why a [`PolicySpec`] is not a [`Policy`]. Each names the field as users write it.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum PolicyError {
    /// The load of one replica is not a positive number.
    #[error("perReplica is {0}: expected the load one replica carries, above zero, such as 700m")]
    LoadPerReplica(f64),
    /// The headroom is not a share.
    #[error(
        "headroom is {0}: expected a share of zero or more and at most 10, such as 0.2 for 20 %"
    )]
    Headroom(f64),
    /// The bounds are out of order.
    #[error(
        "minReplicas {min} and maxReplicas {max}: expected 1 <= minReplicas <= maxReplicas <= {REPLICAS_MAX}"
    )]
    Bounds {
        /// The lower bound.
        min: u32,
        /// The upper bound.
        max: u32,
    },
    /// The quantile is not one.
    #[error(transparent)]
    Quantile(#[from] QuantileError),
    /// A lower quantile would plan for less than what is as likely as not.
    #[error("quantile is {0}: expected 0.5 to 0.99; below the median every second peak is missed")]
    QuantileRange(f64),
    /// The readiness window is empty or longer than the forecast.
    #[error("readinessSteps is {given}: expected 1 to {horizon}", horizon = forecast::HORIZON)]
    ReadinessSteps {
        /// Steps given.
        given: usize,
    },
    /// A step limit of zero would freeze the workload.
    #[error("{field} is 0: expected at least 1, or leave it out")]
    StepLimit {
        /// The field.
        field: &'static str,
    },
    /// A duration is out of range.
    #[error("{field} is {given:#}: expected {expected}")]
    Duration {
        /// The field.
        field: &'static str,
        /// The duration given.
        given: SignedDuration,
        /// What is accepted.
        expected: &'static str,
    },
}

impl TryFrom<PolicySpec> for Policy {
    type Error = PolicyError;

    fn try_from(spec: PolicySpec) -> Result<Self, PolicyError> {
        if !(spec.load_per_replica.is_finite() && spec.load_per_replica > 0.0) {
            return Err(PolicyError::LoadPerReplica(spec.load_per_replica));
        }
        if !(0.0..=10.0).contains(&spec.headroom) {
            return Err(PolicyError::Headroom(spec.headroom));
        }
        let (min, max) = (spec.min_replicas, spec.max_replicas);
        if min < 1 || min > max || max > REPLICAS_MAX {
            return Err(PolicyError::Bounds { min, max });
        }
        let quantile = Quantile::new(spec.quantile)?;
        if !(0.5..=0.99).contains(&spec.quantile) {
            return Err(PolicyError::QuantileRange(spec.quantile));
        }
        if !(1..=forecast::HORIZON).contains(&spec.readiness_steps) {
            return Err(PolicyError::ReadinessSteps { given: spec.readiness_steps });
        }
        for (field, limit) in [("stepUpMax", spec.step_up_max), ("stepDownMax", spec.step_down_max)]
        {
            if limit == Some(0) {
                return Err(PolicyError::StepLimit { field });
            }
        }
        check_durations(&spec)?;
        Ok(Self { spec, quantile })
    }
}

fn check_durations(spec: &PolicySpec) -> Result<(), PolicyError> {
    let stabilization = spec.scale_down_stabilization;
    if stabilization.is_negative() || stabilization > STABILIZATION_MAX {
        return Err(PolicyError::Duration {
            field: "scaleDownStabilization",
            given: stabilization,
            expected: "zero to 24 hours",
        });
    }
    if spec.staleness_max < SignedDuration::from_secs(1) {
        return Err(PolicyError::Duration {
            field: "stalenessMax",
            given: spec.staleness_max,
            expected: "at least a second",
        });
    }
    Ok(())
}

impl Policy {
    /// The policy as it was written.
    #[must_use]
    pub fn spec(&self) -> &PolicySpec {
        &self.spec
    }

    /// The quantile that is planned for.
    #[must_use]
    pub fn quantile(&self) -> Quantile {
        self.quantile
    }

    /// `replicas`, no fewer than the minimum and no more than the maximum.
    #[must_use]
    pub fn bound(&self, replicas: u32) -> u32 {
        replicas.clamp(self.spec.min_replicas, self.spec.max_replicas)
    }

    /// The most replicas that a forecast may raise `current` to in one decision.
    #[must_use]
    pub fn ramp_up(&self, current: u32) -> u32 {
        current.saturating_add(self.spec.step_up_max.unwrap_or(current.max(4)))
    }

    /// The fewest replicas that one decision may lower `current` to.
    #[must_use]
    pub fn ramp_down(&self, current: u32) -> u32 {
        current.saturating_sub(self.spec.step_down_max.unwrap_or((current / 2).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut PolicySpec)) -> String {
        let mut spec = PolicySpec::default();
        change(&mut spec);
        Policy::try_from(spec).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_hold_together() {
        assert!(Policy::try_from(PolicySpec::default()).is_ok());
    }

    #[test]
    fn each_contradiction_is_refused_by_its_name() {
        assert!(refused(|s| s.load_per_replica = 0.0).contains("perReplica is 0"));
        assert!(refused(|s| s.load_per_replica = f64::NAN).contains("perReplica is NaN"));
        assert!(refused(|s| s.headroom = -0.1).contains("headroom is -0.1"));
        assert!(refused(|s| s.min_replicas = 51).contains("minReplicas 51"));
        assert!(refused(|s| s.min_replicas = 0).contains("1 <= minReplicas"));
        assert!(refused(|s| s.max_replicas = 1_000_000).contains("maxReplicas 1000000"));
        assert!(refused(|s| s.quantile = 1.0).contains("quantile of 1"));
        assert!(refused(|s| s.quantile = 0.2).contains("0.5 to 0.99"));
        assert!(refused(|s| s.readiness_steps = 13).contains("readinessSteps is 13"));
        assert!(refused(|s| s.step_up_max = Some(0)).contains("stepUpMax is 0"));
        let negative = SignedDuration::from_secs(-1);
        assert!(
            refused(|s| s.scale_down_stabilization = negative).contains("scaleDownStabilization")
        );
        assert!(refused(|s| s.staleness_max = negative).contains("stalenessMax"));
    }
}
