//! History from a CSV file with the columns `timestamp` and `value`.
//!
//! A timestamp is seconds since the Unix epoch (integer or decimal) or RFC 3339 with its zone; an
//! empty value or `NaN` is a gap. A header is optional; with one, the two columns are found by
//! name and others are left alone. Everything else is refused with its line.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use forecast::{Sample, Series, SeriesError, SeriesId, Step, Timestamp};
use jiff::SignedDuration;
use thiserror::Error;

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
/// The bytes that the parser reads ahead of the row it gives.
const READ_AHEAD_BYTES: usize = 8 << 10;

/// Why a CSV file is not a history.
#[derive(Debug, Error)]
pub enum CsvError {
    /// The file cannot be opened.
    #[error("cannot open {}: {source}; expected a CSV file with timestamp,value rows", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The path is a directory.
    #[error("{} is a directory: expected a CSV file with timestamp,value rows", path.display())]
    Directory {
        /// The path.
        path: PathBuf,
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
    #[error("{file}: holds no rows: expected lines such as 1700000000,3.25")]
    Empty {
        /// The file.
        file: String,
    },
    /// A row is not a time and a value.
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
}

/// What is wrong with a row; texts are shown shortened.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
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
    let cannot_open = |source| CsvError::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(cannot_open)?;
    if file.metadata().map_err(cannot_open)?.is_dir() {
        return Err(CsvError::Directory { path: path.to_owned() });
    }
    parse_csv(file, &path.display().to_string(), id, step)
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
    let samples = Rows::new(reader, file).samples()?;
    if samples.is_empty() {
        return Err(CsvError::Empty { file: file.to_owned() });
    }
    let (series, report) = Series::from_samples(id, step, &samples)
        .map_err(|source| CsvError::Series { file: file.to_owned(), source })?;
    Ok(History { series, report, warnings: Vec::new() })
}

/// Where the two columns are, and how many there must be.
#[derive(Clone, Copy)]
struct Columns {
    timestamp: usize,
    value: usize,
    count: usize,
}

struct Rows<'a, R> {
    reader: ::csv::Reader<Rationed<R>>,
    progress: Rc<Progress>,
    file: &'a str,
    /// Line breaks before the end of the current row.
    breaks: u64,
    /// The line of the current row.
    line: u64,
}

impl<'a, R: Read> Rows<'a, R> {
    fn new(reader: R, file: &'a str) -> Self {
        let progress = Rc::new(Progress::default());
        let reader = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(READ_AHEAD_BYTES)
            .from_reader(Rationed { reader, progress: Rc::clone(&progress) });
        Self { reader, progress, file, breaks: 0, line: 0 }
    }

    fn samples(mut self) -> Result<Vec<Sample>, CsvError> {
        let mut record = ::csv::ByteRecord::new();
        let mut columns = None;
        let mut samples = Vec::new();
        while self.next(&mut record)? {
            let mut fields = self.row(fields_of(&record))?;
            if columns.is_none() {
                // The parser takes a byte order mark off only where it comes in one piece.
                fields[0] = fields[0].trim_start_matches('\u{feff}').trim_start();
            }
            let columns = match columns {
                Some(columns) => columns,
                None => {
                    let (found, is_header) = self.row(find_columns(&fields))?;
                    columns = Some(found);
                    if is_header {
                        continue;
                    }
                    found
                }
            };
            if samples.len() == ROWS_MAX {
                return self.row(Err(RowProblem::TooManyRows));
            }
            samples.push(self.row(parse_row(&fields, columns))?);
        }
        Ok(samples)
    }

    /// Reads the next row that is not blank; `false` at the end.
    fn next(&mut self, record: &mut ::csv::ByteRecord) -> Result<bool, CsvError> {
        self.progress.left.set(LINE_BYTES_MAX + READ_AHEAD_BYTES);
        match self.reader.read_byte_record(record) {
            Ok(more) => {
                self.find_line(record);
                Ok(more)
            }
            Err(_) if self.progress.left.get() == 0 => {
                self.line += 1;
                self.row(Err(RowProblem::TooLong))
            }
            Err(error) => {
                let (file, line) = (self.file.to_owned(), self.line);
                Err(CsvError::Read { file, line, source: error.into() })
            }
        }
    }

    /// Counts line breaks up to the end of the row. The parser's own position of a row is that of
    /// the blank lines before it, and one behind after `\r\n`.
    fn find_line(&mut self, record: &::csv::ByteRecord) {
        let last_byte = self.reader.position().byte().saturating_sub(1);
        let mut ends = self.progress.line_ends.borrow_mut();
        while ends.pop_front_if(|end| *end < last_byte).is_some() {
            self.breaks += 1;
        }
        let inside = record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        self.line = (self.breaks + 1).saturating_sub(inside).max(self.line + 1);
    }

    /// Adds the file and the line to what is wrong with the current row.
    fn row<T>(&self, result: Result<T, RowProblem>) -> Result<T, CsvError> {
        let (file, line) = (self.file, self.line);
        result.map_err(|problem| CsvError::Row { file: file.to_owned(), line, problem })
    }
}

/// What the reader tells about the bytes that the parser took.
#[derive(Default)]
struct Progress {
    /// Bytes that may still be taken before the row must end.
    left: Cell<usize>,
    /// Bytes taken.
    taken: Cell<u64>,
    /// Where the line ends are that no row has reached; they are as few as the bytes read ahead.
    line_ends: RefCell<VecDeque<u64>>,
}

/// A reader that gives no more bytes than are left; whoever uses it puts some back after each row.
/// The CSV parser itself holds a row of any length in memory.
struct Rationed<R> {
    reader: R,
    progress: Rc<Progress>,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Progress { left, taken, line_ends } = &*self.progress;
        let allowed = buffer.len().min(left.get());
        if allowed == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the row does not end"));
        }
        let count = self.reader.read(&mut buffer[..allowed])?;
        let ends = (taken.get()..).zip(&buffer[..count]).filter(|(_, byte)| **byte == b'\n');
        line_ends.borrow_mut().extend(ends.map(|(at, _)| at));
        left.set(left.get() - count);
        taken.set(taken.get() + count as u64);
        Ok(count)
    }
}

/// The fields as text without surrounding blanks.
fn fields_of(record: &::csv::ByteRecord) -> Result<Vec<&str>, RowProblem> {
    record
        .iter()
        .map(|field| std::str::from_utf8(field).map(str::trim).map_err(|_| RowProblem::NotUtf8))
        .collect()
}

/// The columns, and whether the first row names them. A row whose first field begins like a
/// number is data: a header never does.
fn find_columns(fields: &[&str]) -> Result<(Columns, bool), RowProblem> {
    let like_a_number = |c: char| c.is_ascii_digit() || c == '-' || c == '+';
    if fields[0].starts_with(like_a_number) {
        return Ok((Columns { timestamp: 0, value: 1, count: 2 }, false));
    }
    let only = |name: &str| {
        let mut places = (0..fields.len()).filter(|&i| fields[i].eq_ignore_ascii_case(name));
        places.next().filter(|_| places.next().is_none())
    };
    match (only("timestamp"), only("value")) {
        (Some(timestamp), Some(value)) => {
            Ok((Columns { timestamp, value, count: fields.len() }, true))
        }
        _ => Err(RowProblem::Header { found: excerpt(&fields.join(", ")) }),
    }
}

fn parse_row(fields: &[&str], columns: Columns) -> Result<Sample, RowProblem> {
    if fields.len() != columns.count {
        let text = excerpt(&fields.join(","));
        return Err(RowProblem::Columns { expected: columns.count, found: fields.len(), text });
    }
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
