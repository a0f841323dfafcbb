//! CSV files: a history with the columns `timestamp` and `value`, and beside it, in `signals`, what is
//! known of stretches of it.
//!
//! A timestamp is seconds since the Unix epoch (integer or decimal) or RFC 3339 with its zone; an
//! empty value or `NaN` is a gap. A header is optional; with one, the two columns are found by
//! name and others are left alone. Everything else is refused with its line.

mod rows;
mod signals;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use forecast::events::EventsError;
use forecast::mask::MaskError;
use forecast::{Sample, Series, SeriesError, SeriesId, Step, Timestamp};
use jiff::SignedDuration;
use thiserror::Error;

pub use self::signals::{SPANS_MAX, read_events, read_mask};

use self::rows::{Rows, only_column, require_columns};
use crate::{History, excerpt};

/// The longest line, in bytes. A row of a time and a number needs about 40; the rest is for
/// columns that are left alone. It also bounds a quoted field that is never closed.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// The most rows: two years of samples 15 s apart. More would not fit a series of the longest
/// length at any usual ratio of sample spacing to step, and would take memory for nothing.
pub const ROWS_MAX: usize = 1 << 22;

/// Seconds at and above this are in the year 5138 or later, so the number is in a finer unit:
/// the same number of milliseconds is 1973.
const SECONDS_END: f64 = 1e11;
/// What a history looks like, for errors.
const HISTORY: Expected =
    Expected { rows: "timestamp,value rows", example: "lines such as 1700000000,3.25" };

/// What a file was expected to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Its rows.
    rows: &'static str,
    /// What they look like.
    example: &'static str,
}

/// Why a CSV file is not a history, a mask or a list of events.
#[derive(Debug, Error)]
pub enum CsvError {
    /// The file cannot be opened.
    #[error("cannot open {}: {source}; expected a CSV file with {}", path.display(), expected.rows)]
    Open {
        /// The file.
        path: PathBuf,
        /// What it should have held.
        expected: Expected,
        /// Why.
        source: io::Error,
    },
    /// The path is a directory.
    #[error("{} is a directory: expected a CSV file with {}", path.display(), expected.rows)]
    Directory {
        /// The path.
        path: PathBuf,
        /// What should have been there.
        expected: Expected,
    },
    /// Reading failed half way.
    #[error("{file}: cannot be read after line {line}: {source}")]
    Read {
        /// The file.
        file: String,
        /// The last line that was read whole.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// There is no row.
    #[error("{file}: holds no rows: expected {}", expected.example)]
    Empty {
        /// The file.
        file: String,
        /// What it should have held.
        expected: Expected,
    },
    /// A row is not what it should be.
    #[error("{file}: line {line}: {problem}")]
    Row {
        /// The file.
        file: String,
        /// The line, the first being 1.
        line: u64,
        /// What is wrong with it.
        problem: RowProblem,
    },
    /// The rows are fine one by one, but not together.
    #[error("{file}: {source}")]
    Series {
        /// The file.
        file: String,
        /// Why.
        source: SeriesError,
    },
    /// The events are fine one by one, but not together.
    #[error("{file}: {source}")]
    Events {
        /// The file.
        file: String,
        /// Why.
        source: EventsError,
    },
}

/// What is wrong with a row; texts are shown shortened.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum RowProblem {
    /// The line does not end.
    #[error(
        "longer than {LINE_BYTES_MAX} bytes: expected a row such as 1700000000,3.25 (is a quotation mark left open, or is it not a CSV file?)"
    )]
    TooLong,
    /// There are too many lines.
    #[error("more than {ROWS_MAX} rows: pass a part of the history, or one with a longer step")]
    TooManyRows,
    /// Not text.
    #[error("not UTF-8 text: expected a CSV file (is it compressed, or in another encoding?)")]
    NotUtf8,
    /// A header that lacks a column.
    #[error(
        "neither a row nor a header with exactly one column `timestamp` and one `value`: found {found}"
    )]
    Header {
        /// The columns found.
        found: String,
    },
    /// A header that lacks a column of a mask or of events.
    #[error("expected a header with the columns {columns}, each once: found {found}")]
    SpanHeader {
        /// The columns expected; those in brackets may be missing.
        columns: &'static str,
        /// The columns found.
        found: String,
    },
    /// There are too many spans or events.
    #[error("more than {SPANS_MAX} rows: a mask or a list of events is written by hand, or nearly")]
    TooManySpans,
    /// Not a multiplier.
    #[error(
        "expected a multiplier that is a number above zero, such as 1.5 for half as much again, found {text:?}"
    )]
    Multiplier {
        /// What stands there.
        text: String,
    },
    /// Not a span.
    #[error(transparent)]
    Span(MaskError),
    /// Not an event.
    #[error(transparent)]
    Event(EventsError),
    /// Too few or too many columns.
    #[error("expected {expected} columns separated by commas, found {found}: {text}")]
    Columns {
        /// As many as the header has, or two.
        expected: usize,
        /// As many as the row has.
        found: usize,
        /// The row.
        text: String,
    },
    /// Not a time.
    #[error(
        "expected a timestamp in Unix seconds such as 1700000000, or in RFC 3339 with a zone such as 2023-11-14T22:13:20Z, found {text:?}"
    )]
    Timestamp {
        /// What stands there.
        text: String,
    },
    /// A time in milliseconds or finer.
    #[error(
        "the timestamp {text:?} looks like {unit}: expected seconds, so divide the column by {divisor}"
    )]
    FinerThanSeconds {
        /// What stands there.
        text: String,
        /// The unit it looks like.
        unit: &'static str,
        /// What makes seconds of it.
        divisor: &'static str,
    },
    /// Not a load.
    #[error(
        "expected a value that is a finite number, zero or more (or empty or NaN for a gap), found {text:?}"
    )]
    Value {
        /// What stands there.
        text: String,
    },
}

/// Reads the history in the CSV file `path`.
///
/// # Errors
/// When the file cannot be read, or is not a history: see [`CsvError`].
pub fn read_csv(path: &Path, id: SeriesId, step: Step) -> Result<History, CsvError> {
    parse_csv(open(path, HISTORY)?, &path.display().to_string(), id, step)
}

/// Opens a file, which a directory is not.
fn open(path: &Path, expected: Expected) -> Result<File, CsvError> {
    let cannot_open = |source| CsvError::Open { path: path.to_owned(), expected, source };
    let file = File::open(path).map_err(cannot_open)?;
    if file.metadata().map_err(cannot_open)?.is_dir() {
        return Err(CsvError::Directory { path: path.to_owned(), expected });
    }
    Ok(file)
}

/// Reads the history in a CSV text; `file` is its name in errors.
///
/// # Errors
/// When the text cannot be read, or is not a history: see [`CsvError`].
pub fn parse_csv(
    reader: impl Read,
    file: &str,
    id: SeriesId,
    step: Step,
) -> Result<History, CsvError> {
    let samples = samples(Rows::new(reader, file))?;
    if samples.is_empty() {
        return Err(CsvError::Empty { file: file.to_owned(), expected: HISTORY });
    }
    let (series, report) = Series::from_samples(id, step, &samples)
        .map_err(|source| CsvError::Series { file: file.to_owned(), source })?;
    Ok(History { series, report, warnings: Vec::new() })
}

/// The rows as samples, after a header or none.
fn samples(rows: Rows<'_, impl Read>) -> Result<Vec<Sample>, CsvError> {
    let mut columns = None;
    let mut samples = Vec::new();
    rows.each(|fields| {
        let columns = match columns {
            Some(columns) => columns,
            None => {
                let (found, is_header) = find_columns(fields)?;
                columns = Some(found);
                if is_header {
                    return Ok(());
                }
                found
            }
        };
        if samples.len() == ROWS_MAX {
            return Err(RowProblem::TooManyRows);
        }
        samples.push(parse_row(fields, columns)?);
        Ok(())
    })?;
    Ok(samples)
}

/// Where the two columns are, and how many there must be.
#[derive(Clone, Copy)]
struct Columns {
    timestamp: usize,
    value: usize,
    count: usize,
}

/// The columns, and whether the first row names them. A row whose first field begins like a
/// number is data: a header never does.
fn find_columns(fields: &[&str]) -> Result<(Columns, bool), RowProblem> {
    let like_a_number = |c: char| c.is_ascii_digit() || c == '-' || c == '+';
    if fields[0].starts_with(like_a_number) {
        return Ok((Columns { timestamp: 0, value: 1, count: 2 }, false));
    }
    match (only_column(fields, "timestamp"), only_column(fields, "value")) {
        (Some(timestamp), Some(value)) => {
            Ok((Columns { timestamp, value, count: fields.len() }, true))
        }
        _ => Err(RowProblem::Header { found: excerpt(&fields.join(", ")) }),
    }
}

fn parse_row(fields: &[&str], columns: Columns) -> Result<Sample, RowProblem> {
    require_columns(fields, columns.count)?;
    let time = parse_timestamp(fields[columns.timestamp])?;
    Ok(Sample { time, value: parse_value(fields[columns.value])? })
}

fn parse_timestamp(text: &str) -> Result<Timestamp, RowProblem> {
    let refused = || RowProblem::Timestamp { text: excerpt(text) };
    let decimal = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
    let seconds = text.parse::<f64>().ok().filter(|_| text.chars().all(decimal));
    let Some(seconds) = seconds else {
        return text.parse().map_err(|_| refused());
    };
    let finer = |unit, divisor| RowProblem::FinerThanSeconds { text: excerpt(text), unit, divisor };
    match seconds.abs() {
        s if s < SECONDS_END => {}
        s if s < SECONDS_END * 1e3 => return Err(finer("milliseconds", "1,000")),
        s if s < SECONDS_END * 1e6 => return Err(finer("microseconds", "1,000,000")),
        _ => return Err(finer("nanoseconds", "1,000,000,000")),
    }
    let since_epoch = SignedDuration::try_from_secs_f64(seconds).map_err(|_| refused())?;
    Timestamp::from_duration(since_epoch).map_err(|_| refused())
}

fn parse_value(text: &str) -> Result<f64, RowProblem> {
    if text.is_empty() {
        return Ok(f64::NAN);
    }
    let refused = || RowProblem::Value { text: excerpt(text) };
    let value: f64 = text.parse().map_err(|_| refused())?;
    if value.is_infinite() || value < 0.0 {
        return Err(refused());
    }
    Ok(value)
}
