//! CSV files: what is read, and what is refused with which words.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use datasets::{CsvError, History, LINE_BYTES_MAX, ROWS_MAX, RowProblem, parse_csv, read_csv};
use forecast::{SeriesId, Step};
use proptest::prelude::*;

fn parse(text: impl AsRef<[u8]>) -> Result<History, CsvError> {
    let id = SeriesId::new("shop/web").expect("a name");
    parse_csv(text.as_ref(), "load.csv", id, Step::FIVE_MINUTES)
}

fn read(path: &Path) -> Result<History, CsvError> {
    read_csv(path, SeriesId::new("shop/web").expect("a name"), Step::FIVE_MINUTES)
}

fn values(history: &History) -> Vec<Option<f64>> {
    history.series.view().values().to_vec()
}

/// Asserts that `text` is refused with an error that has all of `words`.
fn refused(text: impl AsRef<[u8]>, words: &[&str]) {
    let error = parse(text).expect_err("it is not a history").to_string();
    for word in words {
        assert!(error.contains(word), "expected {word:?} in: {error}");
    }
    assert!(error.len() < 400, "too long: {error}");
}

#[test]
fn rows_without_a_header_are_read() {
    let history =
        parse("1700000100,1.5\n1700000400,\n1700000700,NaN\n1700001000,2\n1700001300,3\n").unwrap();
    assert_eq!(values(&history), [Some(1.5), None, None, Some(2.0), Some(3.0)]);
    assert_eq!(history.series.view().first_time().as_second(), 1_700_000_100);
    assert_eq!((history.report.samples, history.report.gaps, history.report.not_finite), (5, 2, 2));
}

#[test]
fn columns_are_found_by_name() {
    let text = "pod, Value ,note,TIMESTAMP\nweb,1.5,x,1700000100\nweb,2,\"a, b\",1700000400\n";
    assert_eq!(values(&parse(text).unwrap()), [Some(1.5), Some(2.0)]);
}

#[test]
fn marks_line_ends_blanks_and_time_formats_are_fine() {
    let text = "\u{feff}\"timestamp\",\"value\"\r\n\r\n 2023-11-14T22:15:00Z , 1.5 \r\n\
                2023-11-14T23:20:00+01:00,2\r\n1700000700.25,\"3\"\r\n1700001000,4";
    assert_eq!(values(&parse(text).unwrap()), [1.5, 2.0, 3.0, 4.0].map(Some));
}

#[test]
fn a_mark_that_comes_byte_by_byte_is_still_one() {
    struct OneByte<'a>(&'a [u8]);
    impl Read for OneByte<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(&mut buffer[..1])
        }
    }
    let text = "\u{feff}timestamp,value\n1700000100,1\n";
    let id = SeriesId::new("a").unwrap();
    let history = parse_csv(OneByte(text.as_bytes()), "pipe", id, Step::FIVE_MINUTES).unwrap();
    assert_eq!(values(&history), [Some(1.0)]);
}

#[test]
fn one_row_is_a_history() {
    assert_eq!(values(&parse("1700000100,0").unwrap()), [Some(0.0)]);
}

#[test]
fn what_is_not_a_history_is_refused_with_its_line() {
    refused("", &["load.csv: holds no rows", "1700000000,3.25"]);
    refused("timestamp,value\n", &["holds no rows"]);
    refused("timestamp,value\n1700000100,NaN\n", &["none of the 1 samples"]);
    refused("1700000100,1\n1700000400,-0.5\n", &["line 2", "zero or more", "\"-0.5\""]);
    refused("1700000100,inf\n", &["line 1", "finite", "\"inf\""]);
    refused("1700000100,1e999\n", &["line 1", "\"1e999\""]);
    refused("1700000100,three\n", &["line 1", "\"three\"", "NaN for a gap"]);
    refused("timestamp,value\n\n\n1700000100,x\n", &["line 4"]);
    refused("timestamp,value\r\n1700000100,1\r\n\r\n1700000400,x\r\n", &["line 4"]);
    refused("1700000100,1\r\n1700000400,x", &["line 2"]);
    refused("time,load\n1,2\n", &["line 1", "`timestamp`", "found time, load"]);
    refused("timestamp,value,value\n", &["exactly one column"]);
    refused("1700000100,1,9\n", &["expected 2 columns", "found 3", "1700000100,1,9"]);
    refused("timestamp,value\n1700000100\n", &["line 2", "found 1"]);
    refused("1700000100;1\n", &["separated by commas", "found 1"]);
    refused("1700000100,1\n\"17\n1700000400,2\n", &["line 2"]);
    refused(b"timestamp,value\n\xff\xfe,1\n", &["line 2", "UTF-8", "compressed"]);
}

#[test]
fn timestamps_in_other_units_are_named() {
    refused("1700000000000,1\n", &["milliseconds", "divide the column by 1,000"]);
    refused("1700000000000000,1\n", &["microseconds"]);
    refused("1700000000000000000,1\n", &["nanoseconds"]);
    refused("2023-11-14 22:13:20,1\n", &["with a zone such as"]);
    refused("timestamp,value\n,1\n", &["line 2", "Unix seconds"]);
    refused("1.7e9,1\n", &["Unix seconds"]);
}

#[test]
fn offending_text_is_shown_shortened() {
    let long = "x".repeat(5_000);
    refused(format!("1700000100,{long}\n"), &["xxx…"]);
    refused(format!("{long},{long}\n"), &["xxx…"]);
}

#[test]
fn history_on_another_step_is_refused_with_the_file() {
    let hourly: String = (0..48).map(|h| format!("{},1\n", 1_700_000_000 + h * 3600)).collect();
    refused(hourly, &["load.csv: ", "3600 s apart"]);
}

/// Endless input of one byte; it fails the test when too much of it is read.
struct Endless {
    byte: u8,
    given: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(self.byte);
        self.given += buffer.len();
        assert!(self.given < 4 * LINE_BYTES_MAX, "{} bytes of one line were read", self.given);
        Ok(buffer.len())
    }
}

#[test]
fn a_line_that_does_not_end_is_refused_early() {
    for start in ["", "1700000100,1\n\"", "1700000100,1\n"] {
        for byte in [b'1', b',', b'x'] {
            let reader = start.as_bytes().chain(Endless { byte, given: 0 });
            let id = SeriesId::new("a").unwrap();
            let error = parse_csv(reader, "pipe", id, Step::FIVE_MINUTES).unwrap_err();
            let line = if start.is_empty() { 1 } else { 2 };
            assert!(
                matches!(&error, CsvError::Row { line: l, problem: RowProblem::TooLong, .. } if *l == line),
                "{start:?} {byte}: {error}"
            );
        }
    }
}

#[test]
fn a_quote_left_open_in_a_long_file_is_refused_at_its_line() {
    let rows: String = (0..20_000).map(|i| format!("{},1\n", 1_700_000_100 + i * 300)).collect();
    refused(format!("1700000100,\"1\n{rows}"), &["line 1", "quotation mark"]);
}

#[test]
fn more_rows_than_the_limit_are_refused() {
    struct Rows(usize);
    impl Read for Rows {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            assert!(self.0 < ROWS_MAX, "reading went on far past the limit");
            let row = b"1700000100,1\n";
            let rows = buffer.len() / row.len();
            if rows == 0 {
                buffer[..1].copy_from_slice(b"\n");
                return Ok(1);
            }
            buffer[..rows * row.len()].copy_from_slice(&row.repeat(rows));
            Ok(rows * row.len())
        }
    }
    let id = SeriesId::new("a").unwrap();
    let error = parse_csv(Rows(0), "pipe", id, Step::FIVE_MINUTES).unwrap_err();
    assert!(matches!(error, CsvError::Row { problem: RowProblem::TooManyRows, .. }), "{error}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = read(&folder.path().join("none.csv")).unwrap_err().to_string();
    assert!(missing.contains("none.csv") && missing.contains("No such file"), "{missing}");
    let directory = read(folder.path()).unwrap_err();
    assert!(matches!(directory, CsvError::Directory { .. }), "{directory}");
    assert!(directory.to_string().contains("is a directory"), "{directory}");
}

#[cfg(unix)]
#[test]
fn a_file_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("private.csv");
    fs::write(&path, "1700000100,1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    match fs::File::open(&path) {
        // Root reads everything: then the file is a history like another.
        Ok(_) => assert!(read(&path).is_ok()),
        Err(_) => {
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("private.csv") && error.contains("ermission"), "{error}");
        }
    }
}

#[test]
fn ten_megabytes_without_a_line_end_are_refused_quickly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.csv");
    fs::write(&path, vec![b'7'; 10 << 20]).unwrap();
    let begun = Instant::now();
    let error = read(&path).unwrap_err();
    assert!(matches!(error, CsvError::Row { problem: RowProblem::TooLong, .. }), "{error}");
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

#[test]
fn every_recorded_trace_is_read_without_loss() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/datasets");
    if !folder.is_dir() {
        println!("skipped: {} is absent", folder.display());
        return;
    }
    let index = fs::read_to_string(folder.join("index.csv")).unwrap();
    let mut index = ::csv::Reader::from_reader(index.as_bytes());
    let headers = index.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let (name, n, missing) = (column("name"), column("n"), column("missing"));
    let mut count = 0;
    for row in index.records() {
        let row = row.unwrap();
        let history = read(&folder.join(format!("series/{}.csv", &row[name]))).unwrap();
        let points: usize = row[n].parse().unwrap();
        let missing: f64 = row[missing].parse().unwrap();
        let gaps = values(&history).iter().filter(|value| value.is_none()).count();
        assert_eq!(values(&history).len(), points, "{}", &row[name]);
        // The index rounds the share of gaps to four places.
        assert!((gaps as f64 / points as f64 - missing).abs() < 6e-5, "{}: {gaps}", &row[name]);
        assert_eq!((history.report.merged, history.report.duplicates), (0, 0), "{}", &row[name]);
        count += 1;
    }
    assert_eq!(count, 51);
}

proptest! {
    #[test]
    fn any_bytes_are_a_history_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Err(error) = parse(&bytes) {
            prop_assert!(error.to_string().starts_with("load.csv"));
        }
    }

    #[test]
    fn nearly_csv_is_a_history_or_an_error(text in "(timestamp,value\n)?([0-9.,\"\r\n eTZ:+-]|NaN){0,300}") {
        if let Err(error) = parse(&text) {
            prop_assert!(error.to_string().starts_with("load.csv"));
        }
    }

    #[test]
    fn what_is_written_is_read(loads in prop::collection::vec(prop::option::weighted(0.97, 0.0_f64..1e9), 1..100)) {
        let rows: String = loads
            .iter()
            .enumerate()
            .map(|(i, load)| format!("{},{}\n", i * 300, load.map_or(String::new(), |l| l.to_string())))
            .collect();
        let expected: Vec<Option<f64>> = {
            let first = loads.iter().position(Option::is_some);
            let last = loads.iter().rposition(Option::is_some);
            first.zip(last).map_or(Vec::new(), |(first, last)| loads[first..=last].to_vec())
        };
        match parse(rows) {
            Ok(history) => prop_assert_eq!(values(&history), expected),
            // Too few of too many steps have a value.
            Err(error) => prop_assert!(
                expected.iter().flatten().count() < 4 || expected.iter().flatten().count() * 2 < expected.len(),
                "{error}"
            ),
        }
    }
}
