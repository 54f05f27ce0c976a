//! Why a frame is no packet, and what may be wrong with one that is.
//!
//! Both are counted in arrays indexed by reason: `COUNT` gives the length, `at()` the index, `name()` the stable word.

/// Makes an enum of reasons out of one row each: its variant and its word.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$row_doc:meta])* $row:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$row_doc])* $row,)+
        }

        impl $name {
            /// How many there are.
            pub const COUNT: usize = [$($word),+].len();
            /// All of them, in the order of their indices.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$row),+];

            /// Index into an array of [`Self::COUNT`] counters.
            #[inline]
            pub const fn at(self) -> usize {
                self as usize
            }

            /// Stable name, as in reports and metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$row => $word,)+
                }
            }
        }
    };
}

pub(crate) use reasons;

reasons! {
    /// Why a frame is no packet: no IP header in it can be read.
    DropReason {
        /// The frame ends within a header that stands before IP.
        ShortLink = "short_link",
        /// What it carries is not IP: ARP, LLDP, STP and the like.
        NonIp = "non_ip",
        /// It carries IP, but the fixed IP header is cut.
        Truncated = "truncated",
        /// It carries IP by its type, but the version or the header length is impossible.
        BadIpHeader = "bad_ip_header",
        /// A header before IP contradicts itself (PPPoE, NSH, MACsec and the like).
        BadLink = "bad_link",
        /// More VLAN tags than [`crate::limits::VLAN_TAGS_MAX`].
        VlanDepth = "vlan_depth",
        /// More MPLS labels than [`crate::limits::MPLS_LABELS_MAX`].
        MplsDepth = "mpls_depth",
        /// More headers than [`crate::limits::LAYERS_MAX`].
        LayerDepth = "layer_depth",
        /// No tag rule matched, and such frames are to be dropped. Set by `classify`.
        Untagged = "untagged",
    }
}

reasons! {
    /// Something wrong behind a readable IP header. The packet counts; so does the first fault of it.
    Fault {
        /// The IP length is less than the IP header.
        IpLengthShort = "ip_length_short",
        /// The IP length is more than the wire held.
        IpLengthLong = "ip_length_long",
        /// The frame ends within IPv4 options or an extension header.
        TruncatedExtension = "truncated_extension",
        /// More extension headers than [`crate::limits::IP_EXTENSIONS_MAX`].
        ExtensionDepth = "extension_depth",
        /// The frame, or the IP packet, ends within the fixed transport header.
        TruncatedTransport = "truncated_transport",
        /// A transport header contradicts itself: a TCP or DCCP data offset too small, a UDP length below 8.
        BadTransport = "bad_transport",
        /// The frame ends within a tunnel's header, or within what it carries before an IP header.
        TruncatedTunnel = "truncated_tunnel",
        /// A tunnel's header contradicts itself.
        BadTunnel = "bad_tunnel",
        /// A tunnel carries IP by its type, but no readable IP header.
        BadInnerIp = "bad_inner_ip",
        /// More IP headers than [`crate::limits::IP_HEADERS_MAX`], or more layers, tags or labels than their bounds.
        TunnelDepth = "tunnel_depth",
    }
}

/// Why the walk over headers ended early. Before the first IP header it is a [`DropReason`], behind it at most a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The slice ends within a header other than IP.
    Short,
    /// The slice ends within an IP header.
    ShortIp,
    /// Not IP, and nothing wrong with that.
    NonIp,
    /// Version or header length of IP is impossible.
    BadIp,
    /// A header contradicts itself.
    Bad,
    /// Too many VLAN tags.
    VlanDepth,
    /// Too many MPLS labels.
    MplsDepth,
    /// Too many headers.
    Depth,
}

impl Stop {
    /// What it means where no IP header was read yet.
    #[cold]
    pub(super) const fn drop_reason(self) -> DropReason {
        match self {
            Self::Short => DropReason::ShortLink,
            Self::ShortIp => DropReason::Truncated,
            Self::NonIp => DropReason::NonIp,
            Self::BadIp => DropReason::BadIpHeader,
            Self::Bad => DropReason::BadLink,
            Self::VlanDepth => DropReason::VlanDepth,
            Self::MplsDepth => DropReason::MplsDepth,
            Self::Depth => DropReason::LayerDepth,
        }
    }

    /// What it means behind an IP header.
    #[cold]
    pub(super) const fn fault(self) -> Option<Fault> {
        match self {
            Self::NonIp => None,
            Self::Short => Some(Fault::TruncatedTunnel),
            Self::ShortIp | Self::BadIp => Some(Fault::BadInnerIp),
            Self::Bad => Some(Fault::BadTunnel),
            Self::VlanDepth | Self::MplsDepth | Self::Depth => Some(Fault::TunnelDepth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_and_names_are_stable_and_unique() {
        for (i, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.at(), i);
        }
        for (i, fault) in Fault::ALL.iter().enumerate() {
            assert_eq!(fault.at(), i);
        }
        let names: std::collections::BTreeSet<_> = DropReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), DropReason::COUNT);
        let names: std::collections::BTreeSet<_> = Fault::ALL.iter().map(|f| f.name()).collect();
        assert_eq!(names.len(), Fault::COUNT);
    }
}
