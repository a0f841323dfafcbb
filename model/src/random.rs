//! Random numbers that depend on the seed alone: not on the device, the threads or the order in
//! which things are drawn.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What random numbers are drawn for; each purpose has its own stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Initial weights.
    Weights,
    /// The order of the training windows.
    Shuffling,
    /// Dropout masks.
    Dropout,
}

/// The stream of `seed` for `purpose`.
#[must_use]
pub fn stream(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match purpose {
        Purpose::Weights => 1,
        Purpose::Shuffling => 2,
        Purpose::Dropout => 3,
    });
    rng
}

/// Uniform in `0..count`; the remainder's bias, 1 in 2⁴⁴ at a million, does not matter here.
pub fn below(count: usize, rng: &mut impl Rng) -> usize {
    (rng.next_u64() % count as u64) as usize
}

/// Uniform in [0, 1), on 53 bits.
pub fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Standard normal, by Box and Muller (1958).
pub(crate) fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(rng)).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_do_not_share_numbers() {
        let first = |purpose| stream(42, purpose).next_u64();
        assert_eq!(first(Purpose::Weights), first(Purpose::Weights));
        assert_ne!(first(Purpose::Weights), first(Purpose::Dropout));
        assert_ne!(first(Purpose::Shuffling), first(Purpose::Dropout));
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut rng = stream(7, Purpose::Weights);
        let drawn: Vec<f64> = (0..20_000).map(|_| normal(&mut rng)).collect();
        let mean = drawn.iter().sum::<f64>() / 20_000.0;
        let variance = drawn.iter().map(|x| x * x).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
