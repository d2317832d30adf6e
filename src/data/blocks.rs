//! Text in blocks of whole records, which several threads parse and one puts together in order.
//!
//! One thread cuts the text into records, so that lines, quotes and comments mean what they mean to a
//! single one; while the others parse, it merges what was parsed before and cuts the next blocks.

use rayon::prelude::*;

use crate::error::{Error, Result};

/// Most bytes of a block.
const BLOCK: u64 = 1 << 19;
/// Blocks that are cut before they are parsed: so many a thread, and at most.
const A_THREAD: usize = 4;
const AT_ONCE: usize = 32;
/// Blocks that are cut together take at most this part of the memory allowed each, one with another,
/// and a record more. Three lots of them are about at a time, and parsed rows may take several times
/// the bytes of their text.
const PART: u64 = 2048;

/// Some records, one after the other, with the line each begins on.
#[derive(Debug, Default)]
pub(crate) struct Block {
    text: Vec<u8>,
    /// End in `text`, and line, of each record.
    records: Vec<(usize, u64)>,
}

impl Block {
    /// Appends a record.
    #[inline]
    pub(crate) fn push(&mut self, record: &[u8], line: u64) {
        self.text.extend_from_slice(record);
        self.records.push((self.text.len(), line));
    }

    /// The records with their lines.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut start = 0;
        self.records.iter().map(move |&(end, line)| {
            let record = &self.text[start..end];
            start = end;
            (record, line)
        })
    }

    /// The line record `i` begins on.
    pub(crate) fn line(&self, i: usize) -> u64 {
        self.records[i].1
    }

    fn bytes(&self) -> u64 {
        (self.text.len() + self.records.len() * size_of::<(usize, u64)>()) as u64
    }
}

/// How much of a text was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// Records.
    pub(crate) n: usize,
    /// Whether the text has ended.
    pub(crate) ended: bool,
}

/// Cuts up to `most` records off a text, parses them in any order, and merges the parts in theirs.
///
/// `cut` appends the next record to a block; it returns false at the end of the text.
///
/// # Errors
/// The first that a merge returns, in the order of the text; else that of the cut, which stands
/// behind all records.
pub(crate) fn parse<P: Send>(
    most: usize,
    max_memory: u64,
    cut: impl FnMut(&mut Block) -> Result<bool> + Send,
    parse: impl Fn(&Block) -> P + Sync,
    mut merge: impl FnMut(P, &Block) -> Result<()> + Send,
) -> Result<Done> {
    let bytes = (max_memory / PART).clamp(1, BLOCK);
    let mut cutter = Cutter { cut, left: most, bytes, ended: false, fault: None };
    let parsed = |block: Block| (parse(&block), block);
    let mut lot = cutter.lot();
    let mut ready: Vec<(P, Block)> = Vec::new();
    while !(lot.is_empty() && ready.is_empty()) {
        let mut beside = || {
            ready.drain(..).try_for_each(|(part, block)| merge(part, &block))?;
            Ok(cutter.lot())
        };
        let (next_ready, next_lot) = match lot.len() {
            0 | 1 => (lot.into_iter().map(parsed).collect(), beside()),
            _ => rayon::join(|| lot.into_par_iter().map(parsed).collect::<Vec<_>>(), beside),
        };
        (ready, lot) = (next_ready, next_lot?);
    }
    match cutter.fault {
        Some(fault) => Err(fault),
        None => Ok(Done { n: most - cutter.left, ended: cutter.ended }),
    }
}

/// Cuts a text into blocks.
struct Cutter<F> {
    cut: F,
    /// Records that may still be cut.
    left: usize,
    /// Bytes from which on a block is whole.
    bytes: u64,
    ended: bool,
    fault: Option<Error>,
}

impl<F: FnMut(&mut Block) -> Result<bool>> Cutter<F> {
    /// The next blocks, to be parsed together; none at the end.
    fn lot(&mut self) -> Vec<Block> {
        let count = (A_THREAD * rayon::current_num_threads()).min(AT_ONCE);
        let most = self.bytes * count as u64;
        let (mut lot, mut bytes) = (Vec::new(), 0);
        // Records may be longer than a block should be.
        while lot.len() < count && bytes < most {
            let Some(block) = self.block() else { break };
            bytes += block.bytes();
            lot.push(block);
        }
        lot
    }

    fn block(&mut self) -> Option<Block> {
        let mut block = Block::default();
        while self.left > 0 && !self.ended && self.fault.is_none() && block.bytes() < self.bytes {
            match (self.cut)(&mut block) {
                Ok(true) => self.left -= 1,
                Ok(false) => self.ended = true,
                Err(fault) => self.fault = Some(fault),
            }
        }
        (!block.records.is_empty()).then_some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_records_are_cut_a_few_at_a_time() {
        let record = vec![b'x'; 1000];
        for (bytes, most) in [(1, 1), (500, 500), (4000, 4000)] {
            let cut = |block: &mut Block| {
                block.push(&record, 1);
                Ok(true)
            };
            let mut cutter = Cutter { cut, left: usize::MAX, bytes, ended: false, fault: None };
            let count = (A_THREAD * rayon::current_num_threads()).min(AT_ONCE) as u64;
            let lot: u64 = cutter.lot().iter().map(Block::bytes).sum();
            assert!(lot <= count * most + 5 * 1016, "{lot} bytes in blocks of {bytes}");
        }
    }
}
