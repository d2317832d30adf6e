//! The least time of an epoch on GPUs that are not here, by the cost model of the kernels. Runs anywhere.
//!
//! `cargo bench --bench gpu_model`
//!
//! Peaks (f32, without tensor cores) and memory rates are those of the makers' data sheets: NVIDIA H100 SXM,
//! GeForce RTX 4070, Apple M2 (10 GPU cores), rounded down. The latency of a dispatch is an assumption. Caches are left
//! out, and the host, which works ahead: what an epoch takes can only be more where rows and models fit no cache.

use llfm::bench::{GpuFloors, RowShape, Work, config_of};
use llfm::config::{Method, TrainConfig};
use llfm::settings::Settings;

/// Shape, rows a step where they are not the shape's own, and active anchors of a row: with
/// `--anchors 50 --target-active 5` as many as on the sets themselves; of LETTER on generated rows.
const CASES: [(&str, Option<usize>, f64); 5] = [
    ("mnist", Some(1024), 11.6),
    ("mnist", Some(8192), 11.6),
    ("covtype", Some(4096), 6.3),
    ("ijcnn1", None, 3.6),
    ("letter", None, 5.0),
];

fn main() {
    let adapters = [
        ("H100", GpuFloors::of(60e12, 3.0e12, 4.5e-6)),
        ("RTX 4070", GpuFloors::of(29e12, 0.5e12, 5e-6)),
        ("M2", GpuFloors::of(3.6e12, 0.1e12, 8e-6)),
    ];
    println!("llfm-jo, m 50, d 10; floor of an epoch in ms, and its terms\n");
    println!(
        "| adapter | shape | b | active | dispatches | MFLOP | MB | KB sent | floor | computing | moving | waiting |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (adapter, floors) in &adapters {
        for (name, batch_size, active) in CASES {
            let shape = RowShape::named(name).expect("a shape");
            let settings = Settings {
                method: Some(Method::LlfmJo),
                anchors: Some(50),
                factors: Some(10),
                batch_size,
                ..Settings::default()
            };
            let config = config_of(shape, &settings).expect("sound settings");
            let work = work(shape, &config, active);
            let kernels = work.kernels();
            let steps = shape.rows.div_ceil(config.batch_size) as f64;
            let floor = floors.steps(&kernels, steps);
            let flops: f64 = kernels.iter().map(|kernel| kernel.flops).sum();
            let bytes: f64 = kernels.iter().map(|kernel| kernel.bytes).sum();
            let [all, computing, moving, waiting] =
                [floor.seconds, floor.computing, floor.moving, floor.waiting].map(|s| 1e3 * s);
            println!(
                "| {adapter} | {name} | {} | {active} | {} | {:.1} | {:.2} | {:.1} | {all:.2} | {computing:.2} | \
                 {moving:.2} | {waiting:.2} |",
                config.batch_size,
                kernels.len(),
                1e-6 * flops,
                1e-6 * bytes,
                1e-3 * work.uploaded_bytes(true),
            );
        }
    }
}

/// A mean step on the rows of a dense shape.
fn work(shape: &RowShape, config: &TrainConfig, active: f64) -> Work {
    let steps = shape.rows.div_ceil(config.batch_size) as f64;
    let features = shape.features as f64;
    Work {
        rows: shape.rows as f64 / steps,
        nonzeros: features,
        columns: features,
        features,
        sparse: false,
        anchors: config.anchors as f64,
        outputs: config.loss.n_outputs(shape.classes) as f64,
        factors: config.factors as f64,
        active,
        learn: config.learn,
        optimizer: config.optimizer,
        penalty: config.l2 > 0.0 || config.weight_decay > 0.0,
    }
}
