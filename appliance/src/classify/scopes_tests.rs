use super::*;

fn ranges(rows: &[(&str, &str)]) -> Vec<Range> {
    let range = |(prefix, customer): &(&str, &str)| {
        let (prefix, domain) = prefix.split_once('@').map_or((*prefix, None), |(prefix, vlan)| (prefix, Some(vlan)));
        let domain = domain.map(|vlan| Domain::Vlan(vlan.parse().unwrap()));
        Range { prefix: prefix.parse().unwrap(), domain, customer: (*customer).to_owned(), labels: Vec::new() }
    };
    rows.iter().map(range).collect()
}

/// Names and members of all scopes.
fn told(scopes: &Scopes, ranges: &[Range]) -> Vec<(String, Vec<u32>)> {
    let name = |of: &Of| match of {
        Of::Subtree(range) => ranges[*range as usize].prefix.to_string(),
        Of::Customer(name) => name.clone(),
    };
    scopes.list().iter().map(|scope| (name(&scope.of), scope.members.clone())).collect()
}

/// 0: a /8 of a, 1: a /16 of b in it, 2 and 3: two /24 of a in that, 4: a /16 of a, 5: a /24 of a in it, 6: b elsewhere, 7: c alone,
/// 8: a in another domain, within what would be 4, 9: a, IPv6.
const NESTED: [(&str, &str); 10] = [
    ("10.0.0.0/8", "a"),
    ("10.1.0.0/16", "b"),
    ("10.1.1.0/24", "a"),
    ("10.1.2.0/24", "a"),
    ("10.2.0.0/16", "a"),
    ("10.2.3.0/24", "a"),
    ("11.0.0.0/24", "b"),
    ("12.0.0.0/24", "c"),
    ("10.2.4.0/24@7", "a"),
    ("2001:db8::/32", "a"),
];

#[test]
fn a_subtree_is_of_one_customer_and_one_domain() {
    let ranges = ranges(&NESTED);
    let scopes = Scopes::new(&ranges, |_| true);
    let want = [("10.0.0.0/8", vec![0, 2, 3, 4, 5]), ("10.2.0.0/16", vec![4, 5]), ("a", vec![0, 2, 3, 4, 5, 8, 9]), ("b", vec![1, 6])];
    assert_eq!(told(&scopes, &ranges), want.map(|(name, members)| (name.to_owned(), members)));
    assert_eq!(scopes.around(5).collect::<Vec<_>>(), [1, 0, 2]);
    assert_eq!((scopes.around(8).collect::<Vec<_>>(), scopes.around(7).count()), (vec![2], 0));
}

/// Of each pair of ranges: in whatever scope both are, and in no other, the record of the source is left out.
#[test]
fn a_twin_tells_in_which_scopes_both_ends_are() {
    let ranges = ranges(&NESTED);
    let scopes = Scopes::new(&ranges, |range| range != 3);
    let count = u32::try_from(ranges.len()).unwrap();
    for from in 0..count {
        for to in (0..count).filter(|to| *to != from) {
            let owner = scopes.owner(scopes.source(from, to));
            assert_eq!(owner.range, from);
            for at in scopes.around(from) {
                let scope = &scopes.list()[at];
                let both = scope.members.contains(&to) && from != 3;
                assert_eq!(scope.has_both(owner), both, "from {from} to {to} in {:?}", scope.of);
            }
        }
    }
    // What matched no range stands behind all twins.
    let behind = count + index(scopes.twins());
    assert_eq!(scopes.owner(behind), Owner { range: behind, within: None });
}

#[test]
fn nothing_is_kept_apart_where_nothing_is_rolled_up() {
    let (none, alone) = (Scopes::default(), Scopes::new(&ranges(&[("10.0.0.0/8", "a"), ("11.0.0.0/8", "b")]), |_| true));
    for scopes in [none, alone] {
        assert!(!scopes.part() && scopes.list().is_empty());
        assert_eq!((scopes.source(0, 1), scopes.owner(1)), (0, Owner { range: 1, within: None }));
    }
}
