//! Cutting a step into tasks.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernel::Shape;
use crate::kernel::pair_list::PairList;

/// Most pairs of one task.
const RUN_PAIRS: usize = 128;

/// Tasks on columns for each thread, so that one with long columns holds up no other.
const TASKS_A_THREAD: usize = 4;

/// Consecutive slots of one anchor, with their cells.
pub(crate) struct Run<'a> {
    pub(crate) anchor: usize,
    pub(crate) slots: Range<usize>,
    /// `[slots, stride]`.
    pub(crate) sums: &'a mut [f32],
    /// `[slots, C]`.
    pub(crate) scores: &'a mut [f32],
}

/// Cuts all pairs into runs, in order of their slots.
pub(crate) fn runs<'a>(
    shape: Shape,
    pairs: &PairList,
    mut sums: &'a mut [f32],
    mut scores: &'a mut [f32],
) -> Vec<Run<'a>> {
    let mut runs = Vec::with_capacity(shape.anchors + pairs.n_pairs() / RUN_PAIRS);
    for anchor in 0..shape.anchors {
        let span = pairs.span(anchor);
        for first in span.clone().step_by(RUN_PAIRS) {
            let slots = first..(first + RUN_PAIRS).min(span.end);
            let (own_sums, own_scores);
            (own_sums, sums) = sums.split_at_mut(slots.len() * shape.stride);
            (own_scores, scores) = scores.split_at_mut(slots.len() * shape.outputs);
            runs.push(Run { anchor, slots, sums: own_sums, scores: own_scores });
        }
    }
    runs
}

/// Some of the columns that occur in a batch, and their part of all columns.
pub(crate) struct Span {
    /// Which of the present columns.
    pub(crate) slots: Range<usize>,
    /// The columns, and those before them that are absent.
    pub(crate) columns: Range<usize>,
}

/// Cuts the present columns into tasks; each is stepped alone, so any cut gives the same bits.
pub(crate) fn spans(columns: &[u32], parallel: bool) -> impl Iterator<Item = Span> {
    let threads = if parallel { rayon::current_num_threads() } else { 1 };
    cut(columns, if threads > 1 { TASKS_A_THREAD * threads } else { 1 })
}

fn cut(columns: &[u32], tasks: usize) -> impl Iterator<Item = Span> {
    let at_once = columns.len().div_ceil(tasks).max(1);
    let mut end = 0;
    columns.chunks(at_once).enumerate().map(move |(task, chunk)| {
        let first = end;
        end = chunk[chunk.len() - 1] as usize + 1;
        let slots = task * at_once..task * at_once + chunk.len();
        Span { slots, columns: first..end }
    })
}

/// Does several runs of tasks as one of the pool's threads: from outside, each of them would put the
/// caller to sleep and wake it again.
pub(crate) fn among_workers<R: Send>(parallel: bool, body: impl FnOnce() -> R + Send) -> R {
    if parallel && rayon::current_num_threads() > 1 { rayon::scope(|_| body()) } else { body() }
}

/// Runs every task, over threads where that pays; each thread reuses its scratch.
pub(crate) fn run_tasks<T: Send, S: Default>(
    tasks: Vec<T>,
    parallel: bool,
    run: impl Fn(&mut S, T) + Send + Sync,
) {
    if parallel && rayon::current_num_threads() > 1 {
        tasks.into_par_iter().for_each_init(S::default, run);
    } else {
        let mut scratch = S::default();
        tasks.into_iter().for_each(|task| run(&mut scratch, task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_hold_every_present_column_once_and_no_gap() {
        let columns: Vec<u32> = (0..100).map(|slot| slot * slot).collect();
        assert_eq!(cut(&[], 3).count(), 0);
        for (tasks, found) in [(1, 1), (3, 3), (8, 8), (200, 100)] {
            assert_eq!(cut(&columns, tasks).count(), found);
            let (mut slot, mut column) = (0, 0);
            for span in cut(&columns, tasks) {
                assert_eq!((span.slots.start, span.columns.start), (slot, column));
                (slot, column) = (span.slots.end, span.columns.end);
                assert_eq!(columns[slot - 1] as usize, column - 1);
            }
            assert_eq!(slot, columns.len());
        }
    }
}
