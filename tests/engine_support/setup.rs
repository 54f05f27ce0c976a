//! Configurations drawn at random, and what they mean to the model.

use std::fmt::Write as _;

use super::dice::Dice;

/// A row of `[[stats]]`.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub calculation: &'static str,
    pub keys: Vec<&'static str>,
    pub metric: &'static str,
    pub decision: &'static str,
    pub direction: &'static str,
    /// Key, and the texts of which it must have one.
    pub wanted: Option<(&'static str, Vec<&'static str>)>,
    pub fast: bool,
    pub premium: bool,
    pub k: usize,
    pub p: u32,
    pub bins: Option<Vec<u64>>,
}

/// A configuration.
#[derive(Clone, Debug)]
pub struct Setup {
    pub window_ms: u64,
    pub fast_ms: u64,
    pub rows: Vec<Row>,
    /// Prefix, and whether it is in the set `premium`.
    pub ranges: Vec<(&'static str, bool)>,
    pub keys_from: &'static str,
    pub drops_untagged: bool,
    pub ingress: bool,
    pub egress: bool,
    pub every_nth: bool,
    pub prefix_v4: u8,
    pub prefix_v6: u8,
    pub memory_mb: u64,
    /// Prefixes that belong to another customer.
    pub moved: Vec<&'static str>,
}

pub const RANGES: [(&str, bool); 9] = [
    ("10.0.0.0/8", false),
    ("10.1.0.0/16", true),
    ("10.1.2.0/24", false),
    ("10.1.2.3/32", true),
    ("192.168.0.0/24", false),
    ("2001:db8::/32", true),
    ("2001:db8:1::/48", false),
    ("2001:db8:1:2::3/128", false),
    ("fd00::/16", true),
];

const METRICS: [&str; 6] = ["packets", "bytes", "connections_opened", "connections_accepted", "resets", "fragments"];
const NUMBERS: [&str; 10] = ["src_port", "dst_port", "vlan", "inner_vlan", "packet_size", "payload_size", "ttl", "dscp", "rule", "rx_port"];
const NAMES: [&str; 5] = ["protocol", "tcp_flags", "icmp", "fragment", "tunnel"];
const OPEN: [&str; 6] = ["src_ip", "dst_ip", "src_prefix", "dst_prefix", "flow", "src_mac"];
const WHERE: [(&str, &[&str]); 7] = [
    ("protocol", &["17"]),
    ("protocol", &["6", "1"]),
    ("src_port", &["53", "443"]),
    ("dst_port", &["80"]),
    ("tcp_flags", &["S", "SA", "-"]),
    ("vlan", &["100", "666"]),
    ("ttl", &["64"]),
];

impl Setup {
    pub fn draw(dice: &mut Dice) -> Self {
        let (window_ms, fast_ms) = dice.of(&[(1_000, 1_000), (1_000, 250), (10_000, 1_000), (3, 1), (3_600_000, 60_000)]);
        let mut rows: Vec<Row> = (0..28).map(|n| row(dice, n)).collect();
        rows.push(flows(dice));
        let (ingress, egress) = dice.of(&[(true, true), (true, true), (true, false), (false, true)]);
        let mut ranges = RANGES.to_vec();
        if dice.one_in(3) {
            ranges.extend([("0.0.0.0/0", false), ("::/0", true)]);
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
            prefix_v4: dice.of(&[8, 24, 30]),
            prefix_v6: dice.of(&[32, 48, 126]),
            memory_mb: 64,
            moved: Vec::new(),
        }
    }

    pub fn toml(&self) -> String {
        let mut out =
            format!("[appliance]\nwindow_ms = {}\nfast_window_ms = {}\nmemory_mb = {}\n", self.window_ms, self.fast_ms, self.memory_mb);
        let directions: Vec<_> = [(self.ingress, "\"ingress\""), (self.egress, "\"egress\"")].iter().filter(|d| d.0).map(|d| d.1).collect();
        let untagged = if self.drops_untagged { "drop" } else { "passed" };
        let sampler = if self.every_nth { "every_nth" } else { "random" };
        let _ = writeln!(out, "[ranges]\nfile = \"ranges.csv\"\n[parse]\nkeys_from = \"{}\"", self.keys_from);
        let _ = writeln!(out, "[mirror]\nuntagged = \"{untagged}\"\ndirections = [{}]", directions.join(","));
        out += "[[tags]]\nmatch = { vlan = 666, inner_vlan = 1 }\ndecision = \"blocked\"\nsampling = 40\nadded_bytes = 8\nrule = { from = \"inner_vlan\" }\n";
        let _ = writeln!(
            out,
            "[[tags]]\nmatch = {{ vlan = 666 }}\ndecision = \"blocked\"\nsampling = 40\nsampler = \"{sampler}\"\nadded_bytes = 4"
        );
        out +=
            "[[tags]]\nmatch = { vlan = 667 }\ndecision = \"blocked\"\nsampling = { from = \"inner_vlan\" }\nadded_bytes = 8\nrule = 99\n";
        out += "[[tags]]\nmatch = { vlan = 100 }\ndecision = \"passed\"\nadded_bytes = 4\n";
        out += "[[sets]]\nname = \"premium\"\nmatch = { label = \"plan=premium\" }\ninclude = [\"default\"]\n";
        self.rows.iter().for_each(|row| out += &row.toml(self));
        out
    }

    pub fn csv(&self) -> String {
        let plan = |premium| if premium { "premium" } else { "basic" };
        let line = |(prefix, premium): &(&str, bool)| format!("{prefix},{},{}\n", self.customer(prefix), plan(*premium));
        format!("prefix,customer,plan\n{}", self.ranges.iter().map(line).collect::<String>())
    }

    pub fn customer(&self, prefix: &str) -> String {
        if self.moved.contains(&prefix) { format!("new owner of {prefix}") } else { format!("of {prefix}") }
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
        match &self.keys[..] {
            [] => {}
            [key] => _ = writeln!(out, "key = \"{key}\""),
            keys => _ = writeln!(out, "key = {keys:?}"),
        }
        if self.keys.iter().any(|key| key.ends_with("prefix")) {
            let _ = writeln!(out, "prefix_v4 = {}\nprefix_v6 = {}", setup.prefix_v4, setup.prefix_v6);
        }
        if let Some((key, values)) = &self.wanted {
            let number = values.iter().all(|v| v.parse::<u32>().is_ok()) && *key != "protocol";
            let quoted: Vec<String> =
                values.iter().map(|v| if number || *key == "protocol" { (*v).to_owned() } else { format!("{v:?}") }).collect();
            let _ = writeln!(out, "where = {{ {key} = [{}] }}", quoted.join(", "));
        }
        if self.premium {
            out += "sets = [\"premium\"]\n";
        }
        match self.calculation {
            "topk" => _ = writeln!(out, "k = {}", self.k),
            "distinct" => _ = writeln!(out, "p = {}", self.p),
            "histogram" => self.bins.iter().for_each(|bins| _ = writeln!(out, "bins = {bins:?}")),
            _ => {}
        }
        out
    }
}

pub fn row(dice: &mut Dice, n: usize) -> Row {
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
        "histogram" if dice.one_in(2) => vec![dice.of(&NAMES)],
        "histogram" => {
            let key = dice.of(&NUMBERS);
            let has_own = ["packet_size", "payload_size", "ttl", "dscp"].contains(&key);
            bins = (!has_own || dice.one_in(2)).then(|| vec![1, 53, 100, 444]);
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
        wanted: dice.one_in(3).then(|| dice.of(&WHERE)).map(|(key, values)| (key, values.to_vec())),
        fast: dice.one_in(3),
        premium: dice.one_in(4),
        k: dice.of(&[1, 3, 20]),
        p: dice.of(&[4, 10, 12]),
        bins,
    }
}

fn composite(dice: &mut Dice) -> Vec<&'static str> {
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
