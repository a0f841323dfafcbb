//! How fast this machine could multiply and add: what the share of the peak is measured against.

use super::simd::{Isa, Kernel, Simd};

/// Multiplications with additions that nothing holds up: all in registers, none waiting for another.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// Rounds of [`Self::OPERATIONS`].
    pub rounds: usize,
}

/// Sums in registers: enough to cover the latency of an instruction on any machine known.
const WIDE: usize = 24;
const NARROW: usize = 5;

impl Peak {
    /// Floating-point operations of one round on `isa`: two a lane.
    #[must_use]
    pub fn operations(self, isa: Isa) -> f64 {
        let sums = if isa.height() >= WIDE { WIDE } else { NARROW };
        (2 * super::LANES * sums * self.rounds) as f64
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
    // Near a fixed point, so that no number becomes denormal or infinite, which could slow it down.
    let (factor, term) = (s.splat(std::hint::black_box(0.5)), s.splat(std::hint::black_box(0.5)));
    let mut sums = [s.splat(1.0); COUNT];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = s.mul_add(*sum, factor, term);
        }
    }
    let mut total = s.splat(0.0);
    for sum in sums {
        total = s.add(total, sum);
    }
    s.sums([total; 4])[0]
}
