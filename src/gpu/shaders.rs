//! The text of every kernel.

/// A compute kernel: one entry point of one file in `shaders/`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel {
    /// Entry point, and the name in messages.
    pub(crate) name: &'static str,
    /// WGSL of the file and of what it needs from `shaders/shared/`.
    pub(crate) source: &'static str,
}

macro_rules! kernels {
    ($($constant:ident = $name:literal in $file:literal with [$($shared:literal),*];)*) => {
        $(
            pub(crate) const $constant: Kernel = Kernel {
                name: $name,
                source: concat!(
                    $(include_str!(concat!("../../shaders/shared/", $shared, ".wgsl")), "\n",)*
                    include_str!(concat!("../../shaders/", $file, ".wgsl")),
                ),
            };
        )*
        /// All of them, in the order of a step.
        pub(crate) const ALL: &[Kernel] = &[$($constant),*];
    };
}

kernels! {
    ANCHOR_DISTANCE = "anchor_distance" in "anchor_distance" with ["step"];
    ANCHOR_NORM_CSR = "anchor_norm_csr" in "anchor_norm_csr" with ["step"];
    ANCHOR_DISTANCE_CSR = "anchor_distance_csr" in "anchor_distance_csr" with ["step"];
    LOCAL_CODING = "local_coding" in "local_coding" with ["step", "math", "pair"];
    PAIR_COUNT = "pair_count" in "pair_list" with ["step", "pair"];
    PAIR_FILL = "pair_fill" in "pair_list" with ["step", "pair"];
    FM_SCORE = "fm_score" in "fm_score" with ["step", "pair"];
    FM_SCORE_CSR = "fm_score_csr" in "fm_score_csr" with ["step", "pair"];
    BLEND = "blend" in "blend" with ["step", "math", "pair"];
    HEAD_UPDATE = "head_update" in "head_update" with ["step", "math", "optimizer"];
    FM_UPDATE = "fm_update" in "fm_update" with ["step", "pair", "optimizer"];
    FM_UPDATE_CSR = "fm_update_csr" in "fm_update_csr" with ["step", "pair", "optimizer"];
    ANCHOR_UPDATE = "anchor_update" in "anchor_update" with ["step", "pair", "optimizer"];
    ANCHOR_UPDATE_CSR = "anchor_update_csr" in "anchor_update_csr" with ["step", "pair", "optimizer"];
    METRIC_UPDATE = "metric_update" in "metric_update" with ["step", "math", "optimizer"];
    METRIC_UPDATE_CSR = "metric_update_csr" in "metric_update_csr" with ["step", "math", "optimizer"];
}
