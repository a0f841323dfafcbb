//! Whether a model still does what it promised, on a load like the one it was fitted on.
//!
//! ```text
//!  Promise  (fitted with the model, kept in its manifest)
//!     │         errors of the last day ── beside the promised ones ─┐
//!     ▼                                                             ▼
//!   Drift ◀── observe(now, scores, history) ──▶ Steady ⇄ Drifted(reasons), told once when it changes
//!               level and spread of the last day ── beside those of the training's days ─┘
//! ```
//!
//! A reason begins at one threshold and ends at a lower one, so that the verdict does not flap.

use std::fmt;

use jiff::Timestamp;

use crate::HORIZON;
use crate::accuracy::Scores;
use crate::quantile::{Quantile, empirical_quantile};
use crate::series::SeriesView;
use crate::step::Step;

/// Errors this many times the promised ones are drift.
const ERROR_ENTERS: f64 = 2.0;
/// They are until they are fewer times the promised ones.
const ERROR_LEAVES: f64 = 1.5;
/// A level or spread is drift where it is this many times above the training's highest, or below its
/// lowest.
const OUTSIDE_ENTERS: f64 = 1.5;
/// It is until it is fewer times.
const OUTSIDE_LEAVES: f64 = 1.25;
/// A promise of an error below this share of the load is taken as this share: what is that small
/// matters to nobody, whatever it grows by.
const PROMISED_SHARE_MIN: f64 = 0.02;
/// A spread below this share of the level is taken as this share, likewise.
const SPREAD_SHARE_MIN: f64 = 0.05;
/// Days of a history that are compared, by their number in a day.
const DAYS_PER_DAY: usize = 8;

/// The lowest and the highest of something seen in training, in the unit of the load.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Extent {
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

/// What a model was like when it was fitted: plain numbers, for a manifest.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Promise {
    /// Mean |forecast − actual| on data that it was not fitted on, in the unit of the load.
    pub mae: f64,
    /// Σ|forecast − actual| / Σ|actual| there; `None` where the load was zero.
    pub wape: Option<f64>,
    /// The median of a day.
    pub levels: Extent,
    /// The distance of the quartiles of a day.
    pub spreads: Extent,
}

impl Promise {
    /// What was seen in `training`, and the `scores` on what came after it. `None` where `training` has
    /// no day of which half was observed.
    #[must_use]
    pub fn of(training: SeriesView<'_>, scores: &Scores) -> Option<Self> {
        let day = training.step().per_day();
        let apart = (day / DAYS_PER_DAY).max(1);
        let ends = (day..=training.len()).rev().step_by(apart);
        let days: Vec<Day> = ends.filter_map(|end| Day::last_of(training.prefix(end))).collect();
        let extent = |of: fn(&Day) -> f64| {
            let low = days.iter().map(of).reduce(f64::min)?;
            Some(Extent { low, high: days.iter().map(of).reduce(f64::max)? })
        };
        let (levels, spreads) = (extent(|day| day.level)?, extent(|day| day.spread)?);
        Some(Self { mae: scores.mae, wape: scores.wape, levels, spreads })
    }
}

/// The load of one day.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Day {
    level: f64,
    spread: f64,
}

impl Day {
    /// The last day of `series`; `None` where less than half of it was observed.
    fn last_of(series: SeriesView<'_>) -> Option<Self> {
        let day = series.step().per_day();
        let mut values: Vec<f64> = series.suffix(day).values().iter().flatten().copied().collect();
        if 2 * values.len() < day {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        let at = |level| empirical_quantile(&values, Quantile::new(level).ok()?);
        Some(Self { level: at(0.5)?, spread: at(0.75)? - at(0.25)? })
    }
}

/// What an error is measured in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// In the unit of the load.
    Absolute,
    /// As a share of the load.
    Relative,
}

/// Why a model has drifted; the text is for the one who is called at night.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum DriftReason {
    /// Its errors are much greater than promised, both by themselves and beside the load; the measure
    /// is the one that grew less.
    Error {
        /// What both are measured in.
        measure: Measure,
        /// The mean error of the last day.
        recent: f64,
        /// The mean error promised.
        promised: f64,
    },
    /// The median of the last day is unlike those of the training.
    Level {
        /// The median, in the unit of the load.
        recent: f64,
        /// Those of the training.
        training: Extent,
    },
    /// The distance of the quartiles of the last day is unlike those of the training.
    Spread {
        /// The distance, in the unit of the load.
        recent: f64,
        /// Those of the training.
        training: Extent,
    },
}

impl DriftReason {
    /// The reason in one word, for a metric's label.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Error { .. } => "error",
            Self::Level { .. } => "level",
            Self::Spread { .. } => "spread",
        }
    }
}

impl fmt::Display for DriftReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { measure, recent, promised } => {
                let times = Short(recent / promised);
                let (recent, promised, unit) = match measure {
                    Measure::Absolute => (Short(*recent), Short(*promised), ""),
                    Measure::Relative => (Short(100.0 * recent), Short(100.0 * promised), " %"),
                };
                let of = if unit.is_empty() { "" } else { " of the load" };
                write!(
                    f,
                    "error {recent}{unit}{of} over the last day, {times} times the promised {promised}{unit}"
                )
            }
            Self::Level { recent, training } => write_outside(f, "level", *recent, training),
            Self::Spread { recent, training } => write_outside(f, "spread", *recent, training),
        }
    }
}

fn write_outside(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    recent: f64,
    Extent { low, high }: &Extent,
) -> fmt::Result {
    let side = if recent > *high { "above" } else { "below" };
    let (recent, low, high) = (Short(recent), Short(*low), Short(*high));
    write!(f, "{what} {recent} over the last day is {side} all of the training's {low} to {high}")
}

/// A number as people say it: three digits that count.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if size == 0.0 {
            return write!(f, "0");
        }
        if !(1e-4..1e9).contains(&size) {
            return write!(f, "{:.2e}", self.0);
        }
        let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
        let text = format!("{:.decimals$}", self.0);
        let text =
            if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        f.write_str(text)
    }
}

/// Whether a model has drifted.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// Too few outcomes to tell.
    Unknown {
        /// Outcomes of the last day.
        outcomes: usize,
        /// Outcomes needed.
        needed: usize,
    },
    /// It does what it promised.
    Steady,
    /// It does not, or the load is another; not empty.
    Drifted(Vec<DriftReason>),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { outcomes, needed } => {
                write!(f, "not known yet: {outcomes} of the {needed} outcomes that are needed")
            }
            Self::Steady => f.write_str("as promised"),
            Self::Drifted(reasons) => {
                for (i, reason) in reasons.iter().enumerate() {
                    write!(f, "{}{reason}", if i > 0 { "; " } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

/// What has changed since the last observation.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// A model that did what it promised, or had other reasons, has drifted.
    Drifted(Vec<DriftReason>),
    /// A model that had drifted does what it promised again.
    Recovered {
        /// When it had begun to drift.
        since: Timestamp,
    },
}

/// Judges one model again and again, and remembers what it said.
#[derive(Clone, PartialEq, Debug)]
pub struct Drift {
    promise: Promise,
    verdict: Verdict,
    /// When the first of the present reasons began.
    since: Option<Timestamp>,
}

impl Drift {
    /// A model that has just been fitted on steps of `step`, with what it promises.
    #[must_use]
    pub fn new(promise: Promise, step: Step) -> Self {
        let needed = Self::outcomes_needed(step);
        Self { promise, verdict: Verdict::Unknown { outcomes: 0, needed }, since: None }
    }

    /// The outcomes that a verdict on errors needs: six hours of forecasts of [`HORIZON`] steps, one a
    /// step.
    #[must_use]
    pub fn outcomes_needed(step: Step) -> usize {
        (step.per_day() / 4).max(1) * HORIZON
    }

    /// Judges at `now`: `recent` are the scores of the last day, as
    /// [`Ledger::scores_since`](crate::ledger::Ledger::scores_since) has them, and `history` is the load
    /// up to now. Says what has changed, if anything: a reason that ends while others go on is not told.
    ///
    /// What cannot be judged, for want of outcomes or in a gap, stays as it was.
    pub fn observe(
        &mut self,
        now: Timestamp,
        recent: Option<&Scores>,
        history: SeriesView<'_>,
    ) -> Option<Change> {
        let before: &[DriftReason] = match &self.verdict {
            Verdict::Drifted(reasons) => reasons,
            Verdict::Unknown { .. } | Verdict::Steady => &[],
        };
        let verdict = judge(&self.promise, recent, history, before);
        let had = |word: &str| before.iter().any(|reason| reason.as_str() == word);
        let change = match &verdict {
            Verdict::Drifted(reasons) if reasons.iter().any(|reason| !had(reason.as_str())) => {
                Some(Change::Drifted(reasons.clone()))
            }
            Verdict::Unknown { .. } | Verdict::Steady => {
                self.since.map(|since| Change::Recovered { since })
            }
            Verdict::Drifted(_) => None,
        };
        let has_drifted = matches!(verdict, Verdict::Drifted(_));
        self.since = has_drifted.then(|| self.since.unwrap_or(now));
        self.verdict = verdict;
        change
    }

    /// What was said last.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// When it began to drift, while it does.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }
}

/// The verdict, where `before` are the reasons of the last one.
fn judge(
    promise: &Promise,
    recent: Option<&Scores>,
    history: SeriesView<'_>,
    before: &[DriftReason],
) -> Verdict {
    let earlier = |word: &str| before.iter().find(|reason| reason.as_str() == word).copied();
    let needed = Drift::outcomes_needed(history.step());
    let outcomes = recent.map_or(0, |scores| scores.count);
    let scores = recent.filter(|scores| scores.count >= needed);
    let error = match scores {
        Some(scores) => error_reason(promise, scores, earlier("error").is_some()),
        None => earlier("error"),
    };
    let mut reasons: Vec<DriftReason> = error.into_iter().collect();
    match Day::last_of(history) {
        Some(day) => reasons.extend(input_reasons(promise, day, &earlier)),
        None => reasons.extend(["level", "spread"].into_iter().filter_map(earlier)),
    }
    match (reasons.is_empty(), scores) {
        (false, _) => Verdict::Drifted(reasons),
        (true, Some(_)) => Verdict::Steady,
        (true, None) => Verdict::Unknown { outcomes, needed },
    }
}

/// Errors beside the promised ones, by the measure that grew less: a load that grows takes its absolute
/// errors along, and a quiet day its relative ones.
fn error_reason(promise: &Promise, scores: &Scores, drifted: bool) -> Option<DriftReason> {
    let load = promise.wape.filter(|wape| *wape > 0.0).map(|wape| promise.mae / wape);
    let least = PROMISED_SHARE_MIN * load.unwrap_or(promise.levels.high);
    let absolute = (Measure::Absolute, scores.mae, promise.mae.max(least));
    let relative = scores.wape.zip(promise.wape);
    let relative = relative
        .map(|(recent, promised)| (Measure::Relative, recent, promised.max(PROMISED_SHARE_MIN)));
    // Nothing was promised of a load that was zero.
    let (measure, recent, promised) = [Some(absolute), relative]
        .into_iter()
        .flatten()
        .filter(|(_, _, promised)| *promised > 0.0)
        .min_by(|a, b| (a.1 / a.2).total_cmp(&(b.1 / b.2)))?;
    let threshold = if drifted { ERROR_LEAVES } else { ERROR_ENTERS };
    let exceeds = recent > threshold * promised;
    exceeds.then_some(DriftReason::Error { measure, recent, promised })
}

/// The level and the spread of a day beside those of the training's days.
fn input_reasons(
    promise: &Promise,
    day: Day,
    earlier: &impl Fn(&str) -> Option<DriftReason>,
) -> impl Iterator<Item = DriftReason> {
    let margin = |word| if earlier(word).is_some() { OUTSIDE_LEAVES } else { OUTSIDE_ENTERS };
    let (training, spread_min) = (promise.levels, SPREAD_SHARE_MIN * promise.levels.high);
    let level = (day.level > training.high * margin("level")
        || day.level < training.low / margin("level"))
    .then_some(DriftReason::Level { recent: day.level, training });
    let training = promise.spreads;
    let spread = (day.spread.max(spread_min) > training.high.max(spread_min) * margin("spread")
        || day.spread.max(spread_min) < training.low / margin("spread"))
    .then_some(DriftReason::Spread { recent: day.spread, training });
    level.into_iter().chain(spread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::{Outcome, Reference};
    use crate::testing::{daily_cycle, series_of};
    use crate::{Series, Step};
    use proptest::prelude::*;

    const DAY: usize = 288;

    /// Six hours of outcomes: a load of `load`, and errors of `error`.
    fn scores(load: f64, error: f64) -> Scores {
        let outcome =
            Outcome { k: 0, actual: load, point: load + error, covered_80: true, pinball: error };
        let reference = Reference { mape_floor: 0.0, seasonal_mae: None };
        Scores::of(&vec![outcome; 6 * 12 * 12], &reference).unwrap()
    }

    fn promise() -> Promise {
        Promise::of(daily_cycle(4).view(), &scores(10.0, 1.0)).unwrap()
    }

    fn scaled(factor: f64) -> Series {
        series_of(&daily_cycle(2).view().map(|_, value| Some(factor * value)))
    }

    fn words(verdict: &Verdict) -> Vec<&'static str> {
        match verdict {
            Verdict::Drifted(reasons) => reasons.iter().map(DriftReason::as_str).collect(),
            Verdict::Unknown { .. } | Verdict::Steady => Vec::new(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// What is said of a model at its first observation.
    fn judge_once(promise: &Promise, recent: Option<&Scores>, history: SeriesView<'_>) -> Verdict {
        let mut drift = Drift::new(*promise, history.step());
        drift.observe(at(0), recent, history);
        drift.verdict().clone()
    }

    #[test]
    fn a_promise_has_the_extents_of_the_days() {
        let values: Vec<_> = (0..3 * DAY).map(|i| Some((1 + i / DAY) as f64)).collect();
        let promise = Promise::of(series_of(&values).view(), &scores(10.0, 1.0)).unwrap();
        assert_eq!(promise.levels, Extent { low: 1.0, high: 3.0 });
        assert_eq!(promise.spreads, Extent { low: 0.0, high: 1.0 });
        assert_eq!((promise.mae, promise.wape), (1.0, Some(0.1)));
        assert_eq!(Promise::of(daily_cycle(1).view().prefix(DAY - 1), &scores(1.0, 1.0)), None);
    }

    #[test]
    fn a_load_that_grows_takes_its_errors_along() {
        let judge = |factor: f64, load, error| {
            judge_once(&promise(), Some(&scores(load, error)), scaled(factor).view())
        };
        assert_eq!(judge(1.0, 10.0, 1.9), Verdict::Steady);
        assert_eq!(judge(1.1, 11.0, 1.1), Verdict::Steady, "a tenth more of all");
        assert_eq!(judge(1.0, 4.0, 1.2), Verdict::Steady, "a quiet day");
        assert_eq!(words(&judge(3.0, 30.0, 3.0)), ["level", "spread"], "but not in proportion");
        assert_eq!(words(&judge(1.0, 10.0, 2.1)), ["error"]);
    }

    #[test]
    fn the_texts_have_the_numbers() {
        let text = |verdict: Verdict| verdict.to_string();
        let error = judge_once(&promise(), Some(&scores(10.0, 2.412)), scaled(1.0).view());
        assert_eq!(text(error), "error 2.41 over the last day, 2.41 times the promised 1");
        let quiet = judge_once(&promise(), Some(&scores(20.0, 6.0)), scaled(1.0).view());
        assert_eq!(
            text(quiet),
            "error 30 % of the load over the last day, 3 times the promised 10 %"
        );
        let small = judge_once(&promise(), Some(&scores(10.0, 1.0)), scaled(0.2).view());
        assert_eq!(
            text(small),
            "level 2 over the last day is below all of the training's 10 to 10; \
             spread 1.41 over the last day is below all of the training's 7.07 to 7.07"
        );
        assert_eq!(Short(12_345.6).to_string(), "12346");
        assert_eq!(Short(0.000_012).to_string(), "1.20e-5");
        assert_eq!(Short(0.0).to_string(), "0");
    }

    #[test]
    fn too_few_outcomes_are_not_known_and_change_nothing() {
        let few = Scores { count: 800, ..scores(10.0, 9.0) };
        let series = scaled(1.0);
        let verdict = judge_once(&promise(), Some(&few), series.view());
        assert_eq!(verdict, Verdict::Unknown { outcomes: 800, needed: 864 });
        assert!(verdict.to_string().contains("800 of the 864"), "{verdict}");
        let mut drift = Drift::new(promise(), Step::FIVE_MINUTES);
        assert_eq!(drift.observe(at(0), None, series.view()), None);
        assert!(drift.observe(at(300), Some(&scores(10.0, 3.0)), series.view()).is_some());
        assert_eq!(drift.observe(at(600), Some(&few), series.view()), None);
        assert_eq!(words(drift.verdict()), ["error"]);
    }

    #[test]
    fn it_enters_at_twice_the_error_and_leaves_at_one_and_a_half() {
        let mut drift = Drift::new(promise(), Step::FIVE_MINUTES);
        let series = scaled(1.0);
        let mut told = Vec::new();
        for (i, error) in [1.0, 1.9, 2.1, 1.9, 1.6, 2.2, 1.4, 1.9].into_iter().enumerate() {
            let now = at(300 * i as i64);
            told.push(drift.observe(now, Some(&scores(10.0, error)), series.view()));
        }
        assert!(matches!(&told[2], Some(Change::Drifted(reasons)) if reasons.len() == 1));
        assert_eq!(told[6], Some(Change::Recovered { since: at(600) }));
        assert_eq!(told.iter().flatten().count(), 2);
        assert_eq!((drift.verdict(), drift.since()), (&Verdict::Steady, None));
    }

    #[test]
    fn another_reason_is_told_and_one_less_is_not() {
        let mut drift = Drift::new(promise(), Step::FIVE_MINUTES);
        let mut observe = |second, factor: f64, error: f64| {
            let series = scaled(factor);
            drift.observe(at(second), Some(&scores(10.0 * factor, error)), series.view())
        };
        assert!(matches!(observe(0, 1.6, 1.0), Some(Change::Drifted(r)) if r.len() == 2));
        assert!(matches!(observe(300, 1.6, 9.0), Some(Change::Drifted(r)) if r.len() == 3));
        assert_eq!(observe(600, 1.3, 1.0), None, "the level and the spread have to come closer");
        assert_eq!(observe(900, 1.2, 1.0), Some(Change::Recovered { since: at(0) }));
    }

    #[test]
    fn a_gap_leaves_level_and_spread_unjudged() {
        let mut values = scaled(9.0).view().values().to_vec();
        values[DAY + 10..2 * DAY - 1].fill(None);
        let gapped = series_of(&values);
        let judged = judge_once(&promise(), Some(&scores(10.0, 1.0)), gapped.view());
        assert_eq!(judged, Verdict::Steady);
    }

    #[test]
    fn a_load_of_zero_promises_nothing_of_errors() {
        let idle = series_of(&vec![Some(0.0); 3 * DAY]);
        let promise = Promise::of(idle.view(), &scores(0.0, 0.0)).unwrap();
        let still = judge_once(&promise, Some(&scores(0.0, 0.0)), idle.view());
        assert_eq!(still, Verdict::Steady);
        let busy = judge_once(&promise, Some(&scores(5.0, 5.0)), scaled(0.5).view());
        assert_eq!(words(&busy), ["level", "spread"]);
    }

    proptest! {
        #[test]
        fn it_is_the_same_for_a_load_of_any_unit(
            unit in 1e-6..1e6_f64, factor in 0.2..4.0_f64, error in 0.0..5.0_f64
        ) {
            let judged = |unit: f64| {
                let training = series_of(&daily_cycle(4).view().map(|_, value| Some(unit * value)));
                let promise = Promise::of(training.view(), &scores(10.0 * unit, unit)).unwrap();
                let recent = scores(10.0 * factor * unit, error * unit);
                words(&judge_once(&promise, Some(&recent), scaled(factor * unit).view()))
            };
            prop_assert_eq!(judged(1.0), judged(unit));
        }

        #[test]
        fn it_is_told_that_a_model_recovers_as_often_as_it_drifts_anew(
            errors in prop::collection::vec(0.0..4.0_f64, 1..60)
        ) {
            let mut drift = Drift::new(promise(), Step::FIVE_MINUTES);
            let series = scaled(1.0);
            let mut drifted = false;
            for (i, error) in errors.into_iter().enumerate() {
                let recent = scores(10.0, error);
                match drift.observe(at(i as i64), Some(&recent), series.view()) {
                    Some(Change::Drifted(_)) => {
                        prop_assert!(!drifted && error > 2.0);
                        drifted = true;
                    }
                    Some(Change::Recovered { .. }) => {
                        prop_assert!(drifted && error < 1.6);
                        drifted = false;
                    }
                    None => {}
                }
                prop_assert_eq!(drift.since().is_some(), drifted);
            }
        }
    }
}
