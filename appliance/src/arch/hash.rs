//! Keyed 64-bit hashing, version 1.
//!
//! Attackers choose what is hashed, so every hash is keyed with 256 secret bits. The function is ours because sketches
//! of several appliances merge only if all hash alike, today and in the next release: it never changes within a version,
//! and `vectors` in the tests publish it. It folds 128-bit products, as wyhash and its relatives do.

use sha2::{Digest, Sha256};

/// Version of the function; part of the key's id.
pub const HASH_VERSION: u8 = 1;

/// Of what the last product is made.
const LAST: u64 = 0xE703_7ED1_A0B4_28DB;

/// 256 secret bits and the function that they key.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey {
    words: [u64; 4],
    id: String,
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HashKey({})", self.id)
    }
}

impl HashKey {
    /// The key of these 32 bytes, read as four big-endian words.
    pub fn new(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = chunk.iter().fold(0, |n, b| n << 8 | u64::from(*b));
        }
        let digest = Sha256::new().chain_update(b"tailwater hash key").chain_update([HASH_VERSION]).chain_update(bytes).finalize();
        let id = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
        Self { words, id }
    }

    /// The constant key of replays without a configured one: public, so no defence against chosen keys.
    pub fn constant() -> Self {
        Self::new(*b"tailwater replays: constant key.")
    }

    /// What reports carry: sketches merge only where it is the same. Says nothing of the key itself.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Hash of `bytes`, all 64 bits usable.
    #[inline(always)]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let [k0, k1, k2, k3] = self.words;
        let mut state = self.state(bytes.len());
        let mut rest = bytes;
        while rest.len() > 16 {
            let (head, tail) = rest.split_at(16);
            state = fold(word(&head[..8]) ^ k1 ^ state, word(&head[8..]) ^ k2) ^ k3;
            rest = tail;
        }
        let (a, b) = if rest.len() > 8 { (word(&rest[..8]), word(&rest[8..])) } else { (word(rest), 0) };
        let mixed = fold(a ^ k1 ^ state, b ^ k2 ^ state.rotate_left(32));
        fold(mixed ^ k3, state ^ k0 ^ LAST)
    }
}

impl HashKey {
    /// Hashes of keys of one width that stand one behind the other.
    #[inline(always)]
    pub fn hash_column(&self, keys: &[u8], width: usize, hashes: &mut [u64]) {
        match width {
            1 => self.column::<1>(keys, hashes),
            2 => self.column::<2>(keys, hashes),
            4 => self.column::<4>(keys, hashes),
            6 => self.column::<6>(keys, hashes),
            13 => self.column::<13>(keys, hashes),
            16 => self.column::<16>(keys, hashes),
            37 => self.column::<37>(keys, hashes),
            _ => keys.chunks_exact(width.max(1)).zip(hashes).for_each(|(key, hash)| *hash = self.hash(key)),
        }
    }

    /// What hashes of keys of a width up to sixteen bytes are made with.
    #[inline(always)]
    pub const fn seeds(&self, width: usize) -> Seeds {
        let [k0, k1, k2, k3] = self.words;
        let state = self.state(width);
        Seeds { first: k1 ^ state, rest: k2 ^ state.rotate_left(32), between: k3, last: state ^ k0 ^ LAST }
    }

    /// What hashing keys of a width begins with.
    #[inline(always)]
    const fn state(&self, width: usize) -> u64 {
        self.words[0] ^ (width as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// One loop for each width.
    #[inline(always)]
    fn column<const W: usize>(&self, keys: &[u8], hashes: &mut [u64]) {
        for (key, hash) in keys.as_chunks::<W>().0.iter().zip(hashes) {
            *hash = self.hash(key);
        }
    }
}

/// What is the same for all keys of a width up to sixteen bytes.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    pub(super) first: u64,
    pub(super) rest: u64,
    pub(super) between: u64,
    pub(super) last: u64,
}

impl Seeds {
    /// Hash of a key, given as its first eight bytes and the others, each the first byte lowest.
    #[inline(always)]
    pub const fn hash(&self, first: u64, rest: u64) -> u64 {
        fold(fold(first ^ self.first, rest ^ self.rest) ^ self.between, self.last)
    }
}

/// Up to eight bytes, little endian.
#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    if let Ok(eight) = <[u8; 8]>::try_from(bytes) {
        return u64::from_le_bytes(eight);
    }
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return u64::from(u32::from_le_bytes(four));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // Five to seven: some stand in both, at the same place.
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (bytes.len() - 4));
    }
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Both halves of the 128-bit product.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the halves are the point")]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// A cheap spread of a number that no attacker chooses: home workers, random draws within one sketch.
#[inline]
pub const fn spread(number: u64) -> u64 {
    let x = (number ^ number >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (x ^ x >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ x >> 29
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never change: sketches made by other appliances would no longer merge.
    #[test]
    fn vectors() {
        let key = HashKey::constant();
        let bytes: Vec<u8> = (0..40).collect();
        let have: Vec<u64> = [0, 1, 4, 8, 9, 16, 17, 37].iter().map(|n| key.hash(&bytes[..*n])).collect();
        assert_eq!(have, VECTORS, "{have:#018x?}");
        assert_eq!(key.id().len(), 16);
    }

    const VECTORS: [u64; 8] = [
        0x56c3_336d_5c18_9b47,
        0x4ca1_cd24_678c_ec06,
        0x50a0_1d27_ddfd_e4c1,
        0xb086_0f32_4dd6_dd53,
        0x4555_e6d6_adc5_3fed,
        0xb1d2_b747_8605_bd9d,
        0xe4a9_018e_d8e0_dc6a,
        0x0faf_cd27_8be8_d43e,
    ];

    #[test]
    fn a_column_hashes_as_its_keys_do() {
        let (key, bytes) = (HashKey::constant(), (0..64 * 40).map(|n| spread(n).to_le_bytes()[0]).collect::<Vec<_>>());
        for width in 1..40 {
            let mut hashes = [0; 64];
            key.hash_column(&bytes, width, &mut hashes);
            bytes.chunks_exact(width).zip(hashes).for_each(|(bytes, hash)| assert_eq!(hash, key.hash(bytes), "{width}"));
        }
        for width in 1..=16 {
            let (bytes, halves) = (&bytes[..width], width.min(8));
            let hash = key.seeds(width).hash(word(&bytes[..halves]), word(&bytes[halves..]));
            assert_eq!(hash, key.hash(bytes), "{width}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "statistics of safe code: hours under Miri")]
    fn every_output_bit_flips_for_half_of_the_input_bits() {
        let key = HashKey::constant();
        for width in [1, 2, 4, 6, 16, 37] {
            let mut flips = [0_u32; 64];
            let mut trials = 0;
            for seed in 0_u64..400 {
                let mut bytes: Vec<u8> = (0..width).map(|i| spread(seed * 64 + i).to_le_bytes()[3]).collect();
                let before = key.hash(&bytes);
                for bit in 0..bytes.len() * 8 {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let changed = before ^ key.hash(&bytes);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    trials += 1;
                    flips.iter_mut().enumerate().for_each(|(i, n)| *n += u32::from(changed >> i & 1 == 1));
                }
            }
            for (i, n) in flips.iter().enumerate() {
                let share = f64::from(*n) / f64::from(trials);
                assert!((0.45..0.55).contains(&share), "width {width}, bit {i}: {share}");
            }
        }
    }
}
