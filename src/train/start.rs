//! A model to go on from, in place of seeded parameters.

use super::TrainData;
use crate::config::TrainConfig;
use crate::error::{Error, Result};
use crate::model::{Parameters, TargetScale};

/// A model that training goes on from.
#[derive(Debug, Clone)]
pub struct Start {
    /// Parameters of each member; optimizers begin afresh.
    pub members: Vec<Parameters>,
    /// How its targets were standardised, and the new ones are to be.
    pub target_scale: TargetScale,
}

impl Start {
    /// Refuses a start that is not a model of the rows.
    pub(super) fn check(
        &self,
        data: &TrainData<'_>,
        config: &TrainConfig,
        n_outputs: usize,
    ) -> Result<()> {
        let p = data.train.features.n_cols();
        let fits = |one: &Parameters| one.sizes() == (p, n_outputs, config.factors);
        if self.members.len() == config.ensemble && self.members.iter().all(fits) {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "the model to go on from does not have the {p} features, {n_outputs} outputs, {} factors and \
         {} members of the run",
            config.factors, config.ensemble
        )))
    }
}
