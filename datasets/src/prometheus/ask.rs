//! One request: sent, tried again, its answer read within bounds and told apart from an error.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use forecast::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio::time::{Instant, sleep};

use super::answer::{self, Answer, MESSAGE_CHARS_MAX};
use super::client::Prometheus;
use super::config::{Credentials, is_token};
use super::error::{PrometheusError, is_tls, root_cause};

/// The largest answer. One series of 11,000 points takes about 400 kB.
pub const RESPONSE_BYTES_MAX: usize = 16 << 20;
/// As much of an error's body is read.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// The pause before the second try; it doubles with each.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// The longest pause that we choose ourselves.
const BACKOFF_MAX: Duration = Duration::from_secs(8);

/// The parameters of a range query.
pub(super) type Form = [(&'static str, String); 4];

impl Prometheus {
    /// Asks until there is an answer, an error that trying again does not mend, or no time left.
    pub(super) async fn ask(
        &self,
        form: &Form,
        deadline: Instant,
    ) -> Result<Answer, PrometheusError> {
        let mut attempts = 1;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.out_of_time());
            }
            let error = match self.ask_once(form, left.min(self.config.request_timeout)).await {
                Err(PrometheusError::Timeout { .. }) if left < self.config.request_timeout => {
                    return Err(self.out_of_time());
                }
                Err(error) if error.is_retryable() => error,
                settled => return settled,
            };
            let pause = pause_after(&error, attempts);
            if Instant::now() + pause >= deadline {
                return Err(PrometheusError::GaveUp { attempts, last: Box::new(error) });
            }
            tracing::debug!(%error, attempts, pause_ms = pause.as_millis(), "asking Prometheus again");
            sleep(pause).await;
            attempts += 1;
        }
    }

    fn out_of_time(&self) -> PrometheusError {
        let (url, seconds) = (self.config.endpoint.to_string(), self.config.deadline.as_secs_f64());
        PrometheusError::Deadline { url, seconds }
    }

    async fn ask_once(&self, form: &Form, timeout: Duration) -> Result<Answer, PrometheusError> {
        let mut response = self.send(form, timeout).await?;
        if response.status() == StatusCode::METHOD_NOT_ALLOWED
            && !self.asks_by_get.swap(true, Ordering::Relaxed)
        {
            response = self.send(form, timeout).await?;
        }
        if !response.status().is_success() {
            return Err(self.refused(response, &form[0].1, timeout).await);
        }
        let content_type = header(response.headers(), CONTENT_TYPE.as_str(), "no content type");
        let failed = |error| self.failed(error, timeout);
        let body = read(response, RESPONSE_BYTES_MAX).await.map_err(failed)?;
        let body = body.ok_or(PrometheusError::TooLarge)?;
        answer::parse(&body, &content_type, &form[0].1)
    }

    async fn send(&self, form: &Form, timeout: Duration) -> Result<Response, PrometheusError> {
        let url = self.config.endpoint.clone();
        let request = if self.asks_by_get.load(Ordering::Relaxed) {
            self.config.client.request(Method::GET, url).query(form)
        } else {
            // A POST, because a long query does not fit every proxy's idea of a URL.
            self.config.client.request(Method::POST, url).form(form)
        };
        let request = self.authorize(request).await?.timeout(timeout);
        request.send().await.map_err(|error| self.failed(error, timeout))
    }

    async fn authorize(&self, request: RequestBuilder) -> Result<RequestBuilder, PrometheusError> {
        Ok(match &self.config.credentials {
            Credentials::None => request,
            Credentials::Bearer(token) => request.bearer_auth(token.expose()),
            Credentials::Basic(user, password) => request.basic_auth(user, Some(password.expose())),
            Credentials::BearerFile(path) => {
                let failed = |source| PrometheusError::Token { path: path.clone(), source };
                let text = std::fs::read_to_string(path).map_err(failed)?;
                let token = text.trim();
                if !is_token(token) {
                    let source = io::Error::new(io::ErrorKind::InvalidData, "it holds no token");
                    return Err(failed(source));
                }
                request.bearer_auth(token)
            }
        })
    }

    /// What an error of the HTTP client means.
    fn failed(&self, error: reqwest::Error, timeout: Duration) -> PrometheusError {
        let url = self.config.endpoint.to_string();
        let reason = root_cause(&error);
        if error.is_timeout() {
            return PrometheusError::Timeout { url, seconds: timeout.as_secs_f64() };
        }
        if is_tls(&error) {
            return PrometheusError::Tls { url, reason, source: error.without_url() };
        }
        if error.is_body() || error.is_decode() {
            return PrometheusError::Truncated { reason };
        }
        PrometheusError::Unreachable { url, reason, source: error.without_url() }
    }

    /// What an HTTP status other than success means.
    async fn refused(
        &self,
        response: Response,
        promql: &str,
        timeout: Duration,
    ) -> PrometheusError {
        let (status, headers) = (response.status(), response.headers().clone());
        let url = self.config.endpoint.to_string();
        let body = match read(response, ERROR_BYTES_MAX).await {
            Ok(body) => body.unwrap_or_default(),
            Err(error) if error.is_timeout() => return self.failed(error, timeout),
            Err(_) => Vec::new(),
        };
        let said = answer::refusal(&body);
        let text = match &said {
            Some((kind, message)) => format!("{kind}: {message}"),
            None => crate::excerpt(&String::from_utf8_lossy(&body)),
        };
        match status.as_u16() {
            300..=399 => {
                let location = header(&headers, LOCATION.as_str(), "nowhere");
                PrometheusError::Redirected { url, location }
            }
            401 | 403 => PrometheusError::Unauthorized { status, message: text },
            404 if said.is_none() => PrometheusError::NotFound { url },
            429 | 500.. => PrometheusError::Unavailable {
                status,
                message: text,
                retry_after: retry_after(&headers, clock()),
            },
            _ => {
                let (kind, message) = said.unwrap_or((status.to_string(), text));
                let promql = crate::shorten(promql, MESSAGE_CHARS_MAX);
                PrometheusError::BadQuery { kind, message, promql }
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "Retry-After may be a date, which only a clock can read"
)]
fn clock() -> Timestamp {
    Timestamp::now()
}

/// The body, or `None` when it is longer than `bytes_max`.
async fn read(mut response: Response, bytes_max: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

fn header(headers: &HeaderMap, name: &str, absent: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or(absent);
    crate::shorten(value, MESSAGE_CHARS_MAX)
}

/// How long to wait before the next try: what the server asked for, but never less than our own
/// pause, which doubles with each try and is shortened by chance, by half at most, so that
/// replicas that failed together do not come back together.
fn pause_after(error: &PrometheusError, attempts: u32) -> Duration {
    let longest = BACKOFF_FIRST.saturating_mul(1 << (attempts - 1).min(10)).min(BACKOFF_MAX);
    // The standard library's hasher is keyed by chance: enough for jitter.
    let chance = (RandomState::new().hash_one(attempts) >> 32) as f64 / f64::from(u32::MAX);
    let pause = longest.mul_f64(0.5 + 0.5 * chance);
    match error {
        PrometheusError::Unavailable { retry_after: Some(asked), .. } => pause.max(*asked),
        _ => pause,
    }
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}
