//! What is scaled: the full name of one object in the cluster.

use std::fmt;

use forecast::SeriesId;
use thiserror::Error;

/// A label of DNS (RFC 1123): namespaces, and the parts between dots of a name.
const LABEL_BYTES_MAX: usize = 63;
/// A name of DNS (RFC 1123), and the longest [`SeriesId`].
const NAME_BYTES_MAX: usize = 253;

/// One object that has a number of replicas, such as the Deployment `web` in `shop`.
///
/// It is shown as `shop/web` when it is a Deployment and as `shop/Rollout/web` otherwise.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Workload {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
}

/// Why something is not a [`Workload`].
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{field} {value:?} is not possible in Kubernetes: expected {expected}")]
pub struct WorkloadError {
    field: &'static str,
    value: String,
    expected: &'static str,
}

impl Workload {
    /// The API version of a Deployment.
    pub const API_VERSION: &str = "apps/v1";
    /// The kind that is meant where none is named.
    pub const KIND: &str = "Deployment";

    /// The object `name` of `kind` in `namespace`.
    ///
    /// # Errors
    /// When the parts are not the names that Kubernetes allows.
    pub fn new(
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Self, WorkloadError> {
        check(is_api_version(api_version), "apiVersion", api_version, "one such as `apps/v1`")?;
        check(is_kind(kind), "kind", kind, "a name in CamelCase such as `Deployment`")?;
        let label = "lowercase letters, digits and hyphens, 63 at most, such as `shop`";
        check(is_label(namespace), "namespace", namespace, label)?;
        let dns = "lowercase letters, digits, hyphens and dots, such as `web`";
        check(is_dns_name(name), "name", name, dns)?;
        let workload = Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let shown = workload.to_string();
        let fits = "namespace, kind and name of 253 bytes at most together";
        check(shown.len() <= NAME_BYTES_MAX, "workload", &shown, fits)?;
        Ok(workload)
    }

    /// The Deployment `name` in `namespace`.
    ///
    /// # Errors
    /// When the parts are not the names that Kubernetes allows.
    pub fn deployment(namespace: &str, name: &str) -> Result<Self, WorkloadError> {
        Self::new(Self::API_VERSION, Self::KIND, namespace, name)
    }

    /// The API version: `group/version`, or `version` alone in the core group.
    #[must_use]
    pub fn api_version(&self) -> &str {
        &self.api_version
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name in its namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of this workload's load: the same text as is shown.
    #[must_use]
    pub fn series_id(&self) -> SeriesId {
        SeriesId::new(self.to_string()).expect("a workload is 1 to 253 printable bytes")
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api_version, kind, namespace, name } = self;
        if api_version == Self::API_VERSION && kind == Self::KIND {
            write!(f, "{namespace}/{name}")
        } else {
            write!(f, "{namespace}/{kind}/{name}")
        }
    }
}

fn check(
    holds: bool,
    field: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<(), WorkloadError> {
    let value = || value.chars().take(64).collect();
    if holds { Ok(()) } else { Err(WorkloadError { field, value: value(), expected }) }
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=LABEL_BYTES_MAX).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A subdomain of DNS: labels joined by dots. Kubernetes bounds the whole only, not each label.
fn is_dns_name(text: &str) -> bool {
    let part = |part: &str| part.len() > LABEL_BYTES_MAX || is_label(part);
    let bytes = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    text.len() <= NAME_BYTES_MAX
        && text.bytes().all(bytes)
        && text.split('.').all(|p| part(p) && !p.starts_with('-') && !p.ends_with('-'))
}

fn is_api_version(text: &str) -> bool {
    let version = |v: &str| is_label(v) && v.starts_with(|c: char| c.is_ascii_lowercase());
    match text.split_once('/') {
        Some((group, v)) => is_dns_name(group) && version(v),
        None => version(text),
    }
}

fn is_kind(text: &str) -> bool {
    text.len() <= LABEL_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_shortly_when_it_is_a_deployment() {
        let web = Workload::deployment("shop", "web").unwrap();
        assert_eq!((web.to_string().as_str(), web.group()), ("shop/web", "apps"));
        assert_eq!(web.series_id().as_str(), "shop/web");
        let rollout = Workload::new("argoproj.io/v1alpha1", "Rollout", "shop", "web").unwrap();
        assert_eq!(rollout.to_string(), "shop/Rollout/web");
        let core = Workload::new("v1", "ReplicationController", "shop", "a.b").unwrap();
        assert_eq!((core.group(), core.name()), ("", "a.b"));
    }

    #[test]
    fn refuses_what_kubernetes_refuses() {
        let long = "a".repeat(64);
        let refused = [
            ("apps/v1", "Deployment", "", "web"),
            ("apps/v1", "Deployment", "Shop", "web"),
            ("apps/v1", "Deployment", "a.b", "web"),
            ("apps/v1", "Deployment", long.as_str(), "web"),
            ("apps/v1", "Deployment", "shop", ""),
            ("apps/v1", "Deployment", "shop", "web/scale"),
            ("apps/v1", "Deployment", "shop", "../web"),
            ("apps/v1", "Deployment", "shop", "web."),
            ("apps/v1", "Deployment", "shop", "-web"),
            ("apps/v1", "deployment", "shop", "web"),
            ("apps/v1", "", "shop", "web"),
            ("apps/", "Deployment", "shop", "web"),
            ("apps/v1/x", "Deployment", "shop", "web"),
            ("/v1", "Deployment", "shop", "web"),
            ("1", "Deployment", "shop", "web"),
        ];
        for (api_version, kind, namespace, name) in refused {
            let got = Workload::new(api_version, kind, namespace, name);
            assert!(got.is_err(), "{api_version} {kind} {namespace} {name}");
        }
        let error = Workload::deployment("Shop", "web").unwrap_err().to_string();
        assert!(error.starts_with("namespace \"Shop\" is not possible"), "{error}");
    }

    #[test]
    fn every_workload_has_a_series() {
        let longest = "n".repeat(NAME_BYTES_MAX - "shop/".len());
        assert!(Workload::deployment("shop", &longest).unwrap().series_id().as_str().len() == 253);
        assert!(Workload::deployment("shop", &format!("{longest}n")).is_err());
    }
}
