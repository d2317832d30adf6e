//! What a shader is to the host. Each stands beside its CPU twin in `src/kernel/`.

use crate::backend::gpu::sizes::Sizes;
use crate::backend::gpu::step::{Group, Step};

/// A compute shader: one entry point of one file in `shaders/`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shader {
    /// Entry point, and the name in messages.
    pub(crate) name: &'static str,
    /// WGSL of the file and of what it needs from `shaders/shared/`.
    pub(crate) source: &'static str,
    /// Workgroups of a dispatch.
    pub(crate) groups: fn(&Sizes, &Step, Group) -> usize,
}

/// The shader of an entry point, the file it is in, the shared files it needs, and its workgroups.
macro_rules! shader {
    ($name:literal, $file:literal, [$($shared:literal),*], $groups:expr) => {
        Shader {
            name: $name,
            source: concat!(
                $(include_str!(concat!("../../shaders/shared/", $shared, ".wgsl")), "\n",)*
                include_str!(concat!("../../shaders/", $file, ".wgsl")),
            ),
            groups: $groups,
        }
    };
}
pub(crate) use shader;

/// Workgroups of 64 for so many invocations.
pub(crate) fn workgroups(invocations: usize) -> usize {
    invocations.div_ceil(64)
}

/// How many pairs there are only the device knows: the invocations stride over them. Enough for
/// sixteen anchors a row, or for as many as there can be.
pub(crate) fn pair_channels(sizes: &Sizes, step: &Step, group: Group) -> usize {
    let anchors = sizes.most_active.min(group.len()).min(16);
    workgroups(step.rows as usize * anchors * sizes.outputs)
}
