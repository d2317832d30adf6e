//! Safetensors files of ours: what stands around the tensors is a header, a version and a checksum.
//!
//! The metadata entry `checksum` is the SHA-256, in hexadecimal, of the whole file with the checksum's
//! own 64 digits replaced by zeros. It means the same in every version of a format, so that damage is
//! told apart from novelty.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::data::source::megabytes;
use crate::error::Error;

/// Strings by name.
pub(crate) type Metadata = BTreeMap<String, String>;

/// A format that is kept in such a file.
pub(crate) struct Format {
    /// What messages call a file of it.
    pub(crate) name: &'static str,
    /// What is written, and the newest that is read.
    pub(crate) version: u32,
    /// What to do about a damaged one.
    pub(crate) remedy: &'static str,
}

/// A named tensor, ready to be written.
pub(crate) struct Packed<'a> {
    pub(crate) name: Cow<'static, str>,
    /// As the header spells it.
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<usize>,
    /// Little-endian numbers.
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// The longest header that the safetensors crate reads, in bytes.
pub(crate) const MOST_HEADER: usize = 100_000_000;

/// Files that this much memory is enough for are read whatever is allowed.
const LEAST_MEMORY: u64 = 64 << 20;

/// Digits of a checksum.
pub(crate) const DIGITS: usize = 64;
/// Bytes of the number in front that tells how long the header is.
pub(crate) const LENGTH_BYTES: usize = 8;
const CHECKSUM_KEY: &[u8] = b"\"checksum\":\"";

/// What stands before the tensors: length, header, and in it version and checksum.
///
/// The header is written here and not by the safetensors crate, whose order of metadata changes
/// from run to run.
///
/// # Errors
/// A header that no reader takes.
pub(crate) fn header(
    format: &Format,
    mut metadata: Metadata,
    tensors: &[Packed<'_>],
) -> Result<Vec<u8>, String> {
    metadata.insert("format_version".into(), format.version.to_string());
    metadata.insert("checksum".into(), "0".repeat(DIGITS));
    let mut header = format!("{{\"__metadata__\":{}", serde_json::json!(metadata));
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + tensor.bytes.len();
        let _ = write!(
            header,
            ",\"{}\":{{\"dtype\":\"{}\",\"shape\":{:?},\"data_offsets\":[{offset},{end}]}}",
            tensor.name, tensor.dtype, tensor.shape
        );
        offset = end;
    }
    header.push('}');
    // Tensors start at a multiple of 8, as readers that map the file into memory want.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    if header.len() > MOST_HEADER {
        let (found, most) = (header.len() / 1_000_000, MOST_HEADER / 1_000_000);
        return Err(format!("the metadata take {found} MB, expected at most {most}"));
    }
    let mut bytes = Vec::with_capacity(LENGTH_BYTES + header.len());
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    if let Some(at) = find_checksum(&bytes) {
        let mut hash = Sha256::new_with_prefix(&bytes);
        tensors.iter().for_each(|tensor| hash.update(&tensor.bytes));
        bytes[at..at + DIGITS].copy_from_slice(format!("{:x}", hash.finalize()).as_bytes());
    }
    Ok(bytes)
}

/// The bytes of a file of ours; of any other, which may be huge or without an end, only the beginning.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::Usage`] when it, and what is made of it, are beyond
/// `max_memory`: together `copies` times its length.
pub(crate) fn read(path: &Path, copies: u64, max_memory: u64) -> Result<Vec<u8>, Error> {
    let most = max_memory.max(LEAST_MEMORY) / copies;
    let (bytes, length) = read_up_to(path, most).map_err(Error::io("read", path))?;
    if length <= most {
        return Ok(bytes);
    }
    let [found, most, allowed] = [length, most, max_memory].map(megabytes);
    Err(Error::Usage(format!(
        "{} has {found:.1} MB, and takes {copies} times that in memory: expected at most {most:.1} MB, as \
         {allowed:.1} MB are allowed; raise --max-memory",
        path.display()
    )))
}

/// As much of a file as there is a use for, and how long it is where it is one of ours.
fn read_up_to(path: &Path, most: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(LENGTH_BYTES as u64).read_to_end(&mut bytes)?;
    let header = header_length(&bytes).filter(|&n| n <= MOST_HEADER).unwrap_or(0);
    // A pipe does not tell how long it is.
    let length = file.metadata()?.len();
    if header as u64 > most && length > most {
        return Ok((bytes, length));
    }
    file.by_ref().take(header as u64).read_to_end(&mut bytes)?;
    if find_checksum(&bytes).is_none() {
        return Ok((bytes, 0));
    }
    if length > most {
        return Ok((bytes, length));
    }
    file.take(most + 1).read_to_end(&mut bytes)?;
    let length = bytes.len() as u64;
    Ok((bytes, length))
}

/// Checks that the bytes are whole and of a version this program knows.
pub(crate) fn verify(format: &Format, bytes: &[u8]) -> Result<(), String> {
    let Format { name, version: known, remedy } = *format;
    let Some(at) = find_checksum(bytes) else {
        return Err(format!(
            "no checksum found: the file is damaged, truncated, or no llfm {name}"
        ));
    };
    let mut hash = Sha256::new();
    hash.update(&bytes[..at]);
    hash.update([b'0'; DIGITS]);
    hash.update(&bytes[at + DIGITS..]);
    let intact = format!("{:x}", hash.finalize()).as_bytes() == &bytes[at..at + DIGITS];
    let newer = version(bytes).filter(|v| v.parse().map_or(true, |v: u32| v > known));
    match (intact, newer) {
        (true, None) => Ok(()),
        (true, Some(version)) => Err(format!(
            "format version {version} is newer than {known}, the newest this llfm reads: update llfm"
        )),
        (false, None) => Err(format!("the checksum does not match: the file is damaged; {remedy}")),
        // A changed version digit is damage; a changed format may also have changed the checksum.
        (false, Some(version)) => Err(format!(
            "the checksum does not match, and the file says format version {version} where this \
             llfm reads up to {known}: it is damaged, or from a newer llfm"
        )),
    }
}

/// Where the checksum's digits start: the first such key in the header, quotes in values being
/// escaped.
fn find_checksum(bytes: &[u8]) -> Option<usize> {
    let header = header_of(bytes)?;
    let at = memchr::memmem::find(header, CHECKSUM_KEY)? + CHECKSUM_KEY.len();
    (at + DIGITS <= header.len()).then_some(LENGTH_BYTES + at)
}

/// How long the header claims to be.
fn header_length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()
}

fn header_of(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(LENGTH_BYTES..)?.get(..header_length(bytes)?)
}

fn version(bytes: &[u8]) -> Option<String> {
    // What else the header holds is passed over.
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__")]
        metadata: Entries,
    }
    #[derive(Deserialize)]
    struct Entries {
        format_version: String,
    }
    let header: Header = serde_json::from_slice(header_of(bytes)?).ok()?;
    Some(header.metadata.format_version)
}
