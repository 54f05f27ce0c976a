//! Services that answer small questions with large answers over UDP: what a reflection attack comes from.
//!
//! Told by the source port alone: one port, one service. An answer from such a port is no proof of an attack.

/// A service, and the UDP ports that it answers from.
pub struct Service {
    /// The key's text.
    pub name: &'static str,
    /// Source ports of its answers.
    pub ports: &'static [u16],
}

macro_rules! services {
    ($($name:literal $ports:expr;)*) => {
        &[$(Service { name: $name, ports: &$ports }),*]
    };
}

/// All of them; a key's byte is the position here, so new ones stand at the end.
pub const SERVICES: &[Service] = services! {
    "echo" [7];
    "daytime" [13];
    "qotd" [17];
    "chargen" [19];
    "dns" [53];
    "tftp" [69];
    "portmap" [111];
    "ntp" [123];
    "netbios" [137, 138];
    "snmp" [161];
    "xdmcp" [177];
    "cldap" [389];
    "slp" [427];
    "rip" [520];
    "ipmi" [623];
    "openvpn" [1194];
    "mssql" [1434];
    "l2tp" [1701];
    "ssdp" [1900];
    "arms" [3283];
    "rdp" [3389];
    "stun" [3478];
    "wsd" [3702];
    "sip" [5060];
    "nat_pmp" [5351];
    "mdns" [5353];
    "coap" [5683];
    "bittorrent" [6881];
    "ubiquiti" [10_001];
    "tp240" [10_074];
    "memcached" [11_211];
    "vxworks" [17_185];
    "steam" [27_015];
    "quake" [27_960];
    "lantronix" [30_718];
    "plex" [32_410, 32_412, 32_414];
    "jenkins" [33_848];
    "sadp" [37_020];
    "dvr" [37_810];
    "bacnet" [47_808];
};

const PORTS: usize = {
    let (mut at, mut count) = (0, 0);
    while at < SERVICES.len() {
        count += SERVICES[at].ports.len();
        at += 1;
    }
    count
};

const _: () = assert!(SERVICES.len() < u8::MAX as usize, "a key of one byte");

/// Port and service, sorted by port.
const BY_PORT: [(u16, u8); PORTS] = by_port();

#[allow(clippy::cast_possible_truncation, reason = "fewer services than a byte holds")]
const fn by_port() -> [(u16, u8); PORTS] {
    let mut table = [(0, 0); PORTS];
    let (mut service, mut filled) = (0, 0);
    while service < SERVICES.len() {
        let ports = SERVICES[service].ports;
        let mut port = 0;
        while port < ports.len() {
            let mut at = filled;
            while at > 0 && table[at - 1].0 > ports[port] {
                table[at] = table[at - 1];
                at -= 1;
            }
            table[at] = (ports[port], service as u8);
            filled += 1;
            port += 1;
        }
        service += 1;
    }
    table
}

/// Position of the service that answers from a UDP port.
#[inline]
pub fn of_port(port: u16) -> Option<u8> {
    BY_PORT.binary_search_by_key(&port, |(port, _)| *port).ok().map(|at| BY_PORT[at].1)
}

/// Its name.
pub fn name(position: u8) -> &'static str {
    SERVICES.get(usize::from(position)).map_or("", |service| service.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_has_one_service() {
        assert!(BY_PORT.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (position, service) in (0..).zip(SERVICES) {
            assert!(service.ports.iter().all(|port| of_port(*port) == Some(position)), "{}", service.name);
            assert_eq!(name(position), service.name);
        }
        assert_eq!((of_port(0), of_port(443), of_port(u16::MAX), name(u8::MAX)), (None, None, None, ""));
    }
}
