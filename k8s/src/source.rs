//! Where the cluster's configuration comes from.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::connect::{ClusterConfig, ConnectError};

/// Where Kubernetes mounts a pod's service account.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The part of the process' surroundings that matters, so that a test can make up its own.
pub(crate) struct Surroundings<'a> {
    pub(crate) service_host: Option<OsString>,
    pub(crate) kubeconfig: Option<OsString>,
    pub(crate) home: Option<PathBuf>,
    pub(crate) is_file: &'a dyn Fn(&Path) -> bool,
}

/// What says where the cluster is.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The service account of this pod.
    ServiceAccount,
    /// Kubeconfig files that act as one, the first with precedence.
    Kubeconfig(Vec<PathBuf>),
    /// An address that needs no credentials.
    Server(String),
}

/// The source for `config` in these surroundings.
///
/// # Errors
/// [`ConnectError::NotConfigured`] when there is none.
pub(crate) fn choose(
    config: &ClusterConfig,
    around: &Surroundings<'_>,
) -> Result<Source, ConnectError> {
    if let Some(path) = &config.kubeconfig {
        return Ok(Source::Kubeconfig(vec![path.clone()]));
    }
    if let (Some(server), None) = (&config.server, &config.context) {
        return Ok(Source::Server(server.clone()));
    }
    let mut looked_for = Vec::new();
    // A context belongs to a kubeconfig: who names one does not mean the service account.
    if config.context.is_none() {
        match service_account(around) {
            Ok(()) => return Ok(Source::ServiceAccount),
            Err(missing) => looked_for.push(missing),
        }
    }
    match kubeconfigs(around) {
        Ok(paths) => Ok(Source::Kubeconfig(paths)),
        Err(missing) => {
            looked_for.push(missing);
            Err(ConnectError::NotConfigured { looked_for })
        }
    }
}

fn service_account(around: &Surroundings<'_>) -> Result<(), String> {
    if around.service_host.as_ref().is_none_or(|host| host.is_empty()) {
        return Err("a service account (KUBERNETES_SERVICE_HOST is not set)".to_owned());
    }
    if !(around.is_file)(Path::new(SERVICE_ACCOUNT_TOKEN)) {
        return Err(format!("a service account ({SERVICE_ACCOUNT_TOKEN} is not mounted)"));
    }
    Ok(())
}

fn kubeconfigs(around: &Surroundings<'_>) -> Result<Vec<PathBuf>, String> {
    let Some(list) = around.kubeconfig.as_ref().filter(|list| !list.is_empty()) else {
        let Some(home) = &around.home else {
            return Err("~/.kube/config (there is no home folder)".to_owned());
        };
        let path = home.join(".kube/config");
        let missing = || format!("{} (no such file)", path.display());
        return if (around.is_file)(&path) { Ok(vec![path]) } else { Err(missing()) };
    };
    // As kubectl does, files of the list that are not there are passed over.
    let found: Vec<PathBuf> =
        env::split_paths(list).filter(|path| (around.is_file)(path)).collect();
    let missing = || format!("KUBECONFIG={} (no such file)", list.to_string_lossy());
    if found.is_empty() { Err(missing()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(
        config: &ClusterConfig,
        host: Option<&str>,
        kubeconfig: Option<&str>,
        files: &[&str],
    ) -> Result<Source, ConnectError> {
        let surroundings = Surroundings {
            service_host: host.map(OsString::from),
            kubeconfig: kubeconfig.map(OsString::from),
            home: Some(PathBuf::from("/home/sre")),
            is_file: &|path| files.iter().any(|file| path == Path::new(file)),
        };
        choose(config, &surroundings)
    }

    fn files(paths: &[&str]) -> Source {
        Source::Kubeconfig(paths.iter().map(PathBuf::from).collect())
    }

    const HOME: &str = "/home/sre/.kube/config";

    #[test]
    fn a_pod_uses_its_service_account_unless_told_otherwise() {
        let all = [SERVICE_ACCOUNT_TOKEN, HOME, "/a"];
        let in_pod = |config: &ClusterConfig| chosen(config, Some("10.0.0.1"), Some("/a"), &all);
        let default = ClusterConfig::default();
        assert_eq!(in_pod(&default).unwrap(), Source::ServiceAccount);
        let named = ClusterConfig { kubeconfig: Some("/b".into()), ..default.clone() };
        assert_eq!(in_pod(&named).unwrap(), files(&["/b"]));
        let context = ClusterConfig { context: Some("prod".to_owned()), ..default.clone() };
        assert_eq!(in_pod(&context).unwrap(), files(&["/a"]));
        let server = ClusterConfig { server: Some("http://x".to_owned()), ..default };
        assert_eq!(in_pod(&server).unwrap(), Source::Server("http://x".to_owned()));
    }

    #[test]
    fn elsewhere_the_kubeconfigs_that_are_there_are_used() {
        let default = ClusterConfig::default();
        assert_eq!(chosen(&default, None, Some("/a:/b:/c"), &["/a", "/c"]).unwrap(), {
            files(&["/a", "/c"])
        });
        assert_eq!(chosen(&default, None, Some(""), &[HOME]).unwrap(), files(&[HOME]));
        assert_eq!(chosen(&default, Some("10.0.0.1"), None, &[HOME]).unwrap(), files(&[HOME]));
    }

    #[test]
    fn without_any_the_error_lists_what_was_looked_for() {
        let error = chosen(&ClusterConfig::default(), None, Some("/a"), &[HOME]).unwrap_err();
        let text = error.to_string();
        for part in ["KUBERNETES_SERVICE_HOST", "KUBECONFIG=/a (no such file)", "set KUBECONFIG"] {
            assert!(text.contains(part), "{text}");
        }
        let error = chosen(&ClusterConfig::default(), Some("10.0.0.1"), None, &[]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("not mounted") && text.contains(HOME), "{text}");
    }
}
