//! Is a database's search tree one? Nodes that several others lead to make networks without end of a small file, and nothing says so
//! before they have all been walked. So the tree is looked at first: how many leaves it has, each node once.

/// Leaves that a tree may have; databases of every network of the world have a third of it, IPv4 in all its places included.
const LEAVES_MAX: u64 = 1 << 25;
/// A path is no longer than an address.
const DEPTH_MAX: usize = 128;

/// A search tree: its bytes, how many nodes it has, and bits of each of the two records of a node.
pub(super) struct Tree<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) nodes: u32,
    pub(super) record_bits: u16,
}

/// A node that is not known yet, one on the way to the node that is looked at, and what else there is no number of.
const UNKNOWN: u64 = u64::MAX;
const ON_THE_WAY: u64 = u64::MAX - 1;

impl Tree<'_> {
    /// How many leaves all paths have, those without data too.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn leaves(&self) -> Result<u64, String> {
        let count = usize::try_from(self.nodes).unwrap_or(usize::MAX);
        if count.checked_mul(usize::from(self.record_bits) / 4).is_none_or(|bytes| bytes > self.bytes.len()) {
            return Err("its tree is longer than the file".to_owned());
        }
        let mut leaves = vec![UNKNOWN; count];
        // Of each node on the way: its number, its next child, what its children had.
        let mut way: Vec<(u32, usize, u64)> = vec![(0, 0, 0)];
        while let Some((node, child, sum)) = way.pop() {
            if child == 2 {
                if sum > LEAVES_MAX {
                    return Err(format!("it has more than {LEAVES_MAX} networks: its tree leads to the same nodes again and again"));
                }
                self.set(&mut leaves, node, sum);
                if let Some((_, _, above)) = way.last_mut() {
                    *above += sum;
                }
                continue;
            }
            self.set(&mut leaves, node, ON_THE_WAY);
            way.push((node, child + 1, sum));
            let next = self.record(node, child).ok_or("its tree is cut")?;
            let known = usize::try_from(next).ok().and_then(|next| leaves.get(next).copied());
            match known {
                Some(ON_THE_WAY) => return Err("its tree goes in a circle".to_owned()),
                Some(UNKNOWN) if way.len() >= DEPTH_MAX => return Err("its tree is deeper than an address".to_owned()),
                Some(UNKNOWN) => way.push((next, 0, 0)),
                other => {
                    if let Some((_, _, above)) = way.last_mut() {
                        *above += other.unwrap_or(1);
                    }
                }
            }
        }
        Ok(leaves.first().copied().unwrap_or(0))
    }

    fn set(&self, leaves: &mut [u64], node: u32, to: u64) {
        if let Some(of) = leaves.get_mut(usize::try_from(node).unwrap_or(usize::MAX)) {
            *of = to;
        }
    }

    /// Where a node's left (0) or right (1) record leads.
    fn record(&self, node: u32, child: usize) -> Option<u32> {
        let node_bytes = usize::from(self.record_bits) / 4;
        let at = usize::try_from(node).ok()?.checked_mul(node_bytes)?;
        let bytes = self.bytes.get(at..at.checked_add(node_bytes)?)?;
        let word = |parts: [u8; 4]| u32::from_be_bytes(parts);
        Some(match (self.record_bits, child, bytes) {
            (24, 0, [a, b, c, ..]) | (24, _, [_, _, _, a, b, c]) => word([0, *a, *b, *c]),
            (28, 0, [a, b, c, middle, ..]) => word([middle >> 4, *a, *b, *c]),
            (28, _, [_, _, _, middle, a, b, c]) => word([middle & 0xF, *a, *b, *c]),
            (32, 0, [a, b, c, d, ..]) | (32, _, [_, _, _, _, a, b, c, d]) => word([*a, *b, *c, *d]),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes of two records of so many bits.
    fn bytes(bits: u16, nodes: &[[u32; 2]]) -> Vec<u8> {
        let write = |[left, right]: &[u32; 2]| {
            let ([a, b, c, d], [e, f, g, h]) = (left.to_be_bytes(), right.to_be_bytes());
            match bits {
                24 => vec![b, c, d, f, g, h],
                28 => vec![b, c, d, a << 4 | e, f, g, h],
                _ => vec![a, b, c, d, e, f, g, h],
            }
        };
        nodes.iter().flat_map(write).collect()
    }

    fn leaves(bits: u16, nodes: &[[u32; 2]]) -> Result<u64, String> {
        let bytes = bytes(bits, nodes);
        Tree { bytes: &bytes, nodes: u32::try_from(nodes.len()).unwrap(), record_bits: bits }.leaves()
    }

    #[test]
    fn leaves_are_counted_and_what_is_no_tree_is_refused() {
        for bits in [24, 28, 32] {
            // Node 2 is led to twice, as IPv4 is in databases of IPv6; beyond the nodes is data, or nothing.
            assert_eq!(leaves(bits, &[[1, 2], [2, 3], [3, 900]]), Ok(5), "{bits}");
            assert_eq!(leaves(bits, &[[1, 1]]), Ok(2));
            assert!(leaves(bits, &[[1, 2], [0, 2]]).unwrap_err().contains("circle"));
            let doubled: Vec<[u32; 2]> = (1..=100).map(|next| [next, next]).collect();
            assert!(leaves(bits, &doubled).unwrap_err().contains("again and again"));
            let long: Vec<[u32; 2]> = (1..=200).map(|next| [next, 999]).collect();
            assert!(leaves(bits, &long).unwrap_err().contains("deeper"));
            let short = bytes(bits, &[[1, 1]]);
            assert!(Tree { bytes: &short, nodes: 2, record_bits: bits }.leaves().unwrap_err().contains("longer"));
        }
        assert!(Tree { bytes: &[], nodes: 0, record_bits: 24 }.leaves().is_err());
    }
}
