//! A writer of MaxMind's format, version 2.0: https://maxmind.github.io/MaxMind-DB/.

use ipnet::IpNet;

/// A value of a record.
#[derive(Clone)]
pub(crate) enum Datum {
    Text(&'static str),
    U16(u16),
    U32(u32),
    U64(u64),
    Map(Vec<(&'static str, Self)>),
    List(Vec<Self>),
}

fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (low, more): (u8, Vec<u8>) = match size {
        0..29 => (u8::try_from(size).unwrap(), vec![]),
        29..285 => (29, vec![u8::try_from(size - 29).unwrap()]),
        _ => panic!("no test needs it"),
    };
    if kind > 7 {
        out.extend([low, kind - 7]);
    } else {
        out.push(kind << 5 | low);
    }
    out.extend(more);
}

fn number(kind: u8, number: u64, out: &mut Vec<u8>) {
    let bytes: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    control(kind, bytes.len(), out);
    out.extend(bytes);
}

impl Datum {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                control(2, text.len(), out);
                out.extend(text.as_bytes());
            }
            Self::U16(n) => number(5, u64::from(*n), out),
            Self::U32(n) => number(6, u64::from(*n), out),
            Self::U64(n) => number(9, *n, out),
            Self::Map(pairs) => {
                control(7, pairs.len(), out);
                for (key, value) in pairs {
                    Self::Text(key).write(out);
                    value.write(out);
                }
            }
            Self::List(list) => {
                control(11, list.len(), out);
                list.iter().for_each(|one| one.write(out));
            }
        }
    }
}

#[derive(Clone, Copy)]
enum To {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A database of networks that do not overlap; `version` 4 or 6: IPv4 then stands below ::/96.
pub(crate) fn database(version: u16, rows: &[(&str, Datum)]) -> Vec<u8> {
    let (mut nodes, mut data) = (vec![[To::Nothing; 2]], Vec::new());
    for (text, record) in rows {
        let at = data.len();
        record.write(&mut data);
        put(&mut nodes, &bits(version, text.parse().unwrap()), at);
    }
    let count = nodes.len();
    let value = |to: &To| match to {
        To::Nothing => count,
        To::Node(at) => *at,
        To::Data(at) => count + 16 + at,
    };
    let nodes: Vec<[usize; 2]> = nodes.iter().map(|[left, right]| [value(left), value(right)]).collect();
    written(version, &nodes, &data)
}

/// One whose nodes each lead twice to the next one, and the last to a record: of IPv6 it has 2^128 networks.
pub(crate) fn doubled(nodes: usize, record: &Datum) -> Vec<u8> {
    let mut data = Vec::new();
    record.write(&mut data);
    let to = |next: usize| if next == nodes { nodes + 16 } else { next };
    written(6, &(1..=nodes).map(|next| [to(next); 2]).collect::<Vec<_>>(), &data)
}

/// A record that is a list of sixteen times the same, which is such a list, and so on: each costs 16 pointers.
pub(crate) fn nested(depth: usize) -> Vec<u8> {
    let mut data = Vec::new();
    Datum::Text("x").write(&mut data);
    let mut at = 0;
    for _ in 0..depth {
        let list = data.len();
        control(11, 16, &mut data);
        // Pointers of 11 bits.
        (0..16).for_each(|_| data.extend([0x20 | u8::try_from(at >> 8).unwrap(), u8::try_from(at & 0xFF).unwrap()]));
        at = list;
    }
    written(4, &[[1 + 16 + at, 1]], &data)
}

fn written(version: u16, nodes: &[[usize; 2]], data: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = nodes.iter().flatten().flat_map(|to| u32::try_from(*to).unwrap().to_be_bytes()[1..].to_vec()).collect();
    let count = nodes.len();
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xAB\xCD\xEFMaxMind.com");
    let metadata = Datum::Map(vec![
        ("node_count", Datum::U32(u32::try_from(count).unwrap())),
        ("record_size", Datum::U16(24)),
        ("ip_version", Datum::U16(version)),
        ("database_type", Datum::Text("Test")),
        ("languages", Datum::List(vec![Datum::Text("en")])),
        ("binary_format_major_version", Datum::U16(2)),
        ("binary_format_minor_version", Datum::U16(0)),
        ("build_epoch", Datum::U64(1_700_000_000)),
        ("description", Datum::Map(vec![("en", Datum::Text("made by a test"))])),
    ]);
    metadata.write(&mut out);
    out
}

fn bits(version: u16, network: IpNet) -> Vec<usize> {
    let (octets, zeros) = match network {
        IpNet::V4(v4) => (v4.addr().octets().to_vec(), if version == 6 { 96 } else { 0 }),
        IpNet::V6(v6) => (v6.addr().octets().to_vec(), 0),
    };
    let own = (0..usize::from(network.prefix_len())).map(|at| usize::from(octets[at / 8] >> (7 - at % 8) & 1));
    std::iter::repeat_n(0, zeros).chain(own).collect()
}

fn put(nodes: &mut Vec<[To; 2]>, bits: &[usize], data: usize) {
    let (last, path) = bits.split_last().unwrap();
    let mut at = 0;
    for bit in path {
        at = match nodes[at][*bit] {
            To::Node(next) => next,
            To::Data(_) => panic!("overlaps"),
            To::Nothing => {
                nodes.push([To::Nothing; 2]);
                let next = nodes.len() - 1;
                nodes[at][*bit] = To::Node(next);
                next
            }
        };
    }
    nodes[at][*last] = To::Data(data);
}

/// A country as GeoLite2 has it.
pub(crate) fn country(code: &'static str) -> Datum {
    let names = Datum::Map(vec![("en", Datum::Text("a name that nobody reads, longer than twenty-nine bytes"))]);
    Datum::Map(vec![("country", Datum::Map(vec![("geoname_id", Datum::U32(70_000)), ("iso_code", Datum::Text(code)), ("names", names)]))])
}

/// An AS as GeoLite2 has it.
pub(crate) fn system(number: u32, name: &'static str) -> Datum {
    Datum::Map(vec![("autonomous_system_number", Datum::U32(number)), ("autonomous_system_organization", Datum::Text(name))])
}
