//! What is refused, and a table made by hand.

use super::*;

/// Two bits in the root; the second block is four units of three runs.
fn words() -> Vec<u32> {
    let mut words = vec![0; 24];
    words[0] = Entry::prefix(0, 0, 7).word();
    words[1] = Entry::units(Reference::new(2, 1, 2)).word();
    words[2] = Entry::prefix(0b101, 3, 9).word();
    words[4] = Entry::prefix(0, 0, 5).word();
    for unit in 0..4 {
        V4::store(&mut words[8 + 4 * unit..], 0, 99);
        V4::store(&mut words[8 + 4 * unit..], 1, 999);
        words[9 + 4 * unit..][..3].copy_from_slice(&[10 * unit as u32 + 1, 10 * unit as u32 + 2, 10 * unit as u32 + 3]);
    }
    words
}

/// The block of 10.0.0.0/14.
const ROOT: Root = Root { first: 0x0A00_0000 << 32, shift: 48, bits: 2, wide: false };

#[test]
fn every_form_reads_a_table_as_it_is_meant() {
    for form in Form::all() {
        let cells = Cells::<V4>::new(ROOT, &words(), Vec::new(), form).unwrap();
        let cases = [
            (0x0A00_0000, 7),
            (0x0A00_FFFF, 7),
            (0x0A01_0000, 1),
            (0x0A01_0063, 1),
            (0x0A01_0064, 2),
            (0x0A01_03E7, 2),
            (0x0A01_03E8, 3),
            (0x0A01_4000, 13),
            (0x0A01_FFFF, 33),
            (0x0A02_A000, 9),
            (0x0A02_BFFF, 9),
            (0x0A02_C000, 0),
            (0x0A03_0000, 0),
            (0x0A04_0000, 5),
            (0x09FF_FFFF, 5),
            (u32::MAX, 5),
            (0, 5),
        ];
        let (asked, truth): (Vec<u32>, Vec<u32>) = cases.into_iter().unzip();
        let mut found = vec![u32::MAX; asked.len()];
        cells.find_all(&asked, &mut found);
        assert_eq!(found, truth, "{form:?}");
        assert_eq!(asked.iter().map(|address| cells.find(*address)).collect::<Vec<_>>(), truth, "{form:?}");
        cells.find_all(&[], &mut found);
        cells.find_all(&asked, &mut []);
    }
}

#[test]
fn what_leads_nowhere_is_refused() {
    let made = |root: Root, words: &[u32], links: Vec<Link>| Cells::<V4>::new(root, words, links, Form::Scalar).is_ok();
    assert!(made(ROOT, &words(), Vec::new()));
    assert!(!made(ROOT, &words()[..23], Vec::new()), "units end behind the words");
    assert!(!made(ROOT, &words()[..4], Vec::new()), "the root ends behind the words");
    for shift in [0, 31, 64, 70] {
        assert!(!made(Root { shift, ..ROOT }, &words(), Vec::new()), "{shift}");
    }
    assert!(!made(Root { bits: 25, ..ROOT }, &words(), Vec::new()));
    let link = |class, bits, depth| Link { second: false, depth, first: 0, beside: 0, reference: Reference::new(2, class, bits) };
    assert!(made(ROOT, &words(), vec![link(1, 2, 20)]));
    assert!(!made(ROOT, &words(), vec![link(3, 2, 20)]), "wider units");
    assert!(!made(ROOT, &words(), vec![link(1, 2, 31)]), "more bits than there are");
    let wide = Root { wide: true, shift: 40, first: 0, bits: 4 };
    assert!(Cells::<V4>::new(wide, &[0; 20], Vec::new(), Form::Scalar).is_ok());
    assert!(Cells::<V6>::new(wide, &[0; 20], Vec::new(), Form::Scalar).is_err(), "no form reads that");
}

/// Each for its own reason: what is unsafe below relies on all of them.
#[test]
fn what_vectors_could_not_ask_is_refused() {
    let refused = |root: Root, words: &[u32]| Cells::<V4>::new(root, words, Vec::new(), Form::Scalar).map(|_| ()).unwrap_err();
    assert_eq!(refused(Root { shift: 63, ..ROOT }, &words()), "a root of more blocks than there are");
    assert_eq!(refused(Root { first: 1 << 48, ..ROOT }, &words()), "a root that begins within its block");
    assert_eq!(refused(Root { shift: 62, ..ROOT }, &words()), "a root that begins within its block", "it asks all there is");
    assert_eq!(refused(ROOT, &vec![0; Reference::WORDS_MAX + 1]), "more words than references reach");
    // Two bits behind the root's twelve leave 18, and keys have 16.
    let early = Root { first: 0, shift: 52, ..ROOT };
    assert_eq!(refused(early, &words()), "keys that cannot tell all that is behind the bits that were looked at");
    let mut direct = words();
    direct[1] = Entry::units(Reference::new(2, 0, 2)).word();
    assert!(Cells::<V4>::new(early, &direct, Vec::new(), Form::Scalar).is_ok(), "without keys there is nothing to tell");
}

/// A burst's values end where its addresses do, or where there is no more room.
#[test]
fn nothing_is_written_behind_the_last_address() {
    for form in Form::all() {
        let cells = Cells::<V4>::new(ROOT, &words(), Vec::new(), form).unwrap();
        for count in [0, 1, 3, 8, 15, 63, 64, 65, 100] {
            let mut found = [77; 140];
            cells.find_all(&vec![0x0A00_0000; count], &mut found);
            assert!(found[..count].iter().all(|value| *value == 7) && found[count..].iter().all(|value| *value == 77), "{form:?} {count}");
        }
    }
}

/// Where [`planted`] has its tree: two lines behind the root's.
const TREE: usize = 2;

/// One bit in the root; the second block is a tree of a line that leads on and two leaves, of ten runs.
fn planted(levels: u32) -> Vec<u32> {
    let mut words = vec![0; LINE_WORDS * (TREE + 3)];
    V6::put(&mut words, 0, Entry::prefix(0, 0, 7));
    V6::put(&mut words, 1, Entry::units(Reference::tree::<V6>(TREE as u32, levels)));
    let lines = &mut words[LINE_WORDS * TREE..];
    lines[..WAYS_KEYS].fill(KEY_NONE);
    lines[0] = 0x7FFF_FFFF;
    lines[WAYS_KEYS] = TREE as u32 + 1;
    for leaf in 1..=2_u32 {
        let line = &mut lines[LINE_WORDS * leaf as usize..][..LINE_WORDS];
        line[..LEAF_KEYS].fill(KEY_NONE);
        (0..LEAF_KEYS as u32 - 4 * (leaf - 1)).for_each(|at| line[at as usize] = ((leaf - 1) << 31) + (at << 8) + 255);
        (0..=LEAF_KEYS as u32).for_each(|at| line[LEAF_KEYS + at as usize] = 10 * leaf + at);
    }
    words
}

/// The block of 2000::/15.
const ROOT_V6: Root = Root { first: 0x2000 << 48, shift: 48, bits: 1, wide: false };

#[test]
fn every_form_reads_a_tree_as_it_is_meant() {
    let address = |key: u64, rest: u32| (u128::from(0x2001_u64 << 48 | key << 16) << 64 | u128::from(rest) << 72).to_be_bytes();
    let edges = (0..9_u64).chain([0x0080_0000]).flat_map(|at| [at << 8, (at << 8) + 255].map(|low| [low, low + (1 << 31)])).flatten();
    let asked: Vec<[u8; 16]> = edges.flat_map(|key| [0, 0xFF].map(|rest| address(key, rest))).collect();
    let truth = |address: &[u8; 16]| {
        let key = u32::from_be_bytes([address[2], address[3], address[4], address[5]]);
        let (leaf, most) = if key < 1 << 31 { (1, 7) } else { (2, 3) };
        10 * leaf + ((key & 0x7FFF_FFFF) >> 8).min(most)
    };
    for form in Form::all() {
        let cells = Cells::<V6>::new(ROOT_V6, &planted(1), Vec::new(), form).unwrap();
        let mut found = vec![u32::MAX; asked.len()];
        cells.find_all(&asked, &mut found);
        assert_eq!(found, asked.iter().map(truth).collect::<Vec<_>>(), "{form:?}");
        assert_eq!(asked.iter().map(|address| cells.find(address)).collect::<Vec<_>>(), found, "{form:?}");
    }
}

#[test]
fn a_tree_that_is_not_whole_is_refused() {
    let made = |words: &[u32]| Cells::<V6>::new(ROOT_V6, words, Vec::new(), Form::Scalar).is_ok();
    assert!(made(&planted(1)) && made(&planted(0)));
    assert!(!made(&planted(1)[..LINE_WORDS * (TREE + 3) - 1]), "a leaf ends behind the words");
    assert!(!made(&planted(2)), "leaves lead nowhere");
    assert!(!made(&planted(31)), "more levels than any has");
    let with = |at: usize, word: u32| {
        let mut words = planted(1);
        words[at] = word;
        words
    };
    assert!(!made(&with(LINE_WORDS * TREE + 1, KEY_NONE - 1)), "a third way that is not there");
    assert!(!made(&with(LINE_WORDS * TREE + WAYS_KEYS, u32::MAX)), "lines behind all");
    let mut within = planted(1);
    V6::put(&mut within, 1, Entry::units(Reference::new(2 * 4 + 1, 3, 0)));
    assert!(!made(&within), "it begins within a line");
}
