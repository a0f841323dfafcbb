//! The binary itself, run as its users run it: real processes, a real Prometheus, real signals.
//! The cluster is an API server at HTTP level.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, with the place")]

mod backtest;
mod bad_input;
mod binary;
mod demo;
mod dependency_rule;
mod live;
mod recorded;
mod signals;

#[path = "../../../datasets/tests/real_prometheus/harness.rs"]
mod prometheus;
#[expect(dead_code, reason = "the crate k8s uses the rest of its stub")]
#[path = "../../../k8s/tests/stub/mod.rs"]
mod stub;
