//! The time of a step by phase, taken where somebody asks for it.

use std::ops::{Index, IndexMut};
use std::time::Instant;

use clap::ValueEnum;
use serde::Serialize;

/// A part of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Rows and targets of the batch, copied together.
    Gather,
    /// Distances, active anchors, and the pairs by anchor.
    Coding,
    /// Sums and scores of every pair.
    Score,
    /// Loss, and what each pair contributes to the gradient.
    Blend,
    /// Gradient and step of linear weights and factors.
    Models,
    /// Gradient and step of anchors, scales and metric.
    Anchors,
    /// Gradient and step of biases and log L.
    Heads,
}

impl Phase {
    /// All of them, in the order of a step.
    pub const ALL: [Self; 7] = [
        Self::Gather,
        Self::Coding,
        Self::Score,
        Self::Blend,
        Self::Models,
        Self::Anchors,
        Self::Heads,
    ];
}

/// Seconds of each phase; all 0 where no clock ran.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PhaseSeconds([f64; Phase::ALL.len()]);

impl PhaseSeconds {
    /// Seconds of all phases.
    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}

impl Index<Phase> for PhaseSeconds {
    type Output = f64;

    fn index(&self, phase: Phase) -> &f64 {
        &self.0[phase as usize]
    }
}

impl IndexMut<Phase> for PhaseSeconds {
    fn index_mut(&mut self, phase: Phase) -> &mut f64 {
        &mut self.0[phase as usize]
    }
}

/// A clock that stands still until it is switched on: a step on one row takes less time than the
/// readings would.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    on: bool,
    last: Option<Instant>,
    seconds: PhaseSeconds,
}

impl Clock {
    /// Takes the time from the next [`start`](Self::start) on.
    pub(crate) fn switch_on(&mut self) {
        self.on = true;
    }

    /// Begins a step.
    pub(crate) fn start(&mut self) {
        self.last = self.on.then(Instant::now);
    }

    /// What passed since the last reading belongs to `phase`.
    pub(crate) fn end(&mut self, phase: Phase) {
        if let Some(last) = &mut self.last {
            let now = Instant::now();
            self.seconds[phase] += (now - *last).as_secs_f64();
            *last = now;
        }
    }

    /// The seconds so far; they begin anew.
    pub(crate) fn take(&mut self) -> PhaseSeconds {
        std::mem::take(&mut self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_takes_no_time_until_it_is_switched_on() {
        let mut clock = Clock::default();
        let step = |clock: &mut Clock| {
            clock.start();
            std::thread::sleep(std::time::Duration::from_millis(2));
            clock.end(Phase::Score);
            clock.end(Phase::Blend);
        };
        step(&mut clock);
        assert_eq!(clock.take(), PhaseSeconds::default());
        clock.switch_on();
        step(&mut clock);
        let seconds = clock.take();
        assert!(seconds[Phase::Score] >= 2e-3 && seconds[Phase::Score] > seconds[Phase::Blend]);
        assert_eq!(seconds.total(), seconds[Phase::Score] + seconds[Phase::Blend]);
        assert_eq!(clock.take(), PhaseSeconds::default(), "taken once");
    }
}
