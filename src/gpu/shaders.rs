//! What a shader is to the host. Each stands beside its CPU twin in `src/kernel/`.

use std::borrow::Cow;

use crate::backend::RowStorage;
use crate::backend::gpu::sizes::Sizes;
use crate::backend::gpu::step::{Group, Step};

/// A compute shader: one entry point of one file in `shaders/`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shader {
    /// Entry point, and the name in messages.
    pub(crate) name: &'static str,
    /// WGSL of the file and of what it needs from `shaders/shared/`, for rows in single precision.
    pub(crate) source: &'static str,
    /// Workgroups of a dispatch.
    pub(crate) groups: fn(&Sizes, &Step, Group) -> usize,
}

/// How a kernel gets at dense rows in single precision.
const ROWS: &str = include_str!("../../shaders/shared/rows.wgsl");

impl Shader {
    /// The storage of dense rows that the text depends on, where they are stored so.
    pub(super) fn depends_on(&self, storage: RowStorage) -> RowStorage {
        if self.source.contains(ROWS) { storage } else { RowStorage::F32 }
    }

    /// The text for rows that are stored so.
    pub(super) fn text(&self, storage: RowStorage) -> Cow<'static, str> {
        match storage {
            RowStorage::F32 => self.source.into(),
            RowStorage::F16 => {
                self.source.replace(ROWS, include_str!("../../shaders/shared/rows_f16.wgsl")).into()
            }
            RowStorage::U8 => {
                self.source.replace(ROWS, include_str!("../../shaders/shared/rows_u8.wgsl")).into()
            }
        }
    }
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
