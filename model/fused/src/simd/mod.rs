//! Sixteen numbers at once, on whatever vector instructions this machine has. The only unsafe code
//! of the project is here.
//!
//! # Why it is sound
//! - An instruction that the machine lacks is undefined behaviour. Every operation is a method of a
//!   token ([`Simd`]); the tokens' fields are private to this module, and [`Isa::all`], which makes
//!   them, asks the machine first. (That of AVX-512 stands for AVX2 and FMA as well.) Whoever holds a
//!   token may use it.
//! - Loads and stores go through references to sixteen numbers, so that their memory is valid; the
//!   instructions used need no alignment.
//!
//! Instructions are only inlined into functions that are compiled for them: [`Isa::run`] is that
//! function, and everything below it is `#[inline(always)]`. A closure is compiled without them, so
//! that none holds a vector operation.

#![expect(unsafe_code, reason = "vector instructions; the argument is above")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
use neon::Neon;
use portable::Portable;

/// Samples of a tile: the lanes of the widest registers.
pub const LANES: usize = 16;

/// One feature of the sixteen samples of a tile. Aligned, so that no access crosses a cache line.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
#[repr(C, align(64))]
pub struct Row(pub [f32; LANES]);

impl Row {
    /// All lanes zero.
    pub const ZERO: Self = Self([0.0; LANES]);
}

/// A kernel: arithmetic that is written once and compiled for each instruction set.
pub(crate) trait Kernel {
    /// What it yields.
    type Output;

    /// Runs it. Must be `#[inline(always)]`, as everything that it calls.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// A token that the machine has an instruction set, and its operations on sixteen lanes.
pub(crate) trait Simd: Copy {
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
    /// Zero where the lane's bit is not set.
    fn keep(self, v: Self::V, bits: u16) -> Self::V;
    /// Makes columns of sixteen rows: lane r of row l becomes lane l of row r.
    fn transpose(self, rows: &mut [Row; LANES]);
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
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
                all.push(Self(Token::Avx512(Avx512(()))));
            }
            if avx2 {
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
    pub(crate) fn height(self) -> usize {
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
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: f32) -> Row {
        Row(std::array::from_fn(|lane| first + lane as f32))
    }

    /// Runs an operation on two rows.
    struct Binary<F>(F, Row, Row);

    /// Which operation.
    enum Operation {
        Add,
        Mul,
        Div,
        MulAdd,
        NegMulAdd,
        Clamp,
        Keep(u16),
    }

    impl Kernel for Binary<Operation> {
        type Output = Row;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Row {
            let (a, b) = (s.load(&self.1.0), s.load(&self.2.0));
            let result = match self.0 {
                Operation::Add => s.add(a, b),
                Operation::Mul => s.mul(a, b),
                Operation::Div => s.div(a, b),
                Operation::MulAdd => s.mul_add(a, b, s.splat(0.5)),
                Operation::NegMulAdd => s.neg_mul_add(a, b, s.splat(0.5)),
                Operation::Clamp => s.clamp(a, 3.5),
                Operation::Keep(bits) => s.keep(a, bits),
            };
            let mut row = Row::ZERO;
            s.store(result, &mut row.0);
            row
        }
    }

    fn check(operation: fn() -> Operation, expected: impl Fn(f32, f32) -> f32) {
        let (a, b) = (row(-7.0), row(0.25));
        for isa in Isa::all() {
            let got = isa.run(Binary(operation(), a, b));
            for lane in 0..LANES {
                let expected = expected(a.0[lane], b.0[lane]);
                let name = isa.name();
                assert!((got.0[lane] - expected).abs() <= 1e-5 * expected.abs(), "{name} {lane}");
            }
        }
    }

    #[test]
    fn every_instruction_set_computes_the_same() {
        check(|| Operation::Add, |a, b| a + b);
        check(|| Operation::Mul, |a, b| a * b);
        check(|| Operation::Div, |a, b| a / b);
        check(|| Operation::MulAdd, |a, b| a * b + 0.5);
        check(|| Operation::NegMulAdd, |a, b| 0.5 - a * b);
        check(|| Operation::Clamp, |a, _| a.clamp(-3.5, 3.5));
    }

    #[test]
    fn a_bit_keeps_its_lane() {
        for bits in [0, 1, 0x8000, 0x00ff, 0xff00, 0xa5c3, 0xffff] {
            for isa in Isa::all() {
                let got = isa.run(Binary(Operation::Keep(bits), row(1.0), row(0.0)));
                for lane in 0..LANES {
                    let expected = if bits >> lane & 1 == 1 { 1.0 + lane as f32 } else { 0.0 };
                    assert_eq!(got.0[lane], expected, "{} {bits:x} {lane}", isa.name());
                }
            }
        }
    }

    #[test]
    fn nan_stays_nan() {
        let nan = Row([f32::NAN; LANES]);
        for isa in Isa::all() {
            let got = isa.run(Binary(Operation::Clamp, nan, nan));
            assert!(got.0.iter().all(|x| x.is_nan()), "{}", isa.name());
        }
    }

    struct Transpose([Row; LANES]);

    impl Kernel for Transpose {
        type Output = [Row; LANES];

        #[inline(always)]
        fn run<S: Simd>(mut self, s: S) -> [Row; LANES] {
            s.transpose(&mut self.0);
            self.0
        }
    }

    #[test]
    fn rows_become_columns() {
        for isa in Isa::all() {
            let columns = isa.run(Transpose(std::array::from_fn(|r| row(100.0 * r as f32))));
            for (c, column) in columns.iter().enumerate() {
                let expected = std::array::from_fn(|r| (100 * r + c) as f32);
                assert_eq!(column.0, expected, "{} {c}", isa.name());
            }
        }
    }
}
