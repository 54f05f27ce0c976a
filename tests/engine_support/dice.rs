//! Seeded chance for tests.

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x0123_4567_89AB_CDEF)
    }

    /// Others, whose draws change none of these.
    pub const fn fork(&self) -> Self {
        Self(self.0 ^ 0x5DEE_CE66_D5DE_ECE6)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        let at = self.below(list.len() as u64);
        list[usize::try_from(at).unwrap()]
    }
}

/// Seeds of a test: `TAILWATER_SEED` alone, or `count` of them from 1 on (`TAILWATER_SEEDS` says how many).
pub fn seeds(count: u64) -> Vec<u64> {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match read("TAILWATER_SEED") {
        Some(seed) => vec![seed],
        None => (1..=read("TAILWATER_SEEDS").unwrap_or(count)).collect(),
    }
}
