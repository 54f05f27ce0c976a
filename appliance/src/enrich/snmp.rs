//! Interfaces asked of exporters by SNMP version 2c: ifName, ifAlias, ifHighSpeed (RFC 2863). Only of those that the operator names:
//! who sends datagrams with a forged source makes us ask nobody.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use snmp2::{Oid, SyncSession, Value};

use super::interfaces::{Interface, Interfaces};
use crate::config::Snmp;
use crate::flows::{Address, Text};
use crate::limits::INTERFACES_OF_EXPORTER_MAX;

/// Columns of ifXTable: .1.3.6.1.2.1.31.1.1.1 and these.
const NAME: u64 = 1;
const HIGH_SPEED: u64 = 15;
const ALIAS: u64 = 18;
const TABLE: [u64; 10] = [1, 3, 6, 1, 2, 1, 31, 1, 1, 1];
/// Rows that are asked for at once.
const ROWS: u32 = 24;
/// Texts are DisplayStrings of up to 255 bytes (RFC 2863).
const TEXT_BYTES_MAX: usize = 255;
/// A question is asked so often before it is given up.
const TRIES: u32 = 3;

/// All interfaces of one exporter.
///
/// # Errors
/// What to tell the operator.
pub(super) fn walk(exporter: SocketAddr, community: &str, settings: &Snmp) -> Result<Interfaces, String> {
    let mut session = Asker { exporter, community, timeout: Duration::from_millis(settings.timeout_ms), session: None };
    let mut rows: HashMap<u32, Interface> = HashMap::new();
    let text = |bytes: &[u8]| Text::from(&*String::from_utf8_lossy(bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes)));
    column(&mut session, NAME, &mut |index, value| {
        if let Value::OctetString(name) = value {
            rows.entry(index).or_default().name = text(name);
        }
    })?;
    column(&mut session, ALIAS, &mut |index, value| {
        if let Value::OctetString(alias) = value {
            rows.entry(index).or_default().description = text(alias);
        }
    })?;
    column(&mut session, HIGH_SPEED, &mut |index, value| {
        if let Value::Unsigned32(speed) = value {
            rows.entry(index).or_default().speed = *speed;
        }
    })?;
    let address = Address::from(exporter.ip());
    Ok(rows.into_iter().map(|(index, interface)| ((address, index), interface)).collect())
}

/// One column, row by row, up to its end or the bound.
fn column(session: &mut Asker<'_>, number: u64, each: &mut dyn FnMut(u32, &Value<'_>)) -> Result<(), String> {
    let base: Vec<u64> = TABLE.into_iter().chain([number]).collect();
    let mut last: Option<u32> = None;
    let mut seen = 0;
    loop {
        let at: Vec<u64> = base.iter().copied().chain(last.map(u64::from)).collect();
        let oid = Oid::from(&at).map_err(|fault| format!("{fault:?}"))?;
        let before = last;
        let ended = ask(session, &oid, &mut |name, value| {
            let index = index_of(name, &base).filter(|index| last.is_none_or(|last| *index > last));
            let Some(index) = index.filter(|_| !matches!(value, Value::EndOfMibView)) else { return false };
            last = Some(index);
            seen += 1;
            each(index, value);
            seen < INTERFACES_OF_EXPORTER_MAX
        })?;
        if ended || last == before {
            return Ok(());
        }
    }
}

/// One question, asked again if it was lost; whether the column has ended.
fn ask(asker: &mut Asker<'_>, oid: &Oid<'_>, each: &mut dyn FnMut(&Oid<'_>, &Value<'_>) -> bool) -> Result<bool, String> {
    let mut tries = 0;
    loop {
        let fault = match asker.session()?.getbulk(&[oid], 0, ROWS) {
            Ok(answer) => return Ok(answer.varbinds.clone().any(|(name, value)| !each(&name, &value))),
            Err(fault) => format!("no answer ({fault:?})"),
        };
        asker.session = None;
        tries += 1;
        if tries == TRIES {
            return Err(fault);
        }
    }
}

/// Who asks one exporter. Each try after one that failed has a socket of its own: an answer that came late would else be taken for that of
/// the question behind it, and so on to the end.
struct Asker<'a> {
    exporter: SocketAddr,
    community: &'a str,
    timeout: Duration,
    session: Option<SyncSession>,
}

impl Asker<'_> {
    fn session(&mut self) -> Result<&mut SyncSession, String> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                // Nobody is to guess it.
                let first = getrandom::u32().map_or(1, |id| (id >> 1).cast_signed());
                SyncSession::new_v2c(self.exporter, self.community.as_bytes(), Some(self.timeout), first)
                    .map_err(|fault| fault.to_string())?
            }
        };
        Ok(self.session.insert(session))
    }
}

/// The row of a name within the column.
fn index_of(name: &Oid<'_>, base: &[u64]) -> Option<u32> {
    let parts: Vec<u64> = name.iter()?.collect();
    match parts.strip_prefix(base)? {
        [index] => u32::try_from(*index).ok(),
        _ => None,
    }
}
