//! A few short numbers beside each other, asked at once, and work that is compiled for what the processor has. The scalar
//! forms are the definition.
#![allow(unsafe_code, reason = "lanes are loaded through pointers, and functions are compiled for more than every processor has")]

use super::pieces::Pieces;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod usual;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use usual::Usual;

/// What a processor can ask of numbers that stand beside each other.
pub trait Lanes: Copy {
    /// Which of twelve numbers are `wanted`: one bit each.
    fn equal(self, numbers: &[u32; 12], wanted: u32) -> u32;

    /// Of these rows, which of the twelve numbers that a row's piece begins with are its `wanted`: one bit each. Other rows keep
    /// what they have. Pieces have eight words at least.
    fn equal_each(self, pieces: &mut Pieces<'_>, rows: u64, wanted: &[u32; 64], equal: &mut [u16; 64]);

    /// Which of twelve numbers are the same as the others: one bit each.
    fn same(self, numbers: &[u32; 12], others: &[u32; 12]) -> u32;

    /// Which of eight long numbers are `wanted`: one bit each.
    fn equal_long(self, numbers: &[u64; 8], wanted: u64) -> u32;

    /// The first place of the smallest among the first `n` bytes, of which there is at least one, and that byte.
    fn least(self, bytes: &[u8; 16], n: usize) -> (usize, u8);

    /// Which numbers have any of these bits: one bit each.
    fn any_bits(self, numbers: &[u16; 64], bits: u16) -> u64;

    /// Which numbers are below their bounds: one bit each. All of them are below 2^31.
    fn below(self, numbers: &[u32; 64], bounds: &[u32; 64]) -> u64;

    /// Which bytes are `wanted`: one bit each.
    fn equal_bytes(self, bytes: &[u8; 64], wanted: u8) -> u64;

    /// Which bytes are not zero: one bit each.
    fn nonzero_bytes(self, bytes: &[u8; 64]) -> u64;

    /// Which numbers are not zero: one bit each.
    fn nonzero(self, numbers: &[u32; 64]) -> u64;

    /// The sum of those numbers that have a bit.
    fn sum(self, numbers: &[u32; 64], which: u64) -> u64;
}

/// A loop that is compiled once for each kind of processor. All that it calls is to be inlined: what is not, is compiled for
/// every processor.
pub trait Work {
    /// What comes of it.
    type Out;

    /// Does it.
    fn run<L: Lanes>(self, lanes: L) -> Self::Out;
}

/// A kind of processor that work is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Form {
    /// Nothing unusual.
    Usual,
    /// AVX2, and what came with it.
    Avx2,
    /// AVX-512 with numbers of 8 to 64 bits, and shorter vectors.
    Avx512,
}

impl Form {
    /// As operators know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usual => "scalar",
            Self::Avx2 => "AVX2",
            Self::Avx512 => "AVX-512",
        }
    }

    /// Those that this processor has, the best last.
    pub fn all() -> Vec<Self> {
        #[allow(unused_mut, reason = "elsewhere there is no other")]
        let mut forms = vec![Self::Usual];
        #[cfg(target_arch = "x86_64")]
        {
            forms.extend(Avx2::here().map(|_| Self::Avx2));
            forms.extend(Avx512::here().map(|_| Self::Avx512));
        }
        forms
    }
}

/// Does `work` by what the processor has, which is found out once.
#[inline]
pub fn run<W: Work>(work: W) -> W::Out {
    #[cfg(test)]
    if let Some(form) = ONLY.get() {
        return run_by(form, work);
    }
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(lanes) = Avx512::here() {
            // SAFETY: `lanes` says that the processor has what the function is compiled for.
            return unsafe { run_avx512(work, lanes) };
        }
        if let Some(lanes) = Avx2::here() {
            // SAFETY: as above.
            return unsafe { run_avx2(work, lanes) };
        }
    }
    work.run(Usual)
}

#[cfg(test)]
thread_local! {
    static ONLY: std::cell::Cell<Option<Form>> = const { std::cell::Cell::new(None) };
}

/// Of tests: the form that all is done in, if it is not the processor's best.
#[cfg(test)]
pub(super) fn only_form() -> Option<Form> {
    ONLY.get()
}

/// Of tests: does it as a processor would that has nothing unusual.
#[cfg(test)]
pub(crate) fn as_usual<T>(work: impl FnOnce() -> T) -> T {
    only(Form::Usual, work)
}

/// Of tests: does it as a processor would that has no more than this.
#[cfg(test)]
pub(crate) fn only<T>(form: Form, work: impl FnOnce() -> T) -> T {
    ONLY.set(Some(form));
    let done = work();
    ONLY.set(None);
    done
}

#[cfg(test)]
fn run_by<W: Work>(form: Form, work: W) -> W::Out {
    #[cfg(target_arch = "x86_64")]
    match (form, Avx2::here(), Avx512::here()) {
        // SAFETY: `lanes` says that the processor has what the function is compiled for.
        (Form::Avx2, Some(lanes), _) => return unsafe { run_avx2(work, lanes) },
        // SAFETY: as above.
        (Form::Avx512, _, Some(lanes)) => return unsafe { run_avx512(work, lanes) },
        _ => {}
    }
    work.run(Usual)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx512<W: Work>(work: W, lanes: Avx512) -> W::Out {
    work.run(lanes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx2<W: Work>(work: W, lanes: Avx2) -> W::Out {
    work.run(lanes)
}

/// See [`Lanes::nonzero_bytes`].
pub fn nonzero_bytes(bytes: &[u8; 64]) -> u64 {
    struct Nonzero<'a>(&'a [u8; 64]);
    impl Work for Nonzero<'_> {
        type Out = u64;

        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> u64 {
            lanes.nonzero_bytes(self.0)
        }
    }
    run(Nonzero(bytes))
}

/// See [`Lanes::nonzero`].
pub fn nonzero(numbers: &[u32; 64]) -> u64 {
    struct Nonzero<'a>(&'a [u32; 64]);
    impl Work for Nonzero<'_> {
        type Out = u64;

        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> u64 {
            lanes.nonzero(self.0)
        }
    }
    run(Nonzero(numbers))
}

/// See [`Lanes::sum`].
pub fn sum(numbers: &[u32; 64], which: u64) -> u64 {
    struct Sum<'a>(&'a [u32; 64], u64);
    impl Work for Sum<'_> {
        type Out = u64;

        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) -> u64 {
            lanes.sum(self.0, self.1)
        }
    }
    run(Sum(numbers, which))
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
