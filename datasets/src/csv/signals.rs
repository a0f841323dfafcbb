//! What people know of a history, from CSV files with a header: a mask, with the columns `from`, `to`
//! and perhaps `why`, and events, with `from`, `to`, `multiplier` and perhaps `name`.
//!
//! Times are written as in a history; `from` is included and `to` is not. Other columns are left alone.

use std::io::Read;
use std::path::Path;

use forecast::events::{Event, Events};
use forecast::mask::{Mask, Span};

use super::rows::{Rows, only_column, require_columns};
use super::{CsvError, Expected, RowProblem, open, parse_timestamp};
use crate::{excerpt, shorten};

/// The most spans of a mask, or events: one an hour for a year.
pub const SPANS_MAX: usize = 10_000;

/// The characters of a reason or a name that are kept.
const TEXT_CHARS_MAX: usize = 200;

const MASK: Expected = Expected {
    rows: "a header from,to,why and a row for each span",
    example: "a header from,to,why and lines such as 1700000000,1700003600,outage",
};
const EVENTS: Expected = Expected {
    rows: "a header from,to,multiplier,name and a row for each event",
    example: "a header from,to,multiplier,name and lines such as 1700000000,1700003600,1.5,campaign",
};

/// Reads the spans in the CSV file `path`, which may be none.
///
/// # Errors
/// When the file cannot be read, or is not a mask: see [`CsvError`].
pub fn read_mask(path: &Path) -> Result<Mask, CsvError> {
    let mut spans: Vec<Span> = Vec::new();
    let file = path.display().to_string();
    let rows = Rows::new(open(path, MASK)?, &file);
    let columns = Columns { names: "from, to and [why]", number: None, text: "why" };
    each(rows, columns, MASK, |row| {
        let span = Span { from: row.from, to: row.to, why: row.text };
        // One by one, so that the line is known.
        Mask::new(vec![span.clone()]).map_err(RowProblem::Span)?;
        spans.push(span);
        Ok(())
    })?;
    Ok(Mask::new(spans).expect("each span was checked alone, and spans may overlap"))
}

/// Reads the events in the CSV file `path`, which may be none.
///
/// # Errors
/// When the file cannot be read, or is not a list of events: see [`CsvError`].
pub fn read_events(path: &Path) -> Result<Events, CsvError> {
    let mut events: Vec<Event> = Vec::new();
    let file = path.display().to_string();
    let rows = Rows::new(open(path, EVENTS)?, &file);
    let number = Some("multiplier");
    let columns = Columns { names: "from, to, multiplier and [name]", number, text: "name" };
    each(rows, columns, EVENTS, |row| {
        let multiplier = parse_multiplier(&row.number)?;
        let event = Event { from: row.from, to: row.to, multiplier, name: row.text };
        Events::new(vec![event.clone()]).map_err(RowProblem::Event)?;
        events.push(event);
        Ok(())
    })?;
    Events::new(events).map_err(|source| CsvError::Events { file, source })
}

/// The columns beside `from` and `to`.
#[derive(Clone, Copy)]
struct Columns {
    /// All of them, for errors.
    names: &'static str,
    /// One with a number, if there is one.
    number: Option<&'static str>,
    /// One that may be missing.
    text: &'static str,
}

/// A stretch of time as it is written.
struct Row {
    from: forecast::Timestamp,
    to: forecast::Timestamp,
    number: String,
    text: String,
}

/// Where the columns are.
struct Places {
    from: usize,
    to: usize,
    number: Option<usize>,
    text: Option<usize>,
    count: usize,
}

impl Places {
    fn find(fields: &[&str], columns: Columns) -> Result<Self, RowProblem> {
        let find = || {
            let number = match columns.number {
                Some(name) => Some(only_column(fields, name)?),
                None => None,
            };
            let is_text = |field: &&&str| field.eq_ignore_ascii_case(columns.text);
            let text = match fields.iter().filter(is_text).count() {
                0 => None,
                _ => Some(only_column(fields, columns.text)?),
            };
            let (from, to) = (only_column(fields, "from")?, only_column(fields, "to")?);
            Some(Self { from, to, number, text, count: fields.len() })
        };
        let found = || excerpt(&fields.join(", "));
        find().ok_or_else(|| RowProblem::SpanHeader { columns: columns.names, found: found() })
    }

    fn row(&self, fields: &[&str]) -> Result<Row, RowProblem> {
        require_columns(fields, self.count)?;
        let text = |place: Option<usize>| place.map_or("", |place| fields[place]);
        Ok(Row {
            from: parse_timestamp(fields[self.from])?,
            to: parse_timestamp(fields[self.to])?,
            number: text(self.number).to_owned(),
            text: shorten(text(self.text), TEXT_CHARS_MAX),
        })
    }
}

/// Gives each row after the header to `of`.
fn each(
    rows: Rows<'_, impl Read>,
    columns: Columns,
    expected: Expected,
    mut of: impl FnMut(Row) -> Result<(), RowProblem>,
) -> Result<(), CsvError> {
    let file = rows.file().to_owned();
    let mut places: Option<Places> = None;
    let mut count = 0;
    rows.each(|fields| {
        let Some(places) = &places else {
            places = Some(Places::find(fields, columns)?);
            return Ok(());
        };
        count += 1;
        if count > SPANS_MAX {
            return Err(RowProblem::TooManySpans);
        }
        of(places.row(fields)?)
    })?;
    places.map(|_| ()).ok_or(CsvError::Empty { file, expected })
}

fn parse_multiplier(text: &str) -> Result<f64, RowProblem> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| RowProblem::Multiplier { text: excerpt(text) })
}
