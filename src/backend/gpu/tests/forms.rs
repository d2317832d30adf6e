//! Forms of kernels and storages of rows.

use super::*;
use crate::backend::gpu::tuning::Variant;
use crate::gpu::testing::variant_gpu;

#[test]
fn forms_of_the_coding_give_the_same_bits() {
    // By subgroups, fused, sorted.
    let forms = [
        (false, false, false),
        (false, true, false),
        (true, false, false),
        (true, true, false),
        (false, false, true),
    ];
    for sparse in [false, true] {
        let case = Case::new(sparse);
        let mut expected = None;
        for (subgroups, fused, sorted) in forms {
            let variant = Variant {
                subgroups: Some(subgroups),
                fused_coding: Some(fused),
                sorted: Some(sorted),
                ..Variant::default()
            };
            let Some(gpu) = variant_gpu(variant) else { return };
            let mut trainer = case.trainer(&gpu, Placement::Auto).expect("a trainer");
            let found = after_steps(&mut trainer);
            assert_eq!(
                &found,
                expected.get_or_insert(found.clone()),
                "sparse {sparse}, {variant:?}"
            );
        }
    }
}

#[test]
fn a_trainer_and_a_scorer_score_with_the_same_bits() {
    let Some(gpu) = test_gpu() else { return };
    for sparse in [false, true] {
        let mut case = Case::new(sparse);
        // So small that the sums of a step are cut otherwise.
        case.config = TrainConfig { batch_size: 2, ..case.config };
        let mut trainer = case.trainer(&gpu, Placement::Auto).expect("a trainer");
        let members = [case.parameters.clone()];
        let scorers = Scorer::of_members(&gpu, &members, &case.config, sparse);
        let mut scorer = scorers.expect("a scorer").remove(0);
        let bits = |scores: Scores| scores.outputs.mapv(f32::to_bits);
        let of_trainer = bits(trainer.score(&case.features).expect("scores"));
        assert_eq!(of_trainer, bits(scorer.score(&case.features).expect("scores")), "{sparse}");
        let (trained, scored) = (trainer.sizes, trainer.sizes.scoring(gpu.offer(), &case.config));
        assert_ne!(trained.tuning, scored.tuning, "the cuts are the same anyway");
    }
}

#[test]
fn rows_that_their_storage_holds_exactly_train_to_the_same_bits() {
    let Some(gpu) = test_gpu() else { return };
    let mut case = Case::new(false);
    // Of each column the least is 0 and the greatest 255/64: a grid of sixty-fourths, as halves have.
    let mut number = 0;
    let cells = Array2::from_shape_simple_fn((ROWS, FEATURES), || {
        number += 1;
        (number * 89 % 256) as f32 / 64.0
    });
    let spans = |r: usize| if r == 0 { Some(0.0) } else { (r == 1).then_some(255.0 / 64.0) };
    let cells = Array2::from_shape_fn((ROWS, FEATURES), |(r, j)| spans(r).unwrap_or(cells[[r, j]]));
    case.features = Features::Dense(cells);
    let mut plain = case.trainer(&gpu, Placement::Resident).expect("a trainer");
    let expected = after_steps(&mut plain);
    let scores = plain.score(&case.features).expect("scores").outputs;
    for placement in [Placement::Resident, Placement::Stream] {
        for storage in [RowStorage::F16, RowStorage::U8] {
            let mut trainer = case.trainer_of(&gpu, (placement, storage)).expect("a trainer");
            let place = trainer.device_use().expect("a GPU");
            assert_eq!((place.placement, place.storage), (placement, storage));
            assert_eq!(after_steps(&mut trainer), expected, "{placement:?}, {storage:?}");
            // Scores are of the rows as they are.
            assert_eq!(trainer.score(&case.features).expect("scores").outputs, scores);
        }
    }
}

#[test]
fn rows_that_their_storage_rounds_train_elsewhere_and_score_as_they_are() {
    let Some(gpu) = test_gpu() else { return };
    let case = Case::new(false);
    let after = |storage| {
        let mut trainers = [Placement::Resident, Placement::Stream]
            .map(|at| case.trainer_of(&gpu, (at, storage)).expect("a trainer"));
        let scores = trainers[0].score(&case.features).expect("scores").outputs;
        let [resident, stream] = trainers.each_mut().map(after_steps);
        assert_eq!(resident, stream, "{storage:?}");
        (scores, resident.0)
    };
    let [plain, halves, bytes] = [RowStorage::F32, RowStorage::F16, RowStorage::U8].map(after);
    assert!(plain.0 == halves.0 && plain.0 == bytes.0, "scores before the first step");
    assert!(plain.1 != halves.1 && plain.1 != bytes.1 && halves.1 != bytes.1);
    for (name, found) in [("f16", halves.1), ("u8", bytes.1)] {
        let far = (&found.linear - &plain.1.linear).mapv(f32::abs).sum();
        assert!(far < 0.02 * plain.1.linear.mapv(f32::abs).sum(), "{name}: {far}");
    }
}

#[test]
fn rows_beyond_a_binding_are_resident_in_fewer_bytes() {
    // Rows take 120 · 3 vectors of four: 5,760 bytes, 2,880 as halves, 1,536 as bytes with their grid.
    let mut case = Case::new(false);
    case.config = TrainConfig { batch_size: 4, factors: 2, anchors: 2, ..case.config };
    case.parameters = case.parameters.head(2, 2);
    let Some(limited) = limited(5_700) else { return };
    for (storage, placement) in [
        (RowStorage::F32, Placement::Stream),
        (RowStorage::F16, Placement::Resident),
        (RowStorage::U8, Placement::Resident),
    ] {
        let trainer = case.trainer_of(&limited, (Placement::Auto, storage)).expect("a trainer");
        assert_eq!(trainer.device_use().expect("a GPU").placement, placement, "{storage:?}");
    }
}
