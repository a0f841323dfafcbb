//! How fast this machine multiplies and adds: what the share of the peak is measured against.

use std::time::Instant;

use crate::simd::{Isa, Kernel, LANES, Row, Simd};

/// Multiplications with additions that nothing holds up: all in registers, none waiting for another.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// Each is one multiplication and addition in each of the sums that are kept.
    pub rounds: usize,
}

/// Rounds of a measurement, about a millisecond, and how many are taken.
const ROUNDS: usize = 500_000;
const MEASUREMENTS: usize = 8;

/// Sums: enough to cover the latency of an instruction, and in registers (on the portable path, of
/// which nobody asks the peak, some are not).
const WIDE: usize = 24;
const NARROW: usize = 5;

impl Peak {
    /// Floating-point operations a second of one core on `isa`: the best of a few measurements of a
    /// millisecond or so, since a core may be busy or slow to wake up.
    #[must_use]
    pub fn measure(isa: Isa) -> f64 {
        let peak = Self { rounds: ROUNDS };
        let measure = |_| {
            let started = Instant::now();
            std::hint::black_box(peak.run(isa));
            peak.operations(isa) / started.elapsed().as_secs_f64()
        };
        (0..MEASUREMENTS).map(measure).fold(0.0, f64::max)
    }

    /// Floating-point operations of the rounds on `isa`: two a lane and sum.
    #[must_use]
    pub fn operations(self, isa: Isa) -> f64 {
        let sums = if isa.height() >= WIDE { WIDE } else { NARROW };
        (2 * LANES * sums * self.rounds) as f64
    }

    /// Computes them; the result is of no use but that it must be computed.
    #[must_use]
    pub fn run(self, isa: Isa) -> f32 {
        isa.run(self)
    }
}

impl Kernel for Peak {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        if S::HEIGHT >= WIDE {
            sums::<S, WIDE>(s, self.rounds)
        } else {
            sums::<S, NARROW>(s, self.rounds)
        }
    }
}

#[inline(always)]
fn sums<S: Simd, const COUNT: usize>(s: S, rounds: usize) -> f32 {
    // They near 1, so that none becomes denormal or infinite, which could slow it down; and no two
    // are the same, lest the compiler compute one for both.
    let (factor, term) = (s.splat(std::hint::black_box(0.5)), s.splat(std::hint::black_box(0.5)));
    let mut sums = [s.splat(0.0); COUNT];
    for (i, sum) in sums.iter_mut().enumerate() {
        let lanes = std::array::from_fn(|lane| 1.0 + (LANES * i + lane) as f32 * 1e-3);
        *sum = s.load(&std::hint::black_box(lanes));
    }
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = s.mul_add(*sum, factor, term);
        }
    }
    let mut total = s.splat(0.0);
    for sum in sums {
        total = s.add(total, sum);
    }
    let mut lanes = Row::ZERO;
    s.store(total, &mut lanes.0);
    lanes.0.iter().sum()
}
