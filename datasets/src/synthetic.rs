//! A made-up workload with the traits of a real one, the same for the same seed on every machine.
//!
//! Only additions, multiplications, divisions and square roots are used: IEEE 754 defines their
//! results to the last bit, which it does not for sines, exponentials and logarithms.

use forecast::{POINTS_MAX, Series, SeriesError, SeriesId, Step, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

/// The longest history, in days: ten years.
pub const DAYS_MAX: u32 = 3_650;

const DAY_SECONDS: i64 = 86_400;
/// What runs at night with no visitor at all, in cores.
const IDLE_CORES: f64 = 1.8;
/// What visitors add at the busiest hour of a usual day, in cores.
const VISITOR_CORES: f64 = 7.5;
/// The share of the busiest hour's visitors at each full hour, UTC: a trough at night, a morning
/// rise, a dip at lunch, a peak in the afternoon and a second one in the evening.
const HOURLY: [f64; 24] = [
    0.22, 0.14, 0.09, 0.06, 0.05, 0.08, 0.17, 0.34, 0.58, 0.80, 0.92, 0.95, //
    0.86, 0.88, 0.97, 1.00, 0.96, 0.86, 0.74, 0.72, 0.76, 0.68, 0.50, 0.34,
];
/// The visitors of each day of the week, Monday first: fewer at weekends.
const WEEKDAY: [f64; 7] = [1.00, 1.03, 1.04, 1.01, 0.93, 0.62, 0.57];
/// How much one day differs from another for no reason in the calendar (standard deviation).
const DAY_DEVIATION: f64 = 0.05;
/// Demand that drifts and comes back within hours: campaigns, news, a slow dependency. It is why
/// the last value says something that the same time yesterday does not.
const DRIFT_DEVIATION: f64 = 0.10;
const DRIFT_SECONDS: f64 = 3.0 * 3600.0;
/// What differs from one step to the next, as a share of the level: busier is noisier.
const NOISE_DEVIATION: f64 = 0.02;
/// Nightly batch job: when it starts, how long it runs, and what it takes, in cores.
const BATCH_START_SECONDS: i64 = 2 * 3600;
const BATCH_SECONDS: i64 = 45 * 60;
const BATCH_CORES: f64 = 2.2;
/// Sudden crowds: how many a day, the share of the level that each adds, how fast they leave.
const SPIKES_PER_DAY: f64 = 0.8;
const SPIKE_SHARE: (f64, f64) = (0.15, 0.45);
const SPIKE_DECAY_SECONDS: f64 = 20.0 * 60.0;
/// A new version that needs more CPU: between these days, for good.
const DEPLOY_DAYS: (i64, i64) = (5, 10);
const DEPLOY_SHARE: (f64, f64) = (0.15, 0.25);
/// The metrics pipeline is down once in so many days, for this long: a gap.
const OUTAGE_EVERY_DAYS: i64 = 14;
const OUTAGE_SECONDS: (i64, i64) = (30 * 60, 75 * 60);

/// A made-up workload: a medium service, of about 2 to 14 cores of CPU.
///
/// A longer history of the same seed, step and start begins with the shorter one, so that the
/// future of a history can be had by asking for more days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synthetic {
    /// What chance is drawn from.
    pub seed: u64,
    /// The sampling interval.
    pub step: Step,
    /// The first value's time; it is moved to the nearest point of the step's grid.
    pub start: Timestamp,
    /// The length in days of 24 hours.
    pub days: u32,
}

/// Why there is no such history.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum SyntheticError {
    /// Nothing, or too much.
    #[error("a synthetic history of {days} days is not possible: expected 1 to {DAYS_MAX} days")]
    Days {
        /// The days asked for.
        days: u32,
    },
    /// More values than a series may have.
    #[error(
        "{days} days of {step} steps are more than {POINTS_MAX} values: ask for fewer days, or use a longer step"
    )]
    TooLong {
        /// The days asked for.
        days: u32,
        /// The step.
        step: Step,
    },
    /// The values make no series.
    #[error("the synthetic values make no series: {0}")]
    Series(#[from] SeriesError),
}

impl Synthetic {
    /// The workload whose history of `days` days has its last value at or just before `end`.
    #[must_use]
    pub fn ending_at(seed: u64, step: Step, days: u32, end: Timestamp) -> Self {
        let points = i64::from(days) * step.per_day() as i64;
        Self { seed, step, start: step.time_of(step.floor_index(end) - points + 1), days }
    }

    /// The history, in cores.
    ///
    /// # Errors
    /// When it would be empty or too long.
    pub fn generate(&self, id: SeriesId) -> Result<Series, SyntheticError> {
        let (days, step) = (self.days, self.step);
        if days == 0 || days > DAYS_MAX {
            return Err(SyntheticError::Days { days });
        }
        let points = days as usize * step.per_day();
        if points > POINTS_MAX {
            return Err(SyntheticError::TooLong { days, step });
        }
        let first = step.time_of(step.nearest_index(self.start));
        let mut workload = Workload::new(self.seed, step, first.as_second());
        let values = (0..points).map(|_| workload.next()).collect();
        Ok(Series::from_values(id, step, first, values)?)
    }
}

/// The state of the workload while its history is written.
struct Workload {
    seed: u64,
    step_seconds: i64,
    start: i64,
    now: i64,
    drift: f64,
    spike: f64,
    deploy_at: i64,
    deploy_factor: f64,
    chance: ChaCha8Rng,
}

/// Each kind of chance has its own stream, so that none shifts another.
const STEPS: u64 = 0;
const DEPLOY: u64 = 1;
const DAYS: u64 = 2;
const OUTAGES: u64 = 3;

impl Workload {
    fn new(seed: u64, step: Step, start: i64) -> Self {
        let mut deploy = stream(seed, DEPLOY, 0);
        let day = deploy.random_range(DEPLOY_DAYS.0..DEPLOY_DAYS.1);
        let working_hours = deploy.random_range(9 * 3600..16 * 3600);
        Self {
            seed,
            step_seconds: i64::from(step.seconds()),
            start,
            now: start,
            drift: 0.0,
            spike: 0.0,
            deploy_at: (start.div_euclid(DAY_SECONDS) + day) * DAY_SECONDS + working_hours,
            deploy_factor: 1.0 + between(DEPLOY_SHARE, deploy.random()),
            chance: stream(seed, STEPS, 0),
        }
    }

    /// The value of this step, then on to the next. It draws the same number of times in every
    /// step, also in those without a value.
    fn next(&mut self) -> Option<f64> {
        self.drift_on();
        let deploy = if self.now >= self.deploy_at { self.deploy_factor } else { 1.0 };
        let demand =
            (IDLE_CORES + self.visitors()) * deploy * (1.0 + self.drift) * (1.0 + self.spike);
        let noise = 1.0 + NOISE_DEVIATION * gaussian(&mut self.chance);
        let cores = (demand.max(0.0) + self.batch()) * noise.max(0.0);
        let out = self.is_out();
        self.now += self.step_seconds;
        // A tenth of a millicore is what a CPU counter tells apart.
        (!out).then_some((cores * 1e4).round() / 1e4)
    }

    /// Moves the drift (a first-order autoregression) and the spike on by a step.
    fn drift_on(&mut self) {
        let step = self.step_seconds as f64;
        let kept = 1.0 / (1.0 + step / DRIFT_SECONDS);
        let fresh = DRIFT_DEVIATION * (1.0 - kept * kept).sqrt();
        self.drift = kept * self.drift + fresh * gaussian(&mut self.chance);
        let (dice, size): (f64, f64) = (self.chance.random(), self.chance.random());
        self.spike /= 1.0 + step / SPIKE_DECAY_SECONDS;
        if dice < SPIKES_PER_DAY * step / DAY_SECONDS as f64 {
            self.spike += between(SPIKE_SHARE, size);
        }
    }

    /// What visitors use, in cores. The days' sizes pass into each other over midnight.
    fn visitors(&self) -> f64 {
        let second = self.now.rem_euclid(DAY_SECONDS);
        let (hour, within) = ((second / 3600) as usize, (second % 3600) as f64 / 3600.0);
        let shape = blend(HOURLY[hour], HOURLY[(hour + 1) % 24], within);
        let day = self.now.div_euclid(DAY_SECONDS);
        let into_next = ((second - 21 * 3600) as f64 / (3.0 * 3600.0)).max(0.0);
        let size = blend(self.day_size(day), self.day_size(day + 1), into_next);
        VISITOR_CORES * shape * size
    }

    /// The visitors of a day since the epoch, against a usual day.
    fn day_size(&self, day: i64) -> f64 {
        // 1 January 1970 was a Thursday.
        let weekday = WEEKDAY[(day + 3).rem_euclid(7) as usize];
        weekday * (1.0 + DAY_DEVIATION * gaussian(&mut stream(self.seed, DAYS, day)))
    }

    fn batch(&self) -> f64 {
        let second = self.now.rem_euclid(DAY_SECONDS);
        let running = (BATCH_START_SECONDS..BATCH_START_SECONDS + BATCH_SECONDS).contains(&second);
        if running { BATCH_CORES } else { 0.0 }
    }

    /// Whether nothing is measured now.
    fn is_out(&self) -> bool {
        let span = OUTAGE_EVERY_DAYS * DAY_SECONDS;
        let since_start = self.now - self.start;
        let mut outage = stream(self.seed, OUTAGES, since_start / span);
        // Within the first half of the span, away from its start: a history of two weeks that ends
        // now has its gap behind it.
        let from = outage.random_range(DAY_SECONDS..span / 2);
        let length = outage.random_range(OUTAGE_SECONDS.0..OUTAGE_SECONDS.1);
        (from..from + length).contains(&(since_start % span))
    }
}

/// The chance of one kind on one day, or in one span of days.
fn stream(seed: u64, kind: u64, day: i64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((kind << 60) | (day as u64 & ((1 << 60) - 1)));
    rng
}

/// The sum of twelve uniform numbers less six: variance 1, and normal enough (Irwin and Hall).
fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

fn between((low, high): (f64, f64), share: f64) -> f64 {
    low + (high - low) * share
}

/// From `before` to `after` without a kink at either end (smoothstep), `share` from 0 to 1.
fn blend(before: f64, after: f64, share: f64) -> f64 {
    before + (after - before) * share * share * (3.0 - 2.0 * share)
}
