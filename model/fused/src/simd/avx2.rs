//! AVX2 with FMA.

use std::arch::x86_64::*;

use super::{LANES, Row, Simd};

/// AVX2 and FMA, as x86-64 has had it since 2013; sixteen lanes are two registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Avx2(pub(super) ());

// SAFETY of each block below: the token says that the machine has AVX2 and FMA; pointers come from
// references to sixteen numbers, of which each half is eight.
impl Simd for Avx2 {
    type V = [__m256; 2];

    // Twelve of sixteen registers; two more hold the input and one the weight.
    const HEIGHT: usize = 6;

    #[inline(always)]
    fn splat(self, x: f32) -> [__m256; 2] {
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> [__m256; 2] {
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }

    #[inline(always)]
    fn store(self, v: [__m256; 2], to: &mut [f32; LANES]) {
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), v[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), v[1]);
        }
    }

    #[inline(always)]
    fn add(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn div(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(self, a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn neg_mul_add(self, a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_fnmadd_ps(a[0], b[0], c[0]), _mm256_fnmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn clamp(self, v: [__m256; 2], limit: f32) -> [__m256; 2] {
        unsafe {
            let (low, high) = (_mm256_set1_ps(-limit), _mm256_set1_ps(limit));
            [
                _mm256_min_ps(high, _mm256_max_ps(low, v[0])),
                _mm256_min_ps(high, _mm256_max_ps(low, v[1])),
            ]
        }
    }

    #[inline(always)]
    fn keep(self, v: [__m256; 2], bits: u16) -> [__m256; 2] {
        unsafe {
            let bits = _mm256_set1_epi32(i32::from(bits));
            let low = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let high = _mm256_slli_epi32::<8>(low);
            let low = _mm256_cmpeq_epi32(_mm256_and_si256(bits, low), low);
            let high = _mm256_cmpeq_epi32(_mm256_and_si256(bits, high), high);
            [
                _mm256_and_ps(v[0], _mm256_castsi256_ps(low)),
                _mm256_and_ps(v[1], _mm256_castsi256_ps(high)),
            ]
        }
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [Row; LANES]) {
        let mut above = [self.splat(0.0); 8];
        let mut below = above;
        for r in 0..8 {
            above[r] = self.load(&rows[r].0);
            below[r] = self.load(&rows[8 + r].0);
        }
        let mut column = [above[0][0]; 8];
        for (left, rows) in rows.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let mut halves = [column; 2];
            for (half, from) in [&above, &below].into_iter().enumerate() {
                for r in 0..8 {
                    column[r] = from[r][left];
                }
                halves[half] = self.transpose_eight(column);
            }
            for r in 0..8 {
                self.store([halves[0][r], halves[1][r]], &mut rows[r].0);
            }
        }
    }
}

impl Avx2 {
    /// Eight rows of eight as columns: pairs, then pairs of pairs, then halves.
    #[inline(always)]
    fn transpose_eight(self, rows: [__m256; 8]) -> [__m256; 8] {
        let [a, b, c, d, e, f, g, h] = rows;
        unsafe {
            let (ab_0, ab_1) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (cd_0, cd_1) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            let (ef_0, ef_1) = (_mm256_unpacklo_ps(e, f), _mm256_unpackhi_ps(e, f));
            let (gh_0, gh_1) = (_mm256_unpacklo_ps(g, h), _mm256_unpackhi_ps(g, h));
            let top = [
                _mm256_shuffle_ps::<0b01_00_01_00>(ab_0, cd_0),
                _mm256_shuffle_ps::<0b11_10_11_10>(ab_0, cd_0),
                _mm256_shuffle_ps::<0b01_00_01_00>(ab_1, cd_1),
                _mm256_shuffle_ps::<0b11_10_11_10>(ab_1, cd_1),
            ];
            let bottom = [
                _mm256_shuffle_ps::<0b01_00_01_00>(ef_0, gh_0),
                _mm256_shuffle_ps::<0b11_10_11_10>(ef_0, gh_0),
                _mm256_shuffle_ps::<0b01_00_01_00>(ef_1, gh_1),
                _mm256_shuffle_ps::<0b11_10_11_10>(ef_1, gh_1),
            ];
            [
                _mm256_permute2f128_ps::<0x20>(top[0], bottom[0]),
                _mm256_permute2f128_ps::<0x20>(top[1], bottom[1]),
                _mm256_permute2f128_ps::<0x20>(top[2], bottom[2]),
                _mm256_permute2f128_ps::<0x20>(top[3], bottom[3]),
                _mm256_permute2f128_ps::<0x31>(top[0], bottom[0]),
                _mm256_permute2f128_ps::<0x31>(top[1], bottom[1]),
                _mm256_permute2f128_ps::<0x31>(top[2], bottom[2]),
                _mm256_permute2f128_ps::<0x31>(top[3], bottom[3]),
            ]
        }
    }
}
