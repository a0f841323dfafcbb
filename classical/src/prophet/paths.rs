//! What may come: paths of the trend as it bends on at the rate and by as much as it has bent, and
//! noise around them (Taylor and Letham, 2018, section 3.1.4).

use forecast::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::optimizer::Optimum;

/// One seed, so that one fit and origin give one forecast.
const SEED: u64 = 1;
/// Keeps the changes of a trend that never bent from being nothing at all, as Prophet has it.
const CHANGE_MIN: f64 = 1e-8;

/// How paths are drawn.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Paths {
    /// The load that counts 1.
    scale: f64,
    /// From when to when it was fitted, in seconds: the times that count 0 and 1.
    fitted: (f64, f64),
    /// Changepoints to be expected in a time of 1.
    rate: f64,
    /// The mean size of a change.
    change: f64,
    noise: f64,
}

impl Paths {
    /// Paths after the times `fitted`, first and last, of which the largest load was `scale`.
    pub(super) fn new(optimum: &Optimum, scale: f64, fitted: (Timestamp, Timestamp)) -> Self {
        Self {
            scale,
            fitted: (fitted.0.as_second() as f64, fitted.1.as_second() as f64),
            rate: optimum.changepoints as f64,
            change: optimum.mean_change + CHANGE_MIN,
            noise: optimum.noise,
        }
    }

    /// By how much each of `count` paths deviates from the point at each of `times`, which rise, in
    /// the unit of the load: `[times][count]`.
    pub(super) fn deviations(&self, times: &[Timestamp], count: usize) -> Vec<Vec<f64>> {
        let (first, last) = self.fitted;
        let times: Vec<f64> =
            times.iter().map(|time| (time.as_second() as f64 - first) / (last - first)).collect();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(SEED);
        let mut deviations = vec![Vec::with_capacity(count); times.len()];
        for _ in 0..count {
            let changes = self.changes(&mut rng, times.last().copied().unwrap_or(1.0));
            for (time, deviations) in times.iter().zip(&mut deviations) {
                let bent = changes.iter().map(|(at, by)| by * (time - at).max(0.0)).sum::<f64>();
                let noise = self.noise * normal(&mut rng);
                deviations.push(self.scale * (bent + noise));
            }
        }
        deviations
    }

    /// Changepoints between the time 1 and `end` and how the rate changes there: a Poisson process,
    /// with changes by Laplace's distribution.
    fn changes(&self, rng: &mut Xoshiro256PlusPlus, end: f64) -> Vec<(f64, f64)> {
        let mut at = 1.0;
        let mut changes = Vec::new();
        loop {
            at += exponential(rng) / self.rate;
            if at >= end {
                return changes;
            }
            let sign = if rng.random::<bool>() { 1.0 } else { -1.0 };
            changes.push((at, sign * self.change * exponential(rng)));
        }
    }
}

/// A number of the exponential distribution of mean 1.
fn exponential(rng: &mut Xoshiro256PlusPlus) -> f64 {
    // In 0..1, the end left out, so that the logarithm is of something.
    -(1.0 - rng.random::<f64>()).ln()
}

/// A number of the standard normal distribution, by Box and Muller's transform.
fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    let angle = std::f64::consts::TAU * rng.random::<f64>();
    (2.0 * exponential(rng)).sqrt() * angle.cos()
}
