//! From what the last layer says of a step ahead to its quantiles, and the way back.
//!
//! ```text
//! median   m  = Σ softmax(a) · bases + s · u        s = exp(Σ softmax(c) · log spreads + g)
//! above       q(next) = q + s · softplus(d)         below: q(next) = q − s · softplus(d)
//! ```
//!
//! The network corrects a mix of simple forecasts, in units of a mix of simple spreads; quantiles
//! are cumulated from positive distances, so that they never cross. The peak so far, the highest
//! of the steps up to this one, is forecast in the same way around the highest median.

use std::array::from_fn;
use std::ops::Range;

use forecast::covariates::{BASES, SPREADS};

/// The levels of a forecast.
pub const LEVELS: [f32; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// The index of the median.
pub(super) const MEDIAN: usize = 4;
const DISTANCES: usize = LEVELS.len() - 1;

const MIX: Range<usize> = 0..BASES;
const SPREAD_MIX: Range<usize> = MIX.end..MIX.end + SPREADS;
const GAIN: usize = SPREAD_MIX.end;
const SHIFT: usize = GAIN + 1;
const DISTANCE: Range<usize> = SHIFT + 1..SHIFT + 1 + DISTANCES;
const PEAK_SHIFT: usize = DISTANCE.end;
const PEAK_DISTANCE: Range<usize> = PEAK_SHIFT + 1..PEAK_SHIFT + 1 + DISTANCES;
/// Numbers that the last layer yields for a step.
pub(crate) const OUTPUTS: usize = PEAK_DISTANCE.end;

/// Bound of the logarithm of the spread.
const LOG_SPREAD_MAX: f32 = 8.0;

/// What a step is forecast around.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    /// `[BASES]`
    pub(super) bases: &'a [f32; BASES],
    /// `[SPREADS]`
    pub(super) log_spreads: &'a [f32; SPREADS],
    /// The highest median of the steps before, or less than any.
    pub(super) highest: f32,
}

/// The forecast of one step, in units of the window's scale, and what the way back needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    /// The quantiles of the value.
    pub value: [f32; LEVELS.len()],
    /// The quantiles of the highest value up to this step.
    pub peak: [f32; LEVELS.len()],
    mix: [f32; BASES],
    spread_mix: [f32; SPREADS],
    spread: f32,
    clamped: bool,
}

/// The quantiles around `median`, `spread` × softplus apart.
fn cumulate(median: f32, spread: f32, distances: &[f32]) -> [f32; LEVELS.len()] {
    let mut quantiles = [median; LEVELS.len()];
    for i in 0..MEDIAN {
        quantiles[MEDIAN + 1 + i] = quantiles[MEDIAN + i] + spread * softplus(distances[i]);
        quantiles[MEDIAN - 1 - i] =
            quantiles[MEDIAN - i] - spread * softplus(distances[MEDIAN + i]);
    }
    quantiles
}

/// From the derivatives by the quantiles to those by the median (returned) and the distances
/// (added); that by the spread is the sum of derivative × (quantile − median) over the spread.
fn cumulate_backward(
    d: &[f32; LEVELS.len()],
    spread: f32,
    distances: &[f32],
    d_distances: &mut [f32],
) -> f32 {
    let (mut above, mut below) = (0.0, 0.0);
    for i in (0..MEDIAN).rev() {
        above += d[MEDIAN + 1 + i];
        d_distances[i] = above * spread * sigmoid(distances[i]);
        below += d[MEDIAN - 1 - i];
        d_distances[MEDIAN + i] = -below * spread * sigmoid(distances[MEDIAN + i]);
    }
    above + below + d[MEDIAN]
}

impl Head {
    /// How many of the last layer's numbers, the first ones, the value depends on.
    #[cfg(test)]
    pub(super) const VALUE_OUTPUTS: usize = PEAK_SHIFT;

    /// From the last layer's numbers `[OUTPUTS]`.
    #[must_use]
    pub(super) fn forward(x: &[f32; OUTPUTS], around: &Around<'_>) -> Self {
        let mix: [f32; BASES] = softmax(&x[MIX]);
        let spread_mix: [f32; SPREADS] = softmax(&x[SPREAD_MIX]);
        let log_spread = dot(&spread_mix, around.log_spreads) + x[GAIN];
        let clamped = log_spread.abs() > LOG_SPREAD_MAX;
        let spread = log_spread.clamp(-LOG_SPREAD_MAX, LOG_SPREAD_MAX).exp();
        let median = dot(&mix, around.bases) + spread * x[SHIFT];
        let highest = around.highest.max(median);
        Self {
            value: cumulate(median, spread, &x[DISTANCE]),
            peak: cumulate(highest + spread * x[PEAK_SHIFT], spread, &x[PEAK_DISTANCE]),
            mix,
            spread_mix,
            spread,
            clamped,
        }
    }

    /// The median of the value.
    #[must_use]
    pub fn median(&self) -> f32 {
        self.value[MEDIAN]
    }

    /// From the loss's derivatives by the quantiles to those by the last layer's numbers. The
    /// forecast of the peak does not pull at the median and the spread.
    pub(super) fn backward(
        &self,
        x: &[f32; OUTPUTS],
        around: &Around<'_>,
        [d_value, d_peak]: &[[f32; LEVELS.len()]; 2],
    ) -> [f32; OUTPUTS] {
        let mut dx = [0.0; OUTPUTS];
        let spread = self.spread;
        let d_median = cumulate_backward(d_value, spread, &x[DISTANCE], &mut dx[DISTANCE]);
        let median = self.value[MEDIAN];
        let stretched: f32 = d_value.iter().zip(&self.value).map(|(d, q)| d * (q - median)).sum();
        let d_log_spread = match self.clamped {
            true => 0.0,
            false => stretched + d_median * spread * x[SHIFT],
        };
        dx[SHIFT] = d_median * spread;
        dx[GAIN] = d_log_spread;
        softmax_backward(&self.mix, around.bases, d_median, &mut dx[MIX]);
        let mixed = &mut dx[SPREAD_MIX];
        softmax_backward(&self.spread_mix, around.log_spreads, d_log_spread, mixed);
        let d_peak_median =
            cumulate_backward(d_peak, spread, &x[PEAK_DISTANCE], &mut dx[PEAK_DISTANCE]);
        dx[PEAK_SHIFT] = d_peak_median * spread;
        dx
    }
}

/// The mean pinball loss over the levels, and its derivatives by the quantiles.
#[must_use]
pub(super) fn pinball(quantiles: &[f32; LEVELS.len()], actual: f32) -> (f32, [f32; LEVELS.len()]) {
    let count = LEVELS.len() as f32;
    let mut loss = 0.0;
    let derivatives = from_fn(|i| {
        let (error, level) = (actual - quantiles[i], LEVELS[i]);
        let slope = if error >= 0.0 { level } else { level - 1.0 };
        loss += slope * error / count;
        -slope / count
    });
    (loss, derivatives)
}

fn dot<const N: usize>(a: &[f32; N], b: &[f32; N]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn softmax<const N: usize>(x: &[f32]) -> [f32; N] {
    let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut y: [f32; N] = from_fn(|i| (x[i] - most).exp());
    let sum: f32 = y.iter().sum();
    y.iter_mut().for_each(|y| *y /= sum);
    y
}

/// For the derivative `d` by Σ softmax(x) · values: those by x.
fn softmax_backward<const N: usize>(mix: &[f32; N], values: &[f32; N], d: f32, dx: &mut [f32]) {
    let mean = dot(mix, values);
    for ((dx, mix), value) in dx.iter_mut().zip(mix).zip(values) {
        *dx = d * mix * (value - mean);
    }
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
