//! From bytes to numbers: one rule for every text format, so that equal text gives equal bits.
//!
//! Text is read as f64 and rounded once more to f32, as a binary file of doubles would be.

use crate::error::{Error, Place, Result};

/// What a field turns out to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token {
    /// A number, possibly infinite.
    Number(f64),
    /// Nothing, or one of the usual words for nothing.
    Missing,
    /// Anything else.
    Word,
}

/// Powers of ten that f64 holds exactly and the quick path needs.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The number `bytes` begins with, and how many bytes it takes.
///
/// Up to 15 digits without exponent are exact as an integer, so one division rounds correctly;
/// everything else goes to the general parser.
#[inline]
pub(crate) fn prefix(bytes: &[u8]) -> Option<(f64, usize)> {
    let signed = matches!(bytes.first(), Some(b'-' | b'+'));
    let begin = usize::from(signed);
    let mut at = begin;
    let mut mantissa = 0_u64;
    while let Some(digit) = digit_at(bytes, at) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    let mut digits = at - begin;
    let mut decimals = 0;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        let fraction = at;
        while let Some(digit) = digit_at(bytes, at) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
            at += 1;
        }
        decimals = at - fraction;
        digits += decimals;
    }
    if digits == 0 {
        return None;
    }
    if digits > 15 || matches!(bytes.get(at), Some(b'e' | b'E')) {
        return general(bytes, begin);
    }
    #[expect(clippy::cast_precision_loss, reason = "below 10^15, which f64 holds exactly")]
    let size = mantissa as f64;
    let size = if decimals == 0 { size } else { size / POWERS[decimals] };
    Some((if bytes[0] == b'-' { -size } else { size }, at))
}

#[inline]
fn digit_at(bytes: &[u8], at: usize) -> Option<u64> {
    let digit = bytes.get(at)?.wrapping_sub(b'0');
    (digit < 10).then_some(u64::from(digit))
}

/// Long mantissas and exponents; `begin` is where the first digit or point stands.
#[cold]
fn general(bytes: &[u8], begin: usize) -> Option<(f64, usize)> {
    let (size, length) = fast_float2::parse_partial::<f64, _>(&bytes[begin..]).ok()?;
    Some((if bytes[0] == b'-' { -size } else { size }, begin + length))
}

/// Rounds to f32 and turns -0 into 0, so that a zero has one representation.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
pub(crate) fn narrow(value: f64) -> f32 {
    value as f32 + 0.0
}

/// Classifies a whole field, spaces already trimmed.
pub(crate) fn token(field: &[u8]) -> Token {
    if let Some((value, length)) = prefix(field)
        && length == field.len()
    {
        return Token::Number(value);
    }
    let unsigned = field.strip_prefix(b"-").or(field.strip_prefix(b"+")).unwrap_or(field);
    let is = |word: &str| unsigned.eq_ignore_ascii_case(word.as_bytes());
    if is("inf") || is("infinity") {
        let infinite = f64::INFINITY;
        return Token::Number(if field[0] == b'-' { -infinite } else { infinite });
    }
    if is("nan") || (unsigned == field && is_missing_word(field)) {
        return Token::Missing;
    }
    Token::Word
}

/// The words spreadsheets, databases and Python write for nothing. `None` counts only as Python
/// spells it, as `none` often is an honest category.
fn is_missing_word(field: &[u8]) -> bool {
    matches!(field, b"" | b"?" | b"None")
        || [&b"na"[..], b"n/a", b"#n/a", b"<na>", b"null"]
            .iter()
            .any(|word| field.eq_ignore_ascii_case(word))
}

/// The field without the spaces and tabs around it.
#[inline]
pub(crate) fn trim(field: &[u8]) -> &[u8] {
    field.trim_ascii()
}

/// The shortest text that reads back as `value`: `1`, `-1`, `2.5`.
pub(crate) fn shortest(value: f64) -> String {
    format!("{}", value + 0.0)
}

/// One spelling for each class: numbers in their shortest form, words as they are.
pub(crate) fn canonical(word: &str) -> String {
    match token(word.trim().as_bytes()) {
        Token::Number(value) => shortest(value),
        _ => word.trim().to_owned(),
    }
}

/// A word as text; two that are not UTF-8 could look like one.
pub(crate) fn word(field: &[u8], place: impl FnOnce() -> Place) -> Result<&str> {
    std::str::from_utf8(field).map_err(|_| {
        let found = shown(field);
        Error::data(
            place(),
            format!("expected UTF-8 text, found `{found}`; save the file as UTF-8"),
        )
    })
}

/// A token as it can be shown in a message: lossy, and cut where it is long.
pub(crate) fn shown(token: &[u8]) -> String {
    let text = visible(&String::from_utf8_lossy(&token[..token.len().min(60)]));
    if token.len() > 60 { format!("{text}…") } else { text }
}

/// A name from a file as people can be shown it: escaped, the rest cut off.
pub fn printable(name: &str) -> String {
    const MOST: usize = 40;
    let end = name.char_indices().nth(MOST).map_or(name.len(), |(end, _)| end);
    let text = visible(&name[..end]);
    if end < name.len() { format!("{text}…") } else { text }
}

/// What would move the cursor, break the line or turn the direction of the text is escaped.
pub fn visible(text: &str) -> String {
    let hidden = |c: char| {
        let formats = ['\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2060}'..='\u{206f}'];
        c.is_control() || c == '\u{feff}' || formats.iter().any(|range| range.contains(&c))
    };
    let mut shown = String::new();
    for c in text.chars() {
        if hidden(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}
