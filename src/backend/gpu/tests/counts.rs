//! What a step takes: dispatches, bytes, submissions.

use super::*;
use crate::bench::Work;

/// Sizes of a step of a case, all of whose rows have all features.
fn work_of(case: &Case, sparse: bool) -> Work {
    let config = &case.config;
    Work {
        rows: BATCH as f64,
        nonzeros: FEATURES as f64,
        columns: FEATURES as f64,
        features: FEATURES as f64,
        sparse,
        anchors: config.anchors as f64,
        outputs: CLASSES as f64,
        factors: config.factors as f64,
        active: config.anchors as f64,
        learn: config.learn,
        optimizer: config.optimizer,
        penalty: config.l2 > 0.0 || config.weight_decay > 0.0,
    }
}

/// Dispatches that wait for one before: they touch what it wrote, or write what it touched.
fn barriers(trainer: &Trainer<'_>) -> usize {
    let mut written = std::collections::HashMap::new();
    let mut waits = |launch: &Launch| {
        let bindings = launch.bound.pipeline.bindings().iter();
        let storage = bindings.filter(|binding| binding.is_storage());
        let waiting = storage.filter(|binding| {
            let before = written.insert(binding.name.clone(), binding.is_written());
            before.is_some_and(|before| before || binding.is_written())
        });
        waiting.count() > 0
    };
    let mut in_a_step = || trainer.launches.iter().filter(|launch| waits(launch)).count();
    // Of a step that follows another.
    in_a_step();
    in_a_step()
}

/// Bytes that the host sends for three steps in one submission.
fn uploads(gpu: &Gpu, trainer: &mut Trainer<'_>) -> u64 {
    let before = gpu.written_bytes();
    for (step, first) in (1..).zip([0, 40, 80]) {
        let rows: Vec<u32> = (first..first + BATCH as u32).collect();
        trainer.step(&rows, rates(step)).expect("a step");
    }
    trainer.flush().expect("submitted");
    gpu.written_bytes() - before
}

#[test]
fn a_step_takes_no_more_dispatches_and_bytes_than_it_did() {
    // All numbers: fewer are better, and then they go down here.
    let dense = (false, 7, 324_320.0, 416);
    let sparse = (true, 9, 298_436.0, 3_376);
    for (sparse, dispatches, bytes, uploaded) in [dense, sparse] {
        // A device of its own: others would count what tests beside this one write.
        let Some(gpu) = faulty_gpu(Faults::default()) else { return };
        let case = Case::new(sparse);
        let mut trainer = case.trainer(&gpu, Placement::Resident).expect("a trainer");
        let work = work_of(&case, sparse);
        let kernels = work.kernels();
        let modelled: Vec<&str> = kernels.iter().map(|kernel| kernel.name).collect();
        assert_eq!(trainer.kernels(), modelled, "sparse {sparse}");
        assert_eq!(modelled.len(), dispatches, "sparse {sparse}");
        assert_eq!(barriers(&trainer), dispatches, "sparse {sparse}");
        let moved: f64 = kernels.iter().map(|kernel| kernel.bytes).sum();
        assert_eq!(moved, bytes, "sparse {sparse}");
        assert_eq!(uploads(&gpu, &mut trainer), 3 * uploaded, "sparse {sparse}");
        assert_eq!(work.uploaded_bytes(true), uploaded as f64, "sparse {sparse}");
        let mut streamed = case.trainer(&gpu, Placement::Stream).expect("a trainer");
        // A submission of sparse rows ends with where the last one ends.
        let modelled = 3 * work.uploaded_bytes(false) as u64 + if sparse { 4 } else { 0 };
        assert_eq!(uploads(&gpu, &mut streamed), modelled, "sparse {sparse}");
    }
}

#[test]
fn an_epoch_of_resident_rows_uploads_its_order_once_and_else_what_changes_from_step_to_step() {
    // A device of its own, whose bytes nobody else counts.
    let Some(gpu) = faulty_gpu(Faults::default()) else { return };
    let case = Case::new(false);
    let mut trainer = case.trainer(&gpu, Placement::Resident).expect("a trainer");
    let order: Vec<u32> = (0..ROWS as u32).rev().collect();
    for _ in 0..2 {
        let before = gpu.written_bytes();
        trainer.begin_epoch(&order).expect("an epoch");
        assert_eq!(gpu.written_bytes() - before, 4 * ROWS as u64);
        for (step, rows) in (1..).zip(order.chunks(BATCH)) {
            trainer.step(rows, rates(step)).expect("a step");
        }
        trainer.take_totals().expect("totals");
        let steps = (ROWS / BATCH) as u64 * STEP_PITCH;
        assert_eq!(gpu.written_bytes() - before, 4 * ROWS as u64 + steps);
    }
}

#[test]
fn the_host_gathers_while_the_device_works_on_two_submissions() {
    let Some(gpu) = test_gpu() else { return };
    for sparse in [false, true] {
        let case = Case::new(sparse);
        let mut trainer = case.trainer(&gpu, Placement::Stream).expect("a trainer");
        let rows: Vec<u32> = (0..BATCH as u32).collect();
        let mut ahead = Vec::new();
        for step in 1..=5 * trainer.set.steps as u64 {
            trainer.step(&rows, rates(step)).expect("a step");
            ahead.push(trainer.submitted.len());
        }
        // A step hands over what waits only if there is no room for it: by then nothing was waited
        // for until two submissions were on their way, and then for the first of them.
        ahead.dedup();
        assert_eq!(ahead, [0, 1, AHEAD], "sparse {sparse}");
    }
}
