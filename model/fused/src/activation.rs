//! The activations of an LSTM, as rational functions.
//!
//! tanh(x) ≈ x · P(x²) / Q(x²) with P and Q of degree 3, on ±7, beyond which tanh is 1 to within
//! 1.7e-6. The coefficients minimise the greatest error relative to max(|tanh x|, ¼), by iteratively
//! reweighted least squares (Lawson, 1961; Sanathanan and Koerner, 1963), and are scaled so that Q
//! begins with x⁶, which saves a product. The sigmoid is (1 + tanh(x/2)) / 2, its halves folded into
//! coefficients, which is exact. The greatest absolute error of tanh is 1.6e-6, rounding included, and
//! that of the sigmoid half of it.

use crate::simd::Simd;

const TANH_LIMIT: f32 = 7.0;
const P: [f32; 4] = [6958.2656, 857.174_74, 15.937_42, 0.027_728_282];
const Q: [f32; 3] = [6958.2764, 3176.5386, 147.087_55];

/// Of the sigmoid: with x²/4 for x², all times 4³, and P by 4 once more for the two halves.
const P_SIGMOID: [f32; 4] = [16.0 * P[0], 4.0 * P[1], P[2], P[3] / 4.0];
const Q_SIGMOID: [f32; 3] = [64.0 * Q[0], 16.0 * Q[1], 4.0 * Q[2]];

/// The hyperbolic tangent of each lane, within ±1.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    fraction(s, s.clamp(x, TANH_LIMIT), &P, &Q)
}

/// The logistic function of each lane, within 0 and 1.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    s.add(fraction(s, s.clamp(x, 2.0 * TANH_LIMIT), &P_SIGMOID, &Q_SIGMOID), s.splat(0.5))
}

/// x · P(x²) / Q(x²), by Horner's rule.
#[inline(always)]
fn fraction<S: Simd>(s: S, x: S::V, p: &[f32; 4], q: &[f32; 3]) -> S::V {
    let z = s.mul(x, x);
    let mut numerator = s.mul_add(s.splat(p[3]), z, s.splat(p[2]));
    numerator = s.mul_add(numerator, z, s.splat(p[1]));
    numerator = s.mul_add(numerator, z, s.splat(p[0]));
    let mut denominator = s.add(z, s.splat(q[2]));
    denominator = s.mul_add(denominator, z, s.splat(q[1]));
    denominator = s.mul_add(denominator, z, s.splat(q[0]));
    s.div(s.mul(numerator, x), denominator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel, LANES};

    const TANH_ERROR_MAX: f64 = 1.6e-6;

    struct Activate([f32; LANES]);

    impl Kernel for Activate {
        type Output = [[f32; LANES]; 2];

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> [[f32; LANES]; 2] {
            let (x, mut results) = (s.load(&self.0), [[0.0; LANES]; 2]);
            s.store(tanh(s, x), &mut results[0]);
            s.store(sigmoid(s, x), &mut results[1]);
            results
        }
    }

    /// Every 509th float from 2⁻²⁰ on, and the special ones, with both signs.
    fn inputs() -> Vec<f32> {
        let positive =
            (0x3580_0000..=0x7f80_0000_u32).step_by(if cfg!(miri) { 65_537 } else { 509 });
        let mut inputs: Vec<f32> = positive.map(f32::from_bits).collect();
        inputs.extend([0.0, f32::MIN_POSITIVE, 1e-30, 8.0, 16.0, f32::MAX, f32::INFINITY]);
        inputs.iter().flat_map(|x| [*x, -x]).collect()
    }

    #[test]
    fn the_error_bound_holds_over_the_whole_range() {
        for isa in Isa::all() {
            for chunk in inputs().chunks(LANES) {
                let mut x = [0.0; LANES];
                x[..chunk.len()].copy_from_slice(chunk);
                let [tanh, sigmoid] = isa.run(Activate(x));
                for lane in 0..chunk.len() {
                    let exact = f64::from(x[lane]);
                    let (exact_tanh, exact_sigmoid) = (exact.tanh(), 1.0 / (1.0 + (-exact).exp()));
                    let tanh_error = (f64::from(tanh[lane]) - exact_tanh).abs();
                    let sigmoid_error = (f64::from(sigmoid[lane]) - exact_sigmoid).abs();
                    let (name, x) = (isa.name(), x[lane]);
                    assert!(tanh_error <= TANH_ERROR_MAX, "{name} tanh({x}): {tanh_error:e}");
                    assert!(
                        sigmoid_error <= TANH_ERROR_MAX / 2.0,
                        "{name} σ({x}): {sigmoid_error:e}"
                    );
                    assert!((0.0..=1.0).contains(&sigmoid[lane]), "{name} σ({x})");
                    assert!(tanh[lane].abs() <= 1.0, "{name} tanh({x})");
                }
            }
        }
    }

    #[test]
    fn a_number_that_is_none_stays_none() {
        for isa in Isa::all() {
            let [tanh, sigmoid] = isa.run(Activate([f32::NAN; LANES]));
            assert!(tanh.iter().chain(&sigmoid).all(|y| y.is_nan()), "{}", isa.name());
        }
    }
}
