//! Cuts a record into fields the careful way: quotes, spaces around fields, runs of spaces.

use crate::data::number;

/// The fields of one record, reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Fields {
    text: Vec<u8>,
    /// Span in `text` and byte column in the record of each field.
    spans: Vec<(usize, usize, usize)>,
}

impl Fields {
    /// Replaces the content by the fields of `record`.
    pub(super) fn split(&mut self, record: &[u8], delimiter: u8) {
        self.text.clear();
        self.spans.clear();
        let mut at = 0;
        loop {
            while record.get(at).is_some_and(|&byte| is_space(byte) && byte != delimiter) {
                at += 1;
            }
            if delimiter == b' ' {
                at += leading_spaces(&record[at..]);
                if at == record.len() && !self.spans.is_empty() {
                    return;
                }
            }
            let end = if record.get(at) == Some(&b'"') {
                self.quoted(record, at, delimiter)
            } else {
                let end = find(record, at, delimiter);
                self.add(number::trim(&record[at..end]), at);
                end
            };
            if end >= record.len() {
                return;
            }
            at = end + 1;
        }
    }

    fn add(&mut self, field: &[u8], column: usize) {
        let start = self.text.len();
        self.text.extend_from_slice(field);
        self.spans.push((start, self.text.len(), column + 1));
    }

    /// Takes the quoted field that begins at `start`; returns where its delimiter stands.
    fn quoted(&mut self, record: &[u8], start: usize, delimiter: u8) -> usize {
        let begin = self.text.len();
        let mut at = start + 1;
        while at < record.len() {
            if record[at] == b'"' {
                at += 1;
                if record.get(at) != Some(&b'"') {
                    break;
                }
            }
            self.text.push(record[at]);
            at += 1;
        }
        let end = find(record, at, delimiter);
        // Text behind the closing quote belongs to the field, as most readers have it.
        self.text.extend_from_slice(number::trim(&record[at..end]));
        self.spans.push((begin, self.text.len(), start + 1));
        end
    }

    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Field `i` without the spaces around it.
    pub(super) fn get(&self, i: usize) -> &[u8] {
        let (start, end, _) = self.spans[i];
        number::trim(&self.text[start..end])
    }

    /// Byte column of field `i`, from 1.
    pub(super) fn column(&self, i: usize) -> u64 {
        self.spans[i].2 as u64
    }

    /// All fields in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn leading_spaces(text: &[u8]) -> usize {
    text.iter().take_while(|&&byte| is_space(byte)).count()
}

fn find(record: &[u8], at: usize, delimiter: u8) -> usize {
    memchr::memchr(delimiter, &record[at..]).map_or(record.len(), |length| at + length)
}
