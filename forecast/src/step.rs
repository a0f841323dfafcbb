//! The sampling interval, and the grid of times it spans.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use jiff::Timestamp;
use thiserror::Error;

/// Seconds in a day.
const DAY_SECONDS: u32 = 86_400;

/// The sampling interval of a series: a whole number of seconds that divides a day.
///
/// Every series lies on the grid of the multiples of its step since the Unix epoch, so that two
/// series of one step always share their times, and "one day before" is a grid point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Step(NonZeroU32);

/// Why a number of seconds is not a [`Step`].
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error(
    "a step of {given} is not possible: expected seconds, minutes or hours that divide a day, such as 30s, 1m, 5m or 1h"
)]
pub struct StepError {
    given: String,
}

impl Step {
    /// The field's usual step.
    pub const FIVE_MINUTES: Self = Self(NonZeroU32::new(300).expect("300 is not zero"));

    /// A step of `seconds`.
    ///
    /// # Errors
    /// When `seconds` is zero, longer than a day, or does not divide a day.
    pub fn from_seconds(seconds: u32) -> Result<Self, StepError> {
        NonZeroU32::new(seconds)
            .filter(|s| DAY_SECONDS.is_multiple_of(s.get()))
            .map(Self)
            .ok_or_else(|| StepError { given: format!("{seconds}s") })
    }

    /// The step's length in seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0.get()
    }

    /// The number of steps in a day: the length of the daily season.
    #[must_use]
    pub fn per_day(self) -> usize {
        (DAY_SECONDS / self.0.get()) as usize
    }

    /// The index of the grid point nearest to `time`; half way between two, the later one.
    #[must_use]
    pub fn nearest_index(self, time: Timestamp) -> i64 {
        let step = i64::from(self.0.get());
        (time.as_second() + step / 2).div_euclid(step)
    }

    /// The index of the last grid point that is not after `time`.
    #[must_use]
    pub fn floor_index(self, time: Timestamp) -> i64 {
        time.as_second().div_euclid(i64::from(self.0.get()))
    }

    /// The index of the first grid point that is not before `time`.
    #[must_use]
    pub fn ceil_index(self, time: Timestamp) -> i64 {
        let floor = self.floor_index(time);
        floor + i64::from(self.time_of(floor) < time)
    }

    /// The time of the grid point `index`; saturates at the ends of representable time.
    #[must_use]
    pub fn time_of(self, index: i64) -> Timestamp {
        let seconds = index.saturating_mul(i64::from(self.0.get()));
        Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }

    /// `time` moved by `count` steps; saturates at the ends of representable time.
    #[must_use]
    pub fn offset(self, time: Timestamp, count: i64) -> Timestamp {
        let seconds = count.saturating_mul(i64::from(self.0.get()));
        time.saturating_add(jiff::SignedDuration::from_secs(seconds))
            .expect("adding a signed duration of seconds to a timestamp saturates")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds() {
            s if s.is_multiple_of(3600) => write!(f, "{}h", s / 3600),
            s if s.is_multiple_of(60) => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

impl FromStr for Step {
    type Err = StepError;

    fn from_str(text: &str) -> Result<Self, StepError> {
        let refused = || StepError { given: format!("{text:?}") };
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
        let unit = match &text[digits..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => DAY_SECONDS,
            _ => return Err(refused()),
        };
        let count: u32 = text[..digits].parse().map_err(|_| refused())?;
        let seconds = count.checked_mul(unit).ok_or_else(refused)?;
        Self::from_seconds(seconds).map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_the_same_step() {
        for text in ["30s", "1m", "5m", "1h", "24h"] {
            assert_eq!(text.parse::<Step>().unwrap().to_string(), text);
        }
        assert_eq!("300s".parse::<Step>().unwrap(), Step::FIVE_MINUTES);
        assert_eq!("1d".parse::<Step>().unwrap().per_day(), 1);
    }

    #[test]
    fn refuses_what_does_not_divide_a_day() {
        for text in ["", "5", "0m", "7m", "2d", "-5m", "5 m", "m", "99999999999h"] {
            let error = text.parse::<Step>().unwrap_err().to_string();
            assert!(error.contains("such as 30s"), "{text}: {error}");
        }
    }

    #[test]
    fn nearest_grid_point_forgives_jitter_on_both_sides() {
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(Step::FIVE_MINUTES.nearest_index(at(599)), 2);
        assert_eq!(Step::FIVE_MINUTES.nearest_index(at(601)), 2);
        assert_eq!(Step::FIVE_MINUTES.nearest_index(at(-1)), 0);
        assert_eq!(Step::FIVE_MINUTES.floor_index(at(599)), 1);
        assert_eq!(Step::FIVE_MINUTES.ceil_index(at(600)), 2);
        assert_eq!(Step::FIVE_MINUTES.ceil_index(Timestamp::new(600, 1).unwrap()), 3);
        assert_eq!(Step::FIVE_MINUTES.ceil_index(at(-1)), 0);
        assert_eq!(Step::FIVE_MINUTES.time_of(i64::MAX), Timestamp::MAX);
    }
}
