//! Where history comes from: Prometheus, a CSV file, or a seeded synthetic workload; and what people know
//! of it, from CSV files too.
//!
//! ```text
//! prometheus  query_range ─┐
//! csv         file ────────┼─▶ History { series, report, warnings } ─▶ forecast
//! synthetic   seed ────────┘   (a Series alone: nothing can be wrong with it)
//! csv         files ──────────▶ Mask, Events
//! ```
//!
//! Whatever comes in is either a checked [`forecast::Series`] or an error that says what was
//! expected and what to do next. Nothing is filled or repaired here: a missing value stays a gap,
//! and what to do about gaps is decided in `forecast::gaps`.

mod csv;
mod prometheus;
mod synthetic;

pub use crate::csv::{
    CsvError, Expected, LINE_BYTES_MAX, ROWS_MAX, RowProblem, SPANS_MAX, parse_csv, read_csv,
    read_events, read_mask,
};
pub use crate::prometheus::{
    Aggregation, CpuQueryError, POINTS_PER_REQUEST_MAX, Prometheus, PrometheusConfig,
    PrometheusConfigError, PrometheusError, RESPONSE_BYTES_MAX, RangeQuery, Secret, WorkloadKind,
    cpu_query,
};
pub use crate::synthetic::{DAYS_MAX, Synthetic, SyntheticError};

/// A history as a source gave it.
#[derive(Clone, PartialEq, Debug)]
pub struct History {
    /// The load, on the grid of its step.
    pub series: forecast::Series,
    /// What putting it on the grid did.
    pub report: forecast::GridReport,
    /// What the source itself warned of, such as a partial answer; for people to read.
    pub warnings: Vec<String>,
}

/// At most this many characters of a text that is not ours are shown in an error.
const EXCERPT_CHARS_MAX: usize = 60;

/// The beginning of a foreign text, on one line and without control characters.
fn excerpt(text: &str) -> String {
    shorten(text, EXCERPT_CHARS_MAX)
}

/// The first `chars_max` characters of a foreign text, on one line.
fn shorten(text: &str, chars_max: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut chars = text.trim().chars();
    let mut short: String = chars.by_ref().take(chars_max).map(clean).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}
