//! Distance of each sparse row to each anchor.
//!
//! D(x, i) = Σⱼ eⱼtᵢⱼ²zᵢⱼ² + Σ_{j in row} eⱼtᵢⱼ²((xⱼ − zᵢⱼ)² − zᵢⱼ²): the first sum is kept per
//! anchor and corrected as columns move, so a row costs its non-zeros and not p.
//!
//! batch rows (CSR) · anchors z and weights e·t² `[p, anchor_stride]` · base `[m]` → distance
//! `[n, anchor_stride]`. One task a block of rows, lanes over anchors. O(nnz·m).

use crate::backend::gpu::sizes::NORM_PARTS;
use crate::gpu::shaders::{Shader, shader, workgroups};
use crate::kernel::Shape;
use crate::simd::vectorized;

/// The shader of the anchors' norms, and its workgroups: the CPU corrects them instead.
pub(crate) const NORM_SHADER: Shader =
    shader!("anchor_norm_csr", "anchor_norm_csr", ["step"], |sizes, _, _| sizes.anchors
        * NORM_PARTS);

/// The shader, and its workgroups.
pub(crate) const SHADER: Shader =
    shader!("anchor_distance_csr", "anchor_distance_csr", ["step"], |sizes, step, _| workgroups(
        step.rows as usize * sizes.anchors
    ));

/// Anchors feature-major, as sparse rows read them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnAnchors<'a> {
    /// z `[p, anchor_stride]`.
    pub(crate) anchors: &'a [f32],
    /// t `[p, anchor_stride]`, where scales are kept.
    pub(crate) scales: Option<&'a [f32]>,
    /// e `[p]`.
    pub(crate) metric: &'a [f32],
    /// Σⱼ eⱼtᵢⱼ²zᵢⱼ² `[m]`, in f64 because it is corrected a column at a time.
    pub(crate) base: &'a [f64],
}

/// Fills `out` for rows given as (columns, values).
pub(crate) fn anchor_distance_csr<'r>(
    shape: Shape,
    anchors: ColumnAnchors<'_>,
    rows: impl Iterator<Item = (&'r [u32], &'r [f32])>,
    plain: bool,
    out: &mut [f32],
) {
    let width = shape.anchor_stride();
    vectorized(
        #[inline(always)]
        || {
            for ((columns, values), out) in rows.zip(out.chunks_exact_mut(width)) {
                out.iter_mut().zip(anchors.base).for_each(|(d, base)| *d = *base as f32);
                for (&j, &x) in columns.iter().zip(values) {
                    let j = j as usize;
                    let z = &anchors.anchors[j * width..][..width];
                    match anchors.scales {
                        None => add_column(x, anchors.metric[j], z, out),
                        Some(t) => {
                            let t = &t[j * width..][..width];
                            add_scaled_column(x, anchors.metric[j], z, t, out);
                        }
                    }
                }
                out.iter_mut().for_each(|d| *d = d.max(0.0));
                if plain {
                    out.iter_mut().for_each(|d| *d = d.sqrt());
                }
            }
        },
    );
}

/// (x − z)² − z² = x(x − 2z), weighed.
#[inline(always)]
fn add_column(x: f32, metric: f32, z: &[f32], out: &mut [f32]) {
    let weight = metric * x;
    for (d, z) in out.iter_mut().zip(z) {
        *d = weight.mul_add(z.mul_add(-2.0, x), *d);
    }
}

#[inline(always)]
fn add_scaled_column(x: f32, metric: f32, z: &[f32], t: &[f32], out: &mut [f32]) {
    let weight = metric * x;
    for ((d, z), t) in out.iter_mut().zip(z).zip(t) {
        *d = (weight * t * t).mul_add(z.mul_add(-2.0, x), *d);
    }
}
