//! Templates: read out of a datagram once, and compiled into a list of moves that a record is decoded by.

use super::cursor::Cursor;
use super::elements::{REVERSE, What, what};
use crate::limits::TEMPLATE_FIELDS_MAX;

/// A length that stands in the record (RFC 7011, 7).
const VARIABLE: u16 = u16::MAX;

/// One field, as a template tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Number of the element, without the enterprise bit.
    pub(super) id: u16,
    /// Bytes; 65,535 is "in the record".
    pub(super) bytes: u16,
    /// Whose element: 0 is the registry.
    pub(super) enterprise: u32,
}

/// What a template is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Flows.
    Data,
    /// The exporter's own account; so many fields are its scope.
    Options(u16),
}

/// A template as told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) purpose: Purpose,
    pub(super) fields: Box<[Field]>,
}

/// Why a template is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The set ends within it.
    Cut,
    /// It has more fields than we keep.
    TooLong,
    /// Its records would have no length.
    Empty,
    /// Of options: its scope has more fields than there are.
    BadScope,
}

/// One move: past `skip` bytes, then `bytes` of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    skip: u32,
    bytes: u16,
    pub(super) what: What,
}

/// How records are decoded.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    moves: Box<[Move]>,
    /// Behind the last move.
    tail: u32,
    /// Bytes of a record; where some field is of variable length, of the shortest one.
    record_bytes: usize,
    variable: bool,
    /// Of options whose scope is less than the exporter's domain.
    narrow: bool,
    /// Of options whose scope is the whole exporter, and no domain.
    whole: bool,
    /// What records count are totals that run on from record to record of a flow.
    running: bool,
}

impl Definition {
    /// Reads the fields of a NetFlow 9 template (`version` 9) or an IPFIX one (10).
    pub(super) fn read(c: &mut Cursor<'_>, version: u16, purpose: Purpose, count: usize) -> Result<Self, Refused> {
        // Each field takes four bytes at least: a count beyond that is a lie, and costs nothing.
        if count > c.left() / 4 {
            return Err(Refused::Cut);
        }
        let keeps = count <= TEMPLATE_FIELDS_MAX;
        let mut fields = Vec::with_capacity(if keeps { count } else { 0 });
        for _ in 0..count {
            let field = Field::read(c, version).ok_or(Refused::Cut)?;
            if keeps {
                fields.push(field);
            }
        }
        match purpose {
            _ if !keeps => Err(Refused::TooLong),
            Purpose::Options(scope) if usize::from(scope) > count => Err(Refused::BadScope),
            _ => Ok(Self { purpose, fields: fields.into() }),
        }
    }

    /// Bytes of memory that it takes with its plan, about.
    pub(super) fn memory_bytes(&self) -> usize {
        128 + self.fields.len() * (size_of::<Field>() + size_of::<Move>())
    }

    /// Compiles it.
    pub(super) fn compile(&self, version: u16) -> Result<Plan, Refused> {
        let mut plan = Plan {
            moves: Box::default(),
            tail: 0,
            record_bytes: 0,
            variable: false,
            narrow: self.is_narrow(version),
            whole: self.is_whole(version),
            running: self.is_running(),
        };
        let mut moves = Vec::new();
        for (at, field) in self.fields.iter().enumerate() {
            // NetFlow 9 knows no such lengths, but H3C sends them there too, and no field is as long.
            let variable = field.bytes == VARIABLE;
            let what = self.meaning(version, at, *field, variable);
            plan.variable |= variable;
            plan.record_bytes += if variable { 1 } else { usize::from(field.bytes) };
            if what == What::Skip && !variable {
                plan.tail += u32::from(field.bytes);
                continue;
            }
            moves.push(Move { skip: std::mem::take(&mut plan.tail), bytes: field.bytes, what });
        }
        plan.moves = moves.into();
        if plan.record_bytes == 0 { Err(Refused::Empty) } else { Ok(plan) }
    }

    /// Whether the scope has more in it than the system, the exporter, its process or domain. An interface or a sampler says for
    /// itself what a rate holds for.
    fn is_narrow(&self, version: u16) -> bool {
        let Purpose::Options(scope) = self.purpose else { return false };
        // Numbers of a NetFlow 9 scope are its own (RFC 3954, 6.1): 1 is the system; those of IPFIX are elements.
        let scope = || self.fields.iter().take(usize::from(scope));
        let of_domain = scope().any(|field| field.enterprise == 0 && field.id == 149);
        let is_whole = |field: &Field| match (version, field.id) {
            (9, id) => id == 1,
            (_, 130 | 131 | 143 | 144 | 149) => field.enterprise == 0,
            // Cisco's routers name domain and template of what is the rate of all.
            (_, 145) => field.enterprise == 0 && of_domain,
            _ => false,
        };
        !scope().all(is_whole)
    }

    /// Whether the scope is the system, the exporter or its process, and nothing else.
    fn is_whole(&self, version: u16) -> bool {
        let Purpose::Options(scope) = self.purpose else { return false };
        let is_whole =
            |field: &Field| if version == 9 { field.id == 1 } else { field.enterprise == 0 && matches!(field.id, 130 | 131 | 143 | 144) };
        scope > 0 && self.fields.iter().take(usize::from(scope)).all(is_whole)
    }

    /// Entries of the label stack (70 to 79) that stand before this one in the template and above it in the stack.
    fn labels_above(&self, at: usize, id: u16) -> u8 {
        let is_above = |field: &&Field| field.enterprise == 0 && (70..id).contains(&field.id) && (1..=8).contains(&field.bytes);
        u8::try_from(self.fields.iter().take(at).filter(is_above).count()).unwrap_or(u8::MAX)
    }

    /// Whether octets or packets are told by totals (85, 86) alone, of either direction: of these nobody knows what earlier records told.
    fn is_running(&self) -> bool {
        let data = || self.fields.iter().filter(|field| (1..=8).contains(&field.bytes));
        let has = |enterprise: u32, ids: &[u16]| data().any(|field| field.enterprise == enterprise && ids.contains(&field.id));
        let is_total = |of: u32| has(of, &[85]) && !has(of, &[1, 23]) || has(of, &[86]) && !has(of, &[2, 24]);
        matches!(self.purpose, Purpose::Data) && [0, REVERSE].into_iter().any(is_total)
    }

    fn meaning(&self, version: u16, at: usize, field: Field, variable: bool) -> What {
        let in_scope = matches!(self.purpose, Purpose::Options(scope) if at < usize::from(scope));
        if in_scope && version == 9 {
            // Numbers of a NetFlow 9 scope are its own (RFC 3954, 6.1): 2 is an interface.
            return if field.id == 2 && (1..=8).contains(&field.bytes) { What::InIf } else { What::Skip };
        }
        let of =
            |enterprise: u32, id: u16| self.fields.iter().any(|f| f.enterprise == enterprise && f.id == id && (1..=8).contains(&f.bytes));
        let has = |id: u16| of(0, id);
        let known = what(version, field.enterprise, field.id, field.bytes, variable);
        // The first of these that a template has is the flow's own count; the others stand beside it.
        match known {
            What::OutBytes if !has(1) => What::Bytes,
            What::OutPackets if !has(2) => What::Packets,
            // Octets of frames, where there are none of packets.
            What::Layer2Bytes => {
                if [1, 23, 85, 231].into_iter().any(has) {
                    What::Skip
                } else {
                    What::Bytes
                }
            }
            // Of the way back there is one field for all of them.
            What::ReverseBytes => first(&[1, 23, 85, 352], field.id, |id| of(REVERSE, id), known),
            What::ReversePackets => first(&[2, 24, 86], field.id, |id| of(REVERSE, id), known),
            What::Label(_) => What::Label(self.labels_above(at, field.id)),
            // MACs as they came in go before those that they became.
            What::SrcMac if field.id == 81 && has(56) => What::Skip,
            What::DstMac if field.id == 57 && has(80) => What::Skip,
            // VLANs of the older elements, which more exporters fill.
            What::SrcVlan if field.id == 243 && has(58) => What::Skip,
            What::DstVlan if field.id == 254 && has(59) => What::Skip,
            What::FrameSection | What::IpSection if matches!(self.purpose, Purpose::Options(_)) => What::Skip,
            known => known,
        }
    }
}

/// What an element means unless one is there that stands before it in a list.
fn first(list: &[u16], id: u16, is_there: impl Fn(u16) -> bool, what: What) -> What {
    if list.iter().take_while(|other| **other != id).any(|other| is_there(*other)) { What::Skip } else { what }
}

impl Field {
    fn read(c: &mut Cursor<'_>, version: u16) -> Option<Self> {
        let (id, bytes) = (c.u16()?, c.u16()?);
        // NetFlow 9 has no enterprise bit: numbers beyond 32,767 are vendors' own there.
        if version == 10 && id & 0x8000 != 0 {
            return Some(Self { id: id & 0x7FFF, bytes, enterprise: c.u32()? });
        }
        Some(Self { id, bytes, enterprise: 0 })
    }
}

impl Plan {
    /// Bytes of the shortest record.
    #[inline]
    pub(super) const fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// Of options: what they tell is not of the whole domain.
    pub(super) const fn is_narrow(&self) -> bool {
        self.narrow
    }

    /// Of data: a record of a flow holds what those before told of it, or may.
    pub(super) const fn is_running(&self) -> bool {
        self.running
    }

    /// Of options: what they tell is of the whole exporter.
    pub(super) const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Takes one record off `c`, and gives each field that is wanted. False, and nothing of `c` is left to use: the record claims
    /// more than there is.
    #[inline]
    pub(super) fn decode(&self, c: &mut Cursor<'_>, mut each: impl FnMut(What, &[u8])) -> bool {
        if self.variable { self.decode_variable(c, &mut each).is_some() } else { self.decode_fixed(c, &mut each).is_some() }
    }

    #[inline]
    fn decode_fixed(&self, c: &mut Cursor<'_>, each: &mut impl FnMut(What, &[u8])) -> Option<()> {
        let mut rest = c.take(self.record_bytes)?;
        for step in &self.moves {
            let (field, behind) = rest.get(step.skip as usize..)?.split_at_checked(usize::from(step.bytes))?;
            each(step.what, field);
            rest = behind;
        }
        Some(())
    }

    fn decode_variable(&self, c: &mut Cursor<'_>, each: &mut impl FnMut(What, &[u8])) -> Option<()> {
        for step in &self.moves {
            c.take(step.skip as usize)?;
            let bytes = if step.bytes == VARIABLE { length(c)? } else { usize::from(step.bytes) };
            let field = c.take(bytes)?;
            if step.what != What::Skip {
                each(step.what, field);
            }
        }
        c.take(self.tail as usize).map(|_| ())
    }
}

/// One byte, or 255 and two.
fn length(c: &mut Cursor<'_>) -> Option<usize> {
    match c.u8()? {
        255 => c.u16().map(usize::from),
        short => Some(usize::from(short)),
    }
}
