//! What changes from step to step: the uniforms of the kernels.

use bytemuck::{Pod, Zeroable};

use crate::config::TrainConfig;
use crate::optimizer::{StepRates, Update};

/// Twin of `Step` in `shaders/shared/step.wgsl`.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Step {
    pub(crate) rows: u32,
    pub(crate) first_row: u32,
    pub(crate) first_column: u32,
    pub(crate) n_columns: u32,
    pub(crate) loss_slot: u32,
    pub(crate) rate: f32,
    pub(crate) anchor_rate: f32,
    pub(crate) l2: f32,
    pub(crate) keep: f32,
    pub(crate) first_up: f32,
    pub(crate) second_up: f32,
    pub(crate) inverse_batch: f32,
    pub(crate) label_smoothing: f32,
    pub(crate) dropout_threshold: u32,
    pub(crate) dropout_key: u32,
}

/// Twin of `Group` in `shaders/shared/step.wgsl`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Group {
    pub(crate) first_anchor: u32,
    pub(crate) end_anchor: u32,
}

/// Bytes from one step to the next in their buffer: what every device can begin a binding at.
pub(crate) const STEP_PITCH: u64 = 256;

impl Step {
    /// A step on `rows` rows with these rates.
    pub(crate) fn new(rows: usize, rates: StepRates, config: &TrainConfig) -> Self {
        let update = Update::new(config.optimizer, rates.step, rates.rate)
            .with_penalty(config.l2 as f32, config.weight_decay as f32);
        let (first_up, second_up) = update.correction;
        Self {
            rows: rows as u32,
            rate: rates.rate,
            anchor_rate: rates.anchor_rate,
            l2: update.l2,
            keep: update.keep,
            first_up,
            second_up,
            inverse_batch: 1.0 / rows as f32,
            label_smoothing: rates.label_smoothing,
            dropout_threshold: rates.anchor_dropout.threshold,
            dropout_key: rates.anchor_dropout.key,
            ..Self::default()
        }
    }

    /// The steps as they lie in their buffer.
    pub(crate) fn spread(steps: &[Self]) -> Vec<u8> {
        let mut bytes = vec![0; steps.len() * STEP_PITCH as usize];
        for (place, step) in bytes.chunks_exact_mut(STEP_PITCH as usize).zip(steps) {
            place[..size_of::<Self>()].copy_from_slice(bytemuck::bytes_of(step));
        }
        bytes
    }
}

impl Group {
    /// Number of anchors.
    pub(crate) fn len(self) -> usize {
        (self.end_anchor - self.first_anchor) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use wgpu::naga;

    use super::*;

    /// Names and offsets of a struct's members in the shared WGSL, and its size.
    fn members(name: &str) -> (Vec<(String, usize)>, usize) {
        let source = include_str!("../../../shaders/shared/step.wgsl");
        let module = naga::front::wgsl::parse_str(source).expect("valid WGSL");
        let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name));
        let naga::TypeInner::Struct { members, span } = &found.expect("the struct").1.inner else {
            panic!("{name} is no struct")
        };
        let place = |member: &naga::StructMember| {
            (member.name.clone().expect("a name"), member.offset as usize)
        };
        (members.iter().map(place).collect(), *span as usize)
    }

    macro_rules! twin {
        ($type:ident, $($field:ident),*) => {{
            let expected = vec![$((stringify!($field).to_owned(), offset_of!($type, $field))),*];
            assert_eq!(members(stringify!($type)), (expected, size_of::<$type>()));
        }};
    }

    #[test]
    fn uniforms_lie_as_the_shaders_read_them() {
        twin!(
            Step,
            rows,
            first_row,
            first_column,
            n_columns,
            loss_slot,
            rate,
            anchor_rate,
            l2,
            keep,
            first_up,
            second_up,
            inverse_batch,
            label_smoothing,
            dropout_threshold,
            dropout_key
        );
        twin!(Group, first_anchor, end_anchor);
    }
}
