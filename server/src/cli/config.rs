//! `config check`: says whether a file would be accepted.

use std::path::PathBuf;

use clap::Subcommand;

use crate::config::Config;
use crate::output::print_line;

/// What to do with a configuration file.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a file: prints what it configures, or the line that is wrong and what was expected.
    Check {
        /// The YAML file.
        file: PathBuf,
    },
}

pub(super) fn run(command: &ConfigCommand) -> anyhow::Result<()> {
    let ConfigCommand::Check { file } = command;
    let config = Config::from_file(file)?;
    for workload in &config.workloads {
        let spec = workload.policy.spec();
        print_line(format_args!(
            "{}: {}, {} to {} replicas at {} each and {:.0} % headroom, quantile {}, every {}, {} known \
             events, {} masked stretches",
            workload.series,
            workload.mode.as_str(),
            spec.min_replicas,
            spec.max_replicas,
            spec.load_per_replica,
            100.0 * spec.headroom,
            spec.quantile,
            workload.step,
            workload.events.as_slice().len(),
            workload.mask.spans().len(),
        ))?;
    }
    print_line(format_args!("{}: ok", file.display()))?;
    Ok(())
}
