//! The default query: the CPU that a workload uses, in cores.

use thiserror::Error;

/// The characters of Kubernetes's generated name parts (`k8s.io/apimachinery/pkg/util/rand`):
/// no vowels, so that no words come up, and no digits that look like letters.
const SAFE: &str = "[bcdfghjklmnpqrstvwxz2456789]";
/// The longest pod-template hash: a 32-bit number in decimal, its digits mapped to [`SAFE`].
const HASH_CHARS_MAX: usize = 10;
/// The random characters at the end of a generated name.
const SUFFIX_CHARS: usize = 5;
/// A generated name is cut to this before its random characters are put on
/// (`k8s.io/apiserver/pkg/storage/names`: 63 less the random characters).
const BASE_CHARS_MAX: usize = 63 - SUFFIX_CHARS;

/// How a workload's pods are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WorkloadKind {
    /// `<name>-<pod-template-hash>-<5 characters>`; an Argo `Rollout` names its pods so too.
    Deployment,
    /// `<name>-<5 characters>`.
    ReplicaSet,
    /// `<name>-<ordinal>`.
    StatefulSet,
    /// Anything else: every pod whose name begins with `<name>-`. It also counts the pods of
    /// workloads named `<name>-…`, so a query of one's own is better where such exist.
    Other,
}

/// Why there is no query for a workload.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CpuQueryError {
    /// Not a namespace.
    #[error(
        "{0:?} is not a namespace: expected at most 63 lower-case letters, digits and inner dashes"
    )]
    Namespace(String),
    /// Not a workload.
    #[error(
        "{0:?} is not a workload's name: expected at most 253 lower-case letters, digits, inner dashes and dots"
    )]
    Workload(String),
}

/// The PromQL for the CPU that all containers of a workload use, in cores.
///
/// The sum over pods, not the average: an average falls when pods are added. `container!=""`
/// leaves out the totals of pods, which cAdvisor reports beside their containers. The rate spans
/// five minutes: a scrape every minute may fail three times.
///
/// # Errors
/// When `namespace` is not a DNS label or `workload` not a DNS subdomain (RFC 1123), which are
/// the names that Kubernetes allows.
pub fn cpu_query(
    kind: WorkloadKind,
    namespace: &str,
    workload: &str,
) -> Result<String, CpuQueryError> {
    if !is_label(namespace) {
        return Err(CpuQueryError::Namespace(crate::excerpt(namespace)));
    }
    if workload.len() > 253 || !workload.split('.').all(is_part) {
        return Err(CpuQueryError::Workload(crate::excerpt(workload)));
    }
    let pods = pod_pattern(kind, workload);
    Ok(format!(
        r#"sum(rate(container_cpu_usage_seconds_total{{namespace="{namespace}", pod=~"{pods}", container!=""}}[5m]))"#
    ))
}

/// A regular expression, anchored at both ends by Prometheus, of the names of a workload's pods.
fn pod_pattern(kind: WorkloadKind, workload: &str) -> String {
    // Of the characters of a name the dot alone has a meaning. In brackets it needs no backslash,
    // which PromQL would want doubled.
    let name = workload.replace('.', "[.]");
    match kind {
        WorkloadKind::StatefulSet => format!("{name}-[0-9]+"),
        WorkloadKind::Other => format!("{name}-.+"),
        WorkloadKind::ReplicaSet => match cut_name(workload) {
            Some(cut) => cut,
            None => format!("{name}-{SAFE}{{{SUFFIX_CHARS}}}"),
        },
        WorkloadKind::Deployment => {
            let whole = format!("{name}-{SAFE}{{1,{HASH_CHARS_MAX}}}-{SAFE}{{{SUFFIX_CHARS}}}");
            match cut_pattern(workload) {
                Some(cut) => format!("{whole}|{cut}"),
                None => whole,
            }
        }
    }
}

/// The pattern of a long Deployment's pods: `<name>-<hash>-` is cut to 58 characters, which may
/// lose the last dash, the hash, or the end of the name itself.
fn cut_pattern(workload: &str) -> Option<String> {
    let length = workload.len();
    if length + 1 + HASH_CHARS_MAX < BASE_CHARS_MAX {
        return None;
    }
    cut_name(workload).or_else(|| {
        let random = BASE_CHARS_MAX - length - 1 + SUFFIX_CHARS;
        Some(format!("{}-{SAFE}{{{random}}}", workload.replace('.', "[.]")))
    })
}

/// The pattern of the pods of a name so long that the dash after it is cut off.
fn cut_name(workload: &str) -> Option<String> {
    let kept = workload.get(..BASE_CHARS_MAX)?.replace('.', "[.]");
    Some(format!("{kept}{SAFE}{{{SUFFIX_CHARS}}}"))
}

/// Whether a text is a DNS label as Kubernetes means it (RFC 1123, lower case).
fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// Whether a text may stand between the dots of a DNS subdomain. Kubernetes bounds the length of
/// the whole only, not that of each part.
fn is_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    /// Whether the pattern takes the pod, anchored as Prometheus anchors it.
    fn takes(kind: WorkloadKind, workload: &str, pod: &str) -> bool {
        let pattern = pod_pattern(kind, workload);
        Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(pod)
    }

    #[test]
    fn a_deployment_takes_its_own_pods_only() {
        let takes = |pod| takes(WorkloadKind::Deployment, "web", pod);
        for own in ["web-7d4b9c6f5-x2k4z", "web-b-bcdfg", "web-5f9c8d7b6f-qwrtx"] {
            assert!(takes(own), "{own}");
        }
        for other in [
            "web-api-7d4b9c6f5-x2k4z",
            "web-7d4b9c6f5-x2k4z-debug",
            "web-x2-7d4b9c6f5-x2k4z",
            "my-web-7d4b9c6f5-x2k4z",
            "web-0",
            "web-7d4b9c6f5-x2k4",
            "web-7d4b9c6f5d7b-x2k4z",
            "webs-7d4b9c6f5-x2k4z",
            "web",
        ] {
            assert!(!takes(other), "{other}");
        }
    }

    #[test]
    fn pods_of_long_names_are_taken_where_kubernetes_cuts_them() {
        let hash = "5f9c8d7b6f";
        for length in [40, 46, 47, 48, 50, 56, 57, 58, 59, 63] {
            let name = "a".repeat(length);
            // As `names.SimpleNameGenerator` does: the base is cut, then five characters follow.
            let base: String = format!("{name}-{hash}-").chars().take(58).collect();
            let pod = format!("{base}x2k4z");
            assert!(takes(WorkloadKind::Deployment, &name, &pod), "{length}: {pod}");
            assert!(!takes(WorkloadKind::Deployment, &name, &format!("{pod}z-z")), "{length}");
            let base: String = format!("{name}-").chars().take(58).collect();
            let pod = format!("{base}x2k4z");
            assert!(takes(WorkloadKind::ReplicaSet, &name, &pod), "{length}: {pod}");
        }
    }

    #[test]
    fn other_kinds_have_their_own_names() {
        assert!(takes(WorkloadKind::StatefulSet, "db", "db-12"));
        assert!(!takes(WorkloadKind::StatefulSet, "db", "db-replica-0"));
        assert!(!takes(WorkloadKind::StatefulSet, "v1.2", "v1x2-0"));
        assert!(takes(WorkloadKind::ReplicaSet, "web", "web-x2k4z"));
        for other in ["web-7d4b9c6f5-x2k4z", "web-x2k4", "web-x2k4a", "web-0", "webs-x2k4z"] {
            assert!(!takes(WorkloadKind::ReplicaSet, "web", other), "{other}");
        }
        assert!(takes(WorkloadKind::Other, "job", "job-anything"));
        assert!(!takes(WorkloadKind::Other, "job", "jobs-anything"));
    }

    #[test]
    fn the_query_is_the_documented_one() {
        let query = cpu_query(WorkloadKind::StatefulSet, "shop", "db").unwrap();
        let expected = r#"sum(rate(container_cpu_usage_seconds_total{namespace="shop", pod=~"db-[0-9]+", container!=""}[5m]))"#;
        assert_eq!(query, expected);
    }

    #[test]
    fn names_that_kubernetes_refuses_are_refused() {
        let query = |namespace, workload| cpu_query(WorkloadKind::Deployment, namespace, workload);
        let long = "a".repeat(254);
        for name in ["", "Web", "a b", "web\"}", "-web", "web-", "a..b", "café", long.as_str()] {
            assert!(matches!(query("shop", name), Err(CpuQueryError::Workload(_))), "{name}");
            assert!(matches!(query(name, "web"), Err(CpuQueryError::Namespace(_))), "{name}");
        }
        assert!(query("shop", "web.v2").is_ok());
        let part = "a".repeat(64);
        assert!(query("shop", &part).is_ok() && query(&part, "web").is_err());
        assert!(query("shop.eu", "web").is_err());
    }
}
