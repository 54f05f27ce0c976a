//! Which fields of a message are written.

use super::flow::Address;
use super::message::Form;

/// Numbers of fields are below this.
const NUMBERS: usize = 2_240;

/// A set of fields, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen([u64; NUMBERS / 64]);

impl Chosen {
    /// These.
    pub fn only(numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut chosen = Self([0; NUMBERS / 64]);
        numbers.into_iter().for_each(|number| chosen.set(number, true));
        chosen
    }

    /// All but these.
    pub fn without(numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut chosen = Self([u64::MAX; NUMBERS / 64]);
        numbers.into_iter().for_each(|number| chosen.set(number, false));
        chosen
    }

    /// Takes one in, or leaves it out.
    pub fn set(&mut self, number: u32, is: bool) {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if let Some(word) = self.0.get_mut(word) {
            if is { *word |= bit } else { *word &= !bit }
        }
    }

    /// Whether it is one of them.
    #[inline]
    pub fn has(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

/// Fields that are written in JSON even where they are zero: `type`, `sampling_rate`, `bytes` and `packets`.
pub(super) const ALWAYS: [u32; 4] = [1, 3, 9, 10];

/// Which of these four are not chosen: in protobuf a zero does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut(u8);

impl LeftOut {
    /// Of what is chosen; none: all.
    pub fn of(chosen: Option<&Chosen>) -> Self {
        let is_out = |number: &u32| chosen.is_some_and(|chosen| !chosen.has(*number));
        Self(ALWAYS.iter().enumerate().filter(|(_, number)| is_out(number)).map(|(at, _)| 1 << at).sum())
    }

    /// A bit each, the low four.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Out of these.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub(super) fn has(self, number: u32) -> bool {
        ALWAYS.iter().position(|always| *always == number).is_some_and(|at| self.0 >> at & 1 == 1)
    }
}

/// A form that passes on what is chosen.
pub(super) struct Kept<'a, F> {
    pub(super) form: &'a mut F,
    pub(super) chosen: &'a Chosen,
}

impl<F: Form> Form for Kept<'_, F> {
    fn word(&mut self, number: u32, name: &'static str, value: usize, words: &'static [&'static str]) {
        if self.chosen.has(number) {
            self.form.word(number, name, value, words);
        }
    }

    fn number(&mut self, number: u32, name: &'static str, value: u32) {
        if self.chosen.has(number) {
            self.form.number(number, name, value);
        }
    }

    fn wide(&mut self, number: u32, name: &'static str, value: u64, always: bool) {
        if self.chosen.has(number) {
            self.form.wide(number, name, value, always);
        }
    }

    fn mac(&mut self, number: u32, name: &'static str, value: u64) {
        if self.chosen.has(number) {
            self.form.mac(number, name, value);
        }
    }

    fn address(&mut self, number: u32, name: &'static str, value: &Address) {
        if self.chosen.has(number) {
            self.form.address(number, name, value);
        }
    }

    fn text(&mut self, number: u32, name: &'static str, value: &str) {
        if self.chosen.has(number) {
            self.form.text(number, name, value);
        }
    }

    fn numbers(&mut self, number: u32, name: &'static str, values: impl ExactSizeIterator<Item = u32> + Clone) {
        if self.chosen.has(number) {
            self.form.numbers(number, name, values);
        }
    }

    fn words(&mut self, number: u32, name: &'static str, values: impl ExactSizeIterator<Item = u8> + Clone, word: fn(u8) -> &'static str) {
        if self.chosen.has(number) {
            self.form.words(number, name, values, word);
        }
    }

    fn addresses(&mut self, number: u32, name: &'static str, values: &[Address]) {
        if self.chosen.has(number) {
            self.form.addresses(number, name, values);
        }
    }
}
