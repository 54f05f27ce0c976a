//! A message as proto3 JSON, one line; a lot as a line each.

mod table;
#[cfg(test)]
mod tests;
mod text;
mod wire;

use wire::Wire;

use crate::flows::{self, LeftOut};
use crate::journal::{Kind, Lot, LotForm, Message};
use crate::report::pb;

/// Appends the message and a line end to `line`. On an error `line` is as it was.
///
/// # Errors
/// The payload is no message of its kind: it was not made by [`Message`]'s own constructors.
pub fn to_json_line(message: &Message, line: &mut Vec<u8>) -> Result<(), String> {
    let start = line.len();
    if by_table(message, line).is_some() {
        return Ok(());
    }
    line.truncate(start);
    let written = by_decoding(message, line);
    if written.is_err() {
        line.truncate(start);
    }
    written
}

/// The line of any message.
fn by_decoding(message: &Message, line: &mut Vec<u8>) -> Result<(), String> {
    match message.kind {
        Kind::Ranges => decode::<pb::RangeReport>(message).and_then(|report| write(&report, line)),
        Kind::Links => decode::<pb::LinkReport>(message).and_then(|report| write(&report, line)),
        Kind::Appliance => decode::<pb::ApplianceReport>(message).and_then(|report| write(&report, line)),
        Kind::Events => decode::<pb::Event>(message).and_then(|event| write(&event, line)),
        Kind::Configs => decode::<pb::ConfigReport>(message).and_then(|report| write(&report, line)),
        Kind::Flows | Kind::Logs => lot(message, line),
    }
}

/// The tables of messages.
#[allow(clippy::all, reason = "generated")]
mod tables {
    use super::table::{Field, Message, NONE, Value, key};

    include!(concat!(env!("OUT_DIR"), "/tailwater.v1.json.rs"));
}

/// The table of a report's message.
const fn table_of(kind: Kind) -> Option<&'static table::Message> {
    Some(match kind {
        Kind::Ranges => &tables::RANGE_REPORT,
        Kind::Links => &tables::LINK_REPORT,
        Kind::Appliance => &tables::APPLIANCE_REPORT,
        Kind::Events => &tables::EVENT,
        Kind::Configs => &tables::CONFIG_REPORT,
        Kind::Flows | Kind::Logs => return None,
    })
}

/// The line of a report as we encode them; none: of another one, or of a lot.
fn by_table(message: &Message, line: &mut Vec<u8>) -> Option<()> {
    table_of(message.kind)?.write(Wire(&message.payload), line)?;
    line.push(b'\n');
    Some(())
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
            LotForm::Bare => flows::text::json_of(value, left_out, line),
            LotForm::Framed => flows::text::unframed(value).is_some_and(|bare| flows::text::json_of(bare, left_out, line)),
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
