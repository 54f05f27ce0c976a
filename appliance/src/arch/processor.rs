//! Whether the processor has what this program was built for.

/// Of what the program was built to use, the first that the processor, or the system, lacks. To be asked before anything else: what
/// lacks it ends at the first such instruction, without a word.
pub fn lacking() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    return x86::lacking();
    #[cfg(not(target_arch = "x86_64"))]
    None
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    /// Register and bit of a feature in what CPUID tells, by leaf: see the processors' manuals.
    struct Feature {
        name: &'static str,
        built_for: bool,
        is_there: fn(&Told) -> bool,
    }

    /// What CPUID tells.
    struct Told {
        leaf_1_ecx: u32,
        leaf_7_ebx: u32,
        extended_1_ecx: u32,
    }

    const fn has(register: u32, bit: u32) -> bool {
        register >> bit & 1 == 1
    }

    const FEATURES: [Feature; 7] = [
        Feature { name: "POPCNT", built_for: cfg!(target_feature = "popcnt"), is_there: |told| has(told.leaf_1_ecx, 23) },
        // Bit 27: the system keeps the wide registers.
        Feature {
            name: "AVX",
            built_for: cfg!(target_feature = "avx"),
            is_there: |told| has(told.leaf_1_ecx, 28) && has(told.leaf_1_ecx, 27),
        },
        Feature { name: "FMA", built_for: cfg!(target_feature = "fma"), is_there: |told| has(told.leaf_1_ecx, 12) },
        Feature { name: "AVX2", built_for: cfg!(target_feature = "avx2"), is_there: |told| has(told.leaf_7_ebx, 5) },
        Feature { name: "BMI1", built_for: cfg!(target_feature = "bmi1"), is_there: |told| has(told.leaf_7_ebx, 3) },
        Feature { name: "BMI2", built_for: cfg!(target_feature = "bmi2"), is_there: |told| has(told.leaf_7_ebx, 8) },
        Feature { name: "LZCNT", built_for: cfg!(target_feature = "lzcnt"), is_there: |told| has(told.extended_1_ecx, 5) },
    ];

    pub(super) fn lacking() -> Option<&'static str> {
        let (leaves, extended) = (__cpuid(0).eax, __cpuid(0x8000_0000).eax);
        let told = Told {
            leaf_1_ecx: __cpuid(1).ecx,
            leaf_7_ebx: if leaves >= 7 { __cpuid_count(7, 0).ebx } else { 0 },
            extended_1_ecx: if extended > 0x8000_0000 { __cpuid(0x8000_0001).ecx } else { 0 },
        };
        first_lacking(&told)
    }

    fn first_lacking(told: &Told) -> Option<&'static str> {
        FEATURES.iter().find(|feature| feature.built_for && !(feature.is_there)(told)).map(|feature| feature.name)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_runs_this_test_lacks_nothing_and_one_that_tells_nothing_lacks_what_was_built_for() {
            assert_eq!(lacking(), None);
            let none = Told { leaf_1_ecx: 0, leaf_7_ebx: 0, extended_1_ecx: 0 };
            let wanted = FEATURES.iter().find(|feature| feature.built_for).map(|feature| feature.name);
            assert_eq!(first_lacking(&none), wanted);
        }

        /// Each bit against what the standard library finds out by itself.
        #[test]
        fn bits_are_those_that_others_read() {
            let all = Told { leaf_1_ecx: __cpuid(1).ecx, leaf_7_ebx: __cpuid_count(7, 0).ebx, extended_1_ecx: __cpuid(0x8000_0001).ecx };
            let have = FEATURES.map(|feature| (feature.name, (feature.is_there)(&all)));
            let want = [
                ("POPCNT", is_x86_feature_detected!("popcnt")),
                ("AVX", is_x86_feature_detected!("avx")),
                ("FMA", is_x86_feature_detected!("fma")),
                ("AVX2", is_x86_feature_detected!("avx2")),
                ("BMI1", is_x86_feature_detected!("bmi1")),
                ("BMI2", is_x86_feature_detected!("bmi2")),
                ("LZCNT", is_x86_feature_detected!("lzcnt")),
            ];
            assert_eq!(have, want);
        }
    }
}
