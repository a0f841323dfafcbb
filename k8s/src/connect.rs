//! Which cluster, and with which credentials.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use thiserror::Error;

use crate::cluster::{Cluster, Limits};
use crate::request::chain;
use crate::resource::Resources;
use crate::source::{Source, Surroundings, choose};

/// How to reach the cluster.
///
/// A proxy is used when the kubeconfig names one (`proxy-url`); the variables `HTTPS_PROXY` and
/// `NO_PROXY` are for other traffic and are not looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterConfig {
    /// A kubeconfig file. Without one the service account of the pod is taken, or else the files
    /// in `KUBECONFIG`, or else `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig in place of its current one.
    pub context: Option<String>,
    /// An address of the API server in place of the kubeconfig's. Given without a kubeconfig and
    /// context it is spoken to without credentials, as `kubectl proxy` wants it.
    pub server: Option<String>,
    /// The longest that one request may take.
    pub request_timeout: Duration,
    /// The longest that one call may take, all of its requests and pauses together.
    pub deadline: Duration,
    /// Whether the API server checks every write (rights, admission, versions) and stores none.
    pub dry_run: bool,
}

impl Default for ClusterConfig {
    /// Five seconds a request, 30 seconds a call: well within a step of five minutes.
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            server: None,
            request_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
            dry_run: false,
        }
    }
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Nothing says where the cluster is.
    #[error(
        "no cluster is configured. Looked for: {}. Run inside of a cluster with a service account, \
         or set KUBECONFIG, or name a kubeconfig file",
        looked_for.join("; ")
    )]
    NotConfigured {
        /// What was looked for and why it did not help.
        looked_for: Vec<String>,
    },
    /// A kubeconfig file cannot be used.
    #[error("the kubeconfig {} cannot be used: {}", path.display(), chain(source))]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// The kubeconfig has no such context.
    #[error("the kubeconfig has no context {wanted:?}: it has {}", known.join(", "))]
    UnknownContext {
        /// The context asked for.
        wanted: String,
        /// The contexts that there are.
        known: Vec<String>,
    },
    /// The service account is mounted but cannot be used.
    #[error("the service account of this pod cannot be used: {0}")]
    ServiceAccount(String),
    /// The address is not one.
    #[error("{server:?} is not the address of a server: expected one like https://10.0.0.1:6443")]
    Server {
        /// The address given.
        server: String,
    },
    /// A duration is zero.
    #[error("{0} is zero: expected a time such as 5s")]
    NoTime(&'static str),
    /// The client cannot be built, mostly for its certificates.
    #[error("no client can be made from the cluster's configuration: {}", chain(.0))]
    Client(#[source] kube::Error),
}

impl Cluster {
    /// Reads the configuration and makes a client. No request is sent yet, so that a service can
    /// start while the API server is away.
    ///
    /// # Errors
    /// When nothing says where the cluster is, or what says so cannot be used.
    pub async fn connect(config: ClusterConfig) -> Result<Self, ConnectError> {
        for (name, time) in
            [("the request timeout", config.request_timeout), ("the deadline", config.deadline)]
        {
            if time.is_zero() {
                return Err(ConnectError::NoTime(name));
            }
        }
        // Another part of the process may have chosen a provider before; then that one is used.
        let _chosen_before = rustls::crypto::ring::default_provider().install_default();
        let surroundings = Surroundings {
            service_host: env::var_os("KUBERNETES_SERVICE_HOST"),
            kubeconfig: env::var_os("KUBECONFIG"),
            home: env::home_dir(),
            is_file: &|path| path.is_file(),
        };
        let mut kube = load(&config, choose(&config, &surroundings)?).await?;
        if let Some(server) = &config.server {
            kube.cluster_url = parse_server(server)?;
        }
        kube.connect_timeout = Some(config.request_timeout);
        kube.read_timeout = Some(config.request_timeout);
        kube.write_timeout = Some(config.request_timeout);
        kube.reset_reader_on_write = true;
        // Retries are ours: they must know what was written, and when to give up.
        kube.default_retry = false;
        let address = shown(&kube.cluster_url);
        let client = Client::try_from(kube).map_err(ConnectError::Client)?;
        let ClusterConfig { request_timeout, deadline, dry_run, .. } = config;
        let limits = Limits { request_timeout, deadline };
        Ok(Self { client, address, limits, dry_run, resources: Resources::default() })
    }
}

async fn load(config: &ClusterConfig, source: Source) -> Result<Config, ConnectError> {
    match source {
        Source::ServiceAccount => {
            Config::incluster_env().map_err(|error| ConnectError::ServiceAccount(chain(&error)))
        }
        Source::Server(server) => Ok(Config::new(parse_server(&server)?)),
        Source::Kubeconfig(paths) => load_kubeconfig(config, &paths).await,
    }
}

async fn load_kubeconfig(
    config: &ClusterConfig,
    paths: &[PathBuf],
) -> Result<Config, ConnectError> {
    let mut merged = Kubeconfig::default();
    for path in paths {
        let error = |source| ConnectError::Kubeconfig { path: path.clone(), source };
        let next = Kubeconfig::read_from(path).map_err(error)?;
        merged = merged.merge(next).map_err(error)?;
    }
    if let Some(wanted) = &config.context {
        let known: Vec<String> = merged.contexts.iter().map(|c| c.name.clone()).collect();
        if !known.contains(wanted) {
            return Err(ConnectError::UnknownContext { wanted: wanted.clone(), known });
        }
    }
    let has_proxy = proxy_of(&merged, config.context.as_ref()).is_some();
    let options = KubeConfigOptions { context: config.context.clone(), ..Default::default() };
    let loaded = Config::from_custom_kubeconfig(merged, &options).await;
    let mut kube = loaded.map_err(|source| {
        // Several files act as one; the first is where the others are found missing.
        ConnectError::Kubeconfig { path: paths.first().cloned().unwrap_or_default(), source }
    })?;
    if !has_proxy {
        kube.proxy_url = None;
    }
    Ok(kube)
}

/// The proxy that the kubeconfig itself names for the context's cluster.
fn proxy_of<'a>(kubeconfig: &'a Kubeconfig, context: Option<&String>) -> Option<&'a str> {
    let name = context.or(kubeconfig.current_context.as_ref())?;
    let named = kubeconfig.contexts.iter().find(|context| context.name == *name)?;
    let cluster = &named.context.as_ref()?.cluster;
    let named = kubeconfig.clusters.iter().find(|candidate| candidate.name == *cluster)?;
    named.cluster.as_ref()?.proxy_url.as_deref().filter(|url| !url.is_empty())
}

fn parse_server(server: &str) -> Result<http::Uri, ConnectError> {
    let error = || ConnectError::Server { server: server.to_owned() };
    let uri: http::Uri = server.parse().map_err(|_| error())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    if is_http && uri.host().is_some() { Ok(uri) } else { Err(error()) }
}

/// An address without the user and password that it may hold.
fn shown(uri: &http::Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", uri.scheme_str().unwrap_or("https"), uri.host().unwrap_or_default())
}
