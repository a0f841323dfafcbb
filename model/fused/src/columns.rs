//! Products of a matrix with a few vectors, the matrix's columns in the lanes.
//!
//! ```text
//! out[v][column] = bias[column] + Σₖ matrix[k][column] · vectors[v][k]
//! ```
//!
//! The matrix is read once for all vectors of a block, and nothing is wasted on samples that a tile
//! would lack: that is what a forecast of one series, or of some, needs.

use crate::product::blocks;
use crate::simd::{Isa, Kernel, LANES, Row, Simd};

/// Most vectors of a block: with so many, the matrix is read seldom enough.
const VECTORS_MAX: usize = 12;
/// Most rows of columns of a block: with so many, there are sums enough to hide the latency of an
/// instruction.
const ROWS_MAX: usize = 6;

/// A matrix and a bias whose columns lie in the lanes.
#[derive(Clone, Debug)]
pub struct Columns {
    isa: Isa,
    inputs: usize,
    /// `[outputs / 16]`, rounded up.
    bias: Vec<Row>,
    /// `[inputs]` rows a bias row.
    matrix: Vec<Row>,
}

impl Columns {
    /// A matrix `[inputs, outputs]`, row-major, and a bias `[outputs]`.
    #[must_use]
    pub fn new(matrix: &[f32], bias: &[f32], isa: Isa) -> Self {
        let inputs = matrix.len() / bias.len();
        let row = |numbers: &[f32]| {
            let mut row = Row::ZERO;
            row.0[..numbers.len()].copy_from_slice(numbers);
            row
        };
        let lines = |c: usize| {
            matrix
                .chunks_exact(bias.len())
                .map(move |line| row(&line[c * LANES..line.len().min((c + 1) * LANES)]))
        };
        let bias: Vec<Row> = bias.chunks(LANES).map(row).collect();
        let matrix = (0..bias.len()).flat_map(lines).collect();
        Self { isa, inputs, bias, matrix }
    }

    /// Numbers that [`Self::apply`] writes for a vector: the outputs, filled up to whole rows.
    #[must_use]
    pub fn width(&self) -> usize {
        self.bias.len() * LANES
    }

    /// The products with `count` vectors: vector v begins at `vectors[v × stride]`, and what it
    /// yields at `out[v × width]`.
    pub fn apply(&self, vectors: &[f32], stride: usize, count: usize, out: &mut [f32]) {
        self.isa.run(Products { columns: self, vectors, stride, count, out, add: false });
    }

    /// As [`Self::apply`], with what `out` holds in place of the bias.
    pub fn add(&self, vectors: &[f32], stride: usize, count: usize, out: &mut [f32]) {
        self.isa.run(Products { columns: self, vectors, stride, count, out, add: true });
    }
}

struct Products<'a> {
    columns: &'a Columns,
    vectors: &'a [f32],
    stride: usize,
    count: usize,
    out: &'a mut [f32],
    /// Whether the sums begin with `out`, not with the bias.
    add: bool,
}

/// Calls [`Products::block`] with the sizes of a block as constants: only then does the compiler
/// keep its sums in registers.
macro_rules! by_size {
    ($products:ident, $simd:ident, $vectors:expr, $rows:expr) => {
        by_size!(@vectors $products $simd $vectors, $rows, 1 2 3 4 5 6 7 8 9 10 11 12)
    };
    (@vectors $products:ident $simd:ident $vectors:expr, $rows:expr, $($v:literal)*) => {
        match $vectors.len() {
            $($v if $v <= S::HEIGHT =>
                by_size!(@rows $products $simd $vectors, $rows, $v, 1 2 3 4 5 6),)*
            count => unreachable!("a block of {count} vectors does not fit in registers"),
        }
    };
    (@rows $products:ident $simd:ident $vectors:expr, $rows:expr, $v:literal, $($w:literal)*) => {
        match $rows.len() {
            $($w if $v * $w <= S::HEIGHT =>
                $products.block::<S, $v, $w>($simd, $vectors.start, $rows.start),)*
            count => unreachable!("{count} rows for a vector do not fit in registers"),
        }
    };
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let most = S::HEIGHT.min(VECTORS_MAX);
        let largest = self.count.div_ceil(self.count.div_ceil(most).max(1)).max(1);
        for rows in blocks(self.columns.bias.len(), (S::HEIGHT / largest).clamp(1, ROWS_MAX)) {
            for vectors in blocks(self.count, most) {
                by_size!(self, s, vectors, rows);
            }
        }
    }
}

impl Products<'_> {
    /// `VECTORS` vectors from `first` on and `WIDE` rows of columns from `c` on.
    #[inline(always)]
    fn block<S: Simd, const VECTORS: usize, const WIDE: usize>(
        &mut self,
        s: S,
        first: usize,
        c: usize,
    ) {
        let (inputs, width) = (self.columns.inputs, self.columns.width());
        let mut sums = [[s.splat(0.0); WIDE]; VECTORS];
        let mut matrix = [&self.columns.matrix[..0]; WIDE];
        for w in 0..WIDE {
            matrix[w] = &self.columns.matrix[(c + w) * inputs..][..inputs];
            let bias = s.load(&self.columns.bias[c + w].0);
            for v in 0..VECTORS {
                sums[v][w] = bias;
            }
            if self.add {
                for v in 0..VECTORS {
                    let at = (first + v) * width + (c + w) * LANES;
                    sums[v][w] = s.load(&self.out[at..].as_chunks::<LANES>().0[0]);
                }
            }
        }
        let mut vectors = [&self.vectors[..0]; VECTORS];
        for v in 0..VECTORS {
            vectors[v] = &self.vectors[(first + v) * self.stride..][..inputs];
        }
        for k in 0..inputs {
            let mut columns = [s.splat(0.0); WIDE];
            for w in 0..WIDE {
                columns[w] = s.load(&matrix[w][k].0);
            }
            for v in 0..VECTORS {
                let x = s.splat(vectors[v][k]);
                for w in 0..WIDE {
                    sums[v][w] = s.mul_add(x, columns[w], sums[v][w]);
                }
            }
        }
        for v in 0..VECTORS {
            let at = (first + v) * width + c * LANES;
            let (out, _) = self.out[at..at + WIDE * LANES].as_chunks_mut::<LANES>();
            for w in 0..WIDE {
                s.store(sums[v][w], &mut out[w]);
            }
        }
    }
}
