//! NEON.

use std::arch::aarch64::*;

use super::portable::transpose;
use super::{LANES, Row, Simd};

/// NEON, as every 64-bit Arm has it; sixteen lanes are four registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Neon(pub(super) ());

type Quad = [float32x4_t; 4];

// SAFETY of each block below: the token says that the machine has NEON; pointers come from
// references to sixteen numbers, of which each quarter is four.
impl Simd for Neon {
    type V = Quad;

    // Twenty-four of 32 registers; four more hold the input.
    const HEIGHT: usize = 6;

    #[inline(always)]
    fn splat(self, x: f32) -> Quad {
        unsafe { [vdupq_n_f32(x); 4] }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Quad {
        let from = from.as_ptr();
        unsafe {
            [
                vld1q_f32(from),
                vld1q_f32(from.add(4)),
                vld1q_f32(from.add(8)),
                vld1q_f32(from.add(12)),
            ]
        }
    }

    #[inline(always)]
    fn store(self, v: Quad, to: &mut [f32; LANES]) {
        let to = to.as_mut_ptr();
        unsafe {
            vst1q_f32(to, v[0]);
            vst1q_f32(to.add(4), v[1]);
            vst1q_f32(to.add(8), v[2]);
            vst1q_f32(to.add(12), v[3]);
        }
    }

    #[inline(always)]
    fn add(self, a: Quad, b: Quad) -> Quad {
        let mut sum = a;
        for q in 0..4 {
            sum[q] = unsafe { vaddq_f32(a[q], b[q]) };
        }
        sum
    }

    #[inline(always)]
    fn mul(self, a: Quad, b: Quad) -> Quad {
        let mut product = a;
        for q in 0..4 {
            product[q] = unsafe { vmulq_f32(a[q], b[q]) };
        }
        product
    }

    #[inline(always)]
    fn div(self, a: Quad, b: Quad) -> Quad {
        let mut quotient = a;
        for q in 0..4 {
            quotient[q] = unsafe { vdivq_f32(a[q], b[q]) };
        }
        quotient
    }

    #[inline(always)]
    fn mul_add(self, a: Quad, b: Quad, c: Quad) -> Quad {
        let mut sum = c;
        for q in 0..4 {
            sum[q] = unsafe { vfmaq_f32(c[q], a[q], b[q]) };
        }
        sum
    }

    #[inline(always)]
    fn neg_mul_add(self, a: Quad, b: Quad, c: Quad) -> Quad {
        let mut sum = c;
        for q in 0..4 {
            sum[q] = unsafe { vfmsq_f32(c[q], a[q], b[q]) };
        }
        sum
    }

    #[inline(always)]
    fn clamp(self, v: Quad, limit: f32) -> Quad {
        let mut clamped = v;
        for q in 0..4 {
            clamped[q] =
                unsafe { vminq_f32(vmaxq_f32(v[q], vdupq_n_f32(-limit)), vdupq_n_f32(limit)) };
        }
        clamped
    }

    #[inline(always)]
    fn keep(self, v: Quad, bits: u16) -> Quad {
        let mut kept = v;
        for q in 0..4 {
            let lanes = [1, 2, 4, 8].map(|lane: u32| lane << (4 * q));
            kept[q] = unsafe {
                let lanes = vld1q_u32(lanes.as_ptr());
                let mask = vtstq_u32(vdupq_n_u32(u32::from(bits)), lanes);
                vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v[q]), mask))
            };
        }
        kept
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [Row; LANES]) {
        transpose(rows);
    }
}
