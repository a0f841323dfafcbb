//! AVX-512.

use std::arch::x86_64::*;

use super::avx2::Avx2;
use super::{LANES, Row, Simd};

/// AVX-512F, as servers have had it since 2017 (Intel) and 2022 (AMD).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Avx512(pub(super) ());

// SAFETY of each block below: the token says that the machine has AVX-512F, AVX2 and FMA; pointers
// come from references to sixteen numbers.
impl Simd for Avx512 {
    type V = __m512;

    // 28 of 32 registers: one input, and a few that the compiler may need.
    const HEIGHT: usize = 28;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> __m512 {
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, v: __m512, to: &mut [f32; LANES]) {
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn neg_mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn clamp(self, v: __m512, limit: f32) -> __m512 {
        unsafe { _mm512_min_ps(_mm512_set1_ps(limit), _mm512_max_ps(_mm512_set1_ps(-limit), v)) }
    }

    #[inline(always)]
    fn keep(self, v: __m512, bits: u16) -> __m512 {
        unsafe { _mm512_maskz_mov_ps(bits, v) }
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [Row; LANES]) {
        // AVX-512 machines have AVX2, whose shuffles are no slower here.
        Avx2(()).transpose(rows);
    }
}
