//! The gradient of a matrix: sums of outer products over the steps and samples of a tile.
//!
//! ```text
//! gradient[k][j] += Σₜ Σ_lane inputs[t][k][lane] · derivatives[t][j][lane]
//! ```
//!
//! A block of sums stays in registers, lane by lane, while t runs; only then are lanes added up, so
//! that nothing has to be transposed.

use super::simd::{Kernel, Row, Simd};

/// Rows of which each step has `stride`, of which `count` from `first` on matter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps<'a> {
    pub(super) rows: &'a [Row],
    pub(super) stride: usize,
    pub(super) first: usize,
    pub(super) count: usize,
}

/// The sums over one tile.
pub(super) struct OuterProducts<'a> {
    /// One row an input.
    pub(super) inputs: Steps<'a>,
    /// One row an output, as many steps.
    pub(super) derivatives: Steps<'a>,
    /// `[inputs.count, derivatives.count]`, row-major.
    pub(super) gradient: &'a mut [f32],
}

impl Kernel for OuterProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        // Three inputs and eight outputs are 24 sums; the derivatives of eight outputs over all
        // steps stay in the first-level cache while the inputs pass.
        let (count, wide) = (self.derivatives.count, S::HEIGHT >= 24);
        let mut j = 0;
        while j < count {
            j += match (count - j, wide) {
                (8.., true) => self.column::<S, 3, 2>(s, j),
                (4.., true) => self.column::<S, 5, 1>(s, j),
                (4.., false) => self.column::<S, 1, 1>(s, j),
                _ => self.narrow(s, j),
            };
        }
    }
}

impl OuterProducts<'_> {
    /// `4 × FOURS` outputs from `j` on; how many those are.
    #[inline(always)]
    fn column<S: Simd, const INPUTS: usize, const FOURS: usize>(&mut self, s: S, j: usize) -> usize {
        let count = self.inputs.count;
        let mut k = 0;
        while k + INPUTS <= count {
            self.block::<S, INPUTS, FOURS>(s, k, j);
            k += INPUTS;
        }
        while k < count {
            self.block::<S, 1, FOURS>(s, k, j);
            k += 1;
        }
        4 * FOURS
    }

    #[inline(always)]
    fn block<S: Simd, const INPUTS: usize, const FOURS: usize>(&mut self, s: S, k: usize, j: usize) {
        let mut sums = [[[s.splat(0.0); 4]; FOURS]; INPUTS];
        let (k_at, j_at) = (self.inputs.first + k, self.derivatives.first + j);
        let inputs = self.inputs.rows.chunks_exact(self.inputs.stride);
        let derivatives = self.derivatives.rows.chunks_exact(self.derivatives.stride);
        for (input, derivative) in inputs.zip(derivatives) {
            let (input, _) = input[k_at..k_at + INPUTS].as_chunks::<INPUTS>();
            let (derivative, _) = derivative[j_at..j_at + 4 * FOURS].as_chunks::<4>();
            let (derivative, _) = derivative.as_chunks::<FOURS>();
            let (input, derivative) = (&input[0], &derivative[0]);
            let mut x = [s.splat(0.0); INPUTS];
            for a in 0..INPUTS {
                x[a] = s.load(&input[a].0);
            }
            for b in 0..FOURS {
                for c in 0..4 {
                    let d = s.load(&derivative[b][c].0);
                    for a in 0..INPUTS {
                        sums[a][b][c] = s.mul_add(x[a], d, sums[a][b][c]);
                    }
                }
            }
        }
        let outputs = self.derivatives.count;
        for a in 0..INPUTS {
            let at = (k + a) * outputs + j;
            let (gradient, _) = self.gradient[at..at + 4 * FOURS].as_chunks_mut::<4>();
            for b in 0..FOURS {
                let sum = s.sums(sums[a][b]);
                for c in 0..4 {
                    gradient[b][c] += sum[c];
                }
            }
        }
    }

    /// The last one to three outputs, one input after the other.
    #[inline(always)]
    fn narrow<S: Simd>(&mut self, s: S, j: usize) -> usize {
        let outputs = self.derivatives.count;
        for k in 0..self.inputs.count {
            let mut sums = [s.splat(0.0); 4];
            let inputs = self.inputs.rows.chunks_exact(self.inputs.stride);
            let derivatives = self.derivatives.rows.chunks_exact(self.derivatives.stride);
            for (input, derivative) in inputs.zip(derivatives) {
                let x = s.load(&input[self.inputs.first + k].0);
                let at = self.derivatives.first;
                for (sum, d) in sums.iter_mut().zip(&derivative[at + j..at + outputs]) {
                    *sum = s.mul_add(x, s.load(&d.0), *sum);
                }
            }
            let gradient = &mut self.gradient[k * outputs + j..(k + 1) * outputs];
            for (to, sum) in gradient.iter_mut().zip(s.sums(sums)) {
                *to += sum;
            }
        }
        outputs - j
    }
}
