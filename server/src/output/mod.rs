//! What people read in a terminal, and what machines read of it.

mod plot;
mod svg;
mod table;

pub(crate) use plot::plot;
pub(crate) use svg::svg;
pub(crate) use table::{forecast_table, scores_table};

use clap::ValueEnum;

/// How a result is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum Format {
    /// A table for people.
    #[default]
    Table,
    /// One JSON object.
    Json,
}

/// How a forecast is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum ForecastFormat {
    /// A table for people.
    #[default]
    Table,
    /// A plot in the terminal.
    Plot,
    /// A picture, as an SVG document.
    Svg,
    /// One JSON object.
    Json,
}

/// Writes a line of a result to standard output; a reader that went away ends the process quietly.
pub(crate) fn print_line(line: impl std::fmt::Display) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}

/// The local rendering of a time: UTC, to the minute.
pub(crate) fn minute(time: forecast::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}
