//! Addresses that are written as others: Crypto-PAn (Fan, Xu, Ammar, Moon: "Prefix-preserving IP address anonymization", Computer
//! Networks 46, 2004) and truncation.

use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use aes::{Aes128, Block};

use crate::config::streams::{Anonymise, Method, PanKey};
use crate::flows::{Address, Flow};

/// One method with what it needs.
pub(super) enum Hide {
    Pan(Box<Pan>),
    Truncate(u8, u8),
}

/// Fields, and how they are hidden.
pub(super) struct Hiding {
    numbers: Vec<u32>,
    hide: Hide,
}

impl Hiding {
    pub(super) fn new(written: &Anonymise) -> Self {
        let hide = match &written.method {
            Method::CryptoPan(key) => Hide::Pan(Box::new(Pan::new(key))),
            Method::Truncate(v4, v6) => Hide::Truncate(*v4, *v6),
        };
        Self { numbers: written.fields.iter().map(|field| field.number).collect(), hide }
    }

    /// Hides what the flow holds in these fields.
    pub(super) fn apply(&self, flow: &mut Flow) {
        for number in &self.numbers {
            for address in flow.addresses_mut(*number) {
                *address = match &self.hide {
                    Hide::Pan(pan) => pan.address(address),
                    Hide::Truncate(v4, v6) => truncated(address, *v4, *v6),
                };
            }
        }
    }
}

/// The first bits, the rest zero.
pub(super) fn truncated(address: &Address, v4_bits: u8, v6_bits: u8) -> Address {
    match <[u8; 4]>::try_from(address.bytes()) {
        Ok(v4) => Address::of(&(u32::from_be_bytes(v4) & u32::MAX.checked_shl(32 - u32::from(v4_bits.min(32))).unwrap_or(0)).to_be_bytes()),
        Err(_) => match <[u8; 16]>::try_from(address.bytes()) {
            Ok(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(v6_bits.min(128))).unwrap_or(0);
                Address::of(&(u128::from_be_bytes(v6) & mask).to_be_bytes())
            }
            Err(_) => Address::NONE,
        },
    }
}

/// Two addresses that share so many first bits share as many hidden.
pub(super) struct Pan {
    cipher: Aes128,
    pad: u128,
}

impl Pan {
    /// The key's first half is AES's, its second half, encrypted, pads what is too short for a block.
    pub(super) fn new(key: &PanKey) -> Self {
        let (first, second) = key.expose().split_at(16);
        let (mut aes, mut pad) = ([0u8; 16], [0u8; 16]);
        aes.copy_from_slice(first);
        pad.copy_from_slice(second);
        let cipher = Aes128::new(&aes.into());
        let mut block = Block::from(pad);
        cipher.encrypt_block(&mut block);
        Self { cipher, pad: u128::from_be_bytes(block.into()) }
    }

    pub(super) fn address(&self, address: &Address) -> Address {
        if let Ok(v4) = <[u8; 4]>::try_from(address.bytes()) {
            let number = u32::from_be_bytes(v4);
            let pad = self.bits::<32>(u128::from(number) << 96);
            return Address::of(&(number ^ u32::try_from(pad >> 96).unwrap_or(0)).to_be_bytes());
        }
        <[u8; 16]>::try_from(address.bytes()).map_or(Address::NONE, |v6| {
            let number = u128::from_be_bytes(v6);
            Address::of(&(number ^ self.bits::<128>(number)).to_be_bytes())
        })
    }

    /// One bit for each of the first `N`: the highest of the encrypted block that begins with all bits before it. No block hangs
    /// on another, so all go through the cipher together.
    fn bits<const N: usize>(&self, address: u128) -> u128 {
        let mut blocks = [Block::default(); N];
        for (block, at) in blocks.iter_mut().zip(0_u32..) {
            let kept = u128::MAX.checked_shl(128 - at).unwrap_or(0);
            *block = Block::from((address & kept | self.pad & !kept).to_be_bytes());
        }
        self.cipher.encrypt_blocks(&mut blocks);
        let mut bits = 0_u128;
        for (block, at) in blocks.iter().zip(0_u32..) {
            bits |= u128::from(block[0] >> 7) << (127 - at);
        }
        bits
    }
}

#[cfg(test)]
#[path = "pan_tests.rs"]
mod tests;
