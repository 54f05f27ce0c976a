//! From a device to a started port: each setting is made, read back and reported.

use std::fmt;
use std::sync::{Arc, Mutex};

use dpdk_sys as sys;

use super::device::Device;
use super::error::{DpdkError, errno_text};
use super::mempool::Mempool;
use super::port::{Link, Opened, Port, RxQueue};
use super::ring::Ring;
use super::tag::TagField;

const CONFIGURE: &str = "configure the port";

/// Drivers known to want as many send queues as receive queues; others are tried without first.
const NEED_SEND_QUEUES: [&str; 3] = ["net_tap", "net_af_xdp", "net_memif"];

/// How a port is started.
#[derive(Clone, Copy, Debug)]
pub struct PortSetup<'a> {
    /// Receive queues, at least 1.
    pub queues: u16,
    /// Descriptors that each queue should have; the device may round.
    pub descriptors: u16,
    /// Where frames go.
    pub pool: &'a Mempool,
    /// Largest frame wanted, FCS not counted; none: the device's MTU is left as it is.
    pub frame_bytes_max: Option<u16>,
    /// How the number of queues is chosen for this driver, should it have fewer.
    pub queues_remedy: &'a str,
}

/// What a port said when its settings were read back.
#[derive(Clone, Debug, Default)]
pub struct PortReport {
    /// As EAL knows it.
    pub device: String,
    /// Its driver.
    pub driver: String,
    /// NUMA node, where it has one.
    pub numa_node: Option<i32>,
    /// Receive queues.
    pub queues: u16,
    /// Descriptors of each queue.
    pub descriptors: u16,
    /// Largest payload of layer 2.
    pub mtu: u16,
    /// Whether long frames come in several segments.
    pub scatter: bool,
    /// Frames for every MAC are received.
    pub promiscuous: bool,
    /// Frames for every group are received.
    pub all_multicast: bool,
    /// The device removes VLAN tags: must be off.
    pub vlan_strip: bool,
    /// The device drops frames by VLAN: must be off.
    pub vlan_filter: bool,
    /// Pause frames are sent or obeyed; none where the device does not know them.
    pub pause: Option<bool>,
    /// Kinds of traffic that RSS spreads (`RTE_ETH_RSS_*`); 0 with one queue or where the device has no RSS.
    pub rss: u64,
    /// RSS looks at the innermost headers.
    pub rss_inner: bool,
    /// At start.
    pub link: Link,
    /// Settings that are not as they should be, each with its remedy.
    pub warnings: Vec<String>,
}

impl fmt::Display for PortReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |yes: bool| if yes { "on" } else { "off" };
        write!(f, "{} ({}): {} queues of {}, mtu {}", self.device, self.driver, self.queues, self.descriptors, self.mtu)?;
        write!(f, ", promiscuous {}, all-multicast {}", on(self.promiscuous), on(self.all_multicast))?;
        write!(f, ", vlan strip {} filter {}", on(self.vlan_strip), on(self.vlan_filter))?;
        write!(f, ", pause {}, scatter {}", self.pause.map_or("unknown", on), on(self.scatter))?;
        match (self.rss, self.rss_inner) {
            (0, _) => write!(f, ", rss none")?,
            (kinds, inner) => write!(f, ", rss {kinds:#x}{}", if inner { " inner" } else { "" })?,
        }
        write!(f, ", link {}", if self.link.up { "up" } else { "down" })?;
        self.link.mbps.map_or(Ok(()), |mbps| write!(f, " {mbps} Mb/s"))
    }
}

/// Starts `device`; gives the port, its queues in order, and what it said.
///
/// # Errors
/// If a step is refused; the device is closed then. Every step's answer is checked: drivers start happily with queues
/// that failed, and crash at the first poll.
pub fn start(device: Device, setup: PortSetup<'_>) -> Result<(Port, Vec<RxQueue>, PortReport), DpdkError> {
    start_with(device, setup, Vec::new(), None)
}

pub(super) fn start_with(
    device: Device,
    setup: PortSetup<'_>,
    rings: Vec<Ring>,
    tag: Option<TagField>,
) -> Result<(Port, Vec<RxQueue>, PortReport), DpdkError> {
    let id = device.id;
    // Whole before anything is set up: should a step fail, the device closes before the memory that it was given.
    let opened = Arc::new(Opened { id, device, control: Mutex::new(()), rings, pools: vec![setup.pool.clone()] });
    let device = &opened.device;
    let info = device.raw_info()?;
    device.check_queues(setup.queues, setup.queues_remedy)?;
    let mut report = PortReport { device: device.name().to_owned(), driver: device.driver().to_owned(), ..Default::default() };
    let conf = configuration(device, &info, setup, &mut report);
    // Nothing is ever sent; but some drivers refuse a port without a send queue for each receive queue.
    let in_pairs = NEED_SEND_QUEUES.contains(&device.driver());
    let prepared = match prepare(device, &info, setup, &conf, if in_pairs { setup.queues } else { 0 }) {
        Err(DpdkError::Failed { what: CONFIGURE, .. }) if !in_pairs => prepare(device, &info, setup, &conf, setup.queues),
        done => done,
    };
    report.descriptors = prepared?;
    report.queues = setup.queues;
    let port = Port(Arc::clone(&opened));
    read_back(&port, &mut report);
    let queues = (0..setup.queues).map(|index| RxQueue { port: Arc::clone(&opened), index, tag }).collect();
    Ok((port, queues, report))
}

/// What the device is asked for, of what it can.
fn configuration(device: &Device, info: &sys::rte_eth_dev_info, setup: PortSetup<'_>, report: &mut PortReport) -> sys::rte_eth_conf {
    let mut conf = sys::rte_eth_conf::default();
    // Of links that have a kernel interface the kernel tells.
    conf.intr_conf.set_lsc(u32::from(info.if_index == 0 && tells_of_its_link(info)));
    conf.rxmode.mtu = setup.frame_bytes_max.map_or(0, |frame| mtu_for(info, frame));
    if info.rx_offload_capa & sys::TW_RX_OFFLOAD_SCATTER != 0 {
        conf.rxmode.offloads |= sys::TW_RX_OFFLOAD_SCATTER;
        report.scatter = true;
    }
    if setup.queues > 1 && info.flow_type_rss_offloads != 0 {
        conf.rxmode.mq_mode = sys::rte_eth_rx_mq_mode::RTE_ETH_MQ_RX_RSS;
        let kinds = info.flow_type_rss_offloads & !sys::TW_RSS_LEVEL_MASK;
        let inner = info.flow_type_rss_offloads & sys::TW_RSS_LEVEL_INNERMOST;
        conf.rx_adv_conf.rss_conf.rss_hf = kinds | inner;
        (report.rss, report.rss_inner) = (kinds, inner != 0);
    } else if setup.queues > 1 && device.driver() == "net_i40e_vf" {
        report.warnings.push(format!("{}: no RSS: only its first queue may see traffic", device.name()));
    }
    conf
}

/// Whether the driver reports by itself that its link went or came.
fn tells_of_its_link(info: &sys::rte_eth_dev_info) -> bool {
    // SAFETY: flags are absent, or the open device's own.
    unsafe { info.dev_flags.as_ref() }.is_some_and(|flags| flags & sys::TW_DEV_INTR_LSC != 0)
}

/// The MTU that lets frames of `frame_bytes` (FCS not counted) in, as far as the device can.
fn mtu_for(info: &sys::rte_eth_dev_info, frame_bytes: u16) -> u32 {
    const ETHERNET_BYTES: u32 = 14;
    const FCS_BYTES: u32 = 4;
    let told = info.max_mtu != u16::MAX && info.max_rx_pktlen > u32::from(info.max_mtu);
    let overhead = if told { info.max_rx_pktlen - u32::from(info.max_mtu) } else { ETHERNET_BYTES + FCS_BYTES };
    let most = info.max_rx_pktlen.saturating_sub(overhead).min(u32::from(info.max_mtu));
    u32::from(frame_bytes).saturating_sub(ETHERNET_BYTES).min(most)
}

/// Configures, sets up every queue and starts; gives the descriptors of a queue.
fn prepare(
    device: &Device,
    info: &sys::rte_eth_dev_info,
    setup: PortSetup<'_>,
    conf: &sys::rte_eth_conf,
    tx_queues: u16,
) -> Result<u16, DpdkError> {
    let (id, name) = (device.id, device.name());
    super::log::hush();
    // SAFETY: the port is open and not started; the configuration lives through the call.
    let done = unsafe { sys::rte_eth_dev_configure(id, setup.queues, tx_queues, conf) };
    check(name, CONFIGURE, done, "")?;
    let (mut rx, mut tx) = (setup.descriptors, 512);
    // SAFETY: the port is configured, both numbers are ours.
    let done = unsafe { sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &raw mut rx, &raw mut tx) };
    check(name, "choose the number of descriptors", done, "")?;
    // SAFETY: the port is open.
    let node = unsafe { sys::rte_eth_dev_socket_id(id) }.cast_unsigned();
    let mut rxconf = info.default_rxconf;
    rxconf.offloads = conf.rxmode.offloads;
    for queue in 0..setup.queues {
        // SAFETY: the port is configured with this queue; the pool outlives the port, which holds it.
        let done = unsafe { sys::rte_eth_rx_queue_setup(id, queue, rx, node, &raw const rxconf, setup.pool.raw()) };
        let remedy = "its frames must fit the segments of the pool, and the pool must hold a queue's descriptors";
        check(name, "set up a receive queue", done, remedy)?;
    }
    for queue in 0..tx_queues {
        // SAFETY: the port is configured with this queue.
        let done = unsafe { sys::rte_eth_tx_queue_setup(id, queue, tx, node, std::ptr::null()) };
        check(name, "set up a send queue", done, "")?;
    }
    // SAFETY: every queue is set up.
    let done = unsafe { sys::rte_eth_dev_start(id) };
    check(name, "start the port", done, "")?;
    Ok(rx)
}

fn check(device: &str, what: &'static str, done: i32, remedy: &str) -> Result<(), DpdkError> {
    if done == 0 { Ok(()) } else { Err(DpdkError::failed(device, what, done, remedy)) }
}

/// Sets what is set on a started port, and reads everything back.
fn read_back(port: &Port, report: &mut PortReport) {
    let id = port.0.id;
    // SAFETY: all calls below: the port is open and started, and what they write is ours.
    unsafe {
        let refused = (sys::rte_eth_promiscuous_enable(id), sys::rte_eth_allmulticast_enable(id));
        report.promiscuous = sys::rte_eth_promiscuous_get(id) == 1;
        report.all_multicast = sys::rte_eth_allmulticast_get(id) == 1;
        let supported = |answer: i32| answer != -libc::ENOTSUP;
        if !report.promiscuous && supported(refused.0) {
            report.warnings.push(warning(
                report,
                "promiscuous mode is off",
                refused.0,
                "frames for other MACs are lost: set it on the interface",
            ));
        }
        if !report.all_multicast && !report.promiscuous && supported(refused.1) {
            report.warnings.push(warning(report, "all-multicast is off", refused.1, "set it on the interface"));
        }
        let vlan = sys::rte_eth_dev_get_vlan_offload(id);
        if vlan >= 0 {
            let vlan = vlan.cast_unsigned();
            report.vlan_strip = vlan & sys::RTE_ETH_VLAN_STRIP_OFFLOAD != 0;
            report.vlan_filter = vlan & sys::RTE_ETH_VLAN_FILTER_OFFLOAD != 0;
        }
        sys::rte_eth_dev_get_mtu(id, &raw mut report.mtu);
    }
    if report.vlan_strip || report.vlan_filter {
        report.warnings.push(warning(report, "VLAN strip or filter stays on", 0, "VLAN tags are lost: check the driver's own settings"));
    }
    read_back_rss(port, report);
    pause_off(port, report);
    report.numa_node = port.info().ok().and_then(|info| info.numa_node);
    report.link = port.link();
}

/// What RSS spreads in fact: drivers leave out what they cannot do without a word.
fn read_back_rss(port: &Port, report: &mut PortReport) {
    if report.queues < 2 || report.rss == 0 {
        return;
    }
    let mut conf = sys::rte_eth_rss_conf::default();
    // SAFETY: the port is open and `conf` is ours; without a buffer the key is not copied.
    if unsafe { sys::rte_eth_dev_rss_hash_conf_get(port.0.id, &raw mut conf) } != 0 {
        report.warnings.push(warning(report, "RSS cannot be read back", 0, "compare the queues' counters: one may take all"));
        return;
    }
    report.rss = conf.rss_hf & !sys::TW_RSS_LEVEL_MASK;
    report.rss_inner = conf.rss_hf & sys::TW_RSS_LEVEL_INNERMOST != 0;
    if report.rss == 0 {
        report.warnings.push(warning(report, "RSS is off", 0, "only the first queue may see traffic: set `queues = 1`"));
    }
}

/// A mirror must never slow its sender down.
fn pause_off(port: &Port, report: &mut PortReport) {
    let id = port.0.id;
    let mut conf = sys::rte_eth_fc_conf::default();
    // SAFETY: the port is open, `conf` is ours.
    if unsafe { sys::rte_eth_dev_flow_ctrl_get(id, &raw mut conf) } != 0 {
        return;
    }
    let none = sys::rte_eth_fc_mode::RTE_ETH_FC_NONE;
    let mut refused = 0;
    if conf.mode != none {
        conf.mode = none;
        // SAFETY: as above. The mode is read again after it was set.
        refused = unsafe {
            let refused = sys::rte_eth_dev_flow_ctrl_set(id, &raw mut conf);
            sys::rte_eth_dev_flow_ctrl_get(id, &raw mut conf);
            refused
        };
    }
    report.pause = Some(conf.mode != none);
    if conf.mode != none {
        report.warnings.push(warning(report, "pause frames stay on", refused, "turn them off at the switch"));
    }
}

fn warning(report: &PortReport, what: &str, errno: i32, remedy: &str) -> String {
    match errno {
        0 => format!("{}: {what}: {remedy}", report.device),
        errno => format!("{}: {what} ({}): {remedy}", report.device, errno_text(errno)),
    }
}
