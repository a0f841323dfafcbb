//! Forecasts that wait for their truth.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::accuracy::{Outcome, Reference, Scores};
use crate::forecast::Forecast;
use crate::series::SeriesView;

/// Outcomes that the scores look back on: seven days of twelve steps, one forecast in five minutes.
pub const OUTCOMES_MAX: usize = 7 * 288 * 12;
/// Forecasts that may wait at once: a day of them, so that a silent source does not fill memory.
pub const PENDING_MAX: usize = 288;

/// Issued forecasts, and how those whose time has passed turned out.
///
/// A forecast stays until its last step has an actual or a horizon has passed since; a step that
/// has no actual by then is never scored.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pending: VecDeque<Pending>,
    outcomes: VecDeque<Matured>,
    unscored: u64,
}

#[derive(Clone, Debug)]
struct Pending {
    forecast: Forecast,
    /// Steps that were scored.
    scored: Vec<bool>,
}

/// A forecast value that has come due.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Matured {
    /// The time that it was about.
    pub time: Timestamp,
    /// How it turned out.
    pub outcome: Outcome,
}

impl Ledger {
    /// Remembers a forecast that was issued. One of the same origin is remembered once.
    pub fn issue(&mut self, forecast: &Forecast) {
        if self.pending.iter().any(|p| p.forecast.origin() == forecast.origin()) {
            return;
        }
        let scored = vec![false; forecast.horizon()];
        self.pending.push_back(Pending { forecast: forecast.clone(), scored });
        if self.pending.len() > PENDING_MAX
            && let Some(dropped) = self.pending.pop_front()
        {
            self.count_unscored(&dropped);
        }
    }

    /// Scores every step that `history` has an actual for; returns the new ones.
    pub fn mature(&mut self, history: SeriesView<'_>) -> Vec<Matured> {
        let mut matured = Vec::new();
        for pending in &mut self.pending {
            for k in 0..pending.forecast.horizon() {
                let time = pending.forecast.time_at(k);
                if pending.scored[k] || time > history.last_time() {
                    continue;
                }
                if let Some(actual) = history.value_at(time) {
                    pending.scored[k] = true;
                    let outcome = Outcome::new(&pending.forecast, k, actual);
                    matured.push(Matured { time, outcome });
                }
            }
        }
        self.forget_finished(history.last_time());
        self.outcomes.extend(&matured);
        let surplus = self.outcomes.len().saturating_sub(OUTCOMES_MAX);
        self.outcomes.drain(..surplus);
        matured
    }

    fn forget_finished(&mut self, last_time: Timestamp) {
        let pending = std::mem::take(&mut self.pending);
        for entry in pending {
            let horizon = i64::try_from(entry.forecast.horizon()).unwrap_or(i64::MAX);
            let patience = entry.forecast.step().offset(entry.forecast.end(), horizon);
            if entry.scored.iter().all(|scored| *scored) {
                continue;
            }
            if last_time > patience {
                self.count_unscored(&entry);
            } else {
                self.pending.push_back(entry);
            }
        }
    }

    fn count_unscored(&mut self, entry: &Pending) {
        self.unscored += entry.scored.iter().filter(|scored| !**scored).count() as u64;
    }

    /// The scores over the outcomes it remembers; `None` before the first has matured.
    #[must_use]
    pub fn scores(&self, reference: &Reference) -> Option<Scores> {
        Scores::of(self.outcomes.iter().map(|matured| &matured.outcome), reference)
    }

    /// The scores of the horizon step `k` alone; the nearest is 0.
    #[must_use]
    pub fn scores_at(&self, k: usize, reference: &Reference) -> Option<Scores> {
        let outcomes = self.outcomes.iter().map(|matured| &matured.outcome);
        Scores::of(outcomes.filter(|outcome| outcome.k == k), reference)
    }

    /// The scores over the outcomes after `time`, such as those of the last day.
    #[must_use]
    pub fn scores_since(&self, time: Timestamp, reference: &Reference) -> Option<Scores> {
        let recent = self.outcomes.iter().filter(|matured| matured.time > time);
        Scores::of(recent.map(|matured| &matured.outcome), reference)
    }

    /// Forecasts that wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Forecast values whose actual never came.
    #[must_use]
    pub fn unscored(&self) -> u64 {
        self.unscored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::LastValue;
    use crate::forecaster::Forecaster;
    use crate::testing::{daily_cycle, series_of};

    const REFERENCE: Reference = Reference { mape_floor: 0.0, seasonal_mae: Some(1.0) };

    #[test]
    fn each_step_is_scored_once_when_its_time_has_passed() {
        let series = daily_cycle(2);
        let fitted = LastValue::fit(series.view(), 12).unwrap();
        let mut ledger = Ledger::default();
        let forecast = fitted.forecast(series.view().prefix(100), 12).unwrap();
        ledger.issue(&forecast);
        ledger.issue(&forecast);
        assert_eq!(ledger.pending(), 1);
        assert!(ledger.mature(series.view().prefix(100)).is_empty());
        assert_eq!(ledger.scores(&REFERENCE), None);
        let matured = ledger.mature(series.view().prefix(103));
        assert_eq!((matured.len(), matured[0].time), (3, forecast.time_at(0)));
        assert_eq!(ledger.mature(series.view().prefix(103)).len(), 0);
        assert_eq!(ledger.mature(series.view().prefix(112)).len(), 9);
        assert_eq!((ledger.pending(), ledger.unscored()), (0, 0));
        let scores = ledger.scores(&REFERENCE).unwrap();
        assert_eq!(scores.count, 12);
        assert_eq!(ledger.scores_at(11, &REFERENCE).unwrap().count, 1);
        let since = |k| ledger.scores_since(forecast.time_at(k), &REFERENCE);
        assert_eq!(since(8).unwrap().count, 3);
        assert_eq!(since(11), None);
    }

    #[test]
    fn steps_without_an_actual_are_given_up_and_counted() {
        let series = daily_cycle(2);
        let fitted = LastValue::fit(series.view(), 12).unwrap();
        let mut values = series.view().values().to_vec();
        values[105..110].fill(None);
        let gapped = series_of(&values);
        let mut ledger = Ledger::default();
        ledger.issue(&fitted.forecast(gapped.view().prefix(100), 12).unwrap());
        assert_eq!(ledger.mature(gapped.view().prefix(120)).len(), 7);
        assert_eq!(ledger.pending(), 1);
        ledger.mature(gapped.view().prefix(125));
        assert_eq!((ledger.pending(), ledger.unscored()), (0, 5));
    }

    #[test]
    fn memory_is_bounded() {
        let series = daily_cycle(4);
        let fitted = LastValue::fit(series.view(), 12).unwrap();
        let mut ledger = Ledger::default();
        for end in 20..20 + 2 * PENDING_MAX {
            ledger.issue(&fitted.forecast(series.view().prefix(end), 12).unwrap());
        }
        assert_eq!(ledger.pending(), PENDING_MAX);
        assert_eq!(ledger.unscored(), 12 * PENDING_MAX as u64);
    }
}
