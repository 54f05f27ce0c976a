use super::*;
use crate::axes::flow_field::{FLOW_FIELDS, FlowKind};
use crate::flows::{FlowType, RateFrom, Remote, Text};

/// What a walk gives: number, name, kind, and what it holds.
#[derive(Default)]
struct Seen(Vec<(u32, String, FlowKind, String)>);

impl Seen {
    fn put(&mut self, number: u32, name: &str, kind: FlowKind, held: impl std::fmt::Debug) {
        self.0.push((number, name.to_owned(), kind, format!("{held:?}")));
    }
}

impl Form for Seen {
    fn word(&mut self, number: u32, name: &str, value: usize, words: &[&str]) {
        self.put(number, name, FlowKind::Word, if value == 0 { "" } else { words[value] });
    }

    fn number(&mut self, number: u32, name: &str, value: u32) {
        self.put(number, name, FlowKind::Number, value);
    }

    fn wide(&mut self, number: u32, name: &str, value: u64, _: bool) {
        self.put(number, name, FlowKind::Number, value);
    }

    fn mac(&mut self, number: u32, name: &str, value: u64) {
        self.put(number, name, FlowKind::Mac, value);
    }

    fn address(&mut self, number: u32, name: &str, value: &Address) {
        self.put(number, name, FlowKind::Address, value);
    }

    fn text(&mut self, number: u32, name: &str, value: &str) {
        self.put(number, name, FlowKind::Text, value);
    }

    fn numbers(&mut self, number: u32, name: &str, values: impl ExactSizeIterator<Item = u32> + Clone) {
        self.put(number, name, FlowKind::Numbers, values.len());
    }

    fn words(&mut self, number: u32, name: &str, values: impl ExactSizeIterator<Item = u8> + Clone, _: fn(u8) -> &'static str) {
        self.put(number, name, FlowKind::Words, values.len());
    }

    fn addresses(&mut self, number: u32, name: &str, values: &[Address]) {
        self.put(number, name, FlowKind::Addresses, values.len());
    }
}

/// A flow of which no two fields hold the same.
fn full() -> (Flow, Added) {
    let mut flow = Flow::default();
    let f = &mut flow.fields;
    (f.kind, f.rate_from) = (FlowType::Ipfix, RateFrom::Options);
    (f.bytes, f.packets, f.sampling_rate, f.src_mac, f.dst_mac) = (901, 902, 903, 904, 905);
    (f.src_port, f.dst_port, f.proto, f.etype, f.in_if, f.out_if) = (906, 907, 17, 908, 909, 910);
    for (number, last) in [(6, 1), (7, 2), (11, 3), (12, 4), (100, 5), (2018, 6), (2019, 7), (2024, 8)] {
        *f.address_mut(number).unwrap() = Address::of(&[192, 0, 2, last]);
    }
    let mut added = Added { cid: 911, src_cid: 912, dst_cid: 913, normalized: true, remote: Remote::Dst, ..Added::NONE };
    for name in FLOW_FIELDS.iter().filter(|field| field.kind == FlowKind::Text).map(|field| field.name) {
        if let Some(text) = added.text_mut(name) {
            *text = Text::from(name);
        }
    }
    (flow, added)
}

/// The list in `axes`, which configurations are read by, is that of the message.
#[test]
fn names_numbers_and_kinds_are_those_that_are_known() {
    let mut seen = Seen::default();
    walk(&Flow::default(), &Added::NONE, &mut seen);
    let seen: Vec<_> = seen.0.iter().map(|(number, name, kind, _)| (*number, &name[..], *kind)).collect();
    let known: Vec<_> = FLOW_FIELDS.iter().map(|field| (field.number, field.name, field.kind)).collect();
    assert_eq!(seen, known);
    for field in FLOW_FIELDS {
        assert_eq!(field.words().is_some(), matches!(field.kind, FlowKind::Word | FlowKind::Words), "{}", field.name);
    }
    let mut numbers: Vec<u32> = known.iter().map(|field| field.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), known.len());
}

/// What is asked of one field is what a walk finds there.
#[test]
fn a_field_is_what_is_written() {
    let (flow, added) = full();
    let mut seen = Seen::default();
    walk(&flow, &added, &mut seen);
    for (number, name, kind, held) in seen.0 {
        let asked = match value(&flow, &added, number) {
            Value::None => {
                assert!(!kind.is_one(), "{name}");
                continue;
            }
            Value::Number(number) | Value::Mac(number) => format!("{number:?}"),
            Value::Word(text) => format!("{text:?}"),
            Value::Text(text) => format!("{text:?}"),
            Value::Address(address) => format!("{address:?}"),
        };
        assert_eq!(asked, held, "{name}");
    }
    assert_eq!(value(&flow, &added, 2), Value::None);
}

/// With what is left out nothing else changes: prost reads what is kept, and only that.
#[test]
fn what_is_not_chosen_is_not_written() {
    use prost::Message as _;

    use crate::flows::pb::FlowMessage;
    let (flow, added) = full();
    let written = |chosen: Option<&Chosen>| {
        let mut bytes = Vec::new();
        crate::flows::protobuf::write_message(&Message { flow: &flow, added: &added, chosen }, &mut bytes);
        FlowMessage::decode(&bytes[..]).unwrap()
    };
    let whole = written(None);
    assert_eq!((whole.cid, &whole.note[..], whole.normalized, whole.remote_addr), (911, "note", 1, 2));
    assert_eq!((&whole.dst_as_name[..], &whole.customer[..], &whole.src_if_desc[..]), ("dst_as_name", "customer", "src_if_desc"));
    let kept = written(Some(&Chosen::only([9, 6, 1016])));
    let want = FlowMessage { bytes: 901, src_addr: whole.src_addr.clone(), note: "note".to_owned(), ..FlowMessage::default() };
    assert_eq!(kept, want);
    let without = written(Some(&Chosen::without([9, 6, 1016])));
    assert_eq!(without, FlowMessage { bytes: 0, src_addr: Vec::new(), note: String::new(), ..whole });
    let mut json = Vec::new();
    crate::flows::json::write_message(&Message { flow: &flow, added: &added, chosen: Some(&Chosen::only([1016, 1002, 3])) }, &mut json);
    assert_eq!(String::from_utf8(json).unwrap(), "{\"sampling_rate\":\"903\",\"normalized\":\"Yes\",\"note\":\"note\"}\n");
}
