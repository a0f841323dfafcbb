//! One request to the API server, and what its answer means.

use std::error::Error as StdError;
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde::de::DeserializeOwned;

use crate::error::ScaleError;

/// The longest answer that is read: the largest lists of kinds have some hundred kilobytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Characters of an answer that is not understood which are shown to find its sender.
const EXCERPT_CHARS_MAX: usize = 80;
/// What the API server answers, as plain text, for a path that it does not serve.
const NO_SUCH_PATH: &[u8] = b"404 page not found";

/// What is asked; it can be asked again.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The path and query.
    pub(crate) uri: String,
    /// The JSON merge patch (RFC 7396) to send; without one it is a GET.
    pub(crate) patch: Option<Vec<u8>>,
    /// The kind of the answer.
    pub(crate) expected: &'static str,
}

/// Why one request had no success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 409: the object has another version by now.
    Conflict(String),
    /// 429: it was not looked at.
    Throttled {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// The server's own message.
        message: String,
    },
    /// A failing server, a timeout or a broken connection: it may or may not have been done.
    Unclear(String),
    /// It makes no sense to ask again.
    Final(ScaleError),
}

/// A refusal of the API server: its HTTP status and its own message.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) message: String,
}

/// Sends `call` once; `explain` says what a refusal means for the caller.
pub(crate) async fn send<T: DeserializeOwned>(
    client: &Client,
    call: &Call,
    timeout: Duration,
    explain: impl Fn(Refusal) -> ScaleError,
) -> Result<T, Failure> {
    let exchange = tokio::time::timeout(timeout, exchange(client, call));
    let Ok(answer) = exchange.await else {
        return Err(Failure::Unclear(format!("no answer within {:.1} s", timeout.as_secs_f64())));
    };
    let Answer { status, headers, body } = answer?;
    if !status.is_success() {
        return Err(failure_of(status, &headers, &body, call.expected, explain));
    }
    serde_json::from_slice(&body)
        .map_err(|error| unreadable(call.expected, status, &body, &format!(" ({error})")))
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

async fn exchange(client: &Client, call: &Call) -> Result<Answer, Failure> {
    let request = Request::builder().uri(&call.uri).header(header::ACCEPT, "application/json");
    let request = match &call.patch {
        None => request.method(Method::GET).body(Body::empty()),
        Some(patch) => request
            .method(Method::PATCH)
            .header(header::CONTENT_TYPE, "application/merge-patch+json")
            .body(Body::from(patch.clone())),
    };
    let request = request.expect("a path of checked names is a valid address");
    let response = client.send(request).await.map_err(|error| match error {
        kube::Error::Auth(error) => {
            Failure::Final(ScaleError::Unauthorized { message: chain(&error) })
        }
        error => Failure::Unclear(chain(&error)),
    })?;
    let (parts, body) = response.into_parts();
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = collected.map_err(|error| Failure::Unclear(chain(&*error)))?;
    Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes().to_vec() })
}

fn failure_of(
    code: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    expected: &'static str,
    explain: impl Fn(Refusal) -> ScaleError,
) -> Failure {
    let status = status_in(body);
    let message = match &status {
        Some(status) => status.message.clone(),
        None => format!("HTTP {code} with {}", excerpt(body)),
    };
    match code.as_u16() {
        409 => Failure::Conflict(message),
        429 => Failure::Throttled { retry_after: retry_after(headers, status.as_ref()), message },
        408 | 500.. => Failure::Unclear(message),
        code_number if status.is_some() || body.starts_with(NO_SUCH_PATH) => {
            Failure::Final(explain(Refusal { code: code_number, message }))
        }
        _ => unreadable(expected, code, body, ""),
    }
}

/// The `Status` in a failure's body, if it is one: other JSON has no message.
fn status_in(body: &[u8]) -> Option<Status> {
    serde_json::from_slice::<Status>(body).ok().filter(|status| !status.message.is_empty())
}

/// The seconds that the server asks to wait: in the header, or else in the status' details. A date
/// in the header is left alone: the API server sends seconds.
fn retry_after(headers: &HeaderMap, status: Option<&Status>) -> Option<Duration> {
    let header = || headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok();
    let details = || Some(u64::from(status?.details.as_ref()?.retry_after_seconds));
    header().or_else(details).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

fn unreadable(expected: &'static str, code: StatusCode, body: &[u8], why: &str) -> Failure {
    let got = format!("HTTP {code} with {}{why}", excerpt(body));
    Failure::Final(ScaleError::Unreadable { expected, got })
}

/// The beginning of a body on one line.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * EXCERPT_CHARS_MAX)]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = words.chars().take(EXCERPT_CHARS_MAX).collect();
    if shown.is_empty() { "an empty body".to_owned() } else { format!("{shown:?}") }
}

/// An error with its causes; those that their parent repeats are left out.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(refusal: Refusal) -> ScaleError {
        ScaleError::Refused { code: refusal.code, message: refusal.message }
    }

    fn answer(code: u16, body: &str) -> Failure {
        let code = StatusCode::from_u16(code).unwrap();
        failure_of(code, &HeaderMap::new(), body.as_bytes(), "Scale", refused)
    }

    #[test]
    fn the_wait_is_that_of_the_header_or_else_of_the_status() {
        let body = r#"{"kind":"Status","message":"slow","details":{"retryAfterSeconds":7}}"#;
        let status = status_in(body.as_bytes());
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers, status.as_ref()), Some(Duration::from_secs(7)));
        headers.insert(header::RETRY_AFTER, "3".parse().unwrap());
        assert_eq!(retry_after(&headers, status.as_ref()), Some(Duration::from_secs(3)));
        headers.insert(header::RETRY_AFTER, "Wed, 21 Oct 2026 07:28:00 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers, None), None);
    }

    #[test]
    fn only_what_looks_like_kubernetes_is_taken_for_its_word() {
        let not_found = r#"{"kind":"Status","message":"deployments \"web\" not found"}"#;
        let final_label = |failure| match failure {
            Failure::Final(error) => error.label(),
            other => panic!("{other:?}"),
        };
        assert_eq!(final_label(answer(404, not_found)), "refused");
        assert_eq!(final_label(answer(404, "404 page not found\n")), "refused");
        assert_eq!(final_label(answer(404, "<html>no such site</html>")), "unreadable");
        assert_eq!(final_label(answer(302, "")), "unreadable");
        assert!(matches!(answer(502, "<html>"), Failure::Unclear(_)));
    }
}
