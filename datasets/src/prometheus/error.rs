//! What can go wrong between a query and its history.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use forecast::SeriesError;
use reqwest::StatusCode;
use thiserror::Error;

use super::ask::RESPONSE_BYTES_MAX;

/// Why a query has no history. Texts of the server are shown shortened.
#[derive(Debug, Error)]
pub enum PrometheusError {
    /// The query cannot be asked.
    #[error("the query cannot be asked: {reason}")]
    Query {
        /// What is wrong with it.
        reason: String,
    },
    /// The token file cannot be read.
    #[error("cannot read a token from {}: {source}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No connection.
    #[error("cannot reach Prometheus at {url}: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// The innermost cause.
        reason: String,
        /// The HTTP client's error.
        source: reqwest::Error,
    },
    /// The server's certificate is not trusted, or it speaks no TLS.
    #[error(
        "no secure connection to {url}: {reason}; does the URL's https fit, and is a CA file needed?"
    )]
    Tls {
        /// The address.
        url: String,
        /// The innermost cause.
        reason: String,
        /// The HTTP client's error.
        source: reqwest::Error,
    },
    /// No answer in time.
    #[error("Prometheus at {url} did not answer within {seconds:.1} s")]
    Timeout {
        /// The address.
        url: String,
        /// The time waited.
        seconds: f64,
    },
    /// The time for the whole history was over before the whole history was there.
    #[error(
        "Prometheus at {url} did not give the whole history within the {seconds:.1} s that were allowed for it: ask for less, or use a longer step"
    )]
    Deadline {
        /// The address.
        url: String,
        /// The time allowed.
        seconds: f64,
    },
    /// It is there, but cannot answer now (429 and 5xx).
    #[error("Prometheus answered {status}: {message}")]
    Unavailable {
        /// The HTTP status.
        status: StatusCode,
        /// What it said.
        message: String,
        /// When it asks to be asked again.
        retry_after: Option<Duration>,
    },
    /// The answer ended in the middle.
    #[error("the answer ended in the middle: {reason}")]
    Truncated {
        /// Where.
        reason: String,
    },
    /// Tries did not help.
    #[error("gave up after {attempts} tries: {last}")]
    GaveUp {
        /// The tries made.
        attempts: u32,
        /// The last try's error.
        last: Box<Self>,
    },
    /// 401 or 403.
    #[error(
        "Prometheus refused us with {status} ({message}): check the token, the user or the tenant header"
    )]
    Unauthorized {
        /// The HTTP status.
        status: StatusCode,
        /// What it said.
        message: String,
    },
    /// 404.
    #[error("no Prometheus API at {url} (404): check the URL and its path prefix")]
    NotFound {
        /// The address.
        url: String,
    },
    /// The server sends us elsewhere.
    #[error(
        "{url} redirects to {location}: pass that address as the URL (or log in, if it is a login page)"
    )]
    Redirected {
        /// The address.
        url: String,
        /// Where to.
        location: String,
    },
    /// Prometheus does not take the query.
    #[error("Prometheus refused the query ({kind}): {message}; the query was {promql:?}")]
    BadQuery {
        /// Its error type.
        kind: String,
        /// Its message.
        message: String,
        /// The query.
        promql: String,
    },
    /// Something else answered.
    #[error("this is not a Prometheus: got {content_type} starting with {start:?}")]
    NotPrometheus {
        /// What it calls its answer.
        content_type: String,
        /// The answer's first characters.
        start: String,
    },
    /// JSON, but not what the API gives.
    #[error("the answer is not one of the Prometheus API: {reason}")]
    BadAnswer {
        /// What is wrong with it.
        reason: String,
    },
    /// Too much.
    #[error(
        "the answer is larger than {} MiB: does the query return many series? Aggregate them, with sum(…) for instance",
        RESPONSE_BYTES_MAX >> 20
    )]
    TooLarge,
    /// Not a matrix.
    #[error(
        "expected a range of values (resultType matrix), got {got}: is the query one of numbers over time?"
    )]
    ResultType {
        /// The result type.
        got: &'static str,
    },
    /// More than one series.
    #[error(
        "the query returned {count} series, expected one: aggregate them, with sum(…) for instance. They are {labels}"
    )]
    SeveralSeries {
        /// How many.
        count: usize,
        /// Their labels, of five at most.
        labels: String,
    },
    /// Nothing.
    #[error(
        "the query returned no data from {from} to {to}: {promql:?}. Is the metric scraped (look at the targets page), do namespace and workload names fit, and does the history reach back that far?"
    )]
    NoData {
        /// The query.
        promql: String,
        /// The first time asked for.
        from: forecast::Timestamp,
        /// The last time asked for.
        to: forecast::Timestamp,
    },
    /// Values that are not a load.
    #[error("the values of {promql:?} are not a history: {source}")]
    Series {
        /// The query.
        promql: String,
        /// Why.
        source: SeriesError,
    },
}

impl PrometheusError {
    /// A short name for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Query { .. } => "query",
            Self::Token { .. } => "token",
            Self::Unreachable { .. } => "unreachable",
            Self::Tls { .. } => "tls",
            Self::Timeout { .. } | Self::Deadline { .. } => "timeout",
            Self::Unavailable { .. } => "unavailable",
            Self::Truncated { .. } => "truncated",
            Self::GaveUp { last, .. } => last.label(),
            Self::Unauthorized { .. } => "unauthorized",
            Self::NotFound { .. } => "not_found",
            Self::Redirected { .. } => "redirected",
            Self::BadQuery { .. } => "bad_query",
            Self::NotPrometheus { .. } => "not_prometheus",
            Self::BadAnswer { .. } => "bad_answer",
            Self::TooLarge => "too_large",
            Self::ResultType { .. } => "result_type",
            Self::SeveralSeries { .. } => "several_series",
            Self::NoData { .. } => "no_data",
            Self::Series { .. } => "series",
        }
    }

    /// Whether the same query may succeed later, with nothing changed here.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Timeout { .. }
                | Self::Deadline { .. }
                | Self::Unavailable { .. }
                | Self::Truncated { .. }
                | Self::GaveUp { .. }
        )
    }
}

/// The text of the innermost cause: the outer ones say no more than "error sending request".
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    crate::shorten(&cause.to_string(), 200)
}

/// Whether TLS failed, which trying again does not mend.
pub(super) fn is_tls(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<rustls::Error>() {
            return true;
        }
        // An `io::Error` does not name what it wraps as its source.
        let wrapped = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => inner.source(),
        };
    }
    false
}
