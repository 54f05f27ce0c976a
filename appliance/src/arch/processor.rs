//! Whether the processor has what this program was built for: x86-64-v3, see `.cargo/config.toml`.

use std::io::{self, Write};

/// Of what the program was built to use, the first that the processor, or the system, lacks. To be asked before anything else: what
/// lacks it ends at the first such instruction, without a word.
#[inline(never)]
pub fn lacking() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    return x86::lacking();
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// Says so on stderr. By the standard library alone, which is built for any processor: nothing is formatted here.
#[cold]
#[inline(never)]
pub fn tell(lacking: &str) {
    const REST: &str = ", which tailwater was built for.\n  -> RUSTFLAGS=\"-C target-cpu=x86-64\" cargo build --release --locked builds it for any; \
                        a guest needs a CPU model that has it\n";
    let mut to = io::stderr();
    for part in ["tailwater: this processor lacks ", lacking, REST] {
        // Whom it cannot be told, the exit status tells.
        let _ = to.write_all(part.as_bytes());
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "one instruction, where CPUID says that it is there")]
mod x86 {
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    /// What the processor and the system tell: registers of leaves of CPUID, and what state the system keeps.
    #[derive(Clone, Copy, Default)]
    struct Told {
        leaf_1_ecx: u32,
        leaf_7_ebx: u32,
        extended_1_ecx: u32,
        kept: u64,
    }

    /// A feature, whether it was built for, and whether it is there.
    type Feature = (&'static str, bool, fn(&Told) -> bool);

    const fn has(register: u32, bit: u32) -> bool {
        register >> bit & 1 == 1
    }

    /// XCR0: the system keeps registers of 16 bytes, and of 32.
    const WIDE_KEPT: u64 = 0b110;

    /// Intel's manual, volume 2, CPUID. What else x86-64-v3 has came with or before these.
    static FEATURES: [Feature; 9] = [
        ("POPCNT", cfg!(target_feature = "popcnt"), |told| has(told.leaf_1_ecx, 23)),
        ("MOVBE", cfg!(target_feature = "movbe"), |told| has(told.leaf_1_ecx, 22)),
        ("AVX", cfg!(target_feature = "avx"), |told| has(told.leaf_1_ecx, 28) && told.kept & WIDE_KEPT == WIDE_KEPT),
        ("FMA", cfg!(target_feature = "fma"), |told| has(told.leaf_1_ecx, 12)),
        ("F16C", cfg!(target_feature = "f16c"), |told| has(told.leaf_1_ecx, 29)),
        ("AVX2", cfg!(target_feature = "avx2"), |told| has(told.leaf_7_ebx, 5)),
        ("BMI1", cfg!(target_feature = "bmi1"), |told| has(told.leaf_7_ebx, 3)),
        ("BMI2", cfg!(target_feature = "bmi2"), |told| has(told.leaf_7_ebx, 8)),
        ("LZCNT", cfg!(target_feature = "lzcnt"), |told| has(told.extended_1_ecx, 5)),
    ];
    /// The system has switched on what keeps wide registers: XCR0 can be read.
    const OSXSAVE: u32 = 27;

    /// What state the system keeps.
    #[target_feature(enable = "xsave")]
    fn kept() -> u64 {
        // SAFETY: register 0 is there wherever the instruction is.
        unsafe { _xgetbv(0) }
    }

    fn told() -> Told {
        let (leaves, extended, leaf_1_ecx) = (__cpuid(0).eax, __cpuid(0x8000_0000).eax, __cpuid(1).ecx);
        Told {
            leaf_1_ecx,
            leaf_7_ebx: if leaves >= 7 { __cpuid_count(7, 0).ebx } else { 0 },
            extended_1_ecx: if extended > 0x8000_0000 { __cpuid(0x8000_0001).ecx } else { 0 },
            // SAFETY: the bit says that it is there.
            kept: if has(leaf_1_ecx, OSXSAVE) { unsafe { kept() } } else { 0 },
        }
    }

    pub(super) fn lacking() -> Option<&'static str> {
        let told = told();
        FEATURES.iter().find(|(_, built_for, is_there)| *built_for && !is_there(&told)).map(|(name, ..)| *name)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn there(told: &Told) -> Vec<&'static str> {
            FEATURES.iter().filter(|(_, _, is_there)| is_there(told)).map(|(name, ..)| *name).collect()
        }

        #[test]
        fn what_runs_this_lacks_nothing() {
            assert_eq!(lacking(), None);
        }

        /// Bits by their masks, as manuals also write them.
        #[test]
        fn each_bit_is_one_feature() {
            let none = Told::default();
            let of_1 = |leaf_1_ecx: u32| there(&Told { leaf_1_ecx, ..none });
            assert_eq!((of_1(0x0080_0000), of_1(0x0040_0000)), (vec!["POPCNT"], vec!["MOVBE"]));
            assert_eq!((of_1(0x1000), of_1(0x2000_0000)), (vec!["FMA"], vec!["F16C"]));
            let of_7 = |leaf_7_ebx: u32| there(&Told { leaf_7_ebx, ..none });
            assert_eq!((of_7(0x20), of_7(0x08), of_7(0x100)), (vec!["AVX2"], vec!["BMI1"], vec!["BMI2"]));
            assert_eq!(there(&Told { extended_1_ecx: 0x20, ..none }), ["LZCNT"]);
            // Without a system that keeps its registers AVX is not there, whatever the processor has.
            let avx = |kept: u64| there(&Told { leaf_1_ecx: 0x1800_0000, kept, ..none });
            assert_eq!((avx(0), avx(0b010), avx(0b100), avx(0b111)), (vec![], vec![], vec![], vec!["AVX"]));
        }

        /// What the kernel says of the same processor.
        #[test]
        fn the_kernel_says_the_same() {
            let Ok(text) = std::fs::read_to_string("/proc/cpuinfo") else { return };
            let Some(flags) = text.lines().find(|line| line.starts_with("flags")) else { return };
            let flags: Vec<&str> = flags.split_whitespace().collect();
            let by_kernel = |name: &str| match name {
                "LZCNT" => flags.contains(&"abm"),
                name => flags.contains(&name.to_lowercase().as_str()),
            };
            let want: Vec<&str> = FEATURES.iter().map(|(name, ..)| *name).filter(|name| by_kernel(name)).collect();
            assert_eq!(there(&told()), want);
        }
    }
}
