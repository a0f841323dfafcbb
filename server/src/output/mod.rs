//! What people read in a terminal, and what machines read of it.

mod plot;
mod svg;
mod table;

pub(crate) use plot::plot;
pub(crate) use svg::svg;
pub(crate) use table::{forecast_table, ratio, scores_table, share};

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

/// Whether `error` says that nobody reads standard output any more, as in `… | head -1`.
pub(crate) fn reader_went_away(error: &anyhow::Error) -> bool {
    let broken = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}

/// An error and its causes on one line; a cause that the text before it tells already is left out.
pub(crate) fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Writes a line of a result to standard output.
pub(crate) fn print_line(line: impl std::fmt::Display) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}

/// A time in UTC, to the minute.
pub(crate) fn minute(time: forecast::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}
