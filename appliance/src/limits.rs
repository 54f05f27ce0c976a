//! Every bound of the appliance, in one place, unit last.
//!
//! What an attacker can make longer, deeper or more numerous is bounded here. Relations between bounds are checked at
//! compile time.

/// Frames taken from a queue in one poll: each stage finds its own code, and the next lines of what it reads, at hand.
pub const BURST_FRAMES_MAX: usize = 64;
/// The same while a core is late with what is over: the fewest that vector drivers give.
pub const BURST_FRAMES_LATE: usize = 8;
/// Bursts that are on their way from one receiving core to others: as many frames as two queues of 1,024 hold.
pub const HANDED_BURSTS_MAX: usize = 32;
/// Receiving cores that one of them gives bursts to.
pub const TAKERS_MAX: usize = 15;
/// The longest frame a port accepts, FCS not counted.
pub const FRAME_BYTES_MAX: usize = 9_728;
/// The longest frame that carries one IP packet: Ethernet, VLAN tags, the packet.
pub const IP_FRAME_BYTES_MAX: usize = 14 + 4 * VLAN_TAGS_MAX + 65_535;
/// Bytes of a frame that the parser may see in one contiguous slice. Headers beyond are cut.
pub const HEADER_SLICE_BYTES_MAX: usize = 2_048;

/// VLAN tags walked before the first IP header; more is a parse drop.
pub const VLAN_TAGS_MAX: usize = 8;
/// MPLS labels walked in one stack.
pub const MPLS_LABELS_MAX: usize = 16;
/// IP headers kept of one frame, outermost first; what is nested deeper is not looked at.
pub const IP_HEADERS_MAX: usize = 6;
/// IPv6 extension headers (and AH) walked behind one IP header.
pub const IP_EXTENSIONS_MAX: usize = 16;
/// Source route entries walked in one GRE header.
pub const GRE_ROUTES_MAX: usize = 8;
/// Extension headers walked behind one GTP-U header.
pub const GTP_EXTENSIONS_MAX: usize = 8;
/// Headers of any kind walked in one frame.
pub const LAYERS_MAX: usize = 48;

/// Records in a full batch: one bit each in a `u64` mask.
pub const BATCH_RECORDS_MAX: usize = 64;
/// Words of a batch of packed records: 64 of IPv6, or fewer where a configuration reads every field of them.
pub const BATCH_WORDS_MAX: usize = 512;
/// Records in one segment of what a range has gathered.
pub const SEGMENT_RECORDS: usize = 8;
/// Records of a range and window that are kept as they are before its block is opened, and so many more are gathered each time
/// that it is fetched: 64 batches find it at hand.
pub const LOG_RECORDS_MAX: usize = 4_096;
/// The same, where half of the memory for logs is in use. A record takes 24 bytes, a block with its sketches some 40 KB: the record is
/// the smaller form up to more than a thousand. At 20 million packets a window over 50,000 ranges by Zipf's law, 2,048 leave 860
/// ranges with blocks and keep 7.1 million records, 171 MB.
pub const LOG_RECORDS_SCARCE: usize = 2_048;
/// Records that a range with a block keeps beside it there.
pub const LOG_RECORDS_OPENED: usize = 4 * BATCH_RECORDS_MAX;
/// Parts of a composite key.
pub const KEY_PARTS_MAX: usize = 3;
/// Bytes of one key, composites included: three parts, a 5-tuple of IPv6 being the widest.
pub const KEY_BYTES_MAX: usize = 3 * 40;
/// Ranges of one configuration.
pub const RANGES_MAX: usize = 1 << 20;
/// Rows of `[[stats]]`.
pub const STATS_MAX: usize = 512;
/// Rows of `[[links]]`: each is a number in a record, and a figure of every range.
pub const LINKS_MAX: usize = 64;
/// Rows of `[[tags]]`.
pub const TAG_RULES_MAX: usize = 256;
/// Edges of one histogram.
pub const HISTOGRAM_EDGES_MAX: usize = 256;
/// Labels that a histogram may list in the configuration.
pub const HISTOGRAM_LISTED_MAX: usize = 256;
/// Labels of one categorical histogram; what comes beyond is counted in the bin `other`.
pub const HISTOGRAM_LABELS_MAX: usize = 512;
/// Sub-windows of one window of a `peak`.
pub const PEAK_SUB_WINDOWS_MAX: u64 = 1_024;
/// Ranks of one `quantiles`.
pub const QUANTILE_RANKS_MAX: usize = 32;
/// Keys of the windows before that `new_keys` holds one by one, in each of its two halves.
pub const NEW_KEYS_EXACT_MAX: usize = 4_096;
/// Windows that `new_keys` may be told to remember.
pub const NEW_KEYS_WINDOWS_MAX: u64 = 1_000_000;
/// Pairs of keys that one `fanout` may be told to keep.
pub const FANOUT_PAIRS_MAX: usize = 1 << 16;
/// Keys that one `entropy` may be told to hold exactly.
pub const ENTROPY_KEYS_MAX: usize = 1 << 14;
/// `k` of a top-K.
pub const TOP_K_MAX: usize = 1_000;
/// Keys that `distinct` holds exactly before it becomes a sketch,
pub const DISTINCT_EXACT_MAX: usize = 128;
/// and where the sketch has fewer than 2^10 registers.
pub const DISTINCT_EXACT_MIN: usize = 64;
/// The longest window, one hour.
pub const WINDOW_MS_MAX: u64 = 3_600_000;
/// Ports of one appliance.
pub const PORTS_MAX: usize = 64;
/// Captured bytes of one record of a capture; more is corrupt (tshark's own bound).
pub const CAPTURE_RECORD_BYTES_MAX: usize = 262_144;
/// What the reader of a capture holds: the longest record and 256 KiB of a pcapng block's options.
pub const CAPTURE_BUFFER_BYTES: usize = 2 * CAPTURE_RECORD_BYTES_MAX;
/// Bytes of a pcapng block that is passed over; more is corrupt (tshark's own bound).
pub const CAPTURE_SKIPPED_BLOCK_BYTES_MAX: usize = 16 << 20;
/// Interfaces of one section of a pcapng.
pub const CAPTURE_INTERFACES_MAX: usize = 4_096;
/// Packets that a core keeps of an epoch to find those that come twice.
pub const DUPLICATE_SAMPLES_MAX: usize = 8_192;
/// Ranges or rules whose sampling is audited.
pub const AUDIT_KEYS_MAX: usize = 65_536;
/// Windows of which their samples are remembered, of all together: 16 bytes each, and a quarter more.
pub const AUDIT_WINDOWS_MAX: usize = 1 << 23;
/// Rows of counters that are read at once, and that wait for their windows to close.
pub const AUDIT_ROWS_MAX: usize = 1 << 20;
/// Bytes of a text in the configuration: names stand in messages, which brokers take up to a bound.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// Bytes of what a range is called, its customer and its labels, all together.
pub const RANGE_NAMES_BYTES_MAX: usize = 4_096;
/// lcores of one appliance.
pub const LCORES_MAX: usize = 128;

const _: () = assert!(BATCH_RECORDS_MAX == u64::BITS as usize, "a batch's selections are masks of one word");
const _: () = assert!(BATCH_RECORDS_MAX.is_multiple_of(SEGMENT_RECORDS), "a full batch is whole segments");
const _: () =
    assert!(LOG_RECORDS_MAX.is_multiple_of(BATCH_RECORDS_MAX) && LOG_RECORDS_MAX < u16::MAX as usize, "a full log is whole batches");
const _: () = assert!(HEADER_SLICE_BYTES_MAX <= FRAME_BYTES_MAX);

/// Fields of one template of flow records; a longer one is refused. The longest in use have about a hundred.
pub const TEMPLATE_FIELDS_MAX: usize = 1_024;
/// Templates of one exporter's domain; beyond, the one that was used least lately goes.
pub const TEMPLATES_OF_DOMAIN_MAX: usize = 1_024;
/// Exporters' domains that are remembered; beyond, the one heard of least lately goes, with all that was known of it.
pub const FLOW_DOMAINS_MAX: usize = 16_384;
/// Memory of all that is known of exporters, about: templates, rates, data sources.
pub const FLOW_KNOWN_BYTES_MAX: usize = 64 << 20;
/// The same, of one exporter's address: its own go first.
pub const FLOW_KNOWN_BYTES_OF_EXPORTER_MAX: usize = 8 << 20;
/// Memory of the templates of one domain.
pub const TEMPLATE_BYTES_OF_DOMAIN_MAX: usize = 4 << 20;
/// Domains of one exporter's address: more of them push out each other, never another's.
pub const DOMAINS_OF_EXPORTER_MAX: usize = 1_024;
const _: () =
    assert!(TEMPLATE_BYTES_OF_DOMAIN_MAX < FLOW_KNOWN_BYTES_OF_EXPORTER_MAX && FLOW_KNOWN_BYTES_OF_EXPORTER_MAX < FLOW_KNOWN_BYTES_MAX);
/// Exporters that metrics tell apart; all others are told together.
pub const EXPORTERS_TOLD_MAX: usize = 256;
/// Bounds of the bins in which their delays are told, seconds; behind the last is one more.
pub const FLOW_DELAY_BOUNDS_S: [u64; 8] = [1, 5, 15, 60, 120, 300, 600, 1_800];
/// Observation domains of exporters that are told of one by one.
pub const FLOW_DOMAINS_TOLD_MAX: usize = 256;
/// One of them that was silent for so long makes room for another.
pub const EXPORTER_SILENT_MS_MAX: u64 = 60 * 60 * 1_000;
/// Data sets that wait for their template, of one exporter's domain and of all.
pub const HELD_BYTES_OF_DOMAIN_MAX: usize = 1 << 20;
/// The same, of all.
pub const HELD_BYTES_MAX: usize = 32 << 20;
/// How long data waits for its template: exporters send templates again every 30 minutes at the latest.
pub const HELD_MS_MAX: u64 = 35 * 60 * 1_000;
/// A template that was not sent again for so long has expired.
pub const TEMPLATE_MS_MAX: u64 = 24 * 60 * 60 * 1_000;
/// Templates that are only sent again, unchanged, are written to disk so often: by no more than that is one on disk older than it is.
pub const TEMPLATES_KEPT_MS: u64 = 60 * 60 * 1_000;
const _: () = assert!(4 * TEMPLATES_KEPT_MS <= TEMPLATE_MS_MAX && HELD_MS_MAX < TEMPLATES_KEPT_MS);
/// What domains of one exporter told of the rates of all: how many domains, and memory.
pub const WIDE_TELLERS_MAX: usize = 16;
/// See `WIDE_TELLERS_MAX`.
pub const WIDE_BYTES_MAX: usize = 2 << 20;
/// Sampling rates of one exporter's domain: samplers and interfaces.
pub const SAMPLING_RATES_MAX: usize = 4_096;
/// sFlow data sources of one agent.
pub const SFLOW_SOURCES_MAX: usize = 4_096;
/// Numbers of an AS path, and communities, that are kept of one sample.
pub const FLOW_AS_PATH_MAX: usize = 128;
/// MPLS labels, and segments of a routing header, that are kept of one flow.
pub const FLOW_LABELS_MAX: usize = 16;
/// Headers named of one sampled frame.
pub const FLOW_LAYERS_MAX: usize = 48;
/// What is missing of one stream of datagrams, so that what comes late is known as such.
pub const SEQUENCE_HOLES_MAX: usize = 64;
/// Datagrams of an exporter's domain of which is known whether they come again.
pub const REPEATS_REMEMBERED: usize = 128;
/// Datagrams that are being put together of fragments, and those lately settled, of which copies are known.
pub const DATAGRAMS_IN_PIECES_MAX: usize = 4_096;
/// Memory that all of them take, about: of the live mirror all cores together. A hundred of the longest datagrams, or 5,000 of two pieces.
pub const DATAGRAM_PIECES_BYTES_MAX: usize = 8 << 20;
/// So long the pieces of one are waited for. A host waits for a minute (RFC 1122, 3.3.2; RFC 8200, 4.5; RFC 791 began with 15 s), for paths
/// of any delay; pieces in one mirror come within milliseconds, and the longer they wait the more often is an id of 16 bits used again.
/// Linux waits as long as this.
pub const DATAGRAM_PIECES_NS_MAX: u64 = 30_000_000_000;
/// Fragments of one of them.
pub const DATAGRAM_FRAGMENTS_MAX: usize = 64;
/// UDP datagrams taken with one system call.
pub const UDP_BURST_DATAGRAMS: usize = 64;
/// What a receiving core hands over of export datagrams in the mirror waits in a ring of so many bytes: a second of 30 Mbit/s.
pub const TAP_RING_BYTES: usize = 4 << 20;
/// Flow messages go to the journal in lots of so many bytes about,
pub const FLOW_LOT_BYTES: usize = 64 << 10;
/// Topics of flows that brokers refuse and that are told by name, of a sink; others are counted together.
pub const FLOW_TOPICS_TOLD_MAX: usize = 32;
/// and wait for no more than this.
pub const FLOW_LOT_MS_MAX: u64 = 100;
/// What the lane of flows holds in memory: all of it without a disk, and what has not reached the disk with one.
pub const FLOW_QUEUE_BYTES: usize = 128 << 20;
/// What the kernel may hold of a socket's datagrams, where it lets us.
pub const UDP_RECEIVE_BYTES: usize = 32 << 20;
/// Prefixes of a routing table.
pub const ROUTES_MAX: usize = 1 << 24;
/// Of a database of countries or AS numbers, and of a routing table.
pub const TABLE_BYTES_MAX: u64 = 4 << 30;
/// Interfaces that are asked of one exporter.
pub const INTERFACES_OF_EXPORTER_MAX: usize = 65_536;
/// Interfaces that are asked of all exporters together.
pub const INTERFACES_ASKED_MAX: usize = 1 << 20;
/// Topics that the template of one stream may make; beyond, what fills it in is `other`.
pub const TOPICS_OF_STREAM_MAX: usize = 4_096;
/// Keys that top talkers are counted by between two refreshes; beyond, they are counted together.
pub const TALKERS_MAX: usize = 1 << 20;
/// Packets of one flow record that is believed, times their sampling rate: at 100 Mp/s twenty minutes have less.
pub const FLOW_PACKETS_MAX: u64 = 1 << 37;
/// Bytes of one, likewise: 11 minutes at 400 Gb/s, 46 at 100 Gb/s.
pub const FLOW_BYTES_MAX: u64 = 1 << 45;
/// Bytes of one packet of a flow record: exporters on hosts count what their cards put together.
pub const FLOW_PACKET_BYTES_MAX: u64 = 1 << 17;
/// A sampling rate that is believed; a larger one is not known.
pub const FLOW_RATE_MAX: u64 = 1 << 24;
/// Rows of `[[exports]]`.
pub const EXPORTS_MAX: usize = 8;
/// What samples frames: the exports and the packet logs, each at its own rate.
pub const SAMPLERS_MAX: usize = EXPORTS_MAX + 1;
/// Bytes that are kept of a sampled frame.
pub const SAMPLE_BYTES_MAX: usize = 256;
/// Samples of one core that wait for who exports them.
pub const SAMPLES_WAITING_MAX: usize = 4_096;
/// A datagram of ours is no longer: with IPv6 and UDP it is within 1,500 bytes, also in a tunnel.
pub const EXPORT_DATAGRAM_BYTES_MAX: usize = 1_400;
/// Observation domains of one export: one each rate that tag rules give. Beyond, records are counted and not sent.
pub const EXPORT_DOMAINS_MAX: usize = 1_024;
/// Data sources of one sFlow export, likewise.
pub const EXPORT_SOURCES_MAX: usize = 4_096;
/// Generations whose names are kept for samples that still wait.
pub const NAMES_KEPT_MAX: usize = 4;
/// What the lane of packet logs holds in memory: all of it without a disk, and what has not reached the disk with one.
pub const LOG_QUEUE_BYTES: usize = 64 << 20;
