//! Pieces against a plain model that looks at every byte, and their bounds.

use super::flow::Address;
use super::pieces::{Piece, PieceCounts, PieceKey, Pieces, Verdict};
use crate::limits::{DATAGRAM_PIECES_BYTES_MAX, DATAGRAM_PIECES_NS_MAX, DATAGRAMS_IN_PIECES_MAX};

const SECOND: u64 = 1_000_000_000;

/// A piece with bytes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Own {
    offset: usize,
    more: bool,
    body: Vec<u8>,
}

impl Own {
    fn piece(&self) -> Piece<'_> {
        Piece { offset: self.offset, more: self.more, protocol: 17, body: &self.body }
    }

    fn bytes(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.body.len()
    }
}

/// One that came and is remembered.
struct Seen {
    key: PieceKey,
    began_ns: u64,
    is_joined: bool,
    pieces: Vec<Own>,
}

#[derive(Default)]
struct Model {
    seen: Vec<Seen>,
    counts: PieceCounts,
}

impl Model {
    fn take(&mut self, key: PieceKey, piece: &Own, time_ns: u64) -> Option<Vec<u8>> {
        let is_old = |seen: &Seen| time_ns - seen.began_ns > DATAGRAM_PIECES_NS_MAX;
        self.counts.incomplete += self.seen.iter().filter(|seen| is_old(seen) && !seen.is_joined).count() as u64;
        self.seen.retain(|seen| !is_old(seen));
        if let Some(at) = self.seen.iter().position(|seen| seen.key == key) {
            if self.seen[at].pieces.contains(piece) {
                self.counts.copies += 1;
                return None;
            }
            if self.seen[at].is_joined {
                self.seen.remove(at);
            }
        }
        let at = self.seen.iter().position(|seen| seen.key == key).unwrap_or_else(|| {
            self.counts.begun += 1;
            self.seen.push(Seen { key, began_ns: time_ns, is_joined: false, pieces: Vec::new() });
            self.seen.len() - 1
        });
        self.seen[at].pieces.push(piece.clone());
        let pieces = &self.seen[at].pieces;
        let ends: Vec<usize> = pieces.iter().filter(|piece| !piece.more).map(|piece| piece.bytes().end).collect();
        let is_twice =
            pieces.iter().enumerate().any(|(n, one)| pieces[..n].iter().any(|other| one.bytes().any(|byte| other.bytes().contains(&byte))));
        let is_beyond = ends.first().is_some_and(|end| pieces.iter().any(|piece| piece.bytes().end > *end));
        if is_twice || is_beyond || ends.len() > 1 || piece.more && !piece.body.len().is_multiple_of(8) {
            self.seen.remove(at);
            self.counts.incomplete += 1;
            return None;
        }
        let of = |byte: usize| pieces.iter().find(|piece| piece.bytes().contains(&byte)).map(|piece| piece.body[byte - piece.offset]);
        let whole = (0..*ends.first()?).map(of).collect::<Option<Vec<u8>>>()?;
        self.seen[at].is_joined = true;
        self.counts.joined += 1;
        Some(whole)
    }

    fn counts(&self) -> PieceCounts {
        PieceCounts { waiting: self.seen.iter().filter(|seen| !seen.is_joined).count() as u64, ..self.counts }
    }
}

fn key(id: u32) -> PieceKey {
    (Address::of(&[10, 0, 0, 1]), Address::of(&[192, 0, 2, 9]), id)
}

#[test]
fn whatever_comes_it_is_what_a_plain_model_makes_of_it() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x0091_ece5_u64);
    println!("SEED={seed}");
    let mut state = seed | 1;
    let mut dice = |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 8).unwrap_or(0) % sides
    };
    let (mut joined, mut gone, mut copies) = (0, 0, 0);
    for _ in 0..60 {
        let (mut pieces, mut model, mut time_ns) = (Pieces::default(), Model::default(), SECOND);
        let mut waiting: Vec<(PieceKey, Own)> = Vec::new();
        for _ in 0..600 {
            if waiting.len() < 6 {
                let (id, fill, length) = (dice(4), dice(3), 1 + dice(90));
                let body: Vec<u8> = (0..length).map(|n| u8::try_from((n + 50 * fill) % 251).unwrap_or(0)).collect();
                let mut from = 0;
                while from < length {
                    let to = (from + 8 * (1 + dice(4))).min(length);
                    let own = Own { offset: from, more: to < length, body: body[from..to].to_vec() };
                    waiting.push((key(u32::try_from(id).unwrap_or(0)), own));
                    from = to;
                }
            }
            let (of, mut own) = waiting.swap_remove(dice(waiting.len()));
            match dice(20) {
                0 => continue,
                1 => own.offset += 8,
                2 => own.more = !own.more,
                3..=5 => waiting.push((of, own.clone())),
                _ => {}
            }
            time_ns += if dice(30) == 0 { SECOND * dice(40) as u64 } else { dice(1_000) as u64 };
            let expected = model.take(of, &own, time_ns);
            let judge = |_: u8, _: &[u8], _: bool| Verdict::Ours;
            assert_eq!(pieces.take(of, own.piece(), time_ns, &judge).map(|(_, whole)| whole), expected, "{own:?}");
            assert_eq!(pieces.counts(), model.counts());
        }
        pieces.end();
        let PieceCounts { begun, joined: done, others, incomplete, waiting, copies: again } = pieces.counts();
        assert_eq!((begun, waiting), (done + others + incomplete, 0));
        (joined, gone, copies) = (joined + done, gone + incomplete, copies + again);
    }
    assert!(joined > 1_000 && gone > 1_000 && copies > 100, "{joined} {gone} {copies}");
}

#[test]
fn the_oldest_go_first_where_there_is_no_room() {
    let judge = |_: u8, _: &[u8], _: bool| Verdict::Ours;
    let first = |bytes: usize| Own { offset: 0, more: true, body: vec![7; bytes] };
    let last = |bytes: usize| Own { offset: bytes, more: false, body: vec![8; 9] };
    for (bytes, most) in [(8, DATAGRAMS_IN_PIECES_MAX), (32_768, DATAGRAM_PIECES_BYTES_MAX / (32_768 + 400))] {
        let mut pieces = Pieces::default();
        let count = u32::try_from(3 * most).unwrap();
        (0..count).for_each(|id| assert!(pieces.take(key(id), first(bytes).piece(), u64::from(id), &judge).is_none()));
        let PieceCounts { begun, incomplete, waiting, .. } = pieces.counts();
        assert!(
            begun == u64::from(count) && incomplete + waiting == begun && waiting.abs_diff(most as u64) <= most as u64 / 50,
            "{waiting}"
        );
        // What came last is there, what came first is not.
        let came = |pieces: &mut Pieces, id: u32| {
            pieces.take(key(id), last(bytes).piece(), u64::from(count), &judge).map(|(_, whole)| whole.len())
        };
        assert_eq!([came(&mut pieces, 0), came(&mut pieces, count - 1)], [None, Some(bytes + 9)]);
    }
}

#[test]
fn a_time_that_jumps_keeps_nothing_for_ever() {
    let judge = |_: u8, _: &[u8], _: bool| Verdict::Ours;
    let own = Own { offset: 0, more: true, body: vec![0; 8] };
    let mut pieces = Pieces::default();
    for (n, time_ns) in [100 * SECOND, u64::MAX, 50 * SECOND, 0, 200 * SECOND].into_iter().enumerate() {
        assert!(pieces.take(key(u32::try_from(n).unwrap()), own.piece(), time_ns, &judge).is_none());
        assert_eq!((pieces.counts().waiting, pieces.counts().incomplete), (1, n as u64));
    }
    pieces.turn(230 * SECOND);
    assert_eq!(pieces.counts().waiting, 1);
    pieces.turn(230 * SECOND + 1);
    assert_eq!((pieces.counts().waiting, pieces.counts().incomplete), (0, 5));
}

#[test]
fn what_cannot_be_is_given_up_at_once() {
    let judge = |_: u8, _: &[u8], _: bool| Verdict::Ours;
    let own = |offset, more, bytes| Own { offset, more, body: vec![0; bytes] };
    for odd in [own(0, true, 0), own(0, true, 9), own(65_528, false, 8), own(65_528, true, 8)] {
        let mut pieces = Pieces::default();
        assert!(pieces.take(key(1), odd.piece(), 1, &judge).is_none());
        assert_eq!((pieces.counts().begun, pieces.counts().incomplete, pieces.counts().waiting), (1, 1, 0), "{odd:?}");
    }
    // The longest, in as many pieces as there may be.
    let mut pieces = Pieces::default();
    let whole = (0..64).find_map(|n| pieces.take(key(1), own(n * 1_024, n < 63, if n < 63 { 1_024 } else { 1_023 }).piece(), 1, &judge));
    assert_eq!(whole.map(|(_, whole)| whole.len()), Some(65_535));
}
