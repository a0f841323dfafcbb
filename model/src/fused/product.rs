//! Products of a matrix of numbers with rows of sixteen lanes, in register blocks.
//!
//! ```text
//! out[r][lane] = start[r] + Σₖ numbers[k][r] · rows[k][lane]
//! ```
//!
//! A block's sums stay in registers while k runs: each step loads one row and multiplies it with as
//! many numbers as there are sums. A whole product is some blocks, with one of two things shared:
//! a layer on a tile has other numbers (weights) a block and the same rows (activations); a layer on
//! a few windows has the same numbers (activations) and other rows (sixteen columns of weights).

use super::simd::{Isa, Kernel, Row, Simd};

/// A product of several blocks.
pub(super) struct Product<'a> {
    /// Sums a block, at most [`Simd::HEIGHT`].
    pub(super) height: usize,
    /// Where the sums of a block start: `height` numbers a block, or once for all.
    pub(super) start: Operand<'a, f32>,
    /// `[k, height]` a block, or once for all.
    pub(super) numbers: Operand<'a, f32>,
    /// `[k]` a block, or once for all.
    pub(super) rows: Operand<'a, Row>,
    /// `[height]` a block; its length says how many blocks there are.
    pub(super) out: &'a mut [Row],
}

/// What the blocks of a product read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand<'a, T> {
    /// All the same.
    Shared(&'a [T]),
    /// One after the other, of this length each.
    Each(&'a [T], usize),
}

impl<'a, T> Operand<'a, T> {
    #[inline(always)]
    fn of(self, block: usize) -> &'a [T] {
        match self {
            Self::Shared(all) => all,
            Self::Each(all, length) => &all[block * length..(block + 1) * length],
        }
    }
}

/// Calls the block of the right height: the sums are in registers only if the compiler knows their
/// number.
macro_rules! by_height {
    ($product:ident, $simd:ident: $($height:literal)*) => {
        match $product.height {
            $($height if $height <= S::HEIGHT => $product.blocks::<S, $height>($simd),)*
            height => unreachable!("a block of {height} rows does not fit in registers"),
        }
    };
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        by_height!(self, simd: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26
            27 28);
    }
}

impl Product<'_> {
    #[inline(always)]
    fn blocks<S: Simd, const HEIGHT: usize>(self, s: S) {
        let (out, _) = self.out.as_chunks_mut::<HEIGHT>();
        for (b, out) in out.iter_mut().enumerate() {
            let (starts, _) = self.start.of(b).as_chunks::<HEIGHT>();
            let (numbers, _) = self.numbers.of(b).as_chunks::<HEIGHT>();
            block(s, &starts[0], numbers, self.rows.of(b), out);
        }
    }
}

#[inline(always)]
fn block<S: Simd, const HEIGHT: usize>(
    s: S,
    start: &[f32; HEIGHT],
    numbers: &[[f32; HEIGHT]],
    rows: &[Row],
    out: &mut [Row; HEIGHT],
) {
    let mut sums = [s.splat(0.0); HEIGHT];
    for r in 0..HEIGHT {
        sums[r] = s.splat(start[r]);
    }
    for (numbers, row) in numbers.iter().zip(rows) {
        let row = s.load(&row.0);
        for r in 0..HEIGHT {
            sums[r] = s.mul_add(s.splat(numbers[r]), row, sums[r]);
        }
    }
    for r in 0..HEIGHT {
        s.store(sums[r], &mut out[r].0);
    }
}

/// A matrix and a bias laid out for [`Product`], the blocks as even as they can be.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    isa: Isa,
    height: usize,
    inputs: usize,
    /// `[blocks × height]`, zero beyond the matrix.
    bias: Vec<f32>,
    /// `[blocks, inputs, height]`, zero beyond the matrix.
    numbers: Vec<f32>,
}

impl Packed {
    /// Room for a matrix from `inputs` to `outputs`.
    pub(super) fn new(inputs: usize, outputs: usize, isa: Isa) -> Self {
        let blocks = outputs.div_ceil(isa.height());
        let height = outputs.div_ceil(blocks);
        let (bias, numbers) = (vec![0.0; blocks * height], vec![0.0; blocks * height * inputs]);
        Self { isa, height, inputs, bias, numbers }
    }

    /// Rows that a product writes: the outputs, filled up to whole blocks.
    pub(super) fn rows(&self) -> usize {
        self.bias.len()
    }

    /// Takes a matrix `[inputs, outputs]` and a bias `[outputs]`.
    pub(super) fn set(&mut self, matrix: &[f32], bias: &[f32]) {
        let (height, outputs) = (self.height, bias.len());
        self.bias[..outputs].copy_from_slice(bias);
        for (b, block) in self.numbers.chunks_exact_mut(height * self.inputs).enumerate() {
            let columns = b * height..outputs.min((b + 1) * height);
            let rows = matrix.chunks_exact(outputs);
            for (to, row) in block.chunks_exact_mut(height).zip(rows) {
                to[..columns.len()].copy_from_slice(&row[columns.clone()]);
            }
        }
    }

    /// Takes the transpose of a matrix `[outputs, inputs]`, without a bias.
    pub(super) fn set_transposed(&mut self, matrix: &[f32]) {
        let (height, inputs) = (self.height, self.inputs);
        let rows = matrix.chunks_exact(inputs);
        for (r, row) in rows.enumerate() {
            let (b, r) = (r / height, r % height);
            let block = &mut self.numbers[b * height * inputs..(b + 1) * height * inputs];
            for (to, number) in block.chunks_exact_mut(height).zip(row) {
                to[r] = *number;
            }
        }
    }

    /// The product with the first inputs only, as if the others were zero, where `rows` are fewer.
    pub(super) fn apply(&self, rows: &[Row], out: &mut [Row]) {
        self.isa.run(Product {
            height: self.height,
            start: Operand::Each(&self.bias, self.height),
            numbers: Operand::Each(&self.numbers, self.height * self.inputs),
            rows: Operand::Shared(rows),
            out: &mut out[..self.rows()],
        });
    }
}
