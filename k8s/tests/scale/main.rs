//! Reading and setting replicas over HTTP: against a stub of the API server, and what can be shown
//! there also against a real cluster, when `E2E_KUBECONFIG` names its kubeconfig.

#[path = "../stub/mod.rs"]
mod stub;

mod connecting;
mod failures;
mod kinds;
mod scenarios;
mod target;
