//! Settings of a run that goes on from a model: what the model is stays, how it is trained may change.

use crate::config::defaults::{self, DataShape};
use crate::config::{Learn, LearnPart, Method, TrainConfig, name_of};
use crate::error::{Error, Result};
use crate::settings::Settings;

/// Fills the settings that were left out: those of the model from the run that made it, those of the
/// training by the shape of the new rows. `members`: those the model has.
///
/// # Errors
/// [`Error::Usage`] for a setting that contradicts the model or only matters at a start from nothing,
/// and those of [`defaults::resolve`].
pub fn resume(
    settings: &Settings,
    shape: &DataShape,
    model: &TrainConfig,
    members: usize,
) -> Result<TrainConfig> {
    refuse_contradictions(settings, model, members)?;
    refuse_idle(settings)?;
    let settings = Settings {
        method: Some(model.method),
        loss: Some(Some(model.loss)),
        anchors: (model.method != Method::Fm).then_some(model.anchors),
        factors: Some(model.factors),
        coding: None,
        learn: None,
        ..settings.clone()
    };
    let config = TrainConfig {
        coding: model.coding,
        learn: model.learn,
        neighbors: model.neighbors,
        distance: model.distance,
        lipschitz: model.lipschitz,
        target_active: model.target_active,
        init_scale: model.init_scale,
        ensemble: members,
        ..defaults::resolve(&settings, shape)?
    };
    config.check()?;
    Ok(config)
}

fn refuse_contradictions(settings: &Settings, model: &TrainConfig, members: usize) -> Result<()> {
    let learn = settings.learn.as_deref().map(Learn::from_parts);
    let pairs = [
        ("--method", settings.method.map(name_of), name_of(model.method)),
        ("--task", settings.task.flatten().map(name_of), name_of(model.task)),
        ("--loss", settings.loss.flatten().map(name_of), name_of(model.loss)),
        ("--coding", settings.coding.flatten().map(name_of), name_of(model.coding)),
        ("--learn", learn.map(names_of), names_of(model.learn)),
        ("--distance", settings.distance.map(name_of), name_of(model.distance)),
        ("--anchors", settings.anchors.map(|n| n.to_string()), model.anchors.to_string()),
        ("--factors", settings.factors.map(|n| n.to_string()), model.factors.to_string()),
        ("--neighbors", settings.neighbors.map(|n| n.to_string()), model.neighbors.to_string()),
        ("--ensemble", settings.ensemble.map(|n| n.to_string()), members.to_string()),
    ];
    for (flag, given, kept) in pairs {
        if let Some(given) = given.filter(|given| *given != kept) {
            return Err(Error::Usage(format!(
                "{flag} {given} contradicts the model of --init-model, which has {kept}: leave \
                 {flag} out, or train a model of its own"
            )));
        }
    }
    Ok(())
}

/// Refuses settings of what a model starts from.
fn refuse_idle(settings: &Settings) -> Result<()> {
    let flags = [
        ("--lipschitz", settings.lipschitz.is_some()),
        ("--bandwidth", settings.bandwidth.is_some()),
        ("--target-active", settings.target_active.is_some()),
        ("--init-scale", settings.init_scale.is_some()),
    ];
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Error::Usage(format!(
            "{flag} has no meaning with --init-model, whose parameters training starts from: leave \
             it out"
        ))),
        None => Ok(()),
    }
}

fn names_of(learn: Learn) -> String {
    let parts = [
        (learn.anchors, LearnPart::Anchors),
        (learn.lipschitz, LearnPart::Lipschitz),
        (learn.metric, LearnPart::Metric),
        (learn.scale, LearnPart::Scale),
    ];
    let names: Vec<String> =
        parts.iter().filter(|(on, _)| *on).map(|(_, part)| name_of(*part)).collect();
    if names.is_empty() { name_of(LearnPart::None) } else { names.join(",") }
}
