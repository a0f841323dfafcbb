//! An LSTM layer on tiles of sixteen sequences, forward and backward through time.

use std::ops::Range;

use crate::cell::{CellBackward, CellForward};
use crate::outer::{OuterProducts, Steps, Transpose};
use crate::product::Packed;
use crate::simd::{Isa, LANES, Row};

/// The weights of a layer, packed for both directions.
#[derive(Clone, Debug)]
pub struct LstmLayer {
    isa: Isa,
    inputs: usize,
    hidden: usize,
    forward: Packed,
    /// To the inputs, where a gradient is asked for, and to the state before.
    backward: Packed,
    input_gradient: bool,
}

/// What a layer remembers of one tile, from its forward to its backward pass.
#[derive(Clone, Debug)]
pub struct Tape {
    steps: usize,
    inputs: usize,
    hidden: usize,
    /// Rows of a step in `gates`.
    stride: usize,
    /// `[steps, inputs + hidden]`: what each step is fed, its input and the state before it.
    fed: Vec<Row>,
    /// `[hidden]`: the state after the last step.
    last: Vec<Row>,
    /// `[steps, stride]`: activated gates, and after the backward pass the derivatives by their
    /// sums, each sixteen rows transposed.
    gates: Vec<Row>,
    /// `[steps + 1, hidden]`: the cells before each step, and after the last.
    cells: Vec<Row>,
    /// `[steps, hidden]`: tanh of the cells after each step.
    squashed: Vec<Row>,
    /// `[hidden]`: the loss's derivative by the cells.
    d_cell: Vec<Row>,
    /// `[stride]`: the sum of the derivatives in `gates`.
    d_bias: Vec<Row>,
    /// The derivatives by what was fed to a step: by the input, where they are asked for, and by
    /// the state before it.
    d_fed: Vec<Row>,
    /// Rows of `d_fed` that are of the input.
    d_inputs: usize,
}

/// The gradients of a layer, in the shapes that its weights are set in.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// As the weight matrix.
    pub weight: &'a mut [f32],
    /// As the biases.
    pub bias: &'a mut [f32],
}

/// Steps after which the weights' gradients are added up: few enough that what the backward pass
/// has left is still in the caches.
const GRADIENT_STEPS: usize = 8;

/// Where sixteen sequences stand in a layer, without a memory of the steps before: for forecasts.
#[derive(Clone, Debug)]
pub struct TileState {
    inputs: usize,
    /// Whether a step was taken; before it, the state is zero and need not be multiplied.
    moved: bool,
    /// `[inputs + hidden]`: the next input and the state.
    fed: Vec<Row>,
    /// `[4 × hidden]`
    gates: Vec<Row>,
    /// `[hidden]`
    cells: Vec<Row>,
    /// Room for the cells after the next step.
    next_cells: Vec<Row>,
    /// Room for their tanh.
    squashed: Vec<Row>,
}

impl LstmLayer {
    /// A layer of zeros. `input_gradient`: whether the loss's derivative by the input is needed,
    /// which it is not for the first layer.
    #[must_use]
    pub fn new(inputs: usize, hidden: usize, input_gradient: bool, isa: Isa) -> Self {
        let fed = if input_gradient { inputs + hidden } else { hidden };
        let forward = Packed::new(inputs + hidden, 4 * hidden, isa);
        let backward = Packed::new(4 * hidden, fed, isa);
        Self { isa, inputs, hidden, forward, backward, input_gradient }
    }

    /// Takes weights `[inputs + hidden, 4 × hidden]`, gates i, f, g, o, and biases `[4 × hidden]`.
    pub fn set(&mut self, weight: &[f32], bias: &[f32]) {
        self.forward.set(weight, bias);
        let skipped = if self.input_gradient { 0 } else { self.inputs };
        self.backward.set_transposed(&weight[skipped * 4 * self.hidden..]);
    }

    /// Room for `steps` steps.
    #[must_use]
    pub fn tape(&self, steps: usize) -> Tape {
        let (inputs, hidden) = (self.inputs, self.hidden);
        // An odd multiple of eight cache lines, so that the same gate of all steps spreads over the
        // sets of a first-level cache.
        let stride = (self.forward.outputs().next_multiple_of(LANES).div_ceil(8) | 1) * 8;
        let rows = |count| vec![Row::ZERO; count];
        Tape {
            steps,
            inputs,
            hidden,
            stride,
            fed: rows(steps * (inputs + hidden)),
            last: rows(hidden),
            gates: rows(steps * stride),
            cells: rows((steps + 1) * hidden),
            squashed: rows(steps * hidden),
            d_cell: rows(hidden),
            d_bias: rows(stride),
            d_fed: rows(self.backward.outputs()),
            d_inputs: if self.input_gradient { inputs } else { 0 },
        }
    }

    /// Step `t`, after the steps before it; its input is in [`Tape::input_mut`].
    pub fn forward_step(&self, tape: &mut Tape, t: usize) {
        let (hidden, width) = (self.hidden, self.inputs + self.hidden);
        let (fed, later) = tape.fed[t * width..].split_at_mut(width);
        // The state before the first step is zero.
        let known = if t == 0 { self.inputs } else { width };
        let gates = &mut tape.gates[t * tape.stride..(t + 1) * tape.stride];
        self.forward.apply(&fed[..known], gates);
        let (before, after) = tape.cells[t * hidden..].split_at_mut(hidden);
        let state = match later.get_mut(self.inputs..width) {
            Some(next) => next,
            None => &mut tape.last,
        };
        self.isa.run(CellForward {
            gates,
            cell_before: before,
            cell: &mut after[..hidden],
            squashed: &mut tape.squashed[t * hidden..(t + 1) * hidden],
            state,
        });
    }

    /// Sixteen sequences before their first step.
    #[must_use]
    pub fn tile_state(&self) -> TileState {
        let (inputs, hidden) = (self.inputs, self.hidden);
        let rows = |count| vec![Row::ZERO; count];
        TileState {
            inputs,
            moved: false,
            fed: rows(inputs + hidden),
            gates: rows(4 * hidden),
            cells: rows(hidden),
            next_cells: rows(hidden),
            squashed: rows(hidden),
        }
    }

    /// Takes sixteen sequences one step on, from [`TileState::input_mut`].
    pub fn advance(&self, tile: &mut TileState) {
        let known = if tile.moved { tile.fed.len() } else { tile.inputs };
        tile.moved = true;
        self.forward.apply(&tile.fed[..known], &mut tile.gates);
        self.isa.run(CellForward {
            gates: &mut tile.gates,
            cell_before: &tile.cells,
            cell: &mut tile.next_cells,
            squashed: &mut tile.squashed,
            state: &mut tile.fed[self.inputs..],
        });
        std::mem::swap(&mut tile.cells, &mut tile.next_cells);
    }

    /// Step `t` backwards, after the steps behind it. The derivatives by the state after it, but
    /// for what comes from the steps behind it, are in `d_state` `[hidden]`. After step 0 the
    /// gradients are complete.
    pub fn backward_step(
        &self,
        tape: &mut Tape,
        t: usize,
        d_state: &[Row],
        gradients: Gradients<'_>,
    ) {
        let hidden = self.hidden;
        if t + 1 == tape.steps {
            tape.d_cell.fill(Row::ZERO);
            tape.d_bias.fill(Row::ZERO);
            tape.d_fed.fill(Row::ZERO);
        }
        let later = tape.d_inputs;
        let gates = &mut tape.gates[t * tape.stride..(t + 1) * tape.stride];
        self.isa.run(CellBackward {
            gates,
            cell_before: &tape.cells[t * hidden..(t + 1) * hidden],
            squashed: &tape.squashed[t * hidden..(t + 1) * hidden],
            d_state,
            d_state_later: &tape.d_fed[later..later + hidden],
            d_cell: &mut tape.d_cell,
            d_bias: &mut tape.d_bias,
        });
        if t > 0 || self.input_gradient {
            self.backward.apply(&gates[..4 * hidden], &mut tape.d_fed);
        }
        self.isa.run(Transpose(&mut gates[..(4 * hidden).next_multiple_of(LANES)]));
        if t.is_multiple_of(GRADIENT_STEPS) {
            self.add_gradients(tape, t..tape.steps.min(t + GRADIENT_STEPS), gradients.weight);
        }
        if t == 0 {
            for (bias, row) in gradients.bias.iter_mut().zip(&tape.d_bias) {
                *bias += row.0.iter().sum::<f32>();
            }
        }
    }

    /// Adds the weights' gradients of steps whose backward pass is done.
    fn add_gradients(&self, tape: &Tape, steps: Range<usize>, weight: &mut [f32]) {
        let (width, stride) = (self.inputs + self.hidden, tape.stride);
        let fed = &tape.fed[steps.start * width..steps.end * width];
        let gates = &tape.gates[steps.start * stride..steps.end * stride];
        self.isa.run(OuterProducts {
            inputs: Steps { rows: fed, stride: width, count: width },
            derivatives: Steps { rows: gates, stride, count: 4 * self.hidden },
            gradient: weight,
        });
    }
}

impl TileState {
    /// Back before the first step.
    pub fn reset(&mut self) {
        self.moved = false;
        self.fed.fill(Row::ZERO);
        self.cells.fill(Row::ZERO);
    }

    /// The next input: `[inputs]`.
    pub fn input_mut(&mut self) -> &mut [Row] {
        &mut self.fed[..self.inputs]
    }

    /// The state: `[hidden]`.
    #[must_use]
    pub fn state(&self) -> &[Row] {
        &self.fed[self.inputs..]
    }
}

impl Tape {
    /// The input of step `t`: `[inputs]`.
    pub fn input_mut(&mut self, t: usize) -> &mut [Row] {
        let at = t * (self.inputs + self.hidden);
        &mut self.fed[at..at + self.inputs]
    }

    /// The state after step `t`: `[hidden]`.
    #[must_use]
    pub fn state(&self, t: usize) -> &[Row] {
        let at = (t + 1) * (self.inputs + self.hidden) + self.inputs;
        self.fed.get(at..at + self.hidden).unwrap_or(&self.last)
    }

    /// The loss's derivative by the input of the step that was last run backwards: `[inputs]`, or
    /// nothing from a layer without a gradient of its input.
    #[must_use]
    pub fn d_input(&self) -> &[Row] {
        &self.d_fed[..self.d_inputs]
    }
}
