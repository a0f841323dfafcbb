//! The made-up workload: the same for the same seed, and like a real one.

use datasets::{DAYS_MAX, Synthetic, SyntheticError};
use forecast::{Series, SeriesId, Step, Timestamp};
use sha2::{Digest, Sha256};

const MONDAY: i64 = 1_700_438_400; // 20 November 2023, 00:00 UTC.

fn synthetic(seed: u64, days: u32) -> Synthetic {
    let start = Timestamp::from_second(MONDAY).expect("a time");
    Synthetic { seed, step: Step::FIVE_MINUTES, start, days }
}

fn generate(seed: u64, days: u32) -> Series {
    synthetic(seed, days).generate(SeriesId::new("demo/web").expect("a name")).expect("a series")
}

fn values(series: &Series) -> Vec<Option<f64>> {
    series.view().values().to_vec()
}

#[test]
fn the_seed_decides() {
    assert_eq!(generate(7, 14), generate(7, 14));
    assert_ne!(values(&generate(7, 14)), values(&generate(8, 14)));
}

#[test]
fn one_seed_gives_these_values_on_every_machine() {
    let mut hash = Sha256::new();
    for value in values(&generate(42, 14)) {
        hash.update(value.unwrap_or(-1.0).to_bits().to_le_bytes());
    }
    let hash: String = hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, "fad304ce3b60a20e");
}

#[test]
fn more_days_continue_the_same_history() {
    let (short, long) = (values(&generate(3, 10)), values(&generate(3, 21)));
    assert_eq!(long[..short.len()], short);
}

#[test]
fn it_ends_where_asked_and_lies_on_the_grid() {
    let end = Timestamp::from_second(MONDAY + 1234).unwrap();
    let series = Synthetic::ending_at(1, Step::FIVE_MINUTES, 14, end)
        .generate(SeriesId::new("demo/web").unwrap())
        .unwrap();
    assert_eq!(series.view().last_time().as_second(), MONDAY + 1200);
    assert_eq!(series.view().len(), 14 * 288);
}

#[test]
fn impossible_lengths_are_refused() {
    let id = SeriesId::new("a").unwrap();
    for days in [0, DAYS_MAX + 1, u32::MAX] {
        let error = synthetic(1, days).generate(id.clone()).unwrap_err();
        assert_eq!(error, SyntheticError::Days { days });
    }
    let fine = Synthetic { step: Step::from_seconds(1).unwrap(), ..synthetic(1, 30) };
    assert!(matches!(fine.generate(id), Err(SyntheticError::TooLong { .. })));
}

#[test]
fn it_looks_like_a_medium_service() {
    for seed in 0..8 {
        let values = values(&generate(seed, 14));
        let gaps = values.iter().filter(|value| value.is_none()).count();
        assert!((6..=16).contains(&gaps), "seed {seed}: {gaps} gaps");
        let present: Vec<f64> = values.iter().flatten().copied().collect();
        let (low, high) = present
            .iter()
            .fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(*value), high.max(*value)));
        assert!((0.8..3.0).contains(&low), "seed {seed}: lowest {low}");
        assert!((9.0..22.0).contains(&high), "seed {seed}: highest {high}");
        // Both weekends against the working days, at the busiest hours.
        let busy = |day: usize| mean(&values[day * 288 + 168..day * 288 + 192]);
        let (weekend, working): (Vec<usize>, Vec<usize>) = (0..14).partition(|day| day % 7 >= 5);
        let weekend = weekend.into_iter().map(busy).sum::<f64>() / 4.0;
        let working = working.into_iter().map(busy).sum::<f64>() / 10.0;
        assert!(weekend < 0.9 * working, "seed {seed}: {weekend} at weekends, {working} else");
        // The batch job shows against the minutes before it.
        let batch = (0..14).map(|day| mean(&values[day * 288 + 24..day * 288 + 33])).sum::<f64>();
        let before = (0..14).map(|day| mean(&values[day * 288 + 15..day * 288 + 24])).sum::<f64>();
        assert!(batch > before + 14.0, "seed {seed}: batch {batch}, before {before}");
    }
}

/// Over the last two days, at the end of an hour: neither "as now" nor "as yesterday" is silly,
/// and neither is so good that there is nothing to learn.
#[test]
fn both_naive_rules_are_of_some_use_and_leave_something_to_learn() {
    for seed in 0..8 {
        let values = values(&generate(seed, 14));
        let last_days = values.len() - 2 * 288..values.len();
        let error = |lag: usize| {
            let errors: Vec<f64> = last_days
                .clone()
                .filter_map(|t| Some((values[t]? - values[t - lag]?).abs()))
                .collect();
            errors.iter().sum::<f64>() / errors.len() as f64
        };
        let level = mean(&values[last_days.clone()]);
        let (naive, seasonal) = (error(12) / level, error(288) / level);
        println!("seed {seed}: level {level:.2}, naive {naive:.3}, seasonal naive {seasonal:.3}");
        assert!((0.05..0.35).contains(&naive), "seed {seed}: naive {naive}");
        assert!((0.05..0.35).contains(&seasonal), "seed {seed}: seasonal naive {seasonal}");
    }
}

fn mean(values: &[Option<f64>]) -> f64 {
    let present: Vec<f64> = values.iter().flatten().copied().collect();
    present.iter().sum::<f64>() / present.len() as f64
}
