//! History from the HTTP API of Prometheus, or of what speaks it: Thanos, Mimir, VictoriaMetrics.
//!
//! ```text
//! config ─▶ Prometheus ── range: requests of at most 11,000 points ─▶ ask (retry) ─▶ answer ─▶ merge
//! cpu    ─▶ the default query
//! ```

mod answer;
mod ask;
mod client;
mod config;
mod cpu;
mod error;
mod range;

pub use ask::RESPONSE_BYTES_MAX;
pub use client::Prometheus;
pub use config::{PrometheusConfig, PrometheusConfigError, Secret};
pub use cpu::{CpuQueryError, WorkloadKind, cpu_query};
pub use error::PrometheusError;
pub use range::{Aggregation, POINTS_PER_REQUEST_MAX, RangeQuery};
