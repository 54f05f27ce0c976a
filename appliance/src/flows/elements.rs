//! Information elements: which of them a flow wants, one row each.
//!
//! Numbers up to 127 mean the same in NetFlow 9 and in IPFIX (RFC 7012, IANA's registry). Cisco's ASA has some of its own in
//! NetFlow 9, beyond 32,767: there is no enterprise bit there.

use super::cursor::number;
use super::times::{Base, micros, millis, ntp, seconds};

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named for the field it fills")]
pub(super) enum What {
    Skip,
    Bytes,
    Packets,
    OutBytes,
    OutPackets,
    Layer2Bytes,
    TotalBytes,
    TotalPackets,
    InitiatorBytes,
    InitiatorPackets,
    ResponderBytes,
    ResponderPackets,
    ReverseBytes,
    ReversePackets,
    ReverseTcpFlags,
    ReverseTos,
    ReverseTtl,
    ReverseEndReason,
    ReverseVlan,
    ReverseFirstUptime,
    ReverseLastUptime,
    ReverseStart(Clock),
    ReverseEnd(Clock),
    DroppedBytes,
    DroppedPackets,
    Proto,
    Tos,
    TcpFlags,
    SrcPort,
    DstPort,
    SrcAddr,
    DstAddr,
    SrcNet,
    DstNet,
    InIf,
    OutIf,
    NextHop,
    BgpNextHop,
    SrcAs,
    DstAs,
    SrcMac,
    DstMac,
    SrcVlan,
    DstVlan,
    FlowLabel,
    Icmp,
    IcmpType,
    IcmpCode,
    Ttl,
    IpVersion,
    EtherType,
    FragmentId,
    FragmentOffset,
    FragmentFlags,
    Forwarding,
    /// An entry of the label stack, of which so many stand before it in the template whose numbers are lower.
    Label(u8),
    LabelAddr,
    ObservationPoint,
    Direction,
    IngressVrf,
    EgressVrf,
    BiflowDirection,
    EndReason,
    FirewallEvent,
    NatSrcAddr,
    NatDstAddr,
    NatSrcPort,
    NatDstPort,
    FrameBytes,
    FrameSection,
    IpSection,
    FirstUptime,
    LastUptime,
    Start(Clock),
    End(Clock),
    InitMillis,
    DurationMillis,
    DurationMicros,
    Seen(Clock),
    Domain,
    SamplerId,
    Algorithm,
    Selector,
    Interval,
    RandomInterval,
    PacketInterval,
    PacketSpace,
    TimeInterval,
    TimeSpace,
    SampleSize,
    SamplePopulation,
    Probability,
    ExportedMessages,
    ExportedRecords,
}

/// How a time is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its unit")]
pub(super) enum Clock {
    Seconds,
    Millis,
    Micros,
    Ntp,
    /// Microseconds before the export.
    Delta,
}

impl Clock {
    /// Nanoseconds since 1970.
    #[inline]
    pub(super) fn read(self, v: &[u8], base: &Base) -> u64 {
        let value = number(v);
        match self {
            Self::Seconds => seconds(value),
            Self::Millis => millis(value),
            Self::Micros => micros(value),
            Self::Ntp => ntp(value),
            Self::Delta => base.before(value),
        }
    }

    /// Times have no shorter form (RFC 7011, 6.2).
    const fn form(self) -> Form {
        match self {
            Self::Seconds => Form::Four,
            Self::Millis | Self::Micros | Self::Ntp => Form::Eight,
            Self::Delta => Form::Number,
        }
    }

    /// Elements 150 to 159, and 322 to 325: which time, and whether it is an end.
    const fn of(id: u16) -> Option<(Self, bool)> {
        let clock = match id {
            150 | 151 | 322 => Self::Seconds,
            152 | 153 | 323 => Self::Millis,
            154 | 155 | 324 => Self::Micros,
            156 | 157 | 325 => Self::Ntp,
            158 | 159 => Self::Delta,
            _ => return None,
        };
        Some((clock, id & 1 == 1))
    }
}

/// How long a field of a kind may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// An unsigned number of 1 to 8 bytes.
    Number,
    /// Times, which have no shorter form (RFC 7011, 6.2): of four bytes, of eight.
    Four,
    Eight,
    V4,
    V6,
    Mac,
    /// A double, or a float in its reduced form.
    Float,
    Any,
}

impl Form {
    const fn fits(self, bytes: u16, variable: bool) -> bool {
        match self {
            Self::Number => !variable && bytes >= 1 && bytes <= 8,
            Self::V4 | Self::Four => bytes == 4,
            Self::Eight => bytes == 8,
            Self::V6 => bytes == 16,
            Self::Mac => bytes == 6,
            Self::Float => bytes == 4 || bytes == 8,
            Self::Any => true,
        }
    }
}

/// Enterprise number of reverse elements (RFC 5103).
pub(super) const REVERSE: u32 = 29_305;

/// What is done with an element of `bytes` length; one of an impossible length is skipped.
pub(super) fn what(version: u16, enterprise: u32, id: u16, bytes: u16, variable: bool) -> What {
    let (what, form) = match enterprise {
        0 => standard(id).or_else(|| if version == 9 { asa(id) } else { None }),
        REVERSE => reverse(id),
        _ => None,
    }
    .unwrap_or((What::Skip, Form::Any));
    if form.fits(bytes, variable) { what } else { What::Skip }
}

const fn reverse(id: u16) -> Option<(What, Form)> {
    Some(match id {
        1 | 23 | 85 | 352 => (What::ReverseBytes, Form::Number),
        2 | 24 | 86 => (What::ReversePackets, Form::Number),
        5 => (What::ReverseTos, Form::Number),
        6 => (What::ReverseTcpFlags, Form::Number),
        21 => (What::ReverseLastUptime, Form::Number),
        22 => (What::ReverseFirstUptime, Form::Number),
        52 | 192 => (What::ReverseTtl, Form::Number),
        58 => (What::ReverseVlan, Form::Number),
        136 => (What::ReverseEndReason, Form::Number),
        150..=159 => match Clock::of(id) {
            Some((clock, false)) => (What::ReverseStart(clock), clock.form()),
            Some((clock, true)) => (What::ReverseEnd(clock), clock.form()),
            None => return None,
        },
        _ => return None,
    })
}

/// Cisco ASA's numbers before it took the registry's.
const fn asa(id: u16) -> Option<(What, Form)> {
    Some(match id {
        40_001 => (What::NatSrcAddr, Form::V4),
        40_002 => (What::NatDstAddr, Form::V4),
        40_003 => (What::NatSrcPort, Form::Number),
        40_004 => (What::NatDstPort, Form::Number),
        40_005 => (What::FirewallEvent, Form::Number),
        _ => return None,
    })
}

/// Rows: numbers, what is done, and which lengths make sense.
macro_rules! elements {
    ($($id:pat => $what:ident $form:ident;)+) => {
        const fn standard(id: u16) -> Option<(What, Form)> {
            match id {
                $($id => Some((What::$what, Form::$form)),)+
                70..=79 => Some((What::Label(0), Form::Number)),
                _ => match (id, Clock::of(id)) {
                    (150..=159, Some((clock, false))) => Some((What::Start(clock), clock.form())),
                    (150..=159, Some((clock, true))) => Some((What::End(clock), clock.form())),
                    (_, Some((clock, _))) => Some((What::Seen(clock), clock.form())),
                    (_, None) => None,
                },
            }
        }
    };
}

elements! {
    1 => Bytes Number;
    2 => Packets Number;
    4 => Proto Number;
    5 => Tos Number;
    6 => TcpFlags Number;
    7 | 180 | 182 => SrcPort Number;
    8 => SrcAddr V4;
    9 | 29 => SrcNet Number;
    10 => InIf Number;
    11 | 181 | 183 => DstPort Number;
    12 => DstAddr V4;
    13 | 30 => DstNet Number;
    14 => OutIf Number;
    15 => NextHop V4;
    16 => SrcAs Number;
    17 => DstAs Number;
    18 => BgpNextHop V4;
    21 => LastUptime Number;
    22 => FirstUptime Number;
    23 => OutBytes Number;
    24 => OutPackets Number;
    27 => SrcAddr V6;
    28 => DstAddr V6;
    31 => FlowLabel Number;
    32 | 139 => Icmp Number;
    34 => Interval Number;
    35 | 49 => Algorithm Number;
    41 => ExportedMessages Number;
    42 => ExportedRecords Number;
    47 => LabelAddr V4;
    48 | 302 => SamplerId Number;
    50 => RandomInterval Number;
    52 | 192 => Ttl Number;
    54 => FragmentId Number;
    56 | 81 => SrcMac Mac;
    57 | 80 => DstMac Mac;
    58 | 243 => SrcVlan Number;
    59 | 254 => DstVlan Number;
    60 => IpVersion Number;
    61 => Direction Number;
    62 => NextHop V6;
    63 => BgpNextHop V6;
    85 => TotalBytes Number;
    86 => TotalPackets Number;
    88 => FragmentOffset Number;
    89 => Forwarding Number;
    132 => DroppedBytes Number;
    133 => DroppedPackets Number;
    136 => EndReason Number;
    138 => ObservationPoint Number;
    140 => LabelAddr V6;
    149 => Domain Number;
    160 => InitMillis Number;
    161 => DurationMillis Number;
    162 => DurationMicros Number;
    176 | 178 => IcmpType Number;
    177 | 179 => IcmpCode Number;
    197 => FragmentFlags Number;
    225 => NatSrcAddr V4;
    226 => NatDstAddr V4;
    227 => NatSrcPort Number;
    228 => NatDstPort Number;
    231 => InitiatorBytes Number;
    232 => ResponderBytes Number;
    233 => FirewallEvent Number;
    234 => IngressVrf Number;
    235 => EgressVrf Number;
    239 => BiflowDirection Number;
    256 => EtherType Number;
    281 => NatSrcAddr V6;
    282 => NatDstAddr V6;
    298 => InitiatorPackets Number;
    299 => ResponderPackets Number;
    304 => Selector Number;
    305 => PacketInterval Number;
    306 => PacketSpace Number;
    307 => TimeInterval Number;
    308 => TimeSpace Number;
    309 => SampleSize Number;
    310 => SamplePopulation Number;
    311 => Probability Float;
    312 => FrameBytes Number;
    313 => IpSection Any;
    315 => FrameSection Any;
    352 => Layer2Bytes Number;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_cannot_be_are_skipped() {
        assert_eq!(what(10, 0, 1, 3, false), What::Bytes);
        assert_eq!(what(10, 0, 1, 9, false), What::Skip);
        assert_eq!(what(10, 0, 1, 8, true), What::Skip);
        assert_eq!((what(9, 0, 8, 4, false), what(9, 0, 8, 16, false)), (What::SrcAddr, What::Skip));
        assert_eq!([4, 8].map(|bytes| what(10, 0, 150, bytes, false)), [What::Start(Clock::Seconds), What::Skip]);
        assert_eq!([4, 8].map(|bytes| what(10, 0, 154, bytes, false)), [What::Skip, What::Start(Clock::Micros)]);
        assert_eq!([7, 8].map(|bytes| what(10, 0, 323, bytes, false)), [What::Skip, What::Seen(Clock::Millis)]);
        assert_eq!((what(9, 0, 40_005, 1, false), what(10, 0, 40_005, 1, false)), (What::FirewallEvent, What::Skip));
        assert_eq!((what(10, REVERSE, 1, 8, false), what(10, 9, 1, 8, false)), (What::ReverseBytes, What::Skip));
    }
}
