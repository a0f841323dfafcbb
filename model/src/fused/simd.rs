//! Sixteen numbers at once, on whatever vector instructions this machine has. The only unsafe code
//! of the project is here.
//!
//! # Why it is sound
//! - An instruction that the machine lacks is undefined behaviour. Every operation is a method of a
//!   token ([`Simd`]); the tokens' fields are private to this module, and [`Isa::all`], the only
//!   place that makes them, asks the machine first. Whoever holds a token may use it.
//! - Loads and stores go through references to sixteen numbers, so that their memory is valid; the
//!   instructions used need no alignment.
//!
//! Instructions are only inlined into functions that are compiled for them: [`Isa::run`] is that
//! function, and everything below it is `#[inline(always)]`. A closure on the way would not be, so
//! there are none.

#![expect(unsafe_code, reason = "vector instructions; the argument is above")]

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Samples of a tile: the lanes of the widest registers.
pub(crate) const LANES: usize = 16;

/// One feature of the sixteen samples of a tile. Aligned, so that no access crosses a cache line.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
#[repr(C, align(64))]
pub(crate) struct Row(pub(crate) [f32; LANES]);

impl Row {
    /// All lanes zero.
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// A kernel: arithmetic that is written once and compiled for each instruction set.
pub(super) trait Kernel {
    /// What it yields.
    type Output;

    /// Runs it. Must be `#[inline(always)]`, as everything that it calls.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// A token that the machine has an instruction set, and its operations on sixteen lanes.
pub(super) trait Simd: Copy {
    /// Sixteen numbers in registers.
    type V: Copy;

    /// How many `V` may be summed up in registers while operands pass through the others.
    const HEIGHT: usize;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::V;
    /// Reads sixteen numbers.
    fn load(self, from: &[f32; LANES]) -> Self::V;
    /// Writes sixteen numbers.
    fn store(self, v: Self::V, to: &mut [f32; LANES]);
    /// `a + b`
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b`
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b + c`
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c − a · b`
    fn neg_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `v` within ±`limit`; NaN stays NaN, which on x86-64 is why `v` is the second operand.
    fn clamp(self, v: Self::V, limit: f32) -> Self::V;
    /// The sum over the lanes of each of four.
    fn sums(self, v: [Self::V; 4]) -> [f32; 4];
}

/// An instruction set that this machine has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Isa(Token);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    Portable(Portable),
}

impl Isa {
    /// Those that this machine has, the fastest first. The last is plain Rust and is always there.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
                all.push(Self(Token::Avx512(Avx512(()))));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self(Token::Avx2(Avx2(()))));
            }
        }
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        if std::arch::is_aarch64_feature_detected!("neon") {
            all.push(Self(Token::Neon(Neon(()))));
        }
        all.push(Self(Token::Portable(Portable(()))));
        all
    }

    /// The fastest that this machine has.
    #[must_use]
    pub fn best() -> Self {
        Self::all()[0]
    }

    /// Its name, as its makers write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => "AVX2+FMA",
            #[cfg(target_arch = "aarch64")]
            Token::Neon(_) => "NEON",
            Token::Portable(_) => "portable",
        }
    }

    /// Rows that a register block may have, [`Simd::HEIGHT`].
    pub(super) fn height(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => Avx512::HEIGHT,
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => Avx2::HEIGHT,
            #[cfg(target_arch = "aarch64")]
            Token::Neon(_) => Neon::HEIGHT,
            Token::Portable(_) => Portable::HEIGHT,
        }
    }

    /// Runs `kernel`, compiled for this instruction set.
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(token) => {
                #[target_feature(enable = "avx512f,avx2,fma")]
                fn run<K: Kernel>(kernel: K, token: Avx512) -> K::Output {
                    kernel.run(token)
                }
                // SAFETY: the token says that the machine has these instructions.
                unsafe { run(kernel, token) }
            }
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(token) => {
                #[target_feature(enable = "avx2,fma")]
                fn run<K: Kernel>(kernel: K, token: Avx2) -> K::Output {
                    kernel.run(token)
                }
                // SAFETY: the token says that the machine has these instructions.
                unsafe { run(kernel, token) }
            }
            #[cfg(target_arch = "aarch64")]
            Token::Neon(token) => {
                #[target_feature(enable = "neon")]
                fn run<K: Kernel>(kernel: K, token: Neon) -> K::Output {
                    kernel.run(token)
                }
                // SAFETY: the token says that the machine has these instructions.
                unsafe { run(kernel, token) }
            }
            Token::Portable(token) => kernel.run(token),
        }
    }
}

/// AVX-512F, as servers have had it since 2017 (Intel) and 2022 (AMD).
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Avx512(());

// SAFETY of each block below: the token says that the machine has AVX-512F, AVX2 and FMA; pointers
// come from references to sixteen numbers.
#[cfg(target_arch = "x86_64")]
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
    fn sums(self, [a, b, c, d]: [__m512; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        unsafe {
            let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            let low = _mm512_shuffle_ps::<0b01_00_01_00>(ab, cd);
            let high = _mm512_shuffle_ps::<0b11_10_11_10>(ab, cd);
            let sum = _mm512_add_ps(low, high);
            let upper = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(sum));
            let half = _mm256_add_ps(_mm512_castps512_ps256(sum), _mm256_castpd_ps(upper));
            let quarter =
                _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half));
            _mm_storeu_ps(sums.as_mut_ptr(), quarter);
        }
        sums
    }
}

/// AVX2 and FMA, as x86-64 has had it since 2013; sixteen lanes are two registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Avx2(());

// SAFETY of each block below: the token says that the machine has AVX2 and FMA; pointers come from
// references to sixteen numbers, of which each half is eight.
#[cfg(target_arch = "x86_64")]
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
    fn sums(self, [a, b, c, d]: [[__m256; 2]; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        unsafe {
            let ab = _mm256_hadd_ps(_mm256_add_ps(a[0], a[1]), _mm256_add_ps(b[0], b[1]));
            let cd = _mm256_hadd_ps(_mm256_add_ps(c[0], c[1]), _mm256_add_ps(d[0], d[1]));
            let half = _mm256_hadd_ps(ab, cd);
            let quarter =
                _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half));
            _mm_storeu_ps(sums.as_mut_ptr(), quarter);
        }
        sums
    }
}

/// NEON, as every 64-bit Arm has it; sixteen lanes are four registers.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Neon(());

#[cfg(target_arch = "aarch64")]
type Quad = [float32x4_t; 4];

// SAFETY of each block below: the token says that the machine has NEON; pointers come from
// references to sixteen numbers, of which each quarter is four.
#[cfg(target_arch = "aarch64")]
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
    fn sums(self, v: [Quad; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        for (sum, [a, b, c, d]) in sums.iter_mut().zip(v) {
            *sum = unsafe { vaddvq_f32(vaddq_f32(vaddq_f32(a, b), vaddq_f32(c, d))) };
        }
        sums
    }
}

/// Plain Rust, which the compiler vectorises as far as the target's baseline goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Portable(());

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
    fn sums(self, v: [[f32; LANES]; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        for (sum, v) in sums.iter_mut().zip(v) {
            *sum = v.iter().sum();
        }
        sums
    }
}
