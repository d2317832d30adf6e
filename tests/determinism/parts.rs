//! Scores do not depend on which other rows are scored with a row.

use llfm::backend::{Device, Placement};
use llfm::config::{Method, TrainConfig};
use llfm::data::Features;
use llfm::model::Parameters;
use llfm::predict::Scorer;

use crate::bench::{METHODS, compressed, config, only, pairs, rings, run};
use crate::gpu::device;

/// More rows than one dispatch takes.
const ROWS: usize = 9000;

/// Sizes of parts, none that a block or a workgroup has, and of how many rows in all.
const PARTS: [(usize, usize); 4] = [(1, 50), (7, 300), (333, ROWS), (2500, ROWS)];

/// Scores of the first rows in parts of a size, as bits.
fn scores(
    (device, members, config): (&Device, &[Parameters], &TrainConfig),
    rows: &Features,
    (part, first): (usize, usize),
) -> Vec<u32> {
    let sparse = matches!(rows, Features::Sparse(_));
    let mut scorer = Scorer::new(members, config, sparse, device).expect("a scorer");
    let first: Vec<u32> = (0..first as u32).collect();
    let of = |part: &[u32]| scorer.score(&rows.select(part)).expect("scores").outputs;
    first.chunks(part).map(of).flat_map(|outputs| outputs.mapv(f32::to_bits)).collect()
}

fn assert_same_in_parts(device: &Device) {
    let sets = |n: usize| [rings(n, 5, 1), compressed(&rings(n, 5, 1)), pairs(n, 60, 2)];
    for (train, data) in sets(200).into_iter().zip(sets(ROWS)) {
        for method in METHODS {
            let anchors = if method == Method::Fm { 1 } else { 12 };
            let config = TrainConfig { ensemble: 2, epochs: 1, anchors, ..config(method) };
            let members = run(&only(&train), &config).trained.members;
            let model = (device, &members[..], &config);
            let whole = scores(model, &data.features, (ROWS, ROWS));
            assert_eq!(whole.len(), ROWS);
            for (part, first) in PARTS {
                let parts = scores(model, &data.features, (part, first));
                assert!(whole[..first] == parts, "{method:?}, parts of {part}");
            }
        }
    }
}

#[test]
fn rows_scored_in_parts_of_any_size_have_the_bits_of_all_at_once() {
    assert_same_in_parts(&Device::Cpu);
}

#[test]
fn rows_scored_on_the_gpu_in_parts_of_any_size_have_the_bits_of_all_at_once() {
    let Some(device) = device(Placement::Auto) else { return };
    assert_same_in_parts(&device);
}
