//! Labels in a file of their own: idx, npy, or text with one label a line.

use std::path::Path;

use super::array::Header;
use super::format::check_text;
use super::label_column::LabelColumn;
use super::number;
use super::raw::RawLabels;
use super::source::{Input, check_memory};
use super::{idx, npy};
use crate::error::{Error, Place, Result};

/// Reads all labels of a file; its first bytes tell the format.
pub(crate) fn read(path: &Path, max_memory: u64) -> Result<RawLabels> {
    let mut input = Input::open(path, max_memory)?;
    let head = input.peek(6)?;
    if head.starts_with(npy::MAGIC) {
        let header = npy::read_header(&mut input)?;
        numbers(header, input)
    } else if head.starts_with(&[0, 0]) {
        let header = idx::read_header(&mut input)?;
        numbers(header, input)
    } else {
        text(input)
    }
}

fn numbers((header, offset): (Header, u64), mut input: Input) -> Result<RawLabels> {
    let path = input.path().to_owned();
    let max_memory = input.max_memory();
    header.check(offset, &input)?;
    if header.n_columns != 1 {
        let found = header.n_columns;
        let message = format!("expected one label a row, found {found} numbers");
        return Err(Error::data(Place::file(&path), message));
    }
    let mut labels = Vec::new();
    header.numbers(header.n_rows, &mut input, &mut Vec::new(), |value| {
        if !value.is_finite() {
            let message = format!("label {} is not a finite number", labels.len() + 1);
            return Err(Error::data(Place::file(&path), message));
        }
        labels.push(value);
        check_memory(labels.len() as u64 * 8, max_memory, &path)
    })?;
    if !input.peek(1)?.is_empty() {
        let message = "the file goes on behind the labels its header speaks of";
        return Err(Error::data(Place::file(&path), message));
    }
    Ok(RawLabels::Numbers(labels))
}

fn text(mut input: Input) -> Result<RawLabels> {
    check_text(&mut input)?;
    let mut labels = LabelColumn::default();
    while input.advance()? {
        let line = number::trim(input.line());
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        labels.push(line, || Place::line(input.path(), input.line_number()))?;
        check_memory(labels.bytes(), input.max_memory(), input.path())?;
    }
    Ok(labels.take())
}
