//! Model files, byte for byte.

use crate::gpu::gpu_or_skip;
use crate::program::{Bench, clouds, curve, rings};

/// Runs of every kind: classes, values, sparse rows, members, windows, a part held out.
const RUNS: [&str; 7] = [
    "clouds.csv --valid-fraction 0.2 --patience 2",
    "clouds.csv --method llfm-do --loss ovr --batch-size 256",
    "curve.csv --ensemble 3 --anchor-dropout 0.2",
    "rings.svm --method fm --optimizer adagrad",
    "sparse.svm --method llfm-apl --batch-size 7",
    "sparse.svm --distance euclidean --anchors 40",
    "clouds.csv --stream --max-memory 90kB",
];

/// Rows with three of 400 features each.
fn sparse(rows: usize) -> String {
    let row = |i: usize| {
        let (a, b, c) = (i * 7 % 100, 100 + i * 31 % 200, 300 + i * i % 100);
        format!("{} {}:1 {}:0.5 {}:2\n", (a + b + c) % 2, a + 1, b + 1, c + 1)
    };
    (0..rows).map(row).collect()
}

fn data() -> Bench {
    let bench = Bench::new();
    bench.write("clouds.csv", &clouds(2000, 1));
    bench.write("curve.csv", &curve(600, 1));
    bench.write("rings.svm", &rings(600, 1));
    bench.write("sparse.svm", &sparse(900));
    bench
}

fn model(bench: &Bench, flags: &str) -> Vec<u8> {
    bench.line(&format!("train {flags} --epochs 3 --quiet --force --model m.llfm")).succeeds();
    bench.read("m.llfm")
}

#[test]
fn a_model_file_is_the_same_bytes_on_1_2_3_and_7_threads() {
    let bench = data();
    for run in RUNS {
        let [one, again, two, three, seven] =
            [1, 1, 2, 3, 7].map(|threads| model(&bench, &format!("{run} --threads {threads}")));
        assert!(one == again, "{run}: again");
        assert!(one == two && one == three && one == seven, "{run}: threads");
        assert!(one != model(&bench, &format!("{run} --seed 1")), "{run}: the seed matters");
    }
}

#[test]
fn predictions_are_the_same_bytes_on_1_2_3_and_7_threads() {
    let bench = data();
    bench.write("long.csv", &clouds(9000, 2));
    model(&bench, "clouds.csv");
    let predict = |flags: &str| bench.line(&format!("predict m.llfm long.csv {flags}")).succeeds();
    for form in ["--raw", "--proba", "--explain"] {
        let [one, two, three, seven] =
            [1, 2, 3, 7].map(|threads| predict(&format!("--threads {threads} {form}")).out);
        assert_eq!(one.lines().count(), 9000);
        assert!(one == two && one == three && one == seven, "{form}");
    }
}

#[test]
fn a_model_file_of_the_gpu_is_the_same_bytes_again_on_any_threads_and_wherever_rows_lie() {
    if gpu_or_skip().is_none() {
        return;
    }
    let bench = data();
    // Dense, members and values, sparse.
    for run in [RUNS[0], RUNS[2], RUNS[4]] {
        let gpu = |flags: &str| model(&bench, &format!("{run} --device gpu {flags}"));
        let one = gpu("");
        assert!(one == gpu(""), "{run}: again");
        assert!(one == gpu("--threads 3"), "{run}: threads");
        assert!(one == gpu("--data-placement stream"), "{run}: streamed");
    }
}

#[test]
fn a_model_file_of_rows_in_fewer_bits_is_the_same_bytes_again() {
    if gpu_or_skip().is_none() {
        return;
    }
    let bench = data();
    let mut found = ["f32", "f16", "u8"].map(|storage| {
        let run = format!("clouds.csv --device gpu --row-storage {storage}");
        let one = model(&bench, &run);
        assert!(one == model(&bench, &run), "{storage}: again");
        assert!(one == model(&bench, &format!("{run} --data-placement stream")), "{storage}");
        one
    });
    found.sort();
    assert!(found[0] != found[1] && found[1] != found[2], "storage rounds rows");
}
