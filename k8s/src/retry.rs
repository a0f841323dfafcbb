//! When to try again, and when to give up.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::ScaleError;
use crate::request::Failure;

/// The first pause; each further one may be twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause that we choose ourselves: 100 ms doubles to it within seven attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The attempts of one call: they share a deadline.
#[derive(Debug)]
pub(crate) struct Attempts {
    started: Instant,
    deadline: Instant,
    request_timeout: Duration,
    made: u32,
    pauses: u32,
}

impl Attempts {
    /// Attempts that end `budget` from now, of which each takes `request_timeout` at most.
    pub(crate) fn start(budget: Duration, request_timeout: Duration) -> Self {
        let started = Instant::now();
        Self { started, deadline: started + budget, request_timeout, made: 0, pauses: 0 }
    }

    /// Counts an attempt and says how long it may take.
    pub(crate) fn next_timeout(&mut self) -> Duration {
        self.made += 1;
        self.request_timeout.min(self.deadline.saturating_duration_since(Instant::now()))
    }

    /// The number of requests so far.
    pub(crate) fn made(&self) -> u32 {
        self.made
    }

    /// Waits before the attempt that follows `failure`.
    ///
    /// # Errors
    /// When `failure` is final, or the time is up before the wait would be over.
    pub(crate) async fn pause_after(&mut self, failure: Failure) -> Result<(), ScaleError> {
        let (asked, last) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Conflict(message) | Failure::Unclear(message) => (None, message),
            Failure::Throttled { retry_after, message } => (retry_after, message),
        };
        let own = jittered(ceiling(self.pauses), fastrand::f64());
        // A server that asks for patience gets it in full; the jitter comes on top, so that many
        // clients which were turned away together do not come back together.
        let pause = asked.map_or(own, |asked| asked + own);
        self.pauses += 1;
        if Instant::now() + pause >= self.deadline {
            let elapsed = self.started.elapsed();
            return Err(ScaleError::Unavailable { attempts: self.made, elapsed, last });
        }
        tracing::info!(attempt = self.made, pause_ms = pause.as_millis(), last, "trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// The longest pause after `pauses` earlier ones.
fn ceiling(pauses: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(1_u32.checked_shl(pauses).unwrap_or(u32::MAX)).min(PAUSE_MAX)
}

/// Between half and all of `ceiling`, for a `share` in 0..1 ("equal jitter").
fn jittered(ceiling: Duration, share: f64) -> Duration {
    ceiling.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit() {
        let millis: Vec<u128> = (0..8).map(|n| ceiling(n).as_millis()).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(ceiling(u32::MAX), PAUSE_MAX);
        assert_eq!(jittered(PAUSE_MAX, 0.0), PAUSE_MAX / 2);
        assert!(jittered(PAUSE_MAX, 0.999) <= PAUSE_MAX);
    }

    #[tokio::test]
    async fn gives_up_at_once_when_the_wait_would_pass_the_deadline() {
        let mut attempts = Attempts::start(Duration::from_secs(5), Duration::from_secs(1));
        assert_eq!(attempts.next_timeout(), Duration::from_secs(1));
        let retry_after = Some(Duration::from_secs(60));
        let failure = Failure::Throttled { retry_after, message: "slow down".to_owned() };
        let error = attempts.pause_after(failure).await.unwrap_err();
        assert!(attempts.started.elapsed() < Duration::from_secs(1));
        assert_eq!(error.label(), "unavailable");
        assert!(error.is_retryable() && error.to_string().ends_with("slow down"), "{error}");
    }
}
