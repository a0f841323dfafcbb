//! Our Prophet beside Python's on recorded workloads, where the folder of recordings lies beside the
//! repository. Python's numbers are those of `benches/peers/prophet_check.py`.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use classical::Prophet;
use forecast::backtest::TestPart;
use forecast::{Forecaster, Quantile, Sample, Series, SeriesId, Step, Timestamp};

/// The part that is tested on by the protocol of the recordings.
const TEST_PART: TestPart = TestPart { share: 0.3, steps_max: 5 * 288 };
/// How far a component may be off, as a share of the series' range.
const TOLERANCE: f64 = 0.002;
/// How far a limit of the interval may be off: each is a quantile of a thousand draws.
const INTERVAL_TOLERANCE: f64 = 0.03;

/// What Python says about a time: trend, daily, weekly, forecast, and the 80 % interval.
struct Row {
    time: Timestamp,
    values: [f64; 6],
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn recorded(name: &str) -> Option<Series> {
    let path = root().join(format!("../shared/datasets/series/{name}.csv"));
    let text = fs::read_to_string(path).ok()?;
    let sample = |line: &str| {
        let (time, value) = line.split_once(',').expect("two columns");
        Sample {
            time: Timestamp::from_second(time.parse().expect("seconds")).expect("a time"),
            value: value.parse().unwrap_or(f64::NAN),
        }
    };
    let samples: Vec<Sample> = text.lines().skip(1).map(sample).collect();
    let id = SeriesId::new(name).expect("a name");
    Some(Series::from_samples(id, Step::FIVE_MINUTES, &samples).expect("a series").0)
}

fn python() -> BTreeMap<String, Vec<Row>> {
    let text = fs::read_to_string(root().join("benches/peers/prophet-check.csv"))
        .expect("Python's numbers are in the repository");
    let mut series: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |i: usize| fields[i].parse::<f64>().expect("a number");
        let time = Timestamp::from_second(fields[1].parse().expect("seconds")).expect("a time");
        let values = std::array::from_fn(|i| number(i + 2));
        series.entry(fields[0].to_owned()).or_default().push(Row { time, values });
    }
    series
}

/// The largest difference of two lists.
fn largest(ours: &[f64], python: impl Iterator<Item = f64>) -> f64 {
    ours.iter().zip(python).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn components_and_forecasts_are_those_of_python() {
    let python = python();
    assert_eq!(python.len(), 3);
    for (name, rows) in python {
        let Some(series) = recorded(&name) else {
            eprintln!("skipped: there is no recording {name} beside the repository");
            continue;
        };
        let start = TEST_PART.of(series.view().len()).start;
        let training = series.view().prefix(start);
        let loads = || training.suffix(14 * 288).values().iter().flatten().copied();
        let range = loads().fold(f64::MIN, f64::max) - loads().fold(f64::MAX, f64::min);
        let prophet = Prophet::fit(training, 288).unwrap();
        let times: Vec<Timestamp> = rows.iter().map(|row| row.time).collect();
        let parts = prophet.components(&times).unwrap();
        let yhat = parts.sums();
        let components = [
            ("trend", parts.trend),
            ("daily", parts.daily),
            ("weekly", parts.weekly),
            ("yhat", yhat),
        ];
        for (i, (component, ours)) in components.iter().enumerate() {
            let off = largest(ours, rows.iter().map(|row| row.values[i])) / range;
            println!("{name} {component}: {:.4} % of the range", 100.0 * off);
            assert!(off < TOLERANCE, "{name} {component}: {off}");
        }
        let forecast = prophet.forecast(training, 288).unwrap();
        let future: Vec<&Row> = rows.iter().filter(|row| row.time > training.last_time()).collect();
        assert_eq!(future.len(), 72, "every fourth of 288 steps");
        for (i, quantile) in [(4, Quantile::P10), (5, Quantile::P90)] {
            let ours: Vec<f64> =
                (0..288).step_by(4).map(|k| forecast.quantile(quantile, k)).collect();
            let off = largest(&ours, future.iter().map(|row| row.values[i].max(0.0))) / range;
            println!("{name} {quantile}: {:.4} % of the range", 100.0 * off);
            assert!(off < INTERVAL_TOLERANCE, "{name} {quantile}: {off}");
        }
    }
}
