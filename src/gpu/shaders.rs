//! The text of every kernel.

use crate::backend::gpu::sizes::{NORM_PARTS, Sizes};
use crate::backend::gpu::step::{Group, Step};

/// A compute kernel: one entry point of one file in `shaders/`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel {
    /// Entry point, and the name in messages.
    pub(crate) name: &'static str,
    /// WGSL of the file and of what it needs from `shaders/shared/`.
    pub(crate) source: &'static str,
    /// Workgroups of a dispatch.
    pub(crate) groups: fn(&Sizes, &Step, Group) -> u64,
}

macro_rules! kernels {
    ($($constant:ident = $name:literal in $file:literal with [$($shared:literal),*] over $groups:expr;)*) => {
        $(
            pub(crate) const $constant: Kernel = Kernel {
                name: $name,
                source: concat!(
                    $(include_str!(concat!("../../shaders/shared/", $shared, ".wgsl")), "\n",)*
                    include_str!(concat!("../../shaders/", $file, ".wgsl")),
                ),
                groups: |sizes, step, group| ($groups)(sizes, step, group) as u64,
            };
        )*
        /// All of them, in the order of a step.
        #[cfg(test)]
        pub(crate) const ALL: &[Kernel] = &[$($constant),*];
    };
}

kernels! {
    ANCHOR_DISTANCE = "anchor_distance" in "anchor_distance" with ["step"]
        over |s: &Sizes, step: &Step, _| rows(step).div_ceil(32) * s.anchors.div_ceil(32);
    ANCHOR_NORM_CSR = "anchor_norm_csr" in "anchor_norm_csr" with ["step"]
        over |s: &Sizes, _, _| s.anchors * NORM_PARTS;
    ANCHOR_DISTANCE_CSR = "anchor_distance_csr" in "anchor_distance_csr" with ["step"]
        over |s: &Sizes, step: &Step, _| each(rows(step) * s.anchors);
    LOCAL_CODING = "local_coding" in "local_coding" with ["step", "math", "pair"]
        over |_, step: &Step, _| each(rows(step));
    PAIR_COUNT = "pair_count" in "pair_list" with ["step", "pair"]
        over |s: &Sizes, _, _| s.anchors;
    PAIR_FILL = "pair_fill" in "pair_list" with ["step", "pair"]
        over |s: &Sizes, _, _| s.anchors;
    FM_SCORE = "fm_score" in "fm_score" with ["step", "pair"]
        over pair_channels;
    FM_SCORE_CSR = "fm_score_csr" in "fm_score_csr" with ["step", "pair"]
        over pair_channels;
    BLEND = "blend" in "blend" with ["step", "math", "pair"]
        over |_, step: &Step, _| rows(step);
    HEAD_UPDATE = "head_update" in "head_update" with ["step", "math", "optimizer"]
        over |s: &Sizes, _, _| s.anchors * (s.outputs + 1) + 1;
    FM_UPDATE = "fm_update" in "fm_update" with ["step", "pair", "optimizer"]
        over |s: &Sizes, _, group: Group| group.len() * each(s.outputs * s.features);
    FM_UPDATE_CSR = "fm_update_csr" in "fm_update_csr" with ["step", "pair", "optimizer"]
        over |s: &Sizes, step: &Step, group: Group| each(columns(step) * group.len() * s.outputs);
    ANCHOR_UPDATE = "anchor_update" in "anchor_update" with ["step", "pair", "optimizer"]
        over |s: &Sizes, _, _| s.anchors * each(s.features);
    ANCHOR_UPDATE_CSR = "anchor_update_csr" in "anchor_update_csr" with ["step", "pair", "optimizer"]
        over |s: &Sizes, step: &Step, _| each(columns(step) * s.anchors);
    METRIC_UPDATE = "metric_update" in "metric_update" with ["step", "math", "optimizer"]
        over |s: &Sizes, _, _| each(s.features);
    METRIC_UPDATE_CSR = "metric_update_csr" in "metric_update_csr" with ["step", "math", "optimizer"]
        over |_, step: &Step, _| each(columns(step));
}

/// Workgroups of 64 for so many invocations.
fn each(invocations: usize) -> usize {
    invocations.div_ceil(64)
}

fn rows(step: &Step) -> usize {
    step.rows as usize
}

fn columns(step: &Step) -> usize {
    step.n_columns as usize
}

/// How many pairs there are only the device knows: the invocations stride over them. Enough for
/// sixteen anchors a row, or for as many as there can be.
fn pair_channels(sizes: &Sizes, step: &Step, group: Group) -> usize {
    each(rows(step) * sizes.most_active.min(group.len()).min(16) * sizes.outputs)
}
