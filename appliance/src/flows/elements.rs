//! Information elements: which of them a flow wants, one row each.
//!
//! Numbers up to 127 mean the same in NetFlow 9 and in IPFIX (RFC 7012, IANA's registry). Cisco's ASA has some of its own in
//! NetFlow 9, beyond 32,767: there is no enterprise bit there.

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is named for the field it fills")]
pub(super) enum What {
    Skip,
    Bytes,
    Packets,
    OutBytes,
    OutPackets,
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
    ReverseStartSeconds,
    ReverseEndSeconds,
    ReverseStartMillis,
    ReverseEndMillis,
    ReverseStartMicros,
    ReverseEndMicros,
    ReverseStartNtp,
    ReverseEndNtp,
    ReverseStartDelta,
    ReverseEndDelta,
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
    Label,
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
    StartSeconds,
    EndSeconds,
    StartMillis,
    EndMillis,
    StartMicros,
    EndMicros,
    StartNtp,
    EndNtp,
    StartDelta,
    EndDelta,
    InitMillis,
    DurationMillis,
    DurationMicros,
    SeenSeconds,
    SeenMillis,
    SeenMicros,
    SeenNtp,
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
        1 | 23 | 85 => (What::ReverseBytes, Form::Number),
        2 | 24 | 86 => (What::ReversePackets, Form::Number),
        5 => (What::ReverseTos, Form::Number),
        6 => (What::ReverseTcpFlags, Form::Number),
        21 => (What::ReverseLastUptime, Form::Number),
        22 => (What::ReverseFirstUptime, Form::Number),
        52 | 192 => (What::ReverseTtl, Form::Number),
        58 => (What::ReverseVlan, Form::Number),
        136 => (What::ReverseEndReason, Form::Number),
        150 => (What::ReverseStartSeconds, Form::Four),
        151 => (What::ReverseEndSeconds, Form::Four),
        152 => (What::ReverseStartMillis, Form::Eight),
        153 => (What::ReverseEndMillis, Form::Eight),
        154 => (What::ReverseStartMicros, Form::Eight),
        155 => (What::ReverseEndMicros, Form::Eight),
        156 => (What::ReverseStartNtp, Form::Eight),
        157 => (What::ReverseEndNtp, Form::Eight),
        158 => (What::ReverseStartDelta, Form::Number),
        159 => (What::ReverseEndDelta, Form::Number),
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
                _ => None,
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
    70..=79 => Label Number;
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
    150 => StartSeconds Four;
    151 => EndSeconds Four;
    152 => StartMillis Eight;
    153 => EndMillis Eight;
    154 => StartMicros Eight;
    155 => EndMicros Eight;
    156 => StartNtp Eight;
    157 => EndNtp Eight;
    158 => StartDelta Number;
    159 => EndDelta Number;
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
    322 => SeenSeconds Four;
    323 => SeenMillis Eight;
    324 => SeenMicros Eight;
    325 => SeenNtp Eight;
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
        assert_eq!([4, 8].map(|bytes| what(10, 0, 150, bytes, false)), [What::StartSeconds, What::Skip]);
        assert_eq!([4, 8].map(|bytes| what(10, 0, 154, bytes, false)), [What::Skip, What::StartMicros]);
        assert_eq!([7, 8].map(|bytes| what(10, 0, 323, bytes, false)), [What::Skip, What::SeenMillis]);
        assert_eq!((what(9, 0, 40_005, 1, false), what(10, 0, 40_005, 1, false)), (What::FirewallEvent, What::Skip));
        assert_eq!((what(10, REVERSE, 1, 8, false), what(10, 9, 1, 8, false)), (What::ReverseBytes, What::Skip));
    }
}
