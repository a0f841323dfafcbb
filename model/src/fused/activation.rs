//! The activations of an LSTM, as rational functions.
//!
//! tanh(x) ≈ x · P(x²) / Q(x²) with P of degree 4 and Q of degree 3, on ±8, beyond which tanh is 1
//! to within 2.3e-7. The coefficients minimise the greatest error relative to max(|tanh x|, ¼),
//! by iteratively reweighted least squares (Lawson, 1961; Sanathanan and Koerner, 1963). The sigmoid
//! is (1 + tanh(x/2)) / 2, its halves folded into coefficients, which is exact.

use super::simd::Simd;

/// Greatest absolute error of [`tanh`], and twice that of [`sigmoid`], rounding included.
#[cfg(test)]
pub(super) const TANH_ERROR_MAX: f64 = 8e-7;

const TANH_LIMIT: f32 = 8.0;
const P: [f32; 5] =
    [0.999_999_64, 0.127_101_93, 0.002_694_391_2, 7.149_066_3e-6, -6.121_446_5e-9];
const Q: [f32; 4] = [1.0, 0.460_433_27, 0.022_841_35, 0.000_196_499_84];

/// Of the sigmoid: coefficient i divided by 4ⁱ, those of P by 4 once more for the two halves.
const P_SIGMOID: [f32; 5] =
    [P[0] / 4.0, P[1] / 16.0, P[2] / 64.0, P[3] / 256.0, P[4] / 1024.0];
const Q_SIGMOID: [f32; 4] = [Q[0], Q[1] / 4.0, Q[2] / 16.0, Q[3] / 64.0];

/// The hyperbolic tangent of each lane, within ±1.
#[inline(always)]
pub(super) fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let x = s.clamp(x, TANH_LIMIT);
    let (numerator, denominator) = fraction(s, x, &P, &Q);
    s.div(numerator, denominator)
}

/// The logistic function of each lane, within 0 and 1.
#[inline(always)]
pub(super) fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let x = s.clamp(x, 2.0 * TANH_LIMIT);
    let (numerator, denominator) = fraction(s, x, &P_SIGMOID, &Q_SIGMOID);
    s.add(s.div(numerator, denominator), s.splat(0.5))
}

/// x · P(x²) and Q(x²), by Horner's rule.
#[inline(always)]
fn fraction<S: Simd>(s: S, x: S::V, p: &[f32; 5], q: &[f32; 4]) -> (S::V, S::V) {
    let z = s.mul(x, x);
    let mut numerator = s.mul_add(s.splat(p[4]), z, s.splat(p[3]));
    numerator = s.mul_add(numerator, z, s.splat(p[2]));
    numerator = s.mul_add(numerator, z, s.splat(p[1]));
    numerator = s.mul_add(numerator, z, s.splat(p[0]));
    let mut denominator = s.mul_add(s.splat(q[3]), z, s.splat(q[2]));
    denominator = s.mul_add(denominator, z, s.splat(q[1]));
    denominator = s.mul_add(denominator, z, s.splat(q[0]));
    (s.mul(numerator, x), denominator)
}
