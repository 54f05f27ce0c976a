//! A message as proto3 JSON, one line; a lot as a line each.

use crate::flows::{LeftOut, text};
use crate::journal::{Kind, Lot, LotForm, Message};
use crate::report::pb;

/// Appends the message and a line end to `line`. On an error `line` is as it was.
///
/// # Errors
/// The payload is no message of its kind: it was not made by [`Message`]'s own constructors.
pub fn to_json_line(message: &Message, line: &mut Vec<u8>) -> Result<(), String> {
    let start = line.len();
    let written = match message.kind {
        Kind::Ranges => decode::<pb::RangeReport>(message).and_then(|report| write(&report, line)),
        Kind::Links => decode::<pb::LinkReport>(message).and_then(|report| write(&report, line)),
        Kind::Appliance => decode::<pb::ApplianceReport>(message).and_then(|report| write(&report, line)),
        Kind::Events => decode::<pb::Event>(message).and_then(|event| write(&event, line)),
        Kind::Configs => decode::<pb::ConfigReport>(message).and_then(|report| write(&report, line)),
        Kind::Flows | Kind::Logs => lot(message, line),
    };
    if written.is_err() {
        line.truncate(start);
    }
    written
}

fn lot(message: &Message, line: &mut Vec<u8>) -> Result<(), String> {
    let lot = Lot::read(&message.payload).ok_or("no lot")?;
    let left_out = LeftOut::from_bits(lot.left_out);
    for (_, value) in lot.entries() {
        let whole = match lot.form {
            LotForm::Json => {
                line.extend_from_slice(value);
                line.push(b'\n');
                true
            }
            LotForm::Bare => text::json_of(value, left_out, line),
            LotForm::Framed => text::unframed(value).is_some_and(|bare| text::json_of(bare, left_out, line)),
        };
        if !whole {
            return Err("no flow message".to_owned());
        }
    }
    Ok(())
}

fn decode<T: prost::Message + Default>(message: &Message) -> Result<T, String> {
    T::decode(&*message.payload).map_err(|fault| fault.to_string())
}

fn write(report: &impl serde::Serialize, line: &mut Vec<u8>) -> Result<(), String> {
    serde_json::to_writer(&mut *line, report).map_err(|fault| fault.to_string())?;
    line.push(b'\n');
    Ok(())
}
