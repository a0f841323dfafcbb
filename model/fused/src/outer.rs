//! The gradient of a matrix: sums of outer products over the steps and samples of a tile.
//!
//! ```text
//! gradient[k][j] += Σₜ Σ_lane inputs[t][k][lane] · derivatives[t][j][lane]
//! ```
//!
//! Sixteen outputs at a time, their derivatives are transposed, so that the lanes hold outputs; a
//! block of inputs then keeps its sums in registers while all steps and samples pass.

use crate::product::{blocks, by_height};
use crate::simd::{Kernel, LANES, Row, Simd};

/// Rows `[steps, stride]`, of which the first `count` of each step matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps<'a> {
    pub(crate) rows: &'a [Row],
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

/// The sums over one tile.
pub(crate) struct OuterProducts<'a> {
    /// One row an input.
    pub(crate) inputs: Steps<'a>,
    /// One row an output, as many steps, each after [`Transpose`].
    pub(crate) derivatives: Steps<'a>,
    /// `[inputs.count, derivatives.count]`, row-major.
    pub(crate) gradient: &'a mut [f32],
}

impl Kernel for OuterProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for j in (0..self.derivatives.count).step_by(LANES) {
            for block in blocks(self.inputs.count, S::HEIGHT) {
                by_height!(block.len(), self.block::<S, H>(s, block.start, j));
            }
        }
    }
}

impl OuterProducts<'_> {
    /// Adds the sums of `HEIGHT` inputs from `k` on and sixteen outputs from `j` on.
    #[inline(always)]
    fn block<S: Simd, const HEIGHT: usize>(&mut self, s: S, k: usize, j: usize) {
        let mut sums = [s.splat(0.0); HEIGHT];
        let mut inputs = &self.inputs.rows[k..];
        for derivatives in self.derivatives.rows.chunks_exact(self.derivatives.stride) {
            let (x, _) = inputs.as_chunks::<HEIGHT>();
            let (d, _) = derivatives[j..].as_chunks::<LANES>();
            sums = step(s, &x[0], &d[0], sums);
            inputs = inputs.get(self.inputs.stride..).unwrap_or(&[]);
        }
        let outputs = self.derivatives.count;
        for r in 0..HEIGHT {
            let at = (k + r) * outputs;
            let gradient = &mut self.gradient[at + j..at + outputs];
            if let Some(to) = gradient.first_chunk_mut::<LANES>() {
                s.store(s.add(s.load(to), sums[r]), to);
            } else {
                let mut row = Row::ZERO;
                s.store(sums[r], &mut row.0);
                gradient.iter_mut().zip(row.0).for_each(|(to, sum)| *to += sum);
            }
        }
    }
}

/// Adds one step's products to `sums`.
#[inline(always)]
fn step<S: Simd, const HEIGHT: usize>(
    s: S,
    inputs: &[Row; HEIGHT],
    derivatives: &[Row; LANES],
    mut sums: [S::V; HEIGHT],
) -> [S::V; HEIGHT] {
    for (lane, row) in derivatives.iter().enumerate() {
        let row = s.load(&row.0);
        for r in 0..HEIGHT {
            sums[r] = s.mul_add(s.splat(inputs[r].0[lane]), row, sums[r]);
        }
    }
    sums
}

/// Makes columns of each sixteen rows, so that their lanes hold sixteen outputs of a sample.
pub(crate) struct Transpose<'a>(pub(crate) &'a mut [Row]);

impl Kernel for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for rows in self.0.as_chunks_mut::<LANES>().0 {
            s.transpose(rows);
        }
    }
}
