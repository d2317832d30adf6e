//! The order of the rows and the step sizes over a run.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::anchor_dropout::AnchorDropout;
use crate::config::{Schedule, TrainConfig};
use crate::optimizer::StepRates;
use crate::random::{Generator, Purpose, stream};

/// Where a run is: how many rows were seen, out of how many steps.
#[derive(Debug, Clone)]
pub(crate) struct Scheduler {
    schedule: Schedule,
    rate: f64,
    anchor_rate: f64,
    t0: f64,
    smoothing: f64,
    anchor_dropout: f64,
    /// Keys of the steps' dropout.
    generator: Generator,
    step: u64,
    total_steps: u64,
    rows_seen: u64,
    last_rate: f64,
}

impl Scheduler {
    /// The schedule of `config` over `n_rows` training rows, for member `member` of an ensemble.
    pub(crate) fn new(config: &TrainConfig, n_rows: usize, member: usize) -> Self {
        Self {
            schedule: config.schedule,
            rate: config.learning_rate,
            anchor_rate: config.anchor_rate,
            t0: config.t0,
            smoothing: config.label_smoothing,
            anchor_dropout: config.anchor_dropout,
            generator: stream(config.seed, member, Purpose::Dropout),
            step: 0,
            total_steps: n_rows.div_ceil(config.batch_size) as u64 * config.epochs as u64,
            rows_seen: 0,
            last_rate: config.learning_rate,
        }
    }

    /// Steps of the whole run.
    pub(crate) fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// Steps taken.
    pub(crate) fn step(&self) -> u64 {
        self.step
    }

    /// The learning rate of the last step.
    pub(crate) fn last_rate(&self) -> f64 {
        self.last_rate
    }

    /// Rates of the next step, which takes `rows` rows.
    pub(crate) fn next(&mut self, rows: usize) -> StepRates {
        let factor = self.factor();
        self.last_rate = self.rate * factor;
        self.step += 1;
        self.rows_seen += rows as u64;
        StepRates {
            step: self.step,
            rate: (self.rate * factor) as f32,
            anchor_rate: (self.anchor_rate * factor) as f32,
            label_smoothing: (self.smoothing * factor) as f32,
            anchor_dropout: AnchorDropout::new(self.anchor_dropout, self.generator.next_u32()),
        }
    }

    /// Passes over the steps of an epoch of `n_rows` rows.
    pub(crate) fn skip_epoch(&mut self, n_rows: usize, batch_size: usize) {
        for first in (0..n_rows).step_by(batch_size) {
            self.next(batch_size.min(n_rows - first));
        }
    }

    fn factor(&self) -> f64 {
        match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Inverse => self.t0 / (self.rows_seen as f64 + self.t0),
            Schedule::Cosine => {
                let done = self.step as f64 / self.total_steps as f64;
                0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }
}

/// Shuffles `order` for the next epoch.
pub(crate) fn shuffle(order: &mut [u32], generator: &mut Generator) {
    order.shuffle(generator);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::defaults::{DataShape, resolve};
    use crate::data::Task;
    use crate::settings::Settings;

    #[test]
    fn steps_seeds_and_members_hide_anchors_of_their_own() {
        let (rows, features, task) = (100, 2, Task::Binary);
        let shape = DataShape { rows, features, nonzeros: 200, sparse: false, classes: 2, task };
        let settings = Settings { anchor_dropout: Some(0.25), ..Settings::default() };
        let config = resolve(&settings, &shape).expect("sound settings");
        let keys = |seed, member| {
            let config = TrainConfig { seed, ..config.clone() };
            let mut scheduler = Scheduler::new(&config, rows, member);
            let mut dropout = || scheduler.next(32).anchor_dropout;
            let found = [dropout(), dropout()];
            assert!(found.iter().all(|dropout| dropout.threshold == 1 << 30), "{found:?}");
            found.map(|dropout| dropout.key)
        };
        assert_eq!(keys(0, 0), keys(0, 0));
        let mut all: Vec<u32> = [keys(0, 0), keys(1, 0), keys(0, 1), keys(1, 1)].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8);
    }
}
