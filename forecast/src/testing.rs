//! What the tests of this crate share.

use jiff::Timestamp;

use crate::{Series, SeriesId, Step};

/// A five-minute series from the epoch on with these values.
pub(crate) fn series_of(values: &[Option<f64>]) -> Series {
    let id = SeriesId::new("test").unwrap();
    Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values.to_vec()).unwrap()
}

/// Days of a daily cycle, without noise.
pub(crate) fn daily_cycle(days: usize) -> Series {
    let day = Step::FIVE_MINUTES.per_day();
    let value = |i: usize| {
        let phase = (i % day) as f64 / day as f64 * std::f64::consts::TAU;
        Some(10.0 + 5.0 * phase.sin())
    };
    series_of(&(0..days * day).map(value).collect::<Vec<_>>())
}
