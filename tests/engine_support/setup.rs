//! Configurations drawn at random, and what they mean to the model.

use std::fmt::Write as _;

use super::dice::Dice;
use super::rows;

/// A row of `[[stats]]`.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub calculation: &'static str,
    pub keys: Vec<&'static str>,
    pub metric: &'static str,
    pub decision: &'static str,
    pub direction: &'static str,
    /// All of them.
    pub wanted: Vec<Wanted>,
    pub fast: bool,
    pub premium: bool,
    pub k: usize,
    pub p: u32,
    pub bins: Option<Bins>,
    pub more: More,
}

/// Settings of single calculations.
#[derive(Clone, Debug, Default)]
pub struct More {
    pub sub_window_ms: Option<u64>,
    pub ranks: Option<Vec<f64>>,
    /// Of a fan-out: the others, if the row names them, and pairs kept.
    pub of: Option<Vec<&'static str>>,
    pub pairs: Option<usize>,
    /// Of an entropy: keys held exactly.
    pub exact: Option<usize>,
    /// Of new keys: windows remembered.
    pub windows: Option<u64>,
}

/// A configuration.
#[derive(Clone, Debug)]
pub struct Setup {
    pub window_ms: u64,
    pub fast_ms: u64,
    pub rows: Vec<Row>,
    /// Prefix, whether it is in the set `premium`, and its domain.
    pub ranges: Vec<(&'static str, bool, &'static str)>,
    pub keys_from: &'static str,
    pub drops_untagged: bool,
    pub ingress: bool,
    pub egress: bool,
    pub every_nth: bool,
    /// All rules that sample have one constant rate.
    pub one_rate: bool,
    pub prefix_v4: u8,
    pub prefix_v6: u8,
    pub memory_mb: u64,
    /// Prefixes that belong to another customer.
    pub moved: Vec<&'static str>,
    /// Ranges are rolled up.
    pub rollup: bool,
    /// So many customers share all ranges; 0: each range has its own.
    pub customers: u64,
    /// Rows that are no stats, and whether work is shed: what a model knows nothing of.
    pub beside: &'static str,
    pub sheds: bool,
}

pub const RANGES: [(&str, bool, &str); 9] = [
    ("10.0.0.0/8", false, ""),
    ("10.1.0.0/16", true, ""),
    ("10.1.2.0/24", false, ""),
    ("10.1.2.3/32", true, ""),
    ("192.168.0.0/24", false, ""),
    ("2001:db8::/32", true, ""),
    ("2001:db8:1::/48", false, ""),
    ("2001:db8:1:2::3/128", false, ""),
    ("fd00::/16", true, ""),
];

/// Prefixes of domains, some of them elsewhere too.
pub const DOMAINS: [(&str, bool, &str); 9] = [
    ("10.1.0.0/16", true, "vlan=100"),
    ("10.1.2.0/24", false, "vlan=7"),
    ("2001:db8::/32", false, "vlan=11"),
    ("0.0.0.0/0", true, "vlan=12"),
    ("192.168.0.0/23", true, "vlan=1"),
    ("10.0.0.0/8", false, "mpls=16004"),
    ("10.1.2.0/24", true, "vni=5001"),
    ("192.168.0.0/24", false, "vni=5001"),
    ("10.1.2.0/24", false, "vni=5002"),
];

pub(super) const METRICS: [&str; 6] = ["packets", "bytes", "connections_opened", "connections_accepted", "resets", "fragments"];
pub const NUMBERS: [&str; 12] = [
    "src_port",
    "dst_port",
    "vlan",
    "inner_vlan",
    "packet_size",
    "payload_size",
    "ttl",
    "dscp",
    "rule",
    "rx_port",
    "tcp_window",
    "tcp_seq",
];
const NAMES: [&str; 8] = ["protocol", "tcp_flags", "icmp", "fragment", "tunnel", "tcp_options", "ip_options", "service"];
const OPEN: [&str; 6] = ["src_ip", "dst_ip", "src_prefix", "dst_prefix", "flow", "src_mac"];
/// Key, values as in the configuration, and what they mean.
const WHERE: [(&str, &str, Admits); 16] = [
    ("protocol", "[17]", |text| text == "17"),
    ("protocol", "[6, \"icmp\"]", |text| ["6", "1"].contains(&text)),
    ("src_port", "[53, 443]", |text| ["53", "443"].contains(&text)),
    ("dst_port", "\"80..8080\"", |text| (80..8_080).contains(&number(text))),
    ("src_port", "[\"40000..\", \"..54\", 443]", |text| !(54..443).contains(&number(text)) && !(444..40_000).contains(&number(text))),
    ("tcp_flags", "[\"S\", \"SA\", \"-\"]", |text| ["S", "SA", "-"].contains(&text)),
    ("vlan", "[100, 666]", |text| ["100", "666"].contains(&text)),
    ("ttl", "[64]", |text| text == "64"),
    ("packet_size", "\"..300\"", |text| number(text) < 300),
    ("src_ip", "[\"10.1.0.0/16\", \"192.168.0.1\", \"10.1.2.0/24\", \"2001:db8::/47\"]", sources),
    ("src_prefix", "[\"10.1.0.0/16\", \"192.168.0.1/32\", \"10.1.2.0/24\", \"2001:db8::/47\"]", sources),
    ("service", "[\"dns\", \"memcached\"]", |text| text != "netbios"),
    ("tcp_options", "[\"WS,MSS\", \"TS\"]", |text| ["MSS,WS", "TS"].contains(&text)),
    ("ip_options", "[\"-\", \"HOP,DEST\"]", |text| ["-", "HOP,DEST"].contains(&text)),
    ("tcp_window", "\"1024..32768\"", |text| (1_024..32_768).contains(&number(text))),
    ("tcp_seq", "[0, \"268435456..1000000000\"]", |text| number(text) < 1_000_000_000),
];

/// Whether a key's text is wanted.
pub type Admits = fn(&str) -> bool;

/// One key of `where`.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub key: &'static str,
    toml: &'static str,
    pub admits: Admits,
}

/// Of a histogram.
#[derive(Clone, Debug)]
pub enum Bins {
    Edges(Vec<u64>),
    /// First edge, factor, count.
    Exponential(u64, u64, u32),
    Labels(Vec<&'static str>),
}

impl Bins {
    fn toml(&self) -> String {
        match self {
            Self::Edges(edges) => format!("{edges:?}"),
            Self::Exponential(first, factor, count) => format!("{{ first = {first}, factor = {factor}, count = {count} }}"),
            Self::Labels(labels) => format!("{labels:?}"),
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

fn sources(text: &str) -> bool {
    let address: std::net::IpAddr = text.split('/').next().unwrap().parse().unwrap();
    let nets = ["10.1.0.0/16", "192.168.0.1/32", "2001:db8::/47"].map(|net| net.parse::<ipnet::IpNet>().unwrap());
    nets.iter().any(|net| net.contains(&address))
}

impl Setup {
    pub fn draw(dice: &mut Dice) -> Self {
        Self::of_windows(dice, &[(1_000, 1_000), (1_000, 250), (10_000, 1_000), (3, 1), (3_600_000, 60_000)])
    }

    /// With one of these lengths of windows and fast windows.
    pub fn of_windows(dice: &mut Dice, windows: &[(u64, u64)]) -> Self {
        let (window_ms, fast_ms) = dice.of(windows);
        let mut rows: Vec<Row> = (0..28).map(|n| row(dice, n)).collect();
        rows.push(flows(dice));
        rows.extend((0..4).map(|n| rows::peak(dice, n, (window_ms, fast_ms))));
        let mut own = dice.fork();
        rows.extend((0..4).map(|n| rows::quantiles(&mut own, n)));
        rows.extend((0..4).map(|n| rows::fanout(&mut own, n)));
        rows.extend((0..4).map(|n| rows::new_keys(&mut own, n)));
        rows.extend((0..4).map(|n| rows::entropy(&mut own, n)));
        let (ingress, egress) = dice.of(&[(true, true), (true, true), (true, false), (false, true)]);
        let mut ranges = RANGES.to_vec();
        if dice.one_in(3) {
            ranges.extend([("0.0.0.0/0", false, ""), ("::/0", true, "")]);
        }
        if dice.one_in(2) {
            ranges.extend(DOMAINS.iter().filter(|_| dice.one_in(2)));
        }
        Self {
            window_ms,
            fast_ms,
            rows,
            ranges,
            keys_from: dice.of(&["matched", "matched", "outermost", "innermost"]),
            drops_untagged: dice.one_in(3),
            ingress,
            egress,
            every_nth: dice.one_in(3),
            one_rate: dice.one_in(2),
            prefix_v4: dice.of(&[8, 24, 30]),
            prefix_v6: dice.of(&[32, 48, 126]),
            memory_mb: 256,
            moved: Vec::new(),
            rollup: false,
            customers: 0,
            beside: "",
            sheds: false,
        }
    }

    pub fn toml(&self) -> String {
        let mut out = format!(
            "[appliance]\nshed = {}\nwindow_ms = {}\nfast_window_ms = {}\nmemory_mb = {}\n",
            self.sheds, self.window_ms, self.fast_ms, self.memory_mb
        );
        let directions: Vec<_> = [(self.ingress, "\"ingress\""), (self.egress, "\"egress\"")].iter().filter(|d| d.0).map(|d| d.1).collect();
        let untagged = if self.drops_untagged { "drop" } else { "passed" };
        let sampler = if self.every_nth { "every_nth" } else { "random" };
        let rollup = if self.rollup { "rollup = true\n" } else { "" };
        let _ = writeln!(out, "[ranges]\nfile = \"ranges.csv\"\n{rollup}[parse]\nkeys_from = \"{}\"", self.keys_from);
        let _ = writeln!(out, "[mirror]\nuntagged = \"{untagged}\"\ndirections = [{}]", directions.join(","));
        out += "[[tags]]\nmatch = { vlan = 666, inner_vlan = 1 }\ndecision = \"blocked\"\nsampling = 40\nadded_bytes = 8\nrule = { from = \"inner_vlan\" }\n";
        let _ = writeln!(
            out,
            "[[tags]]\nmatch = {{ vlan = 666 }}\ndecision = \"blocked\"\nsampling = 40\nsampler = \"{sampler}\"\nadded_bytes = 4"
        );
        let rate = if self.one_rate { "40" } else { "{ from = \"inner_vlan\" }" };
        let _ = writeln!(out, "[[tags]]\nmatch = {{ vlan = 667 }}\ndecision = \"blocked\"\nsampling = {rate}\nadded_bytes = 8\nrule = 99");
        out += "[[tags]]\nmatch = { vlan = 100 }\ndecision = \"passed\"\nadded_bytes = 4\n";
        out += "[[sets]]\nname = \"premium\"\nmatch = { label = \"plan=premium\" }\ninclude = [\"default\"]\n";
        self.rows.iter().for_each(|row| out += &row.toml(self));
        out + self.beside
    }

    pub fn csv(&self) -> String {
        let plan = |premium: bool| if premium { "premium" } else { "basic" };
        let line = |(prefix, premium, domain): &(&str, bool, &str)| {
            format!("{prefix},{},{},{domain}\n", self.customer(prefix, domain), plan(*premium))
        };
        format!("prefix,customer,plan,domain\n{}", self.ranges.iter().map(line).collect::<String>())
    }

    pub fn customer(&self, prefix: &str, domain: &str) -> String {
        if self.customers > 0 {
            let mixed = prefix.bytes().chain(domain.bytes()).fold(7_u64, |n, byte| n * 31 % 65_521 + u64::from(byte));
            return format!("customer {}", mixed % self.customers);
        }
        let owner = if self.moved.contains(&prefix) { "new owner of" } else { "of" };
        format!("{owner} {prefix} {domain}").trim().to_owned()
    }

    pub fn any_fast(&self) -> bool {
        self.rows.iter().any(|row| row.fast)
    }
}

impl Row {
    fn toml(&self, setup: &Setup) -> String {
        let mut out =
            format!("[[stats]]\nname = \"{}\"\ncalculation = \"{}\"\nmetric = \"{}\"\n", self.name, self.calculation, self.metric);
        let _ = writeln!(out, "decision = \"{}\"\ndirection = \"{}\"\nfast = {}", self.decision, self.direction, self.fast);
        if let Some(ms) = self.more.sub_window_ms {
            let _ = writeln!(out, "sub_window_ms = {ms}");
        }
        if let Some(ranks) = &self.more.ranks {
            let _ = writeln!(out, "ranks = {ranks:?}");
        }
        match self.more.of.as_deref() {
            Some([of]) => _ = writeln!(out, "of = \"{of}\""),
            Some(of) => _ = writeln!(out, "of = {of:?}"),
            None => {}
        }
        if let Some(n) = self.more.pairs {
            let _ = writeln!(out, "pairs = {n}");
        }
        if let Some(n) = self.more.exact {
            let _ = writeln!(out, "keys = {n}");
        }
        if let Some(n) = self.more.windows {
            let _ = writeln!(out, "windows = {n}");
        }
        match &self.keys[..] {
            [] => {}
            [key] => _ = writeln!(out, "key = \"{key}\""),
            keys => _ = writeln!(out, "key = {keys:?}"),
        }
        if self.keys.iter().any(|key| key.ends_with("prefix")) {
            let _ = writeln!(out, "prefix_v4 = {}\nprefix_v6 = {}", setup.prefix_v4, setup.prefix_v6);
        }
        if !self.wanted.is_empty() {
            let tests: Vec<String> = self.wanted.iter().map(|wanted| format!("{} = {}", wanted.key, wanted.toml)).collect();
            let _ = writeln!(out, "where = {{ {} }}", tests.join(", "));
        }
        if self.premium {
            out += "sets = [\"premium\"]\n";
        }
        match self.calculation {
            "topk" | "fanout" => _ = writeln!(out, "k = {}", self.k),
            "distinct" | "new_keys" => _ = writeln!(out, "p = {}", self.p),
            "histogram" => self.bins.iter().for_each(|bins| _ = writeln!(out, "bins = {}", bins.toml())),
            _ => {}
        }
        out
    }
}

pub(super) fn row(dice: &mut Dice, n: usize) -> Row {
    let calculation = ["sum", "histogram", "topk", "distinct"][n % 4];
    let mut bins = None;
    let keys = match calculation {
        "sum" => {
            if dice.one_in(3) {
                vec![dice.of(&NUMBERS)]
            } else {
                Vec::new()
            }
        }
        "histogram" if dice.one_in(3) => {
            let (keys, labels) = dice.of(&LABELS);
            bins = Some(Bins::Labels(labels.to_vec()));
            keys.to_vec()
        }
        "histogram" if dice.one_in(2) => vec![dice.of(&NAMES)],
        "histogram" => {
            let key = dice.of(&NUMBERS);
            let has_own = ["packet_size", "payload_size", "ttl", "dscp", "tcp_window", "tcp_seq"].contains(&key);
            let given =
                if dice.one_in(2) { Bins::Edges(vec![0, 53, 100, 444]) } else { Bins::Exponential(dice.of(&[1, 3]), dice.of(&[2, 10]), 9) };
            bins = (!has_own || dice.one_in(2)).then_some(given);
            vec![key]
        }
        _ => composite(dice),
    };
    Row {
        name: format!("stat{n}"),
        calculation,
        keys,
        metric: if calculation == "distinct" {
            dice.of(&["packets", "packets", "connections_opened", "resets"])
        } else {
            dice.of(&METRICS)
        },
        decision: dice.of(&["any", "passed", "blocked"]),
        direction: dice.of(&["ingress", "egress", "any"]),
        wanted: wanted(dice),
        fast: dice.one_in(3),
        premium: dice.one_in(4),
        k: dice.of(&[1, 3, 20]),
        p: dice.of(&[4, 10, 12]),
        bins,
        more: More::default(),
    }
}

/// Keys of a histogram, and the labels that it lists.
const LABELS: [(&[&str], &[&str]); 6] = [
    (&["dst_port"], &["80", "443", "1"]),
    (&["src_ip"], &["10.1.2.3", "2001:db8::1", "10.1.2.1", "1.2.3.4"]),
    (&["service"], &["memcached"]),
    (&["tcp_options", "ttl"], &["-|64", "MSS,SACK,TS,WS|64", "OTHER,BAD|1"]),
    (&["flow"], &["10.1.2.1|53|10.1.2.2|80|17"]),
    (&["ip_options"], &["RR,LSRR", "ROUTE,DEST", "-"]),
];

fn wanted(dice: &mut Dice) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for _ in 0..dice.of(&[0, 0, 1, 1, 2]) {
        let (key, toml, admits) = dice.of(&WHERE);
        if wanted.iter().all(|other| other.key != key) {
            wanted.push(Wanted { key, toml, admits });
        }
    }
    wanted
}

pub(super) fn composite(dice: &mut Dice) -> Vec<&'static str> {
    let mut keys = Vec::new();
    for _ in 0..dice.of(&[1, 1, 1, 2, 3]) {
        let key = match dice.below(4) {
            0 => dice.of(&NUMBERS),
            1 => dice.of(&NAMES),
            _ => dice.of(&OPEN),
        };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

fn flows(dice: &mut Dice) -> Row {
    Row { name: "flows".to_owned(), calculation: "sum", keys: Vec::new(), metric: "flows", bins: None, p: 12, ..row(dice, 0) }
}
