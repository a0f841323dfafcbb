//! What time it is: the system's, that of a recorded history's end, or an accelerated one.

use std::time::{Duration, Instant};

use forecast::Timestamp;
use jiff::SignedDuration;

/// The one source of `now`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// The system's.
    System,
    /// Always the same: the end of a recorded history stands for now.
    Frozen(Timestamp),
    /// `speed` seconds pass in one.
    Accelerated {
        /// The time at which it was started.
        start: Timestamp,
        /// When it was started.
        started: Instant,
        /// Seconds of its time in a second.
        speed: f64,
    },
}

impl Clock {
    /// A clock that starts at `start` now and runs `speed` times as fast as the system's.
    pub(crate) fn accelerated(start: Timestamp, speed: f64) -> Self {
        Self::Accelerated { start, started: Instant::now(), speed }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        match *self {
            Self::System => system_now(),
            Self::Frozen(at) => at,
            Self::Accelerated { start, started, speed } => {
                let passed = started.elapsed().as_secs_f64() * speed;
                let passed = SignedDuration::try_from_secs_f64(passed);
                start.saturating_add(passed.unwrap_or(SignedDuration::MAX)).unwrap_or(start)
            }
        }
    }

    /// How long to wait, in the system's time, until this clock shows `then`; a frozen clock's
    /// waiter looks again after as long as the system's would take.
    pub(crate) fn wait(&self, from: Timestamp, then: Timestamp) -> Duration {
        let distance = then.duration_since(from).as_secs_f64().max(0.0);
        let speed = if let Self::Accelerated { speed, .. } = self { *speed } else { 1.0 };
        Duration::try_from_secs_f64(distance / speed).unwrap_or(Duration::MAX)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn system_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accelerated_clock_waits_less() {
        let start = Timestamp::UNIX_EPOCH;
        let later = start + SignedDuration::from_mins(5);
        assert_eq!(Clock::accelerated(start, 300.0).wait(start, later), Duration::from_secs(1));
        assert_eq!(Clock::System.wait(start, later), Duration::from_secs(300));
        assert_eq!(Clock::System.wait(later, start), Duration::ZERO);
        assert_eq!(Clock::Frozen(later).now(), later);
    }
}
