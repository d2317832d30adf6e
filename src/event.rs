//! What a training run tells whoever is watching; the command line draws it.

use serde::{Deserialize, Serialize};

use crate::backend::DeviceUse;
use crate::model::Parameters;
use crate::train::Snapshot;

/// Something that happened in a run.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// A member of the ensemble starts, with the L that calibration chose.
    MemberStart {
        /// Member, from 0.
        member: usize,
        /// Initial L.
        lipschitz: f64,
        /// Anchors after seeding (fewer than asked for when rows repeat).
        anchors: usize,
    },
    /// The GPU is ready for a member's steps.
    Device(DeviceUse),
    /// A step ended. Frequent: keep the handler cheap.
    Step {
        /// Steps done over the whole run, all members.
        done: u64,
        /// Steps of the whole run.
        total: u64,
    },
    /// An epoch ended.
    Epoch(&'a EpochReport),
    /// An epoch's parameters are kept: the best so far by the metric of the validation rows
    /// where there are any,
    /// else every epoch's.
    Kept {
        /// Member, from 0.
        member: usize,
        /// Epoch, from 1; 0 is the start.
        epoch: usize,
        /// What is kept.
        parameters: &'a Parameters,
    },
    /// The run between two steps, as a [`Flow::Snapshot`] asked for. A [`Flow::Stop`] in return leaves the
    /// run there: what the unfinished epoch came to is not measured.
    Snapshot(&'a Snapshot<'a>),
    /// Something the user should know.
    Warning(String),
}

/// What the handler of an [`Event`] wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Go on, and tell [`Event::Snapshot`] first; in return to [`Event::Step`] and [`Event::Epoch`].
    Snapshot,
    /// End after this step and keep the model so far.
    Stop,
}

/// One epoch of one member, in the words of the `--json` output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Member of the ensemble, from 0.
    pub member: usize,
    /// Epoch, from 1.
    pub epoch: usize,
    /// Epochs asked for.
    pub epochs: usize,
    /// Mean over the epoch of each row's loss before its step.
    pub train_loss: f64,
    /// `train_loss` plus the L2 penalty at the end of the epoch.
    pub objective: f64,
    /// Loss on the validation rows after the epoch.
    pub valid_loss: Option<f64>,
    /// Metric of the validation rows that chooses the epoch, where that is not the loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_metric: Option<f64>,
    /// Loss on the test rows after the epoch; reported, never selected on.
    pub test_loss: Option<f64>,
    /// Mean number of active anchors of a row.
    pub mean_active: f64,
    /// Anchors no row used in the epoch.
    pub dead_anchors: usize,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Seconds of training since the member started, evaluation not counted.
    pub seconds: f64,
}
