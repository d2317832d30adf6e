//! One wrong number in what a kernel wrote is found, whichever it is.

use super::cases::{Case, dense_inverse, dense_plain, dense_soft, sparse_adam};
use crate::backend::RowStorage;
use crate::backend::gpu::trace::Trace;
use crate::compare::{judge, traced_step, twins};
use crate::config::TrainConfig;
use crate::gpu::testing::test_gpu;

#[derive(Clone, Copy, PartialEq)]
enum Word {
    Count,
    Number,
    /// Written, but only for a later kernel to overwrite.
    Idle,
}

/// The words of an element of a buffer.
fn words(kernel: &str, buffer: &str) -> &'static [Word] {
    use Word::{Count, Idle, Number};
    match (kernel, buffer) {
        ("local_coding" | "anchor_coding", "active_anchors") => {
            &[Count, Idle, Number, Number, Number]
        }
        (_, "active_anchors") => &[Count, Count, Number, Number, Number],
        (_, "row_codes" | "anchor_totals") => &[Count, Number],
        ("local_coding" | "anchor_coding", "row_sets") => &[Count, Idle],
        (_, "row_sets" | "starts" | "pairs") => &[Count],
        _ => &[Number],
    }
}

/// A few of the words that the kernel changed in that place of an element, the largest among them.
fn changed(trace: &Trace, buffer: &str, place: usize, of: usize) -> (Vec<usize>, f32) {
    let (before, after): (&[u32], &[u32]) = (trace.before.get(buffer), trace.after.get(buffer));
    let places = (place..after.len()).step_by(of);
    let all: Vec<usize> = places.filter(|&at| before[at] != after[at]).collect();
    let number = |at: &usize| f32::from_bits(after[*at]).abs();
    let largest = all.iter().map(number).filter(|x| x.is_finite()).fold(0.0, f32::max);
    let picks = [0, all.len() / 3, all.len() / 2, all.len().saturating_sub(1)];
    (picks.iter().filter_map(|&i| all.get(i).copied()).collect(), largest)
}

fn corrupt_everything(name: &str, case: &Case) {
    let Some(gpu) = test_gpu() else { return };
    let (config, mut traces) =
        traced_step(RowStorage::F32, &case.data(), &case.config, &gpu).unwrap();
    corrupt(name, &mut traces, |trace| passes(trace, &config));
}

/// Every kernel passes as it is, and no longer with one wrong word in any of its outputs.
pub(in crate::compare) fn corrupt(
    name: &str,
    traces: &mut [Trace],
    passes: impl Fn(&Trace) -> bool,
) {
    for trace in traces {
        assert!(passes(trace), "{name}: {} as it is", trace.kernel);
        let mut found = 0;
        for buffer in trace.after.names() {
            let words = words(trace.kernel, &buffer);
            for (place, word) in words.iter().enumerate().filter(|(_, word)| **word != Word::Idle) {
                let (picks, largest) = changed(trace, &buffer, place, words.len());
                for at in picks {
                    let old = trace.after.get_mut(&buffer)[at];
                    let shifted = f32::from_bits(old) + 1e-2 * largest.max(1e-20);
                    let wrong = match word {
                        Word::Number => [shifted.to_bits(), f32::NAN.to_bits()],
                        _ => [old.wrapping_add(1), old.wrapping_sub(1)],
                    };
                    for wrong in wrong {
                        trace.after.get_mut(&buffer)[at] = wrong;
                        let what = || format!("{name}: {} {buffer}[{at}]: {old}", trace.kernel);
                        assert!(!passes(trace), "{}", what());
                        found += 1;
                    }
                    trace.after.get_mut(&buffer)[at] = old;
                }
            }
        }
        assert!(found > 0, "{name}: {} wrote nothing", trace.kernel);
        assert!(passes(trace), "{name}: {} mended", trace.kernel);
    }
}

fn passes(trace: &Trace, config: &TrainConfig) -> bool {
    judge(trace, &twins::expected(trace, config)).pass
}

#[test]
fn one_wrong_number_of_a_dense_step_fails_its_kernel() {
    corrupt_everything("dense", &Case::rings(false));
    corrupt_everything("plain distance", &dense_plain());
    corrupt_everything("adagrad", &dense_soft());
    corrupt_everything("sgd", &dense_inverse());
}

#[test]
fn one_wrong_number_of_a_sparse_step_fails_its_kernel() {
    corrupt_everything("sparse", &Case::rings(true));
    corrupt_everything("adam", &sparse_adam());
}

#[test]
fn what_no_row_of_the_batch_has_may_not_move() {
    let Some(gpu) = test_gpu() else { return };
    let (config, mut traces) = {
        let case = sparse_adam();
        traced_step(RowStorage::F32, &case.data(), &case.config, &gpu).unwrap()
    };
    for kernel in ["fm_update_csr", "anchor_update_csr", "metric_update_csr"] {
        let trace = traces.iter_mut().find(|trace| trace.kernel == kernel).unwrap();
        for buffer in trace.after.names() {
            let (before, after): (&[u32], &[u32]) =
                (trace.before.get(&buffer), trace.after.get(&buffer));
            let numbers = (0..before.len()).filter(|&at| before[at] == after[at] && after[at] != 0);
            // Parts of the metric's gradient beyond the batch's columns are left over.
            let limit = if buffer == "metric" { 2 * trace.sizes.features } else { before.len() };
            let at = numbers.rev().find(|&at| at < limit).expect("some column is absent");
            let old = after[at];
            trace.after.get_mut(&buffer)[at] = (f32::from_bits(old) * 1.001).to_bits();
            assert!(!passes(trace, &config), "{kernel} {buffer}");
            trace.after.get_mut(&buffer)[at] = old;
            assert!(passes(trace, &config), "{kernel} {buffer} mended");
        }
    }
}
