//! What a step leaves between its kernels.

use super::sizes::Sizes;
use super::step::Group;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::gpu::buffer::{Buffers, megabytes};

/// Most bytes that the sums of a training batch's pairs take, however large a binding may be.
const MOST_SUMS: u64 = 512 << 20;

/// Buffers for batches of the sizes' capacity.
pub(super) fn workspace(gpu: &Gpu, sizes: &Sizes) -> Result<Buffers> {
    let (m, rows, pairs) = (sizes.anchors, sizes.capacity, sizes.most_pairs());
    let mut work = Buffers::default();
    // A lone anchor's distances are not computed: whatever is read of them stays 0.
    work.add(gpu, "distance", m * rows)?;
    work.add(gpu, "norm_parts", if sizes.sparse { m * super::sizes::NORM_PARTS } else { 0 })?;
    work.add(gpu, "row_codes", 2 * rows)?;
    work.add(gpu, "active_anchors", 5 * pairs)?;
    work.add(gpu, "row_sets", 2 * m * rows.div_ceil(32))?;
    work.add(gpu, "starts", m + 1)?;
    work.add(gpu, "pairs", 3 * pairs)?;
    work.add(gpu, "scores", pairs * sizes.outputs)?;
    work.add(gpu, "outputs", rows * sizes.outputs)?;
    let training = sizes.batch > 0;
    let sums = if training { most_sums(sizes, groups(gpu, sizes)?[0]) } else { 0 };
    work.add(gpu, "sums", sums * 4)?;
    work.add(gpu, "row_losses", if training { rows } else { 0 })?;
    work.add(gpu, "pulls", if sizes.slopes { 2 * pairs } else { 0 })?;
    work.add(gpu, "kappa_totals", m)?;
    Ok(work)
}

/// Vectors of four in the sums of a group's pairs.
fn most_sums(sizes: &Sizes, group: Group) -> usize {
    sizes.batch * sizes.most_active.min(group.len()) * sizes.record_quads()
}

/// The anchors cut so that the sums of each group's pairs fit one buffer: an anchor has at most one
/// pair a row.
pub(super) fn groups(gpu: &Gpu, sizes: &Sizes) -> Result<Vec<Group>> {
    check_sums(gpu, (sizes.batch * sizes.record_quads() * 16) as u64)?;
    Ok(groups_within(sizes, most_bytes(gpu)).expect("those of one anchor fit"))
}

/// Bytes that the sums of a group's pairs may take.
fn most_bytes(gpu: &Gpu) -> u64 {
    gpu.largest_binding().min(MOST_SUMS)
}

/// Refuses sums of one anchor's pairs that are too many.
pub(super) fn check_sums(gpu: &Gpu, bytes: u64) -> Result<()> {
    let most = most_bytes(gpu);
    if bytes <= most {
        return Ok(());
    }
    Err(gpu.error(format!(
        "the sums of one anchor's pairs may take {}, and {} are set aside for them: use a smaller \
         --batch-size",
        megabytes(bytes),
        megabytes(most)
    )))
}

fn groups_within(sizes: &Sizes, bytes: u64) -> Option<Vec<Group>> {
    let all = Group { first_anchor: 0, end_anchor: sizes.anchors as u32 };
    let quads = (bytes / 16) as usize;
    if most_sums(sizes, all) <= quads {
        return Some(vec![all]);
    }
    let at_once = quads / (sizes.batch * sizes.record_quads());
    let cut = |first: usize| Group {
        first_anchor: first as u32,
        end_anchor: (first + at_once).min(sizes.anchors) as u32,
    };
    (at_once > 0).then(|| (0..sizes.anchors).step_by(at_once).map(cut).collect())
}
