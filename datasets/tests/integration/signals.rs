//! Masks and events from CSV files: what is read, and what is refused with which words.

use std::fs;
use std::path::Path;

use datasets::{CsvError, SPANS_MAX, read_events, read_mask};
use forecast::Timestamp;
use proptest::prelude::*;

/// What `read` makes of a file with `text`.
fn of<T>(read: fn(&Path) -> Result<T, CsvError>, text: impl AsRef<[u8]>) -> Result<T, CsvError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("known.csv");
    fs::write(&path, text).expect("a file");
    read(&path)
}

/// Asserts that `read` refuses `text` with an error that has all of `words`.
fn refused<T: std::fmt::Debug>(
    read: fn(&Path) -> Result<T, CsvError>,
    text: impl AsRef<[u8]>,
    words: &[&str],
) {
    let error = of(read, text).expect_err("it is refused").to_string();
    for word in words.iter().chain(&["known.csv"]) {
        assert!(error.contains(word), "expected {word:?} in: {error}");
    }
    assert!(error.len() < 500, "too long: {error}");
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

#[test]
fn a_mask_is_read_in_either_form_of_time() {
    let text = "\u{feff}ticket, WHY ,from,to\r\n\r\n7,\"outage, at night\",1700000000,1700003600\r\n\
                8,,2023-11-14T23:13:20+00:00,2023-11-15T00:13:20Z\r\n";
    let mask = of(read_mask, text).unwrap();
    assert_eq!(mask.spans().len(), 2, "they touch");
    assert_eq!((mask.spans()[0].from, mask.spans()[0].to), (at(1_700_000_000), at(1_700_003_600)));
    assert_eq!(mask.spans()[0].why, "outage, at night");
    assert_eq!((mask.spans()[1].to, mask.spans()[1].why.as_str()), (at(1_700_007_200), ""));
    assert_eq!(of(read_mask, "from,to\n").unwrap().spans(), []);
    assert_eq!(of(read_mask, "from,to\n1,2\n").unwrap().spans().len(), 1);
}

#[test]
fn events_are_read() {
    let text = "from,to,multiplier,name\n1700000000,1700003600,1.5,sale\n\
                2023-11-14T22:43:20Z,1700007200,2,\n";
    let events = of(read_events, text).unwrap();
    assert_eq!(events.as_slice()[0].name, "sale");
    let multipliers = [0, 1800, 3600, 7200].map(|s| events.multiplier_at(at(1_700_000_000 + s)));
    assert_eq!(multipliers, [1.5, 3.0, 2.0, 1.0]);
    assert_eq!(of(read_events, "from,to,multiplier\n").unwrap().as_slice(), []);
}

#[test]
fn what_is_no_mask_is_refused_with_its_line() {
    let refused = |text: &str, words: &[&str]| refused(read_mask, text, words);
    refused("", &["holds no rows", "from,to,why", "1700000000,1700003600"]);
    refused("1700000000,1700003600\n", &["line 1", "from, to and [why]", "found 1700000000"]);
    refused("from,until\n", &["line 1", "found from, until"]);
    refused("from,to,why,why\n", &["line 1", "each once"]);
    refused("from,to\n1,2\n\n3\n", &["line 4", "expected 2 columns", "found 1"]);
    refused("from,to\n1,soon\n", &["line 2", "\"soon\"", "RFC 3339"]);
    refused("from,to\n2026-11-27,2\n", &["line 2", "with a zone such as"]);
    refused("from,to\n1700000000000,1700003600000\n", &["line 2", "milliseconds"]);
    refused("from,to\n1,2\n60,60\n", &["line 3", "later than `from`", "1970-01-01T00:01:00Z"]);
}

#[test]
fn what_are_no_events_is_refused_with_its_line() {
    let refused = |text: &str, words: &[&str]| refused(read_events, text, words);
    refused("\n", &["holds no rows", "from,to,multiplier,name"]);
    refused("from,to,name\n", &["line 1", "from, to, multiplier and [name]"]);
    for number in ["", "twice", "0", "-2", "NaN", "inf"] {
        let text = format!("from,to,multiplier\n1,2,{number}\n");
        refused(&text, &["line 2", "above zero", &format!("{number:?}")]);
    }
    refused("from,to,multiplier\n1,2,1\n1,2,150\n", &["line 3", "from 0.01 to 100"]);
    refused("from,to,multiplier\n2,1,2\n", &["line 2", "later than `from`"]);
    let twice = "from,to,multiplier,name\n1,9,2,sale\n5,12,2,sale\n";
    refused(twice, &["\"sale\" is listed twice at 1970-01-01T00:00:05Z"]);
    refused("from,to,multiplier,name\n1,9,20,a\n5,12,20,b\n", &["by 400 together"]);
}

#[test]
fn what_is_not_text_or_too_much_is_refused() {
    refused(read_mask, b"from,to\n\xff\xfe,1\n", &["line 2", "UTF-8"]);
    let rows: String = (0..=SPANS_MAX).map(|i| format!("{i},{}\n", i + 1)).collect();
    refused(read_mask, format!("from,to\n{rows}"), &["more than 10000 rows"]);
    let long = of(read_mask, format!("from,to,why\n1,2,{}\n", "x".repeat(5_000))).unwrap();
    assert_eq!(long.spans()[0].why.chars().count(), 201);
    let folder = tempfile::tempdir().unwrap();
    let missing = read_events(&folder.path().join("none.csv")).unwrap_err().to_string();
    assert!(missing.contains("none.csv") && missing.contains("from,to,multiplier"), "{missing}");
    let directory = read_mask(folder.path()).unwrap_err().to_string();
    assert!(directory.contains("is a directory") && directory.contains("from,to,why"));
}

proptest! {
    #[test]
    fn nearly_csv_is_read_or_an_error(text in "(from,to,multiplier\n)?([0-9.,\"\r\n eTZ:+-]|NaN){0,200}") {
        for error in [of(read_mask, &text).err(), of(read_events, &text).err()] {
            prop_assert!(error.is_none_or(|error| error.to_string().contains("known.csv")));
        }
    }

    #[test]
    fn what_is_written_is_read(spans in prop::collection::vec((0_i64..1_000_000, 1_i64..1_000, 0.1..9.0_f64), 0..30)) {
        let row = |(i, (from, seconds, multiplier)): (usize, &(i64, i64, f64))| {
            // Apart, so that they do not multiply.
            let from = from + 10_000_000 * i as i64;
            format!("{from},{},{multiplier},{i}\n", from + seconds)
        };
        let rows: String = spans.iter().enumerate().map(row).collect();
        let events = of(read_events, format!("from,to,multiplier,name\n{rows}")).unwrap();
        prop_assert_eq!(events.as_slice().len(), spans.len());
        for (event, (_, seconds, multiplier)) in events.as_slice().iter().zip(&spans) {
            prop_assert_eq!(event.multiplier, *multiplier);
            prop_assert_eq!(event.to.as_second() - event.from.as_second(), *seconds);
        }
    }
}
