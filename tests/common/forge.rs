//! Model files taken apart and put together again, changed, under a valid checksum.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Header and tensors of a file.
pub(crate) fn parts(bytes: &[u8]) -> (String, Vec<u8>) {
    let (length, rest) = bytes.split_first_chunk().expect("a length");
    let (header, tensors) = rest.split_at(u64::from_le_bytes(*length) as usize);
    (String::from_utf8(header.to_vec()).expect("a JSON header"), tensors.to_vec())
}

/// A file of a header and tensors with the checksum they should have.
pub(crate) fn seal(header: &str, tensors: &[u8]) -> Vec<u8> {
    let key = "\"checksum\":\"";
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(tensors);
    let Some(at) = header.find(key).map(|at| 8 + at + key.len()) else { return bytes };
    if at + 64 > bytes.len() {
        return bytes;
    }
    bytes[at..at + 64].fill(b'0');
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    bytes[at..at + 64].copy_from_slice(sum.as_bytes());
    bytes
}

/// Where a tensor begins and ends.
pub(crate) fn offsets(tensor: &Value) -> [usize; 2] {
    [0, 1].map(|i| tensor["data_offsets"][i].as_u64().expect("an offset") as usize)
}
