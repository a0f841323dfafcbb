//! `model inspect`: prints what an artifact says of itself.

use std::path::PathBuf;

use clap::Subcommand;
use model::{Artifact, LoadError, Pretrained};

use crate::output::print_line;

/// What to do with an artifact.
#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// Check an artifact and print its manifest as JSON, or the card of a network of pretrain's.
    Inspect {
        /// The artifact.
        path: PathBuf,
    },
}

pub(super) fn run(command: &ModelCommand) -> anyhow::Result<()> {
    let ModelCommand::Inspect { path } = command;
    let artifact = match (Artifact::load(path), Pretrained::load(path)) {
        (Err(LoadError::Damaged { .. }), Ok(network)) => {
            print_line(serde_json::to_string_pretty(network.card())?)?;
            return Ok(());
        }
        (loaded, _) => loaded?,
    };
    let manifest: serde_json::Value = serde_json::from_str(artifact.manifest_json())?;
    print_line(serde_json::to_string_pretty(&manifest)?)?;
    Ok(())
}
