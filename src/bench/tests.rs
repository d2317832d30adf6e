//! Jobs at small sizes.

use std::time::Duration;

use clap::ValueEnum;

use super::*;
use crate::backend::Placement;
use crate::backend::RowStorage;
use crate::backend::gpu::Trainer;
use crate::config::Method;
use crate::gpu::fault::Faults;
use crate::gpu::testing::{faulty_gpu, test_gpu};

const AUTO: (Placement, RowStorage) = (Placement::Auto, RowStorage::F32);

fn config(shape: &RowShape, method: Method) -> TrainConfig {
    let small = (method != Method::Fm && shape.features < 1000).then_some(12);
    let settings = Settings {
        method: Some(method),
        anchors: small,
        batch_size: Some(64),
        factors: Some(4),
        ..Settings::default()
    };
    config_of(shape, &settings).expect("sound settings")
}

/// A job of each small shape and method.
fn jobs(mut each: impl FnMut(&str, Job<'_>)) {
    for name in ["ijcnn1", "letter", "movielens"] {
        let shape = RowShape::named(name).expect("a shape");
        let rows = shape.generate(300);
        for &method in Method::value_variants() {
            each(&format!("{name} {method:?}"), Job::new(shape, config(shape, method), &rows));
        }
    }
}

#[test]
fn the_cpu_computes_what_the_equations_say() {
    jobs(|name, job| {
        let checked = job.check(&Device::Cpu);
        assert!(checked.is_ok(), "{name}: {checked:?}");
    });
}

#[test]
fn phases_are_parts_of_their_epoch() {
    jobs(|name, job| {
        let budget = Duration::from_millis(50);
        let timing = job.time(&Device::Cpu, budget, &mut || true).expect("the CPU works");
        assert_eq!((timing.rows, timing.steps, timing.epochs >= 1), (300, 5, true), "{name}");
        let total = timing.phases.total();
        assert!(total > 0.0 && total <= timing.seconds, "{name}: {timing:?}");
        assert!(timing.mean_active >= 1.0 && timing.mean_active <= timing.work.anchors, "{name}");
        let floors = Floors {
            flops_per_second: 1e11,
            copies: vec![CopyRate { bytes: 1 << 20, bytes_per_second: 1e10 }],
        };
        let report = timing.report(&floors);
        let has = |phase| report.iter().any(|row| row.phase == phase);
        assert!(has(Phase::Score) && has(Phase::Models) && has(Phase::Heads), "{name}");
        assert_eq!(has(Phase::Anchors), job.config.learn.any(), "{name}");
        let share: f64 = report.iter().map(|row| row.share).sum();
        assert!((share - total / timing.seconds).abs() < 1e-9, "{name}");
        assert!(report.iter().all(|row| row.of_floor.is_finite()), "{name}: {report:?}");
    });
}

#[test]
fn an_epoch_ends_early_where_somebody_asks() {
    let shape = &SHAPES[0];
    let rows = shape.generate(100);
    let job = Job::new(shape, config(shape, Method::Fm), &rows);
    let timing = job.time(&Device::Cpu, Duration::from_secs(60), &mut || false);
    assert_eq!(timing.expect("the CPU works").epochs, 1);
    let timing = job.time(&Device::Cpu, Duration::ZERO, &mut || true);
    assert_eq!(timing.expect("the CPU works").epochs, 1, "there is no time for more");
}

#[test]
fn columns_of_a_batch_are_counted_once() {
    let shape = RowShape::named("movielens").expect("a shape");
    let rows = shape.generate(2);
    let config = TrainConfig { batch_size: 2, ..config(shape, Method::Fm) };
    let job = Job::new(shape, config, &rows);
    let Features::Sparse(all) = &rows.features else { panic!("sparse") };
    let mut columns = all.indices.clone();
    columns.sort_unstable();
    columns.dedup();
    assert_eq!(job.work(1.0).columns, columns.len() as f64);
    let config = TrainConfig { batch_size: 1, ..job.config };
    assert_eq!(Job::new(shape, config, &rows).work(1.0).columns, 2.0, "two a row");
}

#[test]
fn every_kernel_of_a_method_runs_alone() {
    jobs(|name, job| {
        let mut kernels = job.kernels().expect("the CPU works");
        let many = job.initial.n_anchors() > 1;
        assert_eq!(kernels.has(Kernel::Distance), many, "{name}");
        assert_eq!(kernels.has(Kernel::Anchors), job.config.learn.any(), "{name}");
        for kernel in Kernel::ALL {
            kernels.run(kernel);
            kernels.run(kernel);
        }
    });
}

#[test]
fn the_model_of_a_gpu_has_the_kernels_that_run_there() {
    let Some(gpu) = test_gpu() else { return };
    jobs(|name, job| {
        let rows = job.train_rows();
        let trainer = Trainer::new(&gpu, &job.initial, &job.config, rows, AUTO);
        let kernels = job.work(1.0).kernels();
        let modelled: Vec<&str> = kernels.iter().map(|kernel| kernel.name).collect();
        assert_eq!(trainer.expect("it fits").kernels(), modelled, "{name}");
    });
}

/// The report of a job on a device, and what it was made from.
fn on_gpu(job: &Job<'_>, gpu: &std::sync::Arc<crate::gpu::Gpu>) -> (GpuTiming, Timing) {
    let (placement, storage) = AUTO;
    let device = Device::Gpu { gpu: gpu.clone(), placement, storage };
    let budget = Duration::from_secs(60);
    let timing = job.time(&device, Duration::ZERO, &mut || true).expect("the device works");
    let kernels = job.time_kernels(gpu, AUTO, budget, &mut || true);
    (kernels.expect("the device works"), timing)
}

#[test]
fn every_dispatch_of_an_epoch_is_timed_by_the_device() {
    let Some(gpu) = test_gpu().filter(|gpu| gpu.has_timestamps()) else { return };
    jobs(|name, job| {
        let (timed, timing) = on_gpu(&job, &gpu);
        assert_eq!((timed.steps, timed.resident), (5, true), "{name}: 300 rows, 64 a step");
        let names: Vec<&str> = timed.kernels.iter().map(|&(name, _)| name).collect();
        let (mut last, mut dispatches) = (0.0, timed.dispatches.iter());
        for step in 0..5 {
            for &kernel in &names {
                let it = dispatches.next().expect("a dispatch");
                assert_eq!((it.kernel, it.step), (kernel, step), "{name}");
                assert!(
                    it.workgroups > 0 && it.start >= last && it.seconds >= 0.0,
                    "{name}: {it:?}"
                );
                last = it.start;
            }
        }
        assert_eq!(dispatches.next(), None, "{name}");
        let (rows, step) = timing.gpu_report(&timed, &GpuFloors::of(1e9, 1e9, 1e-6));
        let rates: Vec<_> = rows.iter().map(|row| row.rates.expect("timed")).collect();
        let total: f64 = rates.iter().map(|rates| rates.seconds).sum();
        let all: f64 = timed.dispatches.iter().map(|it| it.seconds).sum();
        assert!((total / all - 1.0).abs() < 1e-9, "{name}: all of the steps of an epoch");
        assert!((rates.iter().map(|rates| rates.share).sum::<f64>() - 1.0).abs() < 1e-9, "{name}");
        assert_eq!((step.dispatches, step.steps_timed), (names.len(), 5), "{name}");
        let floors: f64 = rows.iter().map(|row| row.floor_seconds).sum();
        assert!((step.floor.seconds / floors - 1.0).abs() < 1e-9, "{name}: {step:?}");
        assert!((step.of_floor * timing.seconds / floors - 1.0).abs() < 1e-9, "{name}: {step:?}");
    });
}

#[test]
fn without_timestamps_there_is_the_model_alone() {
    let faults = Faults { no_timestamps: true, ..Faults::default() };
    let Some(gpu) = faulty_gpu(faults) else { return };
    let shape = RowShape::named("letter").expect("a shape");
    let rows = shape.generate(100);
    let job = Job::new(shape, config(shape, Method::LlfmJo), &rows);
    let (timed, timing) = on_gpu(&job, &gpu);
    assert_eq!((timed.steps, timed.dispatches.len()), (0, 0));
    let (rows, step) = timing.gpu_report(&timed, &GpuFloors::of(1e9, 1e9, 1e-6));
    assert!(rows.iter().all(|row| row.rates.is_none() && row.floor_seconds > 0.0), "{rows:?}");
    assert_eq!((step.kernel_seconds, step.steps_timed), (None, 0));
    assert!(step.of_floor > 0.0 && step.bytes > 0.0, "{step:?}");
}
