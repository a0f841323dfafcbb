//! Products of a matrix with the rows of a tile, in register blocks.
//!
//! ```text
//! out[r][lane] = bias[r] + Σₖ matrix[k][r] · rows[k][lane]
//! ```
//!
//! The sums of a block of outputs stay in registers while k runs: each step loads one row and
//! multiplies it with one number an output.

use crate::simd::{Isa, Kernel, Row, Simd};

/// Calls a method with the height of a block as a constant: only then does the compiler keep the
/// block's sums in registers.
macro_rules! by_height {
    ($height:expr, $object:ident.$method:ident::<S, H>($($argument:expr),*)) => {
        by_height!(@arms $height, $object $method ($($argument),*)
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28)
    };
    (@arms $height:expr, $object:ident $method:ident $arguments:tt $($literal:literal)*) => {
        match $height {
            $($literal if $literal <= S::HEIGHT =>
                by_height!(@call $object $method $literal $arguments),)*
            height => unreachable!("a block of {height} rows does not fit in registers"),
        }
    };
    (@call $object:ident $method:ident $literal:literal ($($argument:expr),*)) => {
        $object.$method::<S, $literal>($($argument),*)
    };
}
pub(crate) use by_height;

/// `count` outputs cut into blocks of at most `height`, as even as they can be: each block's range.
#[inline(always)]
pub(crate) fn blocks(count: usize, height: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let blocks = count.div_ceil(height);
    (0..blocks).map(move |b| b * count / blocks..(b + 1) * count / blocks)
}

/// A matrix and a bias laid out for products.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    isa: Isa,
    inputs: usize,
    /// `[outputs]`
    bias: Vec<f32>,
    /// `[inputs, height]` a block, one block after the other.
    numbers: Vec<f32>,
}

impl Packed {
    /// Room for a matrix from `inputs` to `outputs`.
    pub(crate) fn new(inputs: usize, outputs: usize, isa: Isa) -> Self {
        Self { isa, inputs, bias: vec![0.0; outputs], numbers: vec![0.0; outputs * inputs] }
    }

    /// Number of outputs.
    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Takes a matrix `[inputs, outputs]` and a bias `[outputs]`.
    pub(crate) fn set(&mut self, matrix: &[f32], bias: &[f32]) {
        self.bias.copy_from_slice(bias);
        let outputs = self.outputs();
        self.isa.run(Pack { matrix, inputs: self.inputs, outputs, numbers: &mut self.numbers });
    }

    /// Takes the transpose of a matrix `[outputs, inputs]`, without a bias.
    pub(crate) fn set_transposed(&mut self, matrix: &[f32]) {
        let (inputs, outputs) = (self.inputs, self.outputs());
        self.isa.run(PackTransposed { matrix, inputs, outputs, numbers: &mut self.numbers });
    }

    /// The product with the first inputs only, as if the others were zero, where `rows` are fewer.
    pub(crate) fn apply(&self, rows: &[Row], out: &mut [Row]) {
        let out = &mut out[..self.outputs()];
        self.isa.run(Product { packed: self, rows: &rows[..rows.len().min(self.inputs)], out });
    }
}

struct Product<'a> {
    packed: &'a Packed,
    rows: &'a [Row],
    out: &'a mut [Row],
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for block in blocks(self.packed.outputs(), S::HEIGHT) {
            by_height!(block.len(), self.block::<S, H>(s, block.start));
        }
    }
}

impl Product<'_> {
    /// `HEIGHT` outputs from `first` on.
    #[inline(always)]
    fn block<S: Simd, const HEIGHT: usize>(&mut self, s: S, first: usize) {
        let Packed { inputs, bias, numbers, .. } = self.packed;
        let mut sums = [s.splat(0.0); HEIGHT];
        for (sum, bias) in sums.iter_mut().zip(&bias[first..first + HEIGHT]) {
            *sum = s.splat(*bias);
        }
        let (numbers, _) = numbers[first * inputs..].as_chunks::<HEIGHT>();
        for (numbers, row) in numbers.iter().zip(self.rows) {
            let row = s.load(&row.0);
            for r in 0..HEIGHT {
                sums[r] = s.mul_add(s.splat(numbers[r]), row, sums[r]);
            }
        }
        for (sum, out) in sums.into_iter().zip(&mut self.out[first..first + HEIGHT]) {
            s.store(sum, &mut out.0);
        }
    }
}

/// Lays out a matrix `[inputs, outputs]`.
struct Pack<'a> {
    matrix: &'a [f32],
    inputs: usize,
    outputs: usize,
    numbers: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, _: S) {
        for block in blocks(self.outputs, S::HEIGHT) {
            by_height!(block.len(), self.block::<S, H>(block.start));
        }
    }
}

impl Pack<'_> {
    #[inline(always)]
    fn block<S: Simd, const HEIGHT: usize>(&mut self, first: usize) {
        let at = first * self.inputs;
        let (to, _) = self.numbers[at..at + HEIGHT * self.inputs].as_chunks_mut::<HEIGHT>();
        for (to, row) in to.iter_mut().zip(self.matrix.chunks_exact(self.outputs)) {
            to.copy_from_slice(&row[first..first + HEIGHT]);
        }
    }
}

/// Lays out the transpose of a matrix `[outputs, inputs]`.
struct PackTransposed<'a> {
    matrix: &'a [f32],
    inputs: usize,
    outputs: usize,
    numbers: &'a mut [f32],
}

impl Kernel for PackTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, _: S) {
        for block in blocks(self.outputs, S::HEIGHT) {
            by_height!(block.len(), self.block::<S, H>(block.start));
        }
    }
}

impl PackTransposed<'_> {
    #[inline(always)]
    fn block<S: Simd, const HEIGHT: usize>(&mut self, first: usize) {
        let (inputs, at) = (self.inputs, first * self.inputs);
        let mut rows = [&self.matrix[..0]; HEIGHT];
        for (row, from) in rows.iter_mut().zip(self.matrix[at..].chunks_exact(inputs)) {
            *row = from;
        }
        let (to, _) = self.numbers[at..at + HEIGHT * inputs].as_chunks_mut::<HEIGHT>();
        for (k, to) in to.iter_mut().enumerate() {
            for r in 0..HEIGHT {
                to[r] = rows[r][k];
            }
        }
    }
}
