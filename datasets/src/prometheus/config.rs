//! How to reach a Prometheus: raw settings, and what they are checked for, once.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Url, redirect};
use rustls::crypto::CryptoProvider;
use thiserror::Error;

/// The time one request may take, unless configured.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The time a query may take with all its requests and retries, unless configured: well within
/// the five minutes between two decisions.
const DEADLINE: Duration = Duration::from_secs(60);

/// A text that must not be shown: its `Debug` is `***`, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How to reach a Prometheus, as configured; [`super::Prometheus::new`] checks it.
#[derive(Clone)]
pub struct PrometheusConfig {
    /// Where it is, a path prefix included, such as `http://prometheus:9090`.
    pub url: String,
    /// Sent as `Authorization: Bearer …`.
    pub bearer_token: Option<Secret>,
    /// The same from a file that is read for every request: Kubernetes rotates such tokens.
    pub bearer_token_file: Option<PathBuf>,
    /// User name and password.
    pub basic_auth: Option<(String, Secret)>,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// More headers, such as the tenant's. Their values are never shown.
    pub headers: Vec<(String, String)>,
    /// The time one request may take.
    pub request_timeout: Duration,
    /// The time a query may take with all its requests and retries.
    pub deadline: Duration,
}

impl PrometheusConfig {
    /// The Prometheus at `url`, without credentials, with the usual times.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            bearer_token: None,
            bearer_token_file: None,
            basic_auth: None,
            ca_file: None,
            headers: Vec::new(),
            request_timeout: REQUEST_TIMEOUT,
            deadline: DEADLINE,
        }
    }
}

impl fmt::Debug for PrometheusConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header_names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("PrometheusConfig")
            .field("url", &Url::parse(&self.url).map_or("(not a URL)", |_| "(a URL)"))
            .field("bearer_token", &self.bearer_token)
            .field("bearer_token_file", &self.bearer_token_file)
            .field("basic_auth", &self.basic_auth)
            .field("ca_file", &self.ca_file)
            .field("headers", &header_names)
            .field("request_timeout", &self.request_timeout)
            .field("deadline", &self.deadline)
            .finish()
    }
}

/// Why a [`PrometheusConfig`] cannot be used.
#[derive(Debug, Error)]
pub enum PrometheusConfigError {
    /// Not a URL.
    #[error(
        "the Prometheus URL {url:?} is not one ({reason}): expected http://host:9090 or https://host/prefix"
    )]
    Url {
        /// What was given.
        url: String,
        /// Why not.
        reason: String,
    },
    /// A URL that holds more than an address.
    #[error("the Prometheus URL has {what}: {advice}")]
    UrlWith {
        /// What it has.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// More than one way to say who asks.
    #[error("several credentials are configured ({}): keep one of them", given.join(", "))]
    SeveralCredentials {
        /// Which.
        given: Vec<&'static str>,
    },
    /// Credentials that HTTP cannot carry.
    #[error(
        "the {what} is empty or has characters that HTTP does not allow (a line break at its end?)"
    )]
    Credentials {
        /// Which.
        what: &'static str,
    },
    /// A file that cannot be read.
    #[error("cannot read the {what} {}: {source}", path.display())]
    File {
        /// What it is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file without certificates.
    #[error("the CA file {} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// Not a header.
    #[error(
        "the header {name:?} is not possible: expected a name of letters, digits and dashes, and a value on one line"
    )]
    Header {
        /// Its name.
        name: String,
    },
    /// A time of nothing.
    #[error("the {what} is zero: expected a time such as 30s")]
    ZeroTime {
        /// Which.
        what: &'static str,
    },
    /// The HTTP client cannot be made.
    #[error(
        "the HTTP client cannot be made: {reason}; without certificates of the system, pass a CA file"
    )]
    Client {
        /// Why.
        reason: String,
        /// The client's error.
        source: reqwest::Error,
    },
}

/// Who asks.
#[derive(Debug)]
pub(super) enum Credentials {
    None,
    Bearer(Secret),
    BearerFile(PathBuf),
    Basic(String, Secret),
}

/// A checked configuration.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) endpoint: Url,
    pub(super) credentials: Credentials,
    pub(super) client: Client,
    pub(super) request_timeout: Duration,
    pub(super) deadline: Duration,
}

impl TryFrom<PrometheusConfig> for Checked {
    type Error = PrometheusConfigError;

    fn try_from(config: PrometheusConfig) -> Result<Self, PrometheusConfigError> {
        for (what, time) in
            [("request timeout", config.request_timeout), ("deadline", config.deadline)]
        {
            if time.is_zero() {
                return Err(PrometheusConfigError::ZeroTime { what });
            }
        }
        let endpoint = endpoint_of(&config.url)?;
        let headers = headers_of(&config.headers)?;
        let certificates = match &config.ca_file {
            Some(path) => Some(certificates_in(path.clone())?),
            None => None,
        };
        Ok(Self {
            client: client_for(&endpoint, headers, certificates)?,
            endpoint,
            request_timeout: config.request_timeout,
            deadline: config.deadline,
            credentials: credentials_of(config)?,
        })
    }
}

/// The address of range queries below the base URL.
fn endpoint_of(text: &str) -> Result<Url, PrometheusConfigError> {
    let refused = |reason: &str| PrometheusConfigError::Url {
        url: crate::excerpt(text),
        reason: reason.to_owned(),
    };
    let with = |what, advice| Err(PrometheusConfigError::UrlWith { what, advice });
    let mut url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return with(
            "a user name or password",
            "pass them as basic auth, so that no log shows them",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return with("a query (?) or fragment (#)", "pass the address alone, with its path prefix");
    }
    if url.path().contains("/api/v1") {
        return with("the API's path", "pass the part before /api/v1");
    }
    url.path_segments_mut().map_err(|()| refused("it has no host"))?.pop_if_empty().extend([
        "api",
        "v1",
        "query_range",
    ]);
    Ok(url)
}

fn headers_of(raw: &[(String, String)]) -> Result<HeaderMap, PrometheusConfigError> {
    let mut headers = HeaderMap::new();
    for (name, value) in raw {
        let refused = || PrometheusConfigError::Header { name: crate::excerpt(name) };
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| refused())?;
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    Ok(headers)
}

fn credentials_of(config: PrometheusConfig) -> Result<Credentials, PrometheusConfigError> {
    let by_header =
        |(name, _): &(String, String)| name.eq_ignore_ascii_case(AUTHORIZATION.as_str());
    let given: Vec<&'static str> = [
        ("bearer token", config.bearer_token.is_some()),
        ("bearer token file", config.bearer_token_file.is_some()),
        ("basic auth", config.basic_auth.is_some()),
        ("authorization header", config.headers.iter().any(by_header)),
    ]
    .into_iter()
    .filter_map(|(what, is_given)| is_given.then_some(what))
    .collect();
    if given.len() > 1 {
        return Err(PrometheusConfigError::SeveralCredentials { given });
    }
    if let Some(token) = config.bearer_token {
        return match is_token(token.expose()) {
            true => Ok(Credentials::Bearer(token)),
            false => Err(PrometheusConfigError::Credentials { what: "bearer token" }),
        };
    }
    if let Some(path) = config.bearer_token_file {
        let text = fs::read_to_string(&path).map_err(|source| PrometheusConfigError::File {
            what: "bearer token file",
            path: path.clone(),
            source,
        })?;
        return match is_token(text.trim()) {
            true => Ok(Credentials::BearerFile(path)),
            false => Err(PrometheusConfigError::Credentials { what: "bearer token in the file" }),
        };
    }
    match config.basic_auth {
        // RFC 7617: the first colon ends the user name.
        Some((user, _)) if user.is_empty() || user.contains(':') => {
            Err(PrometheusConfigError::Credentials { what: "user name" })
        }
        Some((user, password)) => Ok(Credentials::Basic(user, password)),
        None => Ok(Credentials::None),
    }
}

/// Whether a text can stand after `Bearer`.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn certificates_in(path: PathBuf) -> Result<Vec<Certificate>, PrometheusConfigError> {
    let pem = match fs::read(&path) {
        Ok(pem) => pem,
        Err(source) => return Err(PrometheusConfigError::File { what: "CA file", path, source }),
    };
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(PrometheusConfigError::NoCertificate { path }),
    }
}

fn client_for(
    endpoint: &Url,
    headers: HeaderMap,
    certificates: Option<Vec<Certificate>>,
) -> Result<Client, PrometheusConfigError> {
    // reqwest takes the process's cryptography. Whoever installed one first, it stays.
    if CryptoProvider::get_default().is_none() {
        rustls::crypto::ring::default_provider().install_default().ok();
    }
    // A redirected POST would become a GET without its query, and the extra headers would go to
    // another host: a redirect is an error that says where to.
    let builder = Client::builder()
        .user_agent(concat!("predictive-scaler/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .redirect(redirect::Policy::none());
    let builder = match certificates {
        Some(certificates) => builder.tls_certs_only(certificates),
        // Loading the system's certificates fails where there are none, as in a minimal image,
        // and plain HTTP needs none.
        None if endpoint.scheme() == "http" => builder.tls_certs_only([]),
        None => builder,
    };
    builder.build().map_err(|source| PrometheusConfigError::Client {
        reason: super::error::root_cause(&source),
        source,
    })
}
