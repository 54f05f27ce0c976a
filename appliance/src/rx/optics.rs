//! What a port's transceiver says of itself: temperature, and how much light comes in.
//!
//! By SFF-8472 (SFP) and SFF-8636 (QSFP; SFF-8436 before it), internally calibrated: one with constants of its own (before 2005 or so), a
//! copper cable and one that measures nothing say nothing here.

use crate::telemetry::Optics;

/// Which document a module's memory follows, as ethtool and DPDK number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// SFP with diagnostics: page A0h, behind it A2h.
    Sff8472,
    /// QSFP, any: the lower half of page 00h first.
    Sff8636,
}

/// Pages of SFF-8472 are so long,
const PAGE_BYTES: usize = 256;
/// and light is counted in tenths of a microwatt by both.
const LIGHT_NW: u64 = 100;

impl Module {
    /// Of the number that a driver gives; none: it has no diagnostics.
    pub const fn of(number: u32) -> Option<Self> {
        match number {
            2 => Some(Self::Sff8472),
            3 | 4 => Some(Self::Sff8636),
            _ => None,
        }
    }
}

/// What is in a module's memory.
pub fn decode(module: Module, memory: &[u8]) -> Option<Optics> {
    match module {
        Module::Sff8472 => sff_8472(memory),
        Module::Sff8636 => sff_8636(memory),
    }
}

fn sff_8472(memory: &[u8]) -> Option<Optics> {
    const HAS_DIAGNOSTICS: u8 = 0x40;
    const IS_CALIBRATED: u8 = 0x20;
    let kind = *memory.get(92)?;
    if kind & HAS_DIAGNOSTICS == 0 || kind & IS_CALIBRATED == 0 {
        return None;
    }
    let diagnostics = memory.get(PAGE_BYTES..)?;
    told(word(diagnostics, 96)?, &[word(diagnostics, 104)?])
}

fn sff_8636(memory: &[u8]) -> Option<Optics> {
    const IS_NOT_READY: u8 = 0x01;
    if memory.get(2)? & IS_NOT_READY != 0 {
        return None;
    }
    let lanes: Option<Vec<u16>> = [34, 36, 38, 40].into_iter().map(|at| word(memory, at)).collect();
    told(word(memory, 22)?, &lanes?)
}

/// Where all is zero nothing is measured.
fn told(temperature: u16, light: &[u16]) -> Option<Optics> {
    if temperature == 0 && light.iter().all(|light| *light == 0) {
        return None;
    }
    let temperature_c = f64::from(temperature.cast_signed()) / 256.0;
    Some(Optics { temperature_c, rx_power_nw: light.iter().map(|light| u64::from(*light) * LIGHT_NW).collect() })
}

fn word(memory: &[u8], at: usize) -> Option<u16> {
    memory.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(length: usize, bytes: &[(usize, u8)]) -> Vec<u8> {
        let mut memory = vec![0; length];
        bytes.iter().for_each(|(at, byte)| memory[*at] = *byte);
        memory
    }

    #[test]
    fn an_sfp_says_how_warm_and_how_bright_it_is() {
        // 25.5 C, and 501.2 uW, which is -3 dBm.
        let memory = with(512, &[(92, 0x68), (256 + 96, 25), (256 + 97, 128), (256 + 104, 0x13), (256 + 105, 0x94)]);
        assert_eq!(decode(Module::Sff8472, &memory), Some(Optics { temperature_c: 25.5, rx_power_nw: vec![501_200] }));
        let cold = with(512, &[(92, 0x60), (256 + 96, 0xF6), (256 + 97, 0x00)]);
        assert_eq!(decode(Module::Sff8472, &cold), Some(Optics { temperature_c: -10.0, rx_power_nw: vec![0] }), "no light is a figure");
        // Without diagnostics, or with constants of its own.
        for kind in [0x00, 0x28, 0x58] {
            let mut memory = memory.clone();
            memory[92] = kind;
            assert_eq!(decode(Module::Sff8472, &memory), None, "{kind:#x}");
        }
    }

    #[test]
    fn a_qsfp_has_four_lanes() {
        let memory = with(640, &[(0, 0x11), (22, 40), (34, 0x27), (35, 0x10), (36, 0x00), (37, 0x01), (40, 0xFF), (41, 0xFF)]);
        let expected = Optics { temperature_c: 40.0, rx_power_nw: vec![1_000_000, 100, 0, 6_553_500] };
        assert_eq!(decode(Module::Sff8636, &memory), Some(expected));
        assert_eq!(decode(Module::Sff8636, &with(640, &[(0, 0x11), (2, 1), (22, 40)])), None, "not ready");
        assert_eq!(decode(Module::Sff8636, &with(640, &[(0, 0x11)])), None, "copper");
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        let (sfp, qsfp) = (with(512, &[(92, 0x60), (352, 1)]), with(640, &[(22, 40)]));
        for (module, memory, needed) in [(Module::Sff8472, sfp, 256 + 106), (Module::Sff8636, qsfp, 42)] {
            for length in 0..memory.len() {
                assert_eq!(decode(module, &memory[..length]).is_some(), length >= needed, "{module:?} {length}");
            }
        }
        assert_eq!([1, 2, 3, 4, 5].map(Module::of), [None, Some(Module::Sff8472), Some(Module::Sff8636), Some(Module::Sff8636), None]);
    }
}
