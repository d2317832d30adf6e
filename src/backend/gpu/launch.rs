//! The kernels of a step in their order, with their buffers.

use super::sizes::Sizes;
use super::step::{Group, Step};
use super::tuning::Tuning;
use crate::config::TrainConfig;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::gpu::buffer::Buffers;
use crate::gpu::pipeline::{Bound, Constants};
use crate::gpu::shaders::Shader;
use crate::kernel::{
    anchor_distance, anchor_distance_csr, anchor_update, anchor_update_csr, blend, fm_score,
    fm_score_csr, fm_update, fm_update_csr, head_update, local_coding, pair_list,
};

/// A kernel of the step, ready to be recorded.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) bound: Bound,
    /// What it is bound to.
    pub(crate) buffers: Buffers,
    shader: Shader,
    pub(crate) group: Group,
    /// Whether a score kernel writes the sums, and the scores.
    pub(crate) writes: (bool, bool),
}

impl Launch {
    /// Records the kernel for a step that lies `offset` bytes into its buffer.
    pub(crate) fn record(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        sizes: &Sizes,
        step: &Step,
        offset: u32,
    ) {
        self.bound.record(pass, self.workgroups(sizes, step), offset);
    }

    /// Workgroups that a step takes.
    pub(super) fn workgroups(&self, sizes: &Sizes, step: &Step) -> u64 {
        (self.shader.groups)(sizes, step, self.group) as u64
    }
}

/// Makes launches for one model.
pub(super) struct Launcher<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) sizes: &'a Sizes,
    pub(super) config: &'a TrainConfig,
}

impl Launcher<'_> {
    /// Scores of a batch: up to ŷ.
    pub(super) fn scoring(&self, buffers: &Buffers) -> Result<Vec<Launch>> {
        let constants = self.sizes.constants(self.config, false);
        let all = self.everything();
        let mut launches = self.coding(&constants, buffers)?;
        launches.push(self.grouped(self.score_kernel(), &constants, buffers, all)?);
        launches.push(self.launch(blend::SHADER, &constants, buffers)?);
        Ok(launches)
    }

    /// A training step, the sums of `groups` of anchors at a time.
    pub(super) fn training(&self, buffers: &Buffers, groups: &[Group]) -> Result<Vec<Launch>> {
        let constants = self.sizes.constants(self.config, true);
        let mut launches = self.coding(&constants, buffers)?;
        let score = |group, sums: bool, scores: bool| {
            let mut constants = constants.clone();
            constants.0.insert("write_sums", f64::from(u8::from(sums)));
            constants.0.insert("write_scores", f64::from(u8::from(scores)));
            self.grouped(self.score_kernel(), &constants, buffers, group)
        };
        // With one group the sums of all pairs stay; with more they are taken again before each
        // update, as none of its anchors has moved by then.
        let once = groups.len() == 1;
        launches.push(score(self.everything(), once, true)?);
        launches.push(self.launch(blend::SHADER, &constants, buffers)?);
        let update = if self.sizes.sparse { fm_update_csr::SHADER } else { fm_update::SHADER };
        for &group in groups {
            if !once {
                launches.push(score(group, true, false)?);
            }
            launches.push(self.grouped(update, &constants, buffers, group)?);
        }
        launches.extend(self.gate(&constants, buffers)?);
        Ok(launches)
    }

    /// Distances, coding and the list of pairs.
    fn coding(&self, constants: &Constants, buffers: &Buffers) -> Result<Vec<Launch>> {
        let tuning = self.sizes.tuning;
        let alone = match tuning {
            Tuning { sorted: true, .. } => local_coding::SORTED_SHADER,
            Tuning { subgroups: true, .. } => local_coding::SUBGROUP_SHADER,
            _ => local_coding::SHADER,
        };
        let fused = if tuning.subgroups {
            local_coding::FUSED_SUBGROUP_SHADER
        } else {
            local_coding::FUSED_SHADER
        };
        let mut kernels = match (self.sizes.anchors, self.sizes.sparse) {
            // Nothing is scanned for a lone anchor.
            (1, _) => vec![local_coding::SHADER],
            (_, true) => {
                vec![anchor_distance_csr::NORM_SHADER, anchor_distance_csr::SHADER, alone]
            }
            _ if tuning.fused_coding => vec![fused],
            _ => vec![anchor_distance::SHADER, alone],
        };
        kernels.push(pair_list::SHADER);
        kernels.into_iter().map(|kernel| self.launch(kernel, constants, buffers)).collect()
    }

    /// The updates of all that is not a local model. Where rows are sparse, Σκ comes before the anchors;
    /// where they are dense, the metric after them, with the heads.
    fn gate(&self, constants: &Constants, buffers: &Buffers) -> Result<Vec<Launch>> {
        let Sizes { slopes, sparse, .. } = *self.sizes;
        let of = |kernel| self.launch(kernel, constants, buffers);
        let mut launches = Vec::new();
        if slopes && !sparse {
            launches.push(of(anchor_update::SHADER)?);
        }
        let mut own = constants.clone();
        own.0.insert("learn_metric", f64::from(u8::from(self.config.learn.metric && !sparse)));
        launches.push(self.launch(head_update::SHADER, &own, buffers)?);
        if slopes && sparse {
            launches.push(of(anchor_update_csr::SHADER)?);
            if self.config.learn.metric {
                launches.push(of(anchor_update_csr::METRIC_SHADER)?);
            }
        }
        Ok(launches)
    }

    fn score_kernel(&self) -> Shader {
        match (self.sizes.sparse, self.sizes.tuning.score_pairs) {
            (true, _) => fm_score_csr::SHADER,
            (false, true) => fm_score::PAIRS_SHADER,
            (false, false) => fm_score::SHADER,
        }
    }

    fn everything(&self) -> Group {
        Group { first_anchor: 0, end_anchor: self.sizes.anchors as u32 }
    }

    fn grouped(
        &self,
        shader: Shader,
        constants: &Constants,
        buffers: &Buffers,
        group: Group,
    ) -> Result<Launch> {
        let mut own = Buffers::default();
        own.add_uniform(self.gpu, "group", &group)?;
        let launch = self.launch(shader, constants, &buffers.with(&own))?;
        Ok(Launch { group, ..launch })
    }

    fn launch(&self, shader: Shader, constants: &Constants, buffers: &Buffers) -> Result<Launch> {
        let bound =
            self.gpu.pipeline(&shader, self.sizes.storage, constants)?.bind(self.gpu, buffers)?;
        let on = |name| constants.0.get(name).is_some_and(|&value| value != 0.0);
        let writes = (on("write_sums"), on("write_scores"));
        Ok(Launch { bound, buffers: buffers.clone(), shader, group: self.everything(), writes })
    }
}
