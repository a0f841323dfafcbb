//! The rows of a CSV file with the line that each stands on, in bounded memory.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

use super::{CsvError, LINE_BYTES_MAX, RowProblem};
use crate::excerpt;

/// The bytes that the parser reads ahead of the row it gives.
const READ_AHEAD_BYTES: usize = 8 << 10;

/// A CSV file as rows of text; it holds no more than one of them, however long the file says that they
/// are.
pub(super) struct Rows<'a, R> {
    reader: ::csv::Reader<Rationed<R>>,
    progress: Rc<Progress>,
    file: &'a str,
    /// Line breaks before the end of the current row.
    breaks: u64,
    /// The line of the current row.
    line: u64,
}

impl<'a, R: Read> Rows<'a, R> {
    pub(super) fn new(reader: R, file: &'a str) -> Self {
        let progress = Rc::new(Progress::default());
        let reader = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(READ_AHEAD_BYTES)
            .from_reader(Rationed { reader, progress: Rc::clone(&progress) });
        Self { reader, progress, file, breaks: 0, line: 0 }
    }

    /// The file's name.
    pub(super) fn file(&self) -> &'a str {
        self.file
    }

    /// Gives the fields of each row that is not blank to `of`; what it finds wrong gets the file and
    /// the line.
    pub(super) fn each(
        mut self,
        mut of: impl FnMut(&[&str]) -> Result<(), RowProblem>,
    ) -> Result<(), CsvError> {
        let mut record = ::csv::ByteRecord::new();
        let mut first = true;
        while self.next(&mut record)? {
            let mut fields = self.row(fields_of(&record))?;
            if std::mem::take(&mut first) {
                // The parser takes a byte order mark off only where it comes in one piece.
                fields[0] = fields[0].trim_start_matches('\u{feff}').trim_start();
            }
            self.row(of(&fields))?;
        }
        Ok(())
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

/// The place of the only column named `name`, whatever its case.
pub(super) fn only_column(fields: &[&str], name: &str) -> Option<usize> {
    let mut places = (0..fields.len()).filter(|&i| fields[i].eq_ignore_ascii_case(name));
    places.next().filter(|_| places.next().is_none())
}

/// Refuses a row that has another number of fields than `expected`.
pub(super) fn require_columns(fields: &[&str], expected: usize) -> Result<(), RowProblem> {
    if fields.len() == expected {
        return Ok(());
    }
    let text = excerpt(&fields.join(","));
    Err(RowProblem::Columns { expected, found: fields.len(), text })
}
