//! The cluster: how many replicas a workload has, and how many it shall have.
//!
//! Only the `scale` subresource is touched, which Deployments, StatefulSets and any custom resource
//! that declares it have in common, and which needs no right on the object itself.
//!
//! ```text
//! config ──▶ connect ──▶ Cluster ──▶ resource ──▶ scale ──▶ ScaleState
//!            (files)       │        (kind → path)   │        Applied
//!                          └── request ── retry ────┘        ScaleError
//!                              (one try)  (until the deadline)
//! ```
//!
//! Writes are optimistic: they carry the `resourceVersion` that the decision was made on. When
//! somebody else changed the number of replicas in between, [`ScaleError::Changed`] says so and
//! nothing is written: the next decision sees the new number. When only something else changed
//! (a pod became ready), the write is repeated on the new version.
//!
//! What is absent on purpose: no decision is made here, no cache of the number of replicas is kept,
//! no object is watched, and no body, header or credential is logged.

mod cluster;
mod connect;
mod error;
mod request;
mod resource;
mod retry;
mod source;
mod workload;

pub use cluster::{Applied, Cluster, ScaleState};
pub use connect::{ClusterConfig, ConnectError};
pub use error::ScaleError;
pub use workload::{Workload, WorkloadError};
