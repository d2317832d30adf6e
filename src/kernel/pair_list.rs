//! The (row, anchor) pairs of a batch, bucketed by anchor, in row order within a bucket.
//!
//! active anchors of each row → slots `[n_pairs]` with `starts [m + 1]`. Count, prefix sum, fill:
//! the order is the one every later sum over an anchor's rows follows. O(n_pairs + m).

use crate::gpu::shaders::{Shader, shader};
use crate::kernel::ROW_CHUNK;
use crate::kernel::local_coding::Pair;

/// The shader, and its workgroups: each takes a share of the anchors.
pub(crate) const SHADER: Shader =
    shader!("pair_list", "pair_list", ["step", "pair"], |sizes, _, _| {
        const MOST_GROUPS: usize = 64;
        sizes.anchors.div_ceil(sizes.anchors.div_ceil(MOST_GROUPS))
    });

/// The coded rows of one task: pairs row by row.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowChunk {
    /// Pairs of all rows of the chunk, nearest anchor first within a row.
    pub(crate) pairs: Vec<Pair>,
    /// `[rows + 1]`: row r owns `pairs[ends[r]..ends[r + 1]]`.
    pub(crate) ends: Vec<u32>,
    /// S of each row.
    pub(crate) normalizers: Vec<f32>,
    /// Per pair and channel, γ·∂ℓ/∂ŷ / b; written by the blend.
    pub(crate) coefficients: Vec<f32>,
    /// Per pair, ∂ℓ/∂u / b; written by the blend.
    pub(crate) slopes: Vec<f32>,
    /// Scores ŷ `[rows, C]`; written by the blend.
    pub(crate) outputs: Vec<f32>,
    /// Σ loss of the chunk's rows; written by the blend.
    pub(crate) loss: f64,
}

/// The pairs bucketed by anchor.
#[derive(Debug, Clone, Default)]
pub(crate) struct PairList {
    /// `[m + 1]`: anchor i owns the slots `starts[i]..starts[i + 1]`.
    pub(crate) starts: Vec<u32>,
    /// `[n_pairs]`: row of the batch.
    pub(crate) rows: Vec<u32>,
    /// `[n_pairs]`: index of the pair within its [`RowChunk`].
    pub(crate) origins: Vec<u32>,
    pub(crate) cursors: Vec<u32>,
}

impl RowChunk {
    /// Forgets the rows, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.pairs.clear();
        self.ends.clear();
        self.ends.push(0);
        self.normalizers.clear();
    }

    /// Number of rows.
    pub(crate) fn n_rows(&self) -> usize {
        self.normalizers.len()
    }

    /// Indices of the pairs of row `r`.
    #[inline(always)]
    pub(crate) fn span(&self, r: usize) -> std::ops::Range<usize> {
        self.ends[r] as usize..self.ends[r + 1] as usize
    }
}

impl PairList {
    /// Buckets the pairs of `chunks` and tells each pair its slot.
    pub(crate) fn fill(&mut self, n_anchors: usize, chunks: &mut [RowChunk]) {
        self.starts.clear();
        self.starts.resize(n_anchors + 1, 0);
        for pair in chunks.iter().flat_map(|c| &c.pairs) {
            self.starts[pair.anchor as usize + 1] += 1;
        }
        for i in 0..n_anchors {
            self.starts[i + 1] += self.starts[i];
        }
        let n_pairs = self.starts[n_anchors] as usize;
        self.rows.resize(n_pairs, 0);
        self.origins.resize(n_pairs, 0);
        self.cursors.clear();
        self.cursors.extend_from_slice(&self.starts[..n_anchors]);
        for (c, chunk) in chunks.iter_mut().enumerate() {
            for r in 0..chunk.n_rows() {
                let row = (c * ROW_CHUNK + r) as u32;
                for origin in chunk.span(r) {
                    let pair = &mut chunk.pairs[origin];
                    let slot = &mut self.cursors[pair.anchor as usize];
                    pair.slot = *slot;
                    self.rows[*slot as usize] = row;
                    self.origins[*slot as usize] = origin as u32;
                    *slot += 1;
                }
            }
        }
    }

    /// Number of pairs.
    pub(crate) fn n_pairs(&self) -> usize {
        self.rows.len()
    }

    /// Slots of anchor `i`.
    pub(crate) fn span(&self, i: usize) -> std::ops::Range<usize> {
        self.starts[i] as usize..self.starts[i + 1] as usize
    }

    /// The chunk of a slot's row, and the pair's index in it.
    #[inline(always)]
    pub(crate) fn origin(&self, slot: usize) -> (usize, usize) {
        (self.rows[slot] as usize / ROW_CHUNK, self.origins[slot] as usize)
    }
}
