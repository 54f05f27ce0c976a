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
