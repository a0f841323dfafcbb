//! Known events, such as holidays and campaigns, and what the load is multiplied by meanwhile.
//!
//! ```text
//!  history ─▶ ÷ multiplier ─▶ a method ─▶ × multiplier ─▶ forecast
//! ```
//!
//! A method that forecasts from the days before would repeat a campaign the day after, and miss the one
//! that is to come. It is told of ordinary days alone, and what it says is scaled where an event is.

use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use crate::forecast::{Forecast, ForecastError};
use crate::forecaster::{ForecastFailure, Forecaster};
use crate::series::{Series, SeriesError, SeriesView};

/// The greatest multiplier, of one event and of all that are on at once; the least is one over it. What
/// lies beyond is a mistake, such as a percentage.
pub const MULTIPLIER_MAX: f64 = 100.0;

/// A stretch of time, `from` included and `to` not, with a load unlike other days'.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Its first time.
    pub from: Timestamp,
    /// The first time after it.
    pub to: Timestamp,
    /// The load over that of an ordinary day at the same time.
    pub multiplier: f64,
    /// What it is called, for people to read; it may be empty.
    pub name: String,
}

/// Why a list is not [`Events`].
#[derive(Clone, PartialEq, Debug, Error)]
pub enum EventsError {
    /// An event has no length.
    #[error(
        "the event {name:?} from {from} to {to} is empty: expected a `to` that is later than `from`"
    )]
    Empty {
        /// Its name.
        name: String,
        /// Its beginning.
        from: Timestamp,
        /// Its end, not after it.
        to: Timestamp,
    },
    /// A multiplier is none.
    #[error(
        "the event {name:?} has the multiplier {multiplier}: expected a number from {least} to {MULTIPLIER_MAX}, such as 1.5 for half as much again",
        least = 1.0 / MULTIPLIER_MAX
    )]
    Multiplier {
        /// The event's name.
        name: String,
        /// The number.
        multiplier: f64,
    },
    /// An event is there twice.
    #[error(
        "the event {name:?} is listed twice at {at}: multipliers of events that overlap are multiplied, so take one out, or name them apart if both are meant"
    )]
    Twice {
        /// The name of both.
        name: String,
        /// The first time that is in both.
        at: Timestamp,
    },
    /// Together they multiply by too much.
    #[error(
        "the events at {at} multiply the load by {product} together: expected a number from {least} to {MULTIPLIER_MAX}",
        least = 1.0 / MULTIPLIER_MAX
    )]
    Together {
        /// When.
        at: Timestamp,
        /// The product.
        product: f64,
    },
}

/// Known events, and the multiplier of any time.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Events {
    /// In order of their beginnings.
    events: Vec<Event>,
    /// Where the multiplier changes, and to what; before the first it is one.
    changes: Vec<(Timestamp, f64)>,
}

impl Events {
    /// Events in any order. Where some overlap, their multipliers are multiplied: a campaign that
    /// doubles the load does so on a holiday, too. Two of one name must not overlap; that is one event
    /// written down twice, and its square is not meant.
    ///
    /// # Errors
    /// When an event does not end after it begins, is there twice, or a multiplier is not within
    /// [`MULTIPLIER_MAX`].
    pub fn new(mut events: Vec<Event>) -> Result<Self, EventsError> {
        for Event { from, to, multiplier, name } in &events {
            if from >= to {
                return Err(EventsError::Empty { name: name.clone(), from: *from, to: *to });
            }
            if !is_multiplier(*multiplier) {
                return Err(EventsError::Multiplier {
                    name: name.clone(),
                    multiplier: *multiplier,
                });
            }
        }
        refuse_twice(&mut events)?;
        events.sort_by_key(|event| (event.from, event.to));
        let mut times: Vec<Timestamp> =
            events.iter().flat_map(|event| [event.from, event.to]).collect();
        times.sort_unstable();
        times.dedup();
        let mut changes = Vec::with_capacity(times.len());
        let (mut begun, mut under_way): (usize, Vec<&Event>) = (0, Vec::new());
        for at in times {
            under_way.retain(|event| at < event.to);
            while let Some(event) = events.get(begun).filter(|event| event.from <= at) {
                under_way.push(event);
                begun += 1;
            }
            let product = under_way.iter().map(|event| event.multiplier).product();
            if !is_multiplier(product) {
                return Err(EventsError::Together { at, product });
            }
            changes.push((at, product));
        }
        Ok(Self { events, changes })
    }

    /// The events, in order of their beginnings.
    #[must_use]
    pub fn as_slice(&self) -> &[Event] {
        &self.events
    }

    /// What the load at `time` is multiplied by; one where there is no event. The value of a grid point
    /// counts as inside where the grid point's time is.
    #[must_use]
    pub fn multiplier_at(&self, time: Timestamp) -> f64 {
        let changed = self.changes.partition_point(|(at, _)| *at <= time);
        self.changes[..changed].last().map_or(1.0, |(_, multiplier)| *multiplier)
    }

    /// `series` as it would have been without events, to fit a method on. It is pointwise, so no value
    /// depends on a later one.
    ///
    /// # Errors
    /// [`SeriesError::NoValues`] when `series` has none, [`SeriesError::NotALoad`] when a quotient is
    /// not finite.
    pub fn normalise(&self, series: SeriesView<'_>) -> Result<Series, SeriesError> {
        let values = self.ordinary(series);
        Series::from_values(series.id().clone(), series.step(), series.first_time(), values)
    }

    /// The forecast with the multiplier of each step; peaks take the highest so far, at worst too high.
    ///
    /// # Errors
    /// When a product is not finite.
    pub fn scale(&self, forecast: &Forecast) -> Result<Forecast, ForecastError> {
        let times = (0..forecast.horizon()).map(|k| forecast.time_at(k));
        let multipliers: Vec<f64> = times.map(|time| self.multiplier_at(time)).collect();
        if multipliers.iter().all(|multiplier| *multiplier == 1.0) {
            return Ok(forecast.clone());
        }
        forecast.multiplied(&multipliers)
    }

    /// The values of `series` over their multipliers.
    fn ordinary(&self, series: SeriesView<'_>) -> Vec<Option<f64>> {
        series.map(|time, value| Some(value / self.multiplier_at(time)))
    }

    /// Whether a value of `series` has a multiplier other than one.
    fn touch(&self, series: SeriesView<'_>) -> bool {
        (0..series.len()).any(|offset| self.multiplier_at(series.time_at(offset)) != 1.0)
    }
}

fn is_multiplier(number: f64) -> bool {
    (1.0 / MULTIPLIER_MAX..=MULTIPLIER_MAX).contains(&number)
}

/// Refuses two events of one name that overlap.
fn refuse_twice(events: &mut [Event]) -> Result<(), EventsError> {
    events.sort_by(|a, b| (&a.name, a.from).cmp(&(&b.name, b.from)));
    // In order of their beginnings, an event that overlaps any earlier one overlaps the one before it,
    // or those two overlap.
    let twice = events.windows(2).find(|two| two[0].name == two[1].name && two[1].from < two[0].to);
    match twice {
        Some(two) => Err(EventsError::Twice { name: two[1].name.clone(), at: two[1].from }),
        None => Ok(()),
    }
}

/// A method that is told of ordinary days alone, and its forecasts scaled where events are.
#[derive(Clone)]
pub struct WithEvents {
    inner: Arc<dyn Forecaster>,
    events: Arc<Events>,
}

impl std::fmt::Debug for WithEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.inner.name();
        f.debug_struct("WithEvents").field("inner", &inner).field("events", &self.events).finish()
    }
}

impl WithEvents {
    /// `inner`, which was fitted on a history that [`Events::normalise`] made, with `events`.
    #[must_use]
    pub fn new(inner: Arc<dyn Forecaster>, events: Arc<Events>) -> Self {
        Self { inner, events }
    }

    /// Calls `forecast` with the ordinary history.
    fn on_ordinary<T>(
        &self,
        series: SeriesView<'_>,
        forecast: impl FnOnce(SeriesView<'_>) -> T,
    ) -> T {
        if !self.events.touch(series) {
            return forecast(series);
        }
        forecast(series.with_values(&self.events.ordinary(series)))
    }
}

impl Forecaster for WithEvents {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        let forecast =
            self.on_ordinary(history, |history| self.inner.forecast(history, horizon))?;
        Ok(self.events.scale(&forecast)?)
    }

    fn forecasts(
        &self,
        series: SeriesView<'_>,
        origins: &[usize],
        horizon: usize,
    ) -> Result<Vec<Forecast>, ForecastFailure> {
        let forecasts =
            self.on_ordinary(series, |series| self.inner.forecasts(series, origins, horizon))?;
        forecasts.iter().map(|forecast| Ok(self.events.scale(forecast)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::SeasonalNaive;
    use crate::forecast::{ForecastParts, IntervalSource};
    use crate::mixture::Mixture;
    use crate::quantile::{Quantile, Quantiles};
    use crate::ridge::Ridge;
    use crate::step::Step;
    use crate::testing::{daily_cycle, series_of};
    use proptest::prelude::*;

    const DAY: usize = 288;

    fn at(step: usize) -> Timestamp {
        Timestamp::from_second(step as i64 * 300).unwrap()
    }

    fn event(from: usize, to: usize, multiplier: f64, name: &str) -> Event {
        Event { from: at(from), to: at(to), multiplier, name: name.to_owned() }
    }

    fn with_events(inner: impl Forecaster + 'static, events: Vec<Event>) -> WithEvents {
        WithEvents::new(Arc::new(inner), Arc::new(Events::new(events).unwrap()))
    }

    #[test]
    fn events_that_overlap_are_multiplied() {
        let events = vec![event(4, 9, 2.0, "sale"), event(2, 6, 1.5, "holiday")];
        let events = Events::new(events).unwrap();
        let got: Vec<f64> = (0..10).map(|step| events.multiplier_at(at(step))).collect();
        assert_eq!(got, [1.0, 1.0, 1.5, 1.5, 3.0, 3.0, 2.0, 2.0, 2.0, 1.0]);
        assert_eq!(events.as_slice()[0].name, "holiday");
        assert_eq!(Events::default().multiplier_at(at(3)), 1.0);
    }

    #[test]
    fn refuses_what_cannot_be_meant() {
        let refused = |events: Vec<Event>| Events::new(events).unwrap_err().to_string();
        let text = refused(vec![event(5, 5, 2.0, "sale")]);
        assert!(text.contains("\"sale\"") && text.contains("later than `from`"), "{text}");
        for multiplier in [0.0, -1.0, f64::NAN, f64::INFINITY, 150.0, 0.001] {
            let text = refused(vec![event(5, 6, multiplier, "sale")]);
            assert!(text.contains("from 0.01 to 100"), "{text}");
        }
        let text = refused(vec![event(5, 9, 2.0, "sale"), event(7, 12, 2.0, "sale")]);
        assert!(text.contains("listed twice at 1970-01-01T00:35:00Z"), "{text}");
        assert!(Events::new(vec![event(5, 7, 2.0, "sale"), event(7, 12, 2.0, "sale")]).is_ok());
        let text = refused(vec![event(5, 9, 20.0, "a"), event(7, 12, 10.0, "b")]);
        assert!(text.contains("by 200 together"), "{text}");
    }

    #[test]
    fn each_part_of_a_forecast_takes_its_multiplier() {
        let forecast = Forecast::new(ForecastParts {
            origin: at(0),
            step: Step::FIVE_MINUTES,
            points: vec![1.0; 3],
            quantiles: Quantiles::new(vec![Quantile::P10, Quantile::P90]).unwrap(),
            paths: vec![vec![0.5; 3], vec![2.0; 3]],
            peaks: Some(vec![vec![0.5, 0.6, 0.7], vec![2.0, 2.5, 3.0]]),
            interval: IntervalSource::Learned,
        });
        let events = Events::new(vec![event(2, 3, 2.0, "peak")]).unwrap();
        let scaled = events.scale(&forecast.unwrap()).unwrap();
        assert_eq!(scaled.points(), [1.0, 2.0, 1.0]);
        assert_eq!(scaled.paths(), [vec![0.5, 1.0, 0.5], vec![2.0, 4.0, 2.0]]);
        assert_eq!(scaled.peaks().unwrap(), [vec![0.5, 1.2, 1.4], vec![2.0, 5.0, 6.0]]);
        assert_eq!(scaled.interval(), IntervalSource::Learned);
        let quiet = Events::new(vec![event(1, 4, 0.5, "holiday")]).unwrap();
        assert_eq!(quiet.scale(&scaled).unwrap().points(), [0.5, 1.0, 0.5]);
    }

    #[test]
    fn a_campaign_is_neither_repeated_nor_missed() {
        let truth = daily_cycle(6);
        let campaign = [event(4 * DAY, 5 * DAY, 3.0, "first"), event(5 * DAY + 106, 9999, 2.0, "")];
        let events = Events::new(campaign.to_vec()).unwrap();
        let seen = truth.view().map(|time, value| Some(value * events.multiplier_at(time)));
        let seen = series_of(&seen);
        let naive = SeasonalNaive::fit(truth.view(), DAY, 12).unwrap();
        let told = with_events(naive, campaign.to_vec());
        let forecast = told.forecast(seen.view().prefix(5 * DAY + 100), 12).unwrap();
        for k in 0..12 {
            let actual = seen.view().value_at(forecast.time_at(k)).unwrap();
            assert!((forecast.points()[k] - actual).abs() < 1e-9, "step {k}");
        }
        let ordinary = events.normalise(seen.view()).unwrap();
        for (got, expected) in ordinary.view().values().iter().zip(truth.view().values()) {
            assert!((got.unwrap() - expected.unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn a_history_that_ends_in_a_gap_keeps_its_origin() {
        let mut values = daily_cycle(3).view().values().to_vec();
        values[800..805].fill(None);
        let series = series_of(&values);
        let naive = SeasonalNaive::fit(series.view(), DAY, 12).unwrap();
        let told = with_events(naive, vec![event(700, 750, 2.0, "")]);
        let history = series.view().prefix(803);
        assert_eq!(told.forecast(history, 12).unwrap().origin(), history.last_time());
        let batch = told.forecasts(series.view(), &[700, 803], 12).unwrap();
        assert_eq!(batch[1], told.forecast(history, 12).unwrap());
    }

    /// Ridge and a mixture of it, with noise to forecast.
    fn methods() -> (Series, Vec<Arc<dyn Forecaster>>) {
        let noise = |i: usize| (i * 7919 % 101) as f64 / 50.0;
        let cycle = daily_cycle(6);
        let values = cycle.view().values().iter().enumerate();
        let values: Vec<_> = values.map(|(i, value)| value.map(|v| v + noise(i))).collect();
        let series = series_of(&values);
        let ridge = Arc::new(Ridge::fit(series.view().prefix(4 * DAY), 12).unwrap());
        let naive = SeasonalNaive::fit(series.view().prefix(4 * DAY), DAY, 12).unwrap();
        let mixture = Mixture::new("mixture", Arc::new(naive), vec![ridge.clone()]);
        (series, vec![ridge, Arc::new(mixture)])
    }

    #[test]
    fn events_elsewhere_change_no_bit() {
        let (series, methods) = methods();
        let events =
            Events::new(vec![event(9000, 9999, 2.0, "later"), event(10, 20, 1.0, "none")]).unwrap();
        for method in methods {
            let told = WithEvents::new(method.clone(), Arc::new(events.clone()));
            assert_eq!(told.name(), method.name());
            let (view, origins) = (series.view(), [1300, 1301, 1500]);
            assert_eq!(told.forecasts(view, &origins, 12), method.forecasts(view, &origins, 12));
            assert_eq!(told.forecast(view, 12), method.forecast(view, 12));
        }
    }

    proptest! {
        #[test]
        fn scaling_undoes_normalising(
            events in prop::collection::vec((0_usize..900, 1_usize..200, 0.5..2.0_f64), 0..6)
        ) {
            let named = |(i, (from, steps, multiplier)): (usize, (usize, usize, f64))| {
                event(from, from + steps, multiplier, &i.to_string())
            };
            let events = Events::new(events.into_iter().enumerate().map(named).collect()).unwrap();
            let series = daily_cycle(3);
            let ordinary = events.normalise(series.view()).unwrap();
            for (i, value) in ordinary.view().values().iter().enumerate() {
                let back = value.unwrap() * events.multiplier_at(series.view().time_at(i));
                prop_assert!((back / series.view().values()[i].unwrap() - 1.0).abs() < 1e-12);
            }
        }

        #[test]
        fn a_batch_is_its_forecasts_and_sees_nothing_later(
            from in 0_usize..1700, steps in 1_usize..300, multiplier in 0.2..5.0_f64, origin in 300_usize..1700
        ) {
            let series = daily_cycle(6);
            let naive = SeasonalNaive::fit(series.view(), DAY, 12).unwrap();
            let told = with_events(naive, vec![event(from, from + steps, multiplier, "")]);
            let alone = told.forecast(series.view().prefix(origin), 12).unwrap();
            let batch = told.forecasts(series.view(), &[290, origin], 12).unwrap();
            prop_assert_eq!(&alone, &batch[1]);
        }
    }
}
