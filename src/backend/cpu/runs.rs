//! Cutting a step into tasks, and running them in memory that is kept.

use std::ops::{Deref, DerefMut, Range};
use std::sync::{Mutex, PoisonError};

use bumpalo::Bump;
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
    memory: &'a TaskMemory,
) -> Tasks<'a, Run<'a>> {
    let mut runs = memory.tasks();
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

/// Runs every task, over threads where that pays.
pub(crate) fn run_tasks<T: Send>(
    tasks: Tasks<'_, T>,
    parallel: bool,
    run: impl Fn(T) + Send + Sync,
) {
    run_tasks_with(&Scratches::<()>::default(), tasks, parallel, |(), task| run(task));
}

/// The same, with scratch that one task at a time has.
pub(crate) fn run_tasks_with<T: Send, S: Default + Send>(
    scratches: &Scratches<S>,
    mut tasks: Tasks<'_, T>,
    parallel: bool,
    run: impl Fn(&mut S, T) + Send + Sync,
) {
    let run = |scratch: &mut Lent<'_, S>, task: &mut Option<T>| {
        run(scratch, task.take().expect("a task is run once"));
    };
    if parallel && rayon::current_num_threads() > 1 {
        tasks.0.par_iter_mut().for_each_init(|| scratches.lend(), run);
    } else {
        let mut scratch = scratches.lend();
        tasks.0.iter_mut().for_each(|task| run(&mut scratch, task));
    }
}

/// Where the lists of a step's tasks lie; a step takes what the one before left.
#[derive(Debug, Default)]
pub(crate) struct TaskMemory(Bump);

impl TaskMemory {
    /// An empty list.
    pub(crate) fn tasks<T>(&self) -> Tasks<'_, T> {
        Tasks(bumpalo::collections::Vec::new_in(&self.0))
    }

    /// A list of what is known at once.
    pub(crate) fn list<T>(&self, all: impl Iterator<Item = T>) -> Tasks<'_, T> {
        let mut tasks = self.tasks();
        tasks.0.extend(all.map(Some));
        tasks
    }

    /// Forgets the lists, keeps the memory.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }
}

/// A list of tasks.
pub(crate) struct Tasks<'a, T>(bumpalo::collections::Vec<'a, Option<T>>);

impl<T> Tasks<'_, T> {
    pub(crate) fn push(&mut self, task: T) {
        self.0.push(Some(task));
    }
}

/// Scratch of one kind of task, as many as threads ran it at once, kept from one step to the next.
#[derive(Debug)]
pub(crate) struct Scratches<S>(Mutex<Vec<S>>);

impl<S> Default for Scratches<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: Default> Scratches<S> {
    fn lend(&self) -> Lent<'_, S> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Lent { scratch: kept.unwrap_or_default(), owner: self }
    }
}

/// A scratch that goes back when it is dropped.
struct Lent<'a, S: Default> {
    scratch: S,
    owner: &'a Scratches<S>,
}

impl<S: Default> Deref for Lent<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.scratch
    }
}

impl<S: Default> DerefMut for Lent<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.scratch
    }
}

impl<S: Default> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        let scratch = std::mem::take(&mut self.scratch);
        self.owner.0.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
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
