//! Finds out what a csv looks like from its first records: delimiter, header, kinds of columns.

use std::collections::HashSet;

use super::fields::Fields;
use super::records::Records;
use crate::data::number::{self, Token};
use crate::error::{Error, Result};

/// What the first records tell.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) delimiter: u8,
    /// Whether the first record is a header.
    pub(super) header: bool,
    /// Column names from the header or the KEEL lines.
    pub(super) names: Option<Vec<String>>,
    /// The label column KEEL lines name.
    pub(super) keel_label: Option<String>,
    pub(super) n_fields: usize,
    /// For each column whether any word stands in it below the header.
    pub(super) wordy: Vec<bool>,
    /// Whether a field holds words in some rows and numbers in others.
    pub(super) mixed: Vec<bool>,
}

/// What the `@` lines in front of KEEL data say.
#[derive(Debug, Default)]
struct Keel {
    attributes: Vec<String>,
    label: Option<String>,
}

/// What speaks for a header.
#[derive(Debug)]
pub(super) enum Hint<'a> {
    /// Nothing is known: words above numbers, or words that never come again.
    Nothing,
    /// The schema has no names, and a file may have a single row: words above numbers only.
    Unnamed,
    /// Any of these names in the first record.
    Names(HashSet<&'a str>),
}

/// Looks at up to `count` records. `header` overrides the guess.
pub(super) fn sniff(
    records: &mut Records,
    count: usize,
    delimiter: Option<u8>,
    header: Option<bool>,
    hint: &Hint,
) -> Result<Layout> {
    let keel = read_keel(records)?;
    records.look_ahead(count)?;
    let delimiter = delimiter.unwrap_or_else(|| guess_delimiter(records));
    let mut fields = Fields::default();
    let mut ahead = records.ahead();
    if let Some(first) = ahead.next() {
        records.check_columns(1 + memchr::memchr_iter(delimiter, first).count())?;
        fields.split(first, delimiter);
    }
    let first: Vec<Vec<u8>> = fields.iter().map(<[u8]>::to_vec).collect();
    let below = Below::scan(ahead, delimiter, &first, &mut fields);
    let keel_names = (!keel.attributes.is_empty()).then_some(keel.attributes);
    let hashed = hashed_header(records, delimiter, &first).filter(|_| keel_names.is_none());
    let guess = match hint {
        // A candidate above it makes a first record of words alone more likely a row.
        Hint::Nothing if hashed.is_some() => below.first_is_header(&first, &Hint::Unnamed),
        // That with more of the names: a word of the other may be one, too.
        Hint::Names(known)
            if count_known(known, hashed.iter().flatten()) > count_known(known, &first) =>
        {
            false
        }
        _ => below.first_is_header(&first, hint),
    };
    let hashed = hashed.filter(|_| !guess && header != Some(false));
    let header = hashed.is_none() && header.unwrap_or(guess && keel_names.is_none());
    let mixed = below.wordy.iter().zip(&below.numeric).map(|(w, n)| *w && *n).collect();
    let mut wordy = below.wordy;
    if !header {
        for (wordy, field) in wordy.iter_mut().zip(&first) {
            *wordy |= number::token(field) == Token::Word;
        }
    }
    let name = |field: &Vec<u8>| String::from_utf8_lossy(field).into_owned();
    let n_fields = first.len();
    let names = match hashed.as_ref().or(header.then_some(&first)) {
        Some(fields) => Some(fields.iter().map(name).collect()),
        None => keel_names,
    };
    if let Some(names) = names.as_ref().filter(|names| n_fields > 0 && names.len() != n_fields) {
        let attributes = names.len();
        let message = format!(
            "expected {attributes} fields, as many as there are @attribute lines, found {n_fields}"
        );
        return Err(Error::data(records.next_place(), message));
    }
    if header {
        records.advance()?;
    }
    let header = header || hashed.is_some();
    Ok(Layout { delimiter, header, names, keel_label: keel.label, n_fields, wordy, mixed })
}

/// The fields of a first line `#a,b,label` that can name the columns: as many words as the rows
/// have fields, no two alike. A column may itself be called `#`.
fn hashed_header(records: &Records, delimiter: u8, row: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let mut fields = Fields::default();
    fields.split(records.first_comment()?, delimiter);
    let mut names: Vec<Vec<u8>> = fields.iter().map(<[u8]>::to_vec).collect();
    if names[0].is_empty() {
        names[0] = b"#".to_vec();
    }
    let words = names.iter().all(|name| number::token(name) == Token::Word);
    let distinct = names.iter().collect::<HashSet<_>>().len() == names.len();
    (names.len() == row.len() && words && distinct).then_some(names)
}

/// What stands below the first record, by column.
struct Below {
    wordy: Vec<bool>,
    numeric: Vec<bool>,
    /// Whether the first record's field comes again further down.
    repeated: Vec<bool>,
}

impl Below {
    fn scan<'a>(
        records: impl Iterator<Item = &'a [u8]>,
        delimiter: u8,
        first: &[Vec<u8>],
        fields: &mut Fields,
    ) -> Self {
        let n = first.len();
        let mut below =
            Self { wordy: vec![false; n], numeric: vec![false; n], repeated: vec![false; n] };
        for record in records {
            fields.split(record, delimiter);
            for (j, field) in fields.iter().enumerate().take(n) {
                match number::token(field) {
                    Token::Number(_) => below.numeric[j] = true,
                    Token::Missing => {}
                    Token::Word => {
                        below.wordy[j] = true;
                        below.repeated[j] |= field == first[j].as_slice();
                    }
                }
            }
        }
        below
    }

    fn first_is_header(&self, first: &[Vec<u8>], hint: &Hint) -> bool {
        let word = |j: usize| number::token(&first[j]) == Token::Word;
        let above_numbers = |j| word(j) && self.numeric[j] && !self.wordy[j];
        let above_words = |j| word(j) && !self.numeric[j] && !self.repeated[j];
        let mut columns = 0..first.len();
        match hint {
            Hint::Nothing => columns.clone().any(above_numbers) || columns.all(above_words),
            Hint::Unnamed => columns.any(above_numbers),
            Hint::Names(names) => count_known(names, first) > 0,
        }
    }
}

/// How many fields are among the names, which are kept as UTF-8 whatever the encoding of their file.
fn count_known<'a>(names: &HashSet<&str>, fields: impl IntoIterator<Item = &'a Vec<u8>>) -> usize {
    fields.into_iter().filter(|field| names.contains(&*String::from_utf8_lossy(field))).count()
}

/// Consumes the lines that begin with `@`, up to `@data`.
fn read_keel(records: &mut Records) -> Result<Keel> {
    let mut keel = Keel::default();
    loop {
        records.look_ahead(1)?;
        let Some(line) = records.ahead().next() else {
            return Ok(keel);
        };
        let line = String::from_utf8_lossy(line.trim_ascii()).into_owned();
        let Some(line) = line.strip_prefix('@') else {
            return Ok(keel);
        };
        let (keyword, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match keyword.to_ascii_lowercase().as_str() {
            "attribute" => {
                keel.attributes.push(attribute_name(rest.trim()));
                records.check_columns(keel.attributes.len())?;
            }
            "output" | "outputs" => keel.label = Some(rest.trim().to_owned()),
            _ => {}
        }
        records.advance()?;
        records.forget();
    }
}

/// `At1 real[0,1]`, `class{a,b}` or `'two words' real`.
fn attribute_name(text: &str) -> String {
    match text.chars().next() {
        Some(quote @ ('\'' | '"')) => text[1..].split(quote).next().unwrap_or_default().to_owned(),
        _ => {
            let end = |c: char| c.is_whitespace() || matches!(c, '{' | '[');
            text.split(end).next().unwrap_or_default().to_owned()
        }
    }
}

/// Comma unless the first records have none, or have semicolons as regular as fields are.
fn guess_delimiter(records: &Records) -> u8 {
    let head: Vec<&[u8]> = records.ahead().take(10).collect();
    let counts = |delimiter: u8| -> Vec<usize> {
        head.iter().map(|record| count_outside_quotes(record, delimiter)).collect()
    };
    let steady = |counts: &[usize]| counts[0] > 0 && counts.iter().all(|&n| n == counts[0]);
    if head.is_empty() {
        return b',';
    }
    let (commas, semicolons) = (counts(b','), counts(b';'));
    if steady(&semicolons) && !steady(&commas) {
        return b';';
    }
    let first = head[0].trim_ascii();
    let has = |delimiter: u8| count_outside_quotes(first, delimiter) > 0;
    [b',', b';', b'\t', b' '].into_iter().find(|&delimiter| has(delimiter)).unwrap_or(b',')
}

fn count_outside_quotes(record: &[u8], delimiter: u8) -> usize {
    let mut open = false;
    let mut count = 0;
    for &byte in record {
        open ^= byte == b'"';
        count += usize::from(byte == delimiter && !open);
    }
    count
}
