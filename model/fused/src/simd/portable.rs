//! No vector instructions but those that the compiler finds itself.

use super::{LANES, Row, Simd};

/// Plain Rust, which the compiler vectorises as far as the target's baseline goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Portable(pub(super) ());

impl Simd for Portable {
    type V = [f32; LANES];

    // Sixteen lanes are four of the baseline's sixteen registers.
    const HEIGHT: usize = 2;

    #[inline(always)]
    fn splat(self, x: f32) -> [f32; LANES] {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> [f32; LANES] {
        *from
    }

    #[inline(always)]
    fn store(self, v: [f32; LANES], to: &mut [f32; LANES]) {
        *to = v;
    }

    #[inline(always)]
    fn add(self, mut a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        for i in 0..LANES {
            a[i] += b[i];
        }
        a
    }

    #[inline(always)]
    fn mul(self, mut a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        for i in 0..LANES {
            a[i] *= b[i];
        }
        a
    }

    #[inline(always)]
    fn div(self, mut a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        for i in 0..LANES {
            a[i] /= b[i];
        }
        a
    }

    // Rounded twice: without the instruction, rounding once is a slow library call.
    #[inline(always)]
    fn mul_add(self, a: [f32; LANES], b: [f32; LANES], mut c: [f32; LANES]) -> [f32; LANES] {
        for i in 0..LANES {
            c[i] += a[i] * b[i];
        }
        c
    }

    #[inline(always)]
    fn neg_mul_add(self, a: [f32; LANES], b: [f32; LANES], mut c: [f32; LANES]) -> [f32; LANES] {
        for i in 0..LANES {
            c[i] -= a[i] * b[i];
        }
        c
    }

    #[inline(always)]
    fn clamp(self, mut v: [f32; LANES], limit: f32) -> [f32; LANES] {
        for x in &mut v {
            *x = x.clamp(-limit, limit);
        }
        v
    }

    #[inline(always)]
    fn keep(self, mut v: [f32; LANES], bits: u16) -> [f32; LANES] {
        for (lane, x) in v.iter_mut().enumerate() {
            *x = if bits >> lane & 1 == 1 { *x } else { 0.0 };
        }
        v
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [Row; LANES]) {
        transpose(rows);
    }
}

#[inline(always)]
pub(super) fn transpose(rows: &mut [Row; LANES]) {
    let columns = *rows;
    for (r, row) in rows.iter_mut().enumerate() {
        for l in 0..LANES {
            row.0[l] = columns[l].0[r];
        }
    }
}
