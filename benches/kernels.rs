//! Time of each CPU kernel alone, one thread, on a batch at the shapes of public sets.
//!
//! `cargo bench --bench kernels`
//!
//! Before a shape is timed, scores and gradient are checked against the equations in f64. Whole epochs, beside
//! what the machine can do at best: `llfm bench`.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use llfm::backend::Device;
use llfm::bench::{Job, Kernel, SHAPES, config_of};
use llfm::config::Method;
use llfm::settings::Settings;

/// Rows generated: more than any batch has, so that anchors are seeded well.
const ROWS: usize = 4096;

fn kernels(criterion: &mut Criterion) {
    for shape in &SHAPES {
        let rows = shape.generate(ROWS);
        for (name, method) in [("fm", Method::Fm), ("llfm-jo", Method::LlfmJo)] {
            let settings = Settings { method: Some(method), ..Settings::default() };
            let config = config_of(shape, &settings).expect("defaults are valid");
            let batch = config.batch_size.min(ROWS) as u64;
            let job = Job::new(shape, config, &rows);
            println!("{} {name}: {:?}", shape.name, job.check(&Device::Cpu).expect("it is right"));
            let mut group = criterion.benchmark_group(format!("{}/{name}", shape.name));
            group.sample_size(20).warm_up_time(Duration::from_millis(300));
            group.measurement_time(Duration::from_secs(2));
            group.throughput(Throughput::Elements(batch));
            let mut kernels = job.kernels().expect("the CPU takes any model");
            for kernel in Kernel::ALL {
                if kernels.has(kernel) {
                    let name = format!("{kernel:?}").to_lowercase();
                    group.bench_function(name, |bencher| bencher.iter(|| kernels.run(kernel)));
                }
            }
            group.finish();
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
