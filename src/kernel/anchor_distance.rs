//! Distance of each dense row to each anchor (model: D; paper, eq. 3 and 8).
//!
//! D(x, i) = Σⱼ eⱼ tᵢⱼ² (xⱼ − zᵢⱼ)², taken as Σⱼ (sᵢⱼ xⱼ − sᵢⱼ zᵢⱼ)² with s = t·√e: no cancellation
//! as in ‖x‖² − 2x·z + ‖z‖². Where anchors have no scales t, s·x is the same for all of them and taken
//! once: an addition and a fused operation an element, which many CPUs do side by side.
//!
//! rows `[n, row_stride]` · lenses `[p, anchor_stride]` → distance `[n, anchor_stride]`, in
//! squared feature units, or feature units where the distance is plain. One task a block of rows,
//! the writer of their cells; lanes run over anchors. O(n·p·m).

use crate::gpu::shaders::{Shader, shader};
use crate::kernel::Shape;
use crate::optimizer::take;
use crate::simd::{LANES, dispatch, vectorized};
use pulp::{Simd, WithSimd};

/// Rows of a shader's tile, and its anchors.
const TILE: usize = 32;

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader =
    shader!("anchor_distance", "anchor_distance", ["step", "rows", "lens"], |sizes, step, _| {
        (step.rows as usize).div_ceil(TILE) * sizes.anchors.div_ceil(TILE)
    });

/// The anchors as the distance reads them: feature-major, metric worked in.
#[derive(Debug, Clone)]
pub(crate) struct Lenses {
    /// √e `[row_stride]`, by which rows are multiplied where anchors have no scales.
    root: Vec<f32>,
    /// s `[p, anchor_stride]`; empty where anchors have no scales.
    scale: Vec<f32>,
    /// −s·z `[p, anchor_stride]`.
    center: Vec<f32>,
}

impl Lenses {
    /// Zeros, until anchors are worked in.
    pub(crate) fn new(shape: Shape, has_scales: bool) -> Self {
        let len = shape.features * shape.anchor_stride();
        Self {
            root: vec![0.0; shape.row_stride()],
            scale: vec![0.0; if has_scales { len } else { 0 }],
            center: vec![0.0; len],
        }
    }

    /// The lenses of a few features at a time, to be written apart.
    pub(crate) fn blocks(&mut self, shape: Shape) -> impl Iterator<Item = LensBlock<'_>> {
        // As many features as fill a line of cache in the anchors.
        let len = LANES * shape.anchor_stride();
        let mut scale = &mut self.scale[..];
        let parts = self.root.chunks_exact_mut(LANES).zip(self.center.chunks_mut(len));
        parts.enumerate().map(move |(b, (root, center))| {
            let scale = take(&mut scale, center.len());
            LensBlock { first: b * LANES, root, scale, center }
        })
    }
}

/// The lenses of some features.
pub(crate) struct LensBlock<'a> {
    /// First feature of the block.
    first: usize,
    root: &'a mut [f32],
    scale: &'a mut [f32],
    center: &'a mut [f32],
}

impl LensBlock<'_> {
    /// Works in anchors z `[m, row_stride]`, metric √e `[p]` and scales t `[m, row_stride]`, if any.
    pub(crate) fn refresh(
        self,
        shape: Shape,
        anchors: &[f32],
        root_metric: &[f32],
        anchor_scale: Option<&[f32]>,
    ) {
        let (width, stride) = (shape.anchor_stride(), shape.row_stride());
        let features = self.center.len() / width;
        self.root[..features].copy_from_slice(&root_metric[self.first..][..features]);
        // As many anchors at a time as fill a line of cache in the lenses.
        for start in (0..shape.anchors).step_by(LANES) {
            let some = start..(start + LANES).min(shape.anchors);
            for j in 0..features {
                for i in some.clone() {
                    let (lens, cell) = (j * width + i, i * stride + self.first + j);
                    let mut s = self.root[j];
                    if let Some(t) = anchor_scale {
                        s *= t[cell];
                        self.scale[lens] = s;
                    }
                    self.center[lens] = -s * anchors[cell];
                }
            }
        }
    }
}

/// Rows `[n, row_stride]` times √e `[row_stride]`, as the distance reads them.
pub(crate) fn scale_rows(root_metric: &[f32], rows: &[f32], out: &mut Vec<f32>) {
    out.resize(rows.len(), 0.0);
    vectorized(
        #[inline(always)]
        || {
            let stride = root_metric.len();
            for (out, row) in out.chunks_exact_mut(stride).zip(rows.chunks_exact(stride)) {
                for ((out, x), s) in out.iter_mut().zip(row).zip(root_metric) {
                    *out = x * s;
                }
            }
        },
    );
}

/// Fills `out` for the rows in `rows`; `plain` takes the root. `scaled` is memory.
pub(crate) fn anchor_distance(
    shape: Shape,
    lenses: &Lenses,
    rows: &[f32],
    plain: bool,
    scaled: &mut Vec<f32>,
    out: &mut [f32],
) {
    if lenses.scale.is_empty() {
        scale_rows(&lenses.root, rows, scaled);
        dispatch(Kernel { shape, lenses, rows: scaled, plain, out });
    } else {
        dispatch(Kernel { shape, lenses, rows, plain, out });
    }
}

struct Kernel<'a> {
    shape: Shape,
    lenses: &'a Lenses,
    rows: &'a [f32],
    plain: bool,
    out: &'a mut [f32],
}

impl WithSimd for Kernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, lenses, rows, plain, out } = self;
        // As many sums as registers hold beside what they are made of.
        match (S::REGISTER_COUNT >= 32, lenses.scale.is_empty()) {
            (true, true) => squares::<S, 8, false>(simd, shape, lenses, rows, out),
            (true, false) => squares::<S, 8, true>(simd, shape, lenses, rows, out),
            (false, true) => squares::<S, 4, false>(simd, shape, lenses, rows, out),
            (false, false) => squares::<S, 4, true>(simd, shape, lenses, rows, out),
        }
        if plain {
            for distance in out {
                *distance = distance.sqrt();
            }
        }
    }
}

/// Sums of squares, R rows at a time; with SCALES anchors have their own.
#[inline(always)]
fn squares<S: Simd, const R: usize, const SCALES: bool>(
    simd: S,
    shape: Shape,
    lenses: &Lenses,
    rows: &[f32],
    out: &mut [f32],
) {
    let width = shape.anchor_stride();
    // Some anchors at a time, as far as these are held in cache while the rows pass.
    let mut lane = 0;
    while lane + 2 * S::F32_LANES <= width {
        some_anchors::<S, R, 2, SCALES>(simd, shape, lenses, rows, lane, out);
        lane += 2 * S::F32_LANES;
    }
    if lane < width {
        some_anchors::<S, R, 1, SCALES>(simd, shape, lenses, rows, lane, out);
    }
}

/// All rows against W vectors of anchors.
#[inline(always)]
fn some_anchors<S: Simd, const R: usize, const W: usize, const SCALES: bool>(
    simd: S,
    shape: Shape,
    lenses: &Lenses,
    rows: &[f32],
    lane: usize,
    out: &mut [f32],
) {
    let (stride, width) = (shape.row_stride(), shape.anchor_stride());
    let mut tiles = rows.chunks_exact(R * stride);
    let mut cells = out.chunks_exact_mut(R * width);
    for (rows, cell) in tiles.by_ref().zip(cells.by_ref()) {
        tile::<S, R, W, SCALES>(simd, shape, lenses, rows, lane, cell);
    }
    let cells = cells.into_remainder().chunks_exact_mut(width);
    for (row, cell) in tiles.remainder().chunks_exact(stride).zip(cells) {
        tile::<S, 1, W, SCALES>(simd, shape, lenses, row, lane, cell);
    }
}

/// R rows against W vectors of anchors, the sums held in registers.
#[inline(always)]
fn tile<S: Simd, const R: usize, const W: usize, const SCALES: bool>(
    simd: S,
    shape: Shape,
    lenses: &Lenses,
    rows: &[f32],
    lane: usize,
    out: &mut [f32],
) {
    let (stride, width) = (shape.row_stride(), shape.anchor_stride());
    let x: [&[[f32; LANES]]; R] =
        std::array::from_fn(|r| rows[r * stride..][..stride].as_chunks().0);
    let lanes = lane..lane + W * S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); W]; R];
    // Features in blocks of known length: an index into a row is then known to be in it.
    let block_len = LANES * width;
    for (block, center) in lenses.center.chunks(block_len).enumerate() {
        // Without scales it is not read.
        let scale =
            if SCALES { &lenses.scale[block * block_len..][..center.len()] } else { center };
        let x: [&[f32; LANES]; R] = std::array::from_fn(|r| &x[r][block]);
        let features = scale.chunks_exact(width).zip(center.chunks_exact(width));
        for (j, (scale, center)) in (0..LANES).zip(features) {
            let scale = &S::as_simd_f32s(&scale[lanes.clone()]).0[..W];
            let center = &S::as_simd_f32s(&center[lanes.clone()]).0[..W];
            for r in 0..R {
                let value = simd.splat_f32s(x[r][j]);
                for w in 0..W {
                    let difference = if SCALES {
                        simd.mul_add_f32s(value, scale[w], center[w])
                    } else {
                        simd.add_f32s(value, center[w])
                    };
                    sums[r][w] = simd.mul_add_f32s(difference, difference, sums[r][w]);
                }
            }
        }
    }
    for r in 0..R {
        let out = S::as_mut_simd_f32s(&mut out[r * width..][lanes.clone()]).0;
        out.copy_from_slice(&sums[r]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lenses_written_apart_are_those_of_all_features() {
        let shape = Shape { anchors: 19, features: 37, outputs: 1, factors: 0, stride: LANES };
        let (width, stride) = (shape.anchor_stride(), shape.row_stride());
        let number = |i: usize| 1.5 + (i as f32 * 0.7).sin();
        let anchors: Vec<f32> = (0..19 * stride).map(number).collect();
        let scales: Vec<f32> = (0..19 * stride).map(|i| number(i + 3)).collect();
        let metric: Vec<f32> = (0..stride).map(|j| number(j + 9)).collect();
        for scales in [None, Some(&scales[..])] {
            let mut lenses = Lenses::new(shape, scales.is_some());
            let blocks: Vec<_> = lenses.blocks(shape).collect();
            assert_eq!(blocks.len(), 3);
            for block in blocks.into_iter().rev() {
                block.refresh(shape, &anchors, &metric, scales);
            }
            assert_eq!(lenses.root[..37], metric[..37]);
            for (i, j) in (0..19).flat_map(|i| (0..37).map(move |j| (i, j))) {
                let s = scales.map_or(1.0, |t| t[i * stride + j]) * metric[j];
                assert_eq!(lenses.center[j * width + i], -s * anchors[i * stride + j]);
                assert!(scales.is_none() || lenses.scale[j * width + i] == s, "{i}, {j}");
            }
        }
    }

    #[test]
    fn scales_of_one_are_as_good_as_none() {
        let shape = Shape { anchors: 35, features: 21, outputs: 1, factors: 0, stride: LANES };
        let (width, stride) = (shape.anchor_stride(), shape.row_stride());
        let number = |i: usize| (i as f32 * 0.7).sin();
        let anchors: Vec<f32> = (0..35 * stride).map(number).collect();
        let metric: Vec<f32> = (0..stride).map(|j| 1.5 + number(j + 9)).collect();
        let rows: Vec<f32> = (0..11 * stride).map(|i| number(i + 5)).collect();
        let distances = |scales: Option<&[f32]>| {
            let mut lenses = Lenses::new(shape, scales.is_some());
            let blocks: Vec<_> = lenses.blocks(shape).collect();
            blocks.into_iter().for_each(|b| b.refresh(shape, &anchors, &metric, scales));
            let mut out = vec![0.0; 11 * width];
            anchor_distance(shape, &lenses, &rows, true, &mut Vec::new(), &mut out);
            out
        };
        let (with, without) = (distances(Some(&vec![1.0; 35 * stride])), distances(None));
        for (r, i) in (0..11).flat_map(|r| (0..35).map(move |i| (r, i))) {
            let exact = (0..21).map(|j| {
                let x = f64::from(rows[r * stride + j]) - f64::from(anchors[i * stride + j]);
                (f64::from(metric[j]) * x).powi(2)
            });
            let exact = exact.sum::<f64>().sqrt();
            for found in [with[r * width + i], without[r * width + i]] {
                assert!((f64::from(found) - exact).abs() < 1e-6 * exact, "{found} for {exact}");
            }
        }
    }
}
