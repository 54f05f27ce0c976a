//! Which code looks up: chosen once, by what is fastest here.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{BURST_MAX, Cells, Entry, Root, V4};
use crate::arch::lanes;

/// Which code looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For any processor.
    Scalar,
    /// AVX2.
    Avx2 {
        /// Words at many places are one instruction, which some processors are slow at.
        gathers: bool,
    },
    /// AVX-512 with bytes, words and double words.
    Avx512 {
        /// Likewise.
        gathers: bool,
    },
}

impl Form {
    /// The fastest here.
    pub fn best() -> Self {
        static BEST: OnceLock<Form> = OnceLock::new();
        *BEST.get_or_init(|| Self::all().into_iter().min_by_key(|form| form.takes()).unwrap_or(Self::Scalar))
    }

    /// Those that this processor has.
    pub fn all() -> Vec<Self> {
        #[allow(unused_mut, reason = "elsewhere there is no other")]
        let mut forms = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            let bits = is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("popcnt");
            if bits && is_x86_feature_detected!("avx2") {
                forms.extend([false, true].map(|gathers| Self::Avx2 { gathers }));
            }
            let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512dq");
            if bits && wide && is_x86_feature_detected!("avx512vl") {
                forms.extend([false, true].map(|gathers| Self::Avx512 { gathers }));
            }
        }
        forms
    }

    /// Those that are for this kind of processor; the scalar one, if the processor here is none.
    pub(super) fn of(processor: lanes::Form) -> Vec<Self> {
        let is_of = |form: &Self| match form {
            Self::Scalar => processor == lanes::Form::Usual,
            Self::Avx2 { .. } => processor == lanes::Form::Avx2,
            Self::Avx512 { .. } => processor == lanes::Form::Avx512,
        };
        let own: Vec<Self> = Self::all().into_iter().filter(is_of).collect();
        if own.is_empty() { vec![Self::Scalar] } else { own }
    }

    /// How long bursts of it take over a small table: the shortest of some tries, as others may run between.
    fn takes(&self) -> Duration {
        const BITS: u32 = 12;
        const TRIES: usize = 32;
        const BURSTS: u32 = 32;
        let root = Root { first: 0, shift: 64 - 16, bits: BITS, wide: false };
        let words: Vec<u32> = (0..root.words::<V4>() as u32).map(|at| Entry::prefix(0, 0, at).word()).collect();
        let Ok(table) = Cells::<V4>::new(root, &words, Vec::new(), *self) else { return Duration::MAX };
        let mut found = [0; BURST_MAX];
        let mut once = || {
            let begun = Instant::now();
            for burst in 0..BURSTS {
                let addresses: [u32; BURST_MAX] = std::array::from_fn(|at| (burst * 64 + at as u32).wrapping_mul(0x9E37_79B1) >> 4);
                table.find_all(std::hint::black_box(&addresses), &mut found);
                std::hint::black_box(&found);
            }
            begun.elapsed()
        };
        (0..TRIES).map(|_| once()).min().unwrap_or(Duration::MAX)
    }
}
