//! One time step of an LSTM's cells, forward and backward, for all units of a layer on one tile.
//!
//! With the gates i, f, o through the sigmoid σ and g through tanh (Hochreiter and Schmidhuber, 1997;
//! Gers et al., 2000):
//!
//! ```text
//! c = f · c₋ + i · g          h = o · tanh(c)
//! ```

use crate::activation::{sigmoid, tanh};
use crate::simd::{Kernel, Row, Simd};

/// The four gates of a layer, `hidden` rows each.
#[inline(always)]
fn gates_mut(gates: &mut [Row], hidden: usize) -> [&mut [Row]; 4] {
    let (i, gates) = gates.split_at_mut(hidden);
    let (f, gates) = gates.split_at_mut(hidden);
    let (g, gates) = gates.split_at_mut(hidden);
    [i, f, g, &mut gates[..hidden]]
}

/// Forward: activates the gates in place; all slices but `gates` are `[hidden]`.
pub(crate) struct CellForward<'a> {
    /// `[4 × hidden]` and more: before, the sums of the product; after, the activated gates.
    pub(crate) gates: &'a mut [Row],
    /// c₋
    pub(crate) cell_before: &'a [Row],
    /// c
    pub(crate) cell: &'a mut [Row],
    /// tanh(c)
    pub(crate) squashed: &'a mut [Row],
    /// h
    pub(crate) state: &'a mut [Row],
}

impl Kernel for CellForward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let hidden = self.state.len();
        let [gate_i, gate_f, gate_g, gate_o] = gates_mut(self.gates, hidden);
        let (before, cell) = (&self.cell_before[..hidden], &mut self.cell[..hidden]);
        let squashed = &mut self.squashed[..hidden];
        // Two short loops: one long one would wait for each unit's own results.
        for u in 0..hidden {
            let i = sigmoid(s, s.load(&gate_i[u].0));
            let f = sigmoid(s, s.load(&gate_f[u].0));
            let g = tanh(s, s.load(&gate_g[u].0));
            s.store(i, &mut gate_i[u].0);
            s.store(f, &mut gate_f[u].0);
            s.store(g, &mut gate_g[u].0);
            s.store(s.mul_add(f, s.load(&before[u].0), s.mul(i, g)), &mut cell[u].0);
        }
        for u in 0..hidden {
            let o = sigmoid(s, s.load(&gate_o[u].0));
            let t = tanh(s, s.load(&cell[u].0));
            s.store(o, &mut gate_o[u].0);
            s.store(t, &mut squashed[u].0);
            s.store(s.mul(o, t), &mut self.state[u].0);
        }
    }
}

/// Backward: from the loss's derivatives by h and c to those by the sums that went into the gates.
/// All slices but those of gates are `[hidden]`.
pub(crate) struct CellBackward<'a> {
    /// `[4 × hidden]` and more: before, the activated gates; after, the derivatives by their sums.
    pub(crate) gates: &'a mut [Row],
    /// c₋
    pub(crate) cell_before: &'a [Row],
    /// tanh(c)
    pub(crate) squashed: &'a [Row],
    /// ∂/∂h, but for what comes from later steps
    pub(crate) d_state: &'a [Row],
    /// What comes from later steps
    pub(crate) d_state_later: &'a [Row],
    /// Before, the part of ∂/∂c that comes from later steps; after, the one for the step before.
    pub(crate) d_cell: &'a mut [Row],
    /// `[4 × hidden]` and more: the derivatives by the sums are added, for the bias.
    pub(crate) d_bias: &'a mut [Row],
}

impl Kernel for CellBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let hidden = self.d_cell.len();
        let [gate_i, gate_f, gate_g, gate_o] = gates_mut(self.gates, hidden);
        let [bias_i, bias_f, bias_g, bias_o] = gates_mut(self.d_bias, hidden);
        let (before, squashed) = (&self.cell_before[..hidden], &self.squashed[..hidden]);
        let (d_state, later) = (&self.d_state[..hidden], &self.d_state_later[..hidden]);
        for u in 0..hidden {
            let (i, f) = (s.load(&gate_i[u].0), s.load(&gate_f[u].0));
            let (g, o) = (s.load(&gate_g[u].0), s.load(&gate_o[u].0));
            let d_h = s.add(s.load(&d_state[u].0), s.load(&later[u].0));
            let t = s.load(&squashed[u].0);
            // By o: ∂h · tanh(c) · o (1 − o); by c: ∂h · o · (1 − tanh²(c)) and what came later.
            let d_h_o = s.mul(d_h, o);
            let d_h_o_t = s.mul(d_h_o, t);
            let d_o = s.neg_mul_add(d_h_o_t, o, d_h_o_t);
            let d_c = s.add(s.neg_mul_add(d_h_o_t, t, d_h_o), s.load(&self.d_cell[u].0));
            let d_c_i = s.mul(d_c, i);
            let d_c_i_g = s.mul(d_c_i, g);
            let d_i = s.neg_mul_add(d_c_i_g, i, d_c_i_g);
            let d_g = s.neg_mul_add(d_c_i_g, g, d_c_i);
            let d_c_f = s.mul(d_c, f);
            let d_c_f_c = s.mul(d_c_f, s.load(&before[u].0));
            let d_f = s.neg_mul_add(d_c_f_c, f, d_c_f_c);
            s.store(d_c_f, &mut self.d_cell[u].0);
            store_and_add(s, d_i, &mut gate_i[u], &mut bias_i[u]);
            store_and_add(s, d_f, &mut gate_f[u], &mut bias_f[u]);
            store_and_add(s, d_g, &mut gate_g[u], &mut bias_g[u]);
            store_and_add(s, d_o, &mut gate_o[u], &mut bias_o[u]);
        }
    }
}

#[inline(always)]
fn store_and_add<S: Simd>(s: S, v: S::V, to: &mut Row, sum: &mut Row) {
    s.store(v, &mut to.0);
    s.store(s.add(v, s.load(&sum.0)), &mut sum.0);
}
