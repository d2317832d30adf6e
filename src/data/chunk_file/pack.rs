//! Numbers to bytes and back.

/// CRC-32 of some bytes.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A length in a file as one in memory; one beyond memory stays beyond it.
pub(super) fn numbers(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Appends the little-endian bytes of numbers.
pub(super) fn pack<T: Copy, const N: usize>(
    bytes: &mut Vec<u8>,
    values: impl ExactSizeIterator<Item = T>,
    to_bytes: fn(T) -> [u8; N],
) {
    bytes.reserve(values.len() * N);
    values.for_each(|value| bytes.extend_from_slice(&to_bytes(value)));
}

/// Takes numbers off the front of bytes; `None` where they have ended.
pub(super) struct Unpacker<'a>(&'a [u8]);

impl<'a> Unpacker<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes of one number.
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// `count` numbers.
    pub(super) fn list<T, const N: usize>(
        &mut self,
        count: usize,
        from_bytes: fn([u8; N]) -> T,
    ) -> Option<Vec<T>> {
        let (bytes, rest) = self.0.split_at_checked(count.checked_mul(N)?)?;
        self.0 = rest;
        let (numbers, _) = bytes.as_chunks::<N>();
        Some(numbers.iter().map(|&bytes| from_bytes(bytes)).collect())
    }
}
