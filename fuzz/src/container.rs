//! Files with a checksum, as inputs: libFuzzer does not find the checksum of what it changes.
//!
//! An input that begins with `{` is a file taken apart, which is easier to change: a line for each entry of
//! the metadata, one for the tensors in the header, and behind them the tensors. Any other is the file as
//! it is. Either is given its right checksum.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

const CHECKSUM: &[u8] = b"\"checksum\":\"";
const DIGITS: usize = 64;

/// How a format is taken apart.
pub struct Apart {
    /// The metadata, in order.
    pub entries: &'static [&'static str],
    /// The version of the format.
    pub version: u32,
}

impl Apart {
    /// The file that an input stands for.
    pub fn file(&self, data: &[u8]) -> Vec<u8> {
        if data.starts_with(b"{") { self.assembled(data) } else { sealed(data.to_vec()) }
    }

    /// Puts together what [`taken_apart`](Self::taken_apart) gives.
    fn assembled(&self, data: &[u8]) -> Vec<u8> {
        let mut parts = data.splitn(self.entries.len() + 2, |&byte| byte == b'\n');
        let mut metadata = Map::new();
        for key in self.entries {
            let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
            metadata.insert((*key).to_owned(), text.into());
        }
        metadata.insert("format_version".to_owned(), self.version.to_string().into());
        metadata.insert("checksum".to_owned(), "0".repeat(DIGITS).into());
        let tensors = String::from_utf8_lossy(parts.next().unwrap_or_default());
        let mut header = format!("{{\"__metadata__\":{}", Value::Object(metadata));
        if !tensors.is_empty() {
            header = format!("{header},{tensors}");
        }
        header.push('}');
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(parts.next().unwrap_or_default());
        sealed(bytes)
    }

    /// A file as an input.
    pub fn taken_apart(&self, bytes: &[u8]) -> Vec<u8> {
        let (length, rest) = bytes.split_first_chunk().expect("a length");
        let (header, tensors) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let mut header: Map<String, Value> = serde_json::from_slice(header).expect("JSON");
        let metadata = header.remove("__metadata__").expect("metadata");
        let mut parts = Vec::new();
        for key in self.entries {
            parts.extend(metadata[*key].as_str().expect("a string").bytes());
            parts.push(b'\n');
        }
        let header = serde_json::to_vec(&header).expect("as it was read");
        parts.extend(&header[1..header.len() - 1]);
        parts.push(b'\n');
        parts.extend(tensors);
        parts
    }
}

/// With the checksum it should have, if there is room for one.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.windows(CHECKSUM.len()).position(|window| window == CHECKSUM);
    let at = at.map_or(bytes.len(), |at| at + CHECKSUM.len());
    if at + DIGITS <= bytes.len() {
        bytes[at..at + DIGITS].fill(b'0');
        let sum = Sha256::digest(&bytes);
        let digits = sum.iter().flat_map(|byte| format!("{byte:02x}").into_bytes());
        bytes.splice(at..at + DIGITS, digits);
    }
    bytes
}
