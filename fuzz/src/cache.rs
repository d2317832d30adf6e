//! The file of rows that `--cache` keeps: damage is told; what is read is whole, and can be kept and
//! prepared as other rows.
//!
//! An input is such a file taken apart: the length of its chunks and schemas (two bytes), those, and the
//! list of them as JSON. Every part is given its right CRC-32.

use std::path::Path;

use llfm::data::{Cells, ChunkFile, ChunkWriter, RawRows};
use llfm::error::{Error, Result};
use serde_json::Value;

use super::{assert_printable, reader, with_file};

const FILE: &str = "a.csv.llfm-cache";
const MARK: &[u8] = b"LLFMROW\x01";
/// A forged file may speak of any number of rows without cells.
const ROWS: usize = 1 << 16;

/// Checks a file of rows.
pub fn file(data: &[u8]) {
    with_file(FILE, &assembled(data), |path| {
        if let Err(error) = read(&path) {
            let text = error.to_string();
            assert!(matches!(error, Error::Data { .. } | Error::Io { .. }), "{text}");
            assert!(text.contains(FILE), "{text}");
            assert_printable(&text);
        }
    });
}

fn read(path: &Path) -> Result<()> {
    let file = ChunkFile::open(path)?;
    let mut n = 0;
    for i in 0..file.n_chunks() {
        assert_eq!(file.rows_of(i).start, n);
        n = file.rows_of(i).end;
        let rows = file.read(i)?;
        assert_eq!(rows.n_rows(), file.rows_of(i).len());
    }
    let rows = file.read_all()?;
    assert_eq!(rows.n_rows(), n);
    if n <= ROWS {
        kept(path, &rows)?;
        let infinite = match &rows.cells {
            Cells::Table(cells) => cells.iter().any(|x| x.is_infinite()),
            Cells::Sparse(csr) => csr.values.iter().any(|x| !x.is_finite()),
        };
        // No reader lets such cells through, and a CRC tells damage, not forgery.
        if !infinite {
            reader::prepared(path, rows);
        }
    }
    Ok(())
}

/// Rows that are kept come back.
fn kept(path: &Path, rows: &RawRows) -> Result<()> {
    let mut writer = ChunkWriter::unnamed(path.parent().expect("a folder"), path)?;
    let half = rows.n_rows() / 2;
    writer.push_part(rows, 0..half)?;
    writer.push_part(rows, half..rows.n_rows())?;
    let again = writer.finish_unnamed()?.read_all()?;
    reader::assert_same(rows, &again, "kept");
    Ok(())
}

fn assembled(data: &[u8]) -> Vec<u8> {
    let (length, rest) = data.split_first_chunk().unwrap_or((&[0, 0], &[]));
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (body, list) = rest.split_at(length);
    let mut file = [MARK, body].concat();
    let mut list = list.to_vec();
    if let Ok(mut value) = serde_json::from_slice::<Value>(&list) {
        mend(&mut value, &file);
        list = serde_json::to_vec(&value).expect("as it was read");
    }
    let at = file.len() as u64;
    file.extend(&list);
    file.extend(at.to_le_bytes());
    file.extend((list.len() as u64).to_le_bytes());
    file.extend(crc(&list).to_le_bytes());
    file.extend(MARK);
    file
}

/// A file of rows as an input of this target.
pub fn taken_apart(file: &[u8]) -> Vec<u8> {
    let (rest, tail) = file.split_at(file.len() - 28);
    let at = u64::from_le_bytes(*tail.first_chunk().expect("28 bytes")) as usize;
    let body = &rest[MARK.len()..at];
    let length = u16::try_from(body.len()).expect("a short file");
    [&length.to_le_bytes()[..], body, &rest[at..]].concat()
}

/// Puts the right CRC-32 to every stretch of the file.
fn mend(value: &mut Value, file: &[u8]) {
    if let Value::Object(map) = value {
        let number = |key: &str| map.get(key).and_then(Value::as_u64).map(|n| n as usize);
        if let (Some(at), Some(bytes)) = (number("at"), number("bytes"))
            && let Some(part) = at.checked_add(bytes).and_then(|end| file.get(at..end))
        {
            map.insert("crc".to_owned(), crc(part).into());
        }
        map.values_mut().for_each(|value| mend(value, file));
    } else if let Value::Array(list) = value {
        list.iter_mut().for_each(|value| mend(value, file));
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
