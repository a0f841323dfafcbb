//! From a forecast to replicas, with the reasons.
//!
//! ```text
//! policy ─▶ demand ─▶ plan ─▶ autoscaler
//!           (ceil)   (guards,  (state: the last good forecast,
//!                     reasons)  recent recommendations)
//! ```
//!
//! [`Autoscaler::handle`] is handed time and inputs and answers with effects. The server runs it
//! against a cluster, a simulation against a model of one; there is no second copy of the policy.
//!
//! What is absent on purpose: no clock, no file, no socket, no knowledge of Kubernetes.

mod autoscaler;
mod demand;
mod plan;
mod policy;
mod reason;

pub use autoscaler::{Autoscaler, Decision, Effect, FallbackCause, Input, Mode, Observation};
pub use demand::replicas_for;
pub use plan::{Outlook, Peak, Plan, Situation, plan};
pub use policy::{Policy, PolicyError, PolicySpec, REPLICAS_MAX, STABILIZATION_MAX};
pub use reason::Reason;
