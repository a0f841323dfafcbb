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
    /// `<name>-<pod-template-hash>-<5 characters>`.
    Deployment,
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
    if workload.len() > 253 || !workload.split('.').all(is_label) {
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
    let kept = workload[..length.min(BASE_CHARS_MAX)].replace('.', "[.]");
    if length >= BASE_CHARS_MAX {
        return Some(format!("{kept}{SAFE}{{{SUFFIX_CHARS}}}"));
    }
    let random = BASE_CHARS_MAX - length - 1 + SUFFIX_CHARS;
    Some(format!("{kept}-{SAFE}{{{random}}}"))
}

/// Whether a text is a DNS label as Kubernetes means it (RFC 1123, lower case).
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
