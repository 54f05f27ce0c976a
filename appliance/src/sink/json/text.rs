//! Values as JSON has them, appended: what `serde_json` writes, where most are short.

/// Longest that is copied as if it had this length: a copy whose length is known takes a few instructions.
const SHORT: usize = 32;

/// A number up to `u64::MAX` and what may stand behind it.
const DIGITS: usize = 24;

/// Two digits each.
#[allow(clippy::cast_possible_truncation, reason = "digits")]
static PAIRS: [[u8; 2]; 100] = {
    let (mut pairs, mut n) = ([[0; 2]; 100], 0);
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// The number, and `end`.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "digits")]
pub(super) fn number<const N: usize>(value: u64, end: [u8; N], out: &mut Vec<u8>) {
    let digits = value.checked_ilog10().unwrap_or(0) as usize + 1;
    let (mut text, mut rest, mut at) = ([0_u8; DIGITS], value, digits);
    while rest >= 10 {
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    if at > 0 {
        text[0] = b'0' + rest as u8;
    }
    text[digits..digits + N].copy_from_slice(&end);
    let whole = out.len() + digits + N;
    out.extend_from_slice(&text);
    out.truncate(whole);
}

/// Whole ones are numbers with a `.0`: most figures are counts.
#[inline]
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "what does not fit is not whole")]
pub(super) fn double(value: f64, out: &mut Vec<u8>) -> Option<()> {
    /// From here on they are written with an exponent.
    const WHOLE_MAX: f64 = 1e15;
    let whole = value as i64;
    if value.is_sign_positive() && value < WHOLE_MAX && whole as f64 == value {
        number(whole.unsigned_abs(), *b".0", out);
        return Some(());
    }
    serde_json::to_writer(out, &value).ok()
}

/// What is `len` bytes long at the head of `bytes`.
#[inline]
pub(super) fn copy(bytes: &[u8], len: usize, out: &mut Vec<u8>) {
    match bytes.first_chunk::<SHORT>() {
        Some(more) if len <= SHORT => {
            let whole = out.len() + len;
            out.extend_from_slice(more);
            out.truncate(whole);
        }
        _ => out.extend_from_slice(&bytes[..len.min(bytes.len())]),
    }
}

/// Whether text stands in JSON as it is: ASCII without quotes, backslashes and control characters.
#[inline]
pub(super) fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().chain([&last]).all(|word| is_plain_word(u64::from_ne_bytes(*word)))
}

/// Eight bytes at once, each below 0x80 or seen to be not: then no byte borrows from the next one.
#[inline]
const fn is_plain_word(word: u64) -> bool {
    const EACH: u64 = u64::MAX / 0xFF;
    const HIGH: u64 = 0x80 * EACH;
    let below_space = word.wrapping_sub(0x20 * EACH);
    let is_quote = (word ^ (b'"' as u64 * EACH)).wrapping_sub(EACH);
    let is_backslash = (word ^ (b'\\' as u64 * EACH)).wrapping_sub(EACH);
    (word | below_space | is_quote | is_backslash) & HIGH == 0
}

/// As base64 with padding.
pub(super) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    use pbjson::private::base64::Engine as _;
    use pbjson::private::base64::engine::general_purpose::STANDARD;
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // There is room.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}
