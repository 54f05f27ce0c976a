//! An export in pieces: however long a stat's state is, nobody is held longer than a piece takes.

use super::pool::{Handle, Pool};

/// Which piece of an export: from where on, in the kernel's own measure, and how many words are read or written at most, but for
/// one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Zero is the beginning; else what the piece before gave back.
    pub from: usize,
    /// Words.
    pub words_max: usize,
}

impl Stretch {
    /// All at once.
    pub const WHOLE: Self = Self { from: 0, words_max: usize::MAX };

    /// Of words that stand in several places one behind the other. Says where the next piece begins, if there is one.
    pub fn copy(self, places: &[&[u64]], out: &mut Vec<u64>) -> Option<usize> {
        let (end, mut at) = (self.from.saturating_add(self.words_max.max(1)), 0);
        for words in places {
            let within = |n: usize| n.clamp(at, at + words.len()) - at;
            out.extend_from_slice(&words[within(self.from)..within(end)]);
            at += words.len();
        }
        (end < at).then_some(end)
    }

    /// Of a head, and a table's entries of so many words, those left out whose first word is zero.
    pub fn entries(self, head: &[u64], table: &[u64], entry_words: usize, out: &mut Vec<u64>) -> Option<usize> {
        if self.from == 0 {
            out.extend_from_slice(head);
        }
        let all = table.len() / entry_words;
        let end = self.from.saturating_add((self.words_max / entry_words).max(1)).min(all);
        let entries = table[self.from.min(end) * entry_words..end * entry_words].chunks_exact(entry_words);
        entries.filter(|entry| entry[0] != 0).for_each(|entry| out.extend_from_slice(entry));
        (end < all).then_some(end)
    }
}

/// The chunk of a word in a root; nothing, if there is none.
pub(super) fn chunk(pool: &Pool, word: u64) -> &[u64] {
    if word == 0 { &[] } else { pool.get(Handle::from_word(word)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of any length together are the whole.
    #[test]
    fn pieces_make_the_whole() {
        let words: Vec<u64> = (1..40).collect();
        let places = [&words[..3], &[], &words[3..20], &words[20..]];
        let mut table = vec![0; 300];
        (0..300).step_by(21).for_each(|at| table[at..at + 3].fill(at as u64 + 1));
        for words_max in [0, 1, 2, 3, 7, 38, 39, 1_000] {
            let pieces = |export: &dyn Fn(Stretch, &mut Vec<u64>) -> Option<usize>| {
                let (mut out, mut next) = (Vec::new(), Some(0));
                while let Some(from) = next {
                    let before = out.len();
                    next = export(Stretch { from, words_max }, &mut out);
                    assert!(out.len() - before <= words_max.max(3) + 2, "a head of two, and an entry");
                }
                out
            };
            assert_eq!(pieces(&|stretch, out| stretch.copy(&places, out)), words);
            let (mut whole, head) = (Vec::new(), [7, 0]);
            assert_eq!(Stretch::WHOLE.entries(&head, &table, 3, &mut whole), None);
            assert_eq!(pieces(&|stretch, out| stretch.entries(&head, &table, 3, out)), whole);
            assert_eq!(whole.len(), 2 + 3 * 15);
        }
    }
}
