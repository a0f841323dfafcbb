//! The JSON of the Prometheus HTTP API (prometheus.io, "HTTP API"), and its checked form.

use std::collections::BTreeMap;

use forecast::{Sample, Timestamp};
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::PrometheusError;
use crate::{excerpt, shorten};

/// At most this many characters of a message of the server, or of a query, are shown.
pub(super) const MESSAGE_CHARS_MAX: usize = 300;

/// The series of an answer by their labels, and what the server warned of.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) series: Vec<(String, Vec<Sample>)>,
    pub(super) warnings: Vec<String>,
}

#[derive(Deserialize)]
struct WireAnswer {
    status: String,
    data: Option<WireData>,
    #[serde(rename = "errorType", default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
    /// VictoriaMetrics: a storage node did not answer.
    #[serde(rename = "isPartial", default)]
    is_partial: bool,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum WireData {
    Matrix(Vec<WireSeries>),
    Vector(IgnoredAny),
    Scalar(IgnoredAny),
    String(IgnoredAny),
}

#[derive(Deserialize)]
struct WireSeries {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    histograms: Option<IgnoredAny>,
}

/// What a body with a failing HTTP status says: Prometheus's own type and message, if it is
/// Prometheus's.
pub(super) fn refusal(body: &[u8]) -> Option<(String, String)> {
    let answer: WireAnswer = serde_json::from_slice(body).ok()?;
    (answer.status == "error").then(|| refusal_of(&answer))
}

fn refusal_of(answer: &WireAnswer) -> (String, String) {
    (excerpt(&answer.error_type), shorten(&answer.error, MESSAGE_CHARS_MAX))
}

/// Reads the body of a successful answer.
pub(super) fn parse(
    body: &[u8],
    content_type: &str,
    promql: &str,
) -> Result<Answer, PrometheusError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        let start = String::from_utf8_lossy(&body[..body.len().min(4 * MESSAGE_CHARS_MAX)]);
        return Err(PrometheusError::NotPrometheus {
            content_type: excerpt(content_type),
            start: excerpt(&start),
        });
    }
    let answer: WireAnswer = serde_json::from_slice(body).map_err(|error| {
        let reason = shorten(&error.to_string(), MESSAGE_CHARS_MAX);
        match error.is_eof() {
            true => PrometheusError::Truncated { reason },
            false => PrometheusError::BadAnswer { reason },
        }
    })?;
    if answer.status != "success" {
        let (kind, message) = refusal_of(&answer);
        let promql = shorten(promql, MESSAGE_CHARS_MAX);
        return Err(PrometheusError::BadQuery { kind, message, promql });
    }
    let partial =
        answer.is_partial.then(|| "the answer is partial: a storage node is missing".to_owned());
    let warnings = answer.warnings.iter().chain(&answer.infos);
    Ok(Answer {
        warnings: warnings.map(|w| shorten(w, MESSAGE_CHARS_MAX)).chain(partial).collect(),
        series: series_of(answer.data)?,
    })
}

fn series_of(data: Option<WireData>) -> Result<Vec<(String, Vec<Sample>)>, PrometheusError> {
    let other = |got| Err(PrometheusError::ResultType { got });
    let matrix = match data {
        Some(WireData::Matrix(matrix)) => matrix,
        Some(WireData::Vector(_)) => return other("vector"),
        Some(WireData::Scalar(_)) => return other("scalar"),
        Some(WireData::String(_)) => return other("string"),
        None => {
            let reason = "a success without data".to_owned();
            return Err(PrometheusError::BadAnswer { reason });
        }
    };
    matrix
        .into_iter()
        .map(|series| {
            if series.histograms.is_some() {
                let reason = "native histograms: make numbers of them with histogram_quantile(…) or histogram_sum(…)";
                return Err(PrometheusError::BadAnswer { reason: reason.to_owned() });
            }
            let samples: Result<Vec<Sample>, _> =
                series.values.iter().map(|(time, value)| sample(*time, value)).collect();
            Ok((labels(&series.metric), samples?))
        })
        .collect()
}

/// The labels as PromQL writes them.
fn labels(metric: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> =
        metric.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// A point; `NaN`, `+Inf` and `-Inf`, which Prometheus writes for an undefined ratio, become gaps.
fn sample(seconds: f64, value: &str) -> Result<Sample, PrometheusError> {
    let refused = |what: &str| PrometheusError::BadAnswer {
        reason: format!("expected points of Unix seconds and a number, found the {what}"),
    };
    let time = SignedDuration::try_from_secs_f64(seconds)
        .and_then(Timestamp::from_duration)
        .map_err(|_| refused(&format!("time {seconds}")))?;
    let value = value.parse().map_err(|_| refused(&format!("value {:?}", excerpt(value))))?;
    Ok(Sample { time, value })
}
