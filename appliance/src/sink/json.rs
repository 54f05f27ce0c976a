//! A message as proto3 JSON, one line.

use crate::journal::{Kind, Message};
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
    };
    match written {
        Ok(()) => line.push(b'\n'),
        Err(_) => line.truncate(start),
    }
    written
}

fn decode<T: prost::Message + Default>(message: &Message) -> Result<T, String> {
    T::decode(&*message.payload).map_err(|fault| fault.to_string())
}

fn write(report: &impl serde::Serialize, line: &mut Vec<u8>) -> Result<(), String> {
    serde_json::to_writer(line, report).map_err(|fault| fault.to_string())
}
