//! Distance of each dense row to each anchor (model: D; paper, eq. 3 and 8).
//!
//! D(x, i) = Σⱼ eⱼ tᵢⱼ² (xⱼ − zᵢⱼ)², taken as Σⱼ (sᵢⱼ xⱼ − sᵢⱼ zᵢⱼ)² with s = t·√e: two fused
//! operations an element, and no cancellation as in ‖x‖² − 2x·z + ‖z‖².
//!
//! rows `[n, row_stride]` · lenses `[p, anchor_stride]` twice → distance `[n, anchor_stride]`, in
//! squared feature units, or feature units where the distance is plain. One task a block of rows,
//! the writer of their cells; lanes run over anchors. O(n·p·m).

use crate::kernel::Shape;
use crate::simd::vectorized;

/// The anchors as the distance reads them: feature-major, metric worked in.
#[derive(Debug, Clone)]
pub(crate) struct Lenses {
    /// s `[p, anchor_stride]`.
    pub(crate) scale: Vec<f32>,
    /// s·z `[p, anchor_stride]`.
    pub(crate) center: Vec<f32>,
}

impl Lenses {
    /// Lenses of anchors z `[m, row_stride]` under the metric √e `[p]` and the scales t
    /// `[m, row_stride]`.
    pub(crate) fn new(shape: Shape) -> Self {
        let len = shape.features * shape.anchor_stride();
        Self { scale: vec![0.0; len], center: vec![0.0; len] }
    }

    /// Works in new anchors, metric and scales.
    pub(crate) fn refresh(
        &mut self,
        shape: Shape,
        anchors: &[f32],
        root_metric: &[f32],
        anchor_scale: Option<&[f32]>,
    ) {
        let (width, stride) = (shape.anchor_stride(), shape.row_stride());
        let rows = self.scale.chunks_exact_mut(width).zip(self.center.chunks_exact_mut(width));
        for (j, (scale, center)) in rows.enumerate() {
            for i in 0..shape.anchors {
                let t = anchor_scale.map_or(1.0, |t| t[i * stride + j]);
                let s = t * root_metric[j];
                scale[i] = s;
                center[i] = s * anchors[i * stride + j];
            }
        }
    }
}

/// Fills `out` for the rows in `rows`; `plain` takes the root.
pub(crate) fn anchor_distance(
    shape: Shape,
    lenses: &Lenses,
    rows: &[f32],
    plain: bool,
    out: &mut [f32],
) {
    let (stride, width) = (shape.row_stride(), shape.anchor_stride());
    vectorized(
        #[inline(always)]
        || {
            let mut quads = rows.chunks_exact(4 * stride);
            let mut cells = out.chunks_exact_mut(4 * width);
            for (quad, cell) in quads.by_ref().zip(cells.by_ref()) {
                row_block::<4>(shape, lenses, quad, cell);
            }
            let cells = cells.into_remainder().chunks_exact_mut(width);
            for (row, cell) in quads.remainder().chunks_exact(stride).zip(cells) {
                row_block::<1>(shape, lenses, row, cell);
            }
            if plain {
                out.iter_mut().for_each(|d| *d = d.sqrt());
            }
        },
    );
}

#[inline(always)]
fn row_block<const R: usize>(shape: Shape, lenses: &Lenses, rows: &[f32], out: &mut [f32]) {
    let width = shape.anchor_stride();
    let mut lane = 0;
    while lane + 32 <= width {
        tile::<R, 32>(shape, lenses, rows, lane, out);
        lane += 32;
    }
    if lane < width {
        tile::<R, 16>(shape, lenses, rows, lane, out);
    }
}

/// R rows against W anchors, the sums held in registers.
#[inline(always)]
fn tile<const R: usize, const W: usize>(
    shape: Shape,
    lenses: &Lenses,
    rows: &[f32],
    lane: usize,
    out: &mut [f32],
) {
    let (p, stride, width) = (shape.features, shape.row_stride(), shape.anchor_stride());
    let x: [&[f32]; R] = std::array::from_fn(|r| &rows[r * stride..][..p]);
    let mut sums = [[0.0_f32; W]; R];
    let features = lenses.scale.chunks_exact(width).zip(lenses.center.chunks_exact(width));
    for (j, (scale, center)) in (0..p).zip(features) {
        let (scale, center) = (&scale[lane..lane + W], &center[lane..lane + W]);
        for r in 0..R {
            let value = x[r][j];
            for w in 0..W {
                let difference = value.mul_add(scale[w], -center[w]);
                sums[r][w] = difference.mul_add(difference, sums[r][w]);
            }
        }
    }
    for r in 0..R {
        out[r * width + lane..][..W].copy_from_slice(&sums[r]);
    }
}
