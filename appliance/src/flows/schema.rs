//! The fields of the message as a table: what the walk says of each, without a flow.

use std::sync::OnceLock;

use super::flow::{Address, Flow};
use super::message::{self, Form, Message};

/// How a field is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// An enum, and the names of its numbers.
    Word(&'static [&'static str]),
    /// A `uint32`.
    Number,
    /// A `uint64`; written even where it is zero, if so.
    Wide(bool),
    /// A MAC.
    Mac,
    /// An address.
    Address,
    /// A text.
    Text,
    /// Repeated `uint32`.
    Numbers,
    /// A repeated enum, and the name of a number.
    Words(fn(u8) -> &'static str),
    /// Repeated addresses.
    Addresses,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

/// All of them, in the order in which they are written.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) columns: Vec<Column>,
    /// Numbers in ascending order, and which column each is.
    by_number: Vec<(u32, usize)>,
}

impl Schema {
    /// The one that there is.
    pub(super) fn get() -> &'static Self {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        SCHEMA.get_or_init(|| {
            let mut columns = Columns(Vec::new());
            message::write(&Message::plain(&Flow::default()), &mut columns);
            let mut by_number: Vec<_> = columns.0.iter().enumerate().map(|(at, column)| (column.number, at)).collect();
            by_number.sort_unstable();
            Self { columns: columns.0, by_number }
        })
    }

    /// The index of the column with a number.
    pub(super) fn of_number(&self, number: u32) -> Option<usize> {
        let at = self.by_number.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.by_number.get(at).map(|(_, column)| *column)
    }
}

struct Columns(Vec<Column>);

impl Columns {
    fn add(&mut self, number: u32, name: &'static str, shape: Shape) {
        self.0.push(Column { number, name, shape });
    }
}

impl Form for Columns {
    fn word(&mut self, number: u32, name: &'static str, _: usize, words: &'static [&'static str]) {
        self.add(number, name, Shape::Word(words));
    }

    fn number(&mut self, number: u32, name: &'static str, _: u32) {
        self.add(number, name, Shape::Number);
    }

    fn wide(&mut self, number: u32, name: &'static str, _: u64, always: bool) {
        self.add(number, name, Shape::Wide(always));
    }

    fn mac(&mut self, number: u32, name: &'static str, _: u64) {
        self.add(number, name, Shape::Mac);
    }

    fn address(&mut self, number: u32, name: &'static str, _: &Address) {
        self.add(number, name, Shape::Address);
    }

    fn text(&mut self, number: u32, name: &'static str, _: &str) {
        self.add(number, name, Shape::Text);
    }

    fn numbers(&mut self, number: u32, name: &'static str, _: impl ExactSizeIterator<Item = u32> + Clone) {
        self.add(number, name, Shape::Numbers);
    }

    fn words(&mut self, number: u32, name: &'static str, _: impl ExactSizeIterator<Item = u8> + Clone, word: fn(u8) -> &'static str) {
        self.add(number, name, Shape::Words(word));
    }

    fn addresses(&mut self, number: u32, name: &'static str, _: &[Address]) {
        self.add(number, name, Shape::Addresses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axes::flow_field::FLOW_FIELDS;

    #[test]
    fn the_configuration_knows_the_fields() {
        let schema = Schema::get();
        let names: Vec<&str> = schema.columns.iter().map(|column| column.name).collect();
        assert_eq!(names, FLOW_FIELDS.iter().map(|field| field.name).collect::<Vec<_>>());
        assert!(schema.columns.iter().enumerate().all(|(at, column)| schema.of_number(column.number) == Some(at)));
    }
}
