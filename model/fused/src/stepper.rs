//! An LSTM layer that advances sequences step by step, without gradients: for forecasts.

use std::ops::Range;

use crate::activation::{sigmoid, tanh};
use crate::columns::Columns;
use crate::simd::{Isa, Kernel, LANES, Simd};

/// A layer's weights, laid out to advance one sequence or many.
#[derive(Clone, Debug)]
pub struct LstmStepper {
    isa: Isa,
    inputs: usize,
    hidden: usize,
    columns: Columns,
}

/// Where some sequences stand in a layer.
#[derive(Clone, Debug)]
pub struct Sequences {
    inputs: usize,
    hidden: usize,
    /// Numbers of a sequence in `fed`.
    stride: usize,
    /// The next input and the state of each sequence, and room for whole rows.
    fed: Vec<f32>,
    /// Numbers of a sequence in `cells`.
    cells_stride: usize,
    cells: Vec<f32>,
    /// Room for the gates of each sequence.
    gates: Vec<f32>,
}

impl LstmStepper {
    /// Weights `[inputs + hidden, 4 × hidden]`, gates i, f, g, o, and biases `[4 × hidden]`.
    #[must_use]
    pub fn new(weight: &[f32], bias: &[f32], isa: Isa) -> Self {
        let hidden = bias.len() / 4;
        let inputs = weight.len() / bias.len() - hidden;
        Self { isa, inputs, hidden, columns: Columns::new(weight, bias, isa) }
    }

    /// `count` sequences before their first step: states and cells are zero.
    #[must_use]
    pub fn sequences(&self, count: usize) -> Sequences {
        let (inputs, hidden) = (self.inputs, self.hidden);
        let cells_stride = hidden.next_multiple_of(LANES);
        let stride = inputs + cells_stride;
        Sequences {
            inputs,
            hidden,
            stride,
            fed: vec![0.0; count * stride],
            cells_stride,
            cells: vec![0.0; count * cells_stride],
            gates: vec![0.0; count * self.columns.width() + LANES],
        }
    }

    /// Takes each sequence of `range` one step on, from its [`Sequences::input_mut`].
    pub fn advance(&self, sequences: &mut Sequences, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let fed = &mut sequences.fed[range.start * sequences.stride..];
        self.columns.apply(fed, sequences.stride, range.len(), &mut sequences.gates);
        self.step_cells(sequences, range);
    }

    /// Numbers that [`Self::advance_one_from`] takes: a sum for each gate, filled up to whole rows.
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.width()
    }

    /// Takes the one sequence a step on, with `sums` `[width]` in place of the bias: what inputs
    /// that are known in advance contribute, for many steps at once.
    pub fn advance_one_from(&self, sequences: &mut Sequences, sums: &[f32]) {
        let width = self.width();
        sequences.gates[..width].copy_from_slice(&sums[..width]);
        self.columns.add(&sequences.fed, sequences.stride, 1, &mut sequences.gates);
        self.step_cells(sequences, 0..1);
    }

    /// From the gates' sums of each sequence of `range` to its cells and state.
    fn step_cells(&self, sequences: &mut Sequences, range: Range<usize>) {
        let fed = &mut sequences.fed[range.start * sequences.stride..];
        self.isa.run(Cells {
            hidden: self.hidden,
            gates: (&mut sequences.gates, self.columns.width()),
            cells: (
                &mut sequences.cells[range.start * sequences.cells_stride..],
                sequences.cells_stride,
            ),
            states: (&mut fed[self.inputs..], sequences.stride),
            count: range.len(),
        });
    }
}

impl Sequences {
    /// The next input of a sequence: `[inputs]`.
    pub fn input_mut(&mut self, sequence: usize) -> &mut [f32] {
        &mut self.fed[sequence * self.stride..][..self.inputs]
    }

    /// The state of a sequence: `[hidden]`.
    #[must_use]
    pub fn state(&self, sequence: usize) -> &[f32] {
        &self.fed[sequence * self.stride + self.inputs..][..self.hidden]
    }

    /// The states of the sequences from `first` on, and the distance from one to the next.
    #[must_use]
    pub fn states(&self, first: usize) -> (&[f32], usize) {
        (&self.fed[first * self.stride + self.inputs..], self.stride)
    }
}

/// One step of the cells of some sequences, units in the lanes. Each slice comes with the distance
/// from one sequence to the next, and has room for whole rows: what lies behind the last unit is
/// computed too, and never read by a product.
struct Cells<'a> {
    hidden: usize,
    /// Sums that go into the gates i, f, g, o, `hidden` each.
    gates: (&'a mut [f32], usize),
    cells: (&'a mut [f32], usize),
    states: (&'a mut [f32], usize),
    count: usize,
}

impl Kernel for Cells<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let hidden = self.hidden;
        for q in 0..self.count {
            let gates = &self.gates.0[q * self.gates.1..];
            let cells = &mut self.cells.0[q * self.cells.1..];
            let states = &mut self.states.0[q * self.states.1..];
            let rows = hidden.div_ceil(LANES);
            let [i, f, g, o] = [0, 1, 2, 3].map(|gate| row_chunks(&gates[gate * hidden..]));
            let (cells, _) = cells.as_chunks_mut::<LANES>();
            let (states, _) = states.as_chunks_mut::<LANES>();
            // Two short loops: one long one would wait for each row's own results.
            for u in 0..rows {
                let (i, f) = (sigmoid(s, s.load(&i[u])), sigmoid(s, s.load(&f[u])));
                let g = tanh(s, s.load(&g[u]));
                s.store(s.mul_add(f, s.load(&cells[u]), s.mul(i, g)), &mut cells[u]);
            }
            for u in 0..rows {
                let squashed = tanh(s, s.load(&cells[u]));
                s.store(s.mul(sigmoid(s, s.load(&o[u])), squashed), &mut states[u]);
            }
        }
    }
}

#[inline(always)]
fn row_chunks(numbers: &[f32]) -> &[[f32; LANES]] {
    numbers.as_chunks::<LANES>().0
}
