//! Where a loop reads and sets the replicas.

use k8s::{Cluster, ScaleError, ScaleState, Workload};

/// What has the replicas.
#[derive(Debug)]
pub(crate) enum Actuator {
    /// A workload in a cluster.
    Cluster {
        /// The cluster.
        cluster: Box<Cluster>,
        /// The workload.
        workload: Workload,
    },
    /// Replicas that exist only here: those of the demo, or of shadow mode without a cluster.
    Assumed {
        /// The replicas; at the first decision as many as the load needs.
        replicas: Option<u32>,
    },
}

/// The replicas as they were read; a change refers to them.
#[derive(Clone, Debug)]
pub(crate) enum Current {
    /// The cluster's answer.
    Cluster(ScaleState),
    /// The assumption.
    Assumed(u32),
}

/// What became of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applied {
    /// The replicas that were answered; an admission webhook may have its own idea.
    pub(crate) replicas: u32,
    /// Whether it was checked only.
    pub(crate) dry_run: bool,
}

impl Current {
    /// Replicas asked for at present.
    pub(crate) fn replicas(&self) -> u32 {
        match self {
            Self::Cluster(state) => state.replicas,
            Self::Assumed(replicas) => *replicas,
        }
    }
}

impl Actuator {
    /// The replicas asked for at present; `reactive` is what the load of now needs.
    ///
    /// # Errors
    /// When the cluster does not say.
    pub(crate) async fn read(&mut self, reactive: u32) -> Result<Current, ScaleError> {
        match self {
            Self::Cluster { cluster, workload } => {
                cluster.scale(workload).await.map(Current::Cluster)
            }
            Self::Assumed { replicas } => Ok(Current::Assumed(*replicas.get_or_insert(reactive))),
        }
    }

    /// Asks for `replicas` where `current` were found.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer, or somebody else scaled in between.
    pub(crate) async fn set(
        &mut self,
        current: &Current,
        replicas: u32,
    ) -> Result<Applied, ScaleError> {
        match (self, current) {
            (Self::Cluster { cluster, workload }, Current::Cluster(state)) => {
                let applied = cluster.set_replicas(workload, state, replicas).await?;
                Ok(Applied { replicas: applied.to, dry_run: applied.dry_run })
            }
            (Self::Assumed { replicas: assumed }, _) => {
                *assumed = Some(replicas);
                Ok(Applied { replicas, dry_run: false })
            }
            (Self::Cluster { .. }, Current::Assumed(_)) => {
                unreachable!("a cluster's replicas are read from the cluster")
            }
        }
    }
}
