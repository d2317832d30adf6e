//! The same rows in several formats give the same features and targets, bit for bit.

use llfm::data::{Features, RawRows, Targets};
use proptest::prelude::*;

use crate::binary::{doubles, idx, npy};
use crate::{Bench, dense, prepare};

fn bits(features: &Features) -> (Vec<u32>, Vec<u32>) {
    match features {
        Features::Dense(cells) => (Vec::new(), cells.iter().map(|cell| cell.to_bits()).collect()),
        Features::Sparse(rows) => {
            (rows.indices.clone(), rows.values.iter().map(|value| value.to_bits()).collect())
        }
    }
}

fn csv(rows: &[Vec<f64>], labels: &[f64]) -> String {
    let line = |(row, label): (&Vec<f64>, &f64)| {
        let cells: Vec<String> = row.iter().map(|cell| cell.to_string()).collect();
        format!("{},{label}\n", cells.join(","))
    };
    rows.iter().zip(labels).map(line).collect()
}

fn libsvm(rows: &[Vec<f64>], labels: &[f64], zeros: bool) -> String {
    let line = |(row, label): (&Vec<f64>, &f64)| {
        let pairs = row.iter().zip(1..).filter(|(cell, _)| zeros || **cell != 0.0);
        let pairs: String = pairs.map(|(cell, index)| format!(" {index}:{cell:e}")).collect();
        format!("{label}{pairs}\n")
    };
    rows.iter().zip(labels).map(line).collect()
}

fn all_formats(rows: &[Vec<f64>], labels: &[f64]) -> Vec<RawRows> {
    let mut bench = Bench::new();
    let mut read = vec![
        bench.read("a.csv", csv(rows, labels)).expect("csv"),
        bench.read("b.svm", libsvm(rows, labels, true)).expect("libsvm"),
    ];
    let last = rows.iter().any(|row| row.last().is_some_and(|&cell| cell != 0.0));
    if last {
        read.push(bench.read("c.svm", libsvm(rows, labels, false)).expect("sparse libsvm"));
    }
    let shape = format!("({}, {})", rows.len(), rows[0].len());
    let label_file = npy(1, "<f8", false, &format!("({},)", rows.len()), &doubles(labels));
    bench.options.labels = Some(bench.file("labels.npy", label_file));
    let array = npy(1, "<f8", false, &shape, &doubles(&rows.concat()));
    read.push(bench.read("d.npy", array).expect("npy"));
    read
}

fn assert_agreement(read: Vec<RawRows>) {
    let prepared: Vec<(Features, Targets)> = read.into_iter().map(prepare).collect();
    let (features, targets) = &prepared[0];
    for (other, other_targets) in &prepared[1..] {
        assert_eq!(features, other);
        assert_eq!(bits(features), bits(other));
        assert_eq!(targets, other_targets);
    }
}

#[test]
fn bytes_agree_in_idx_too() {
    let rows = [vec![0.0, 255.0, 3.0], vec![7.0, 0.0, 9.0], vec![1.0, 2.0, 0.0]];
    let labels = [3.0, 1.0, 2.0];
    let mut read = all_formats(&rows, &labels);
    let mut bench = Bench::new();
    bench.file("x-labels-idx1-ubyte", idx(&[3], &[3, 1, 2]));
    let images = idx(&[3, 1, 3], &[0, 255, 3, 7, 0, 9, 1, 2, 0]);
    read.push(bench.read("x-images-idx3-ubyte", images).expect("idx"));
    assert_eq!(dense(&prepare(read[0].clone()).0).len(), 3);
    assert_agreement(read);
}

#[test]
fn mostly_zero_rows_become_sparse_from_any_format() {
    let mut rows = vec![vec![0.0; 500]; 20];
    rows.iter_mut().enumerate().for_each(|(i, row)| row[(i * 7) % 500] = i as f64 + 0.5);
    rows[3][499] = -2.0;
    let labels: Vec<f64> = (0..20).map(|i| f64::from(i % 2)).collect();
    let read = all_formats(&rows, &labels);
    assert!(matches!(prepare(read[0].clone()).0, Features::Sparse(_)));
    assert_agreement(read);
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => Just(0.0),
        3 => (-99_999..99_999_i32).prop_map(|value| f64::from(value) / 100.0),
        1 => any::<f32>().prop_filter("finite", |v| v.is_finite()).prop_map(f64::from),
        1 => -1e30..1e30_f64,
        1 => -1e-30..1e-30_f64,
        1 => Just(-0.0),
    ]
}

fn table() -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<f64>)> {
    (1..6_usize, 2..12_usize).prop_flat_map(|(p, n)| {
        let rows = prop::collection::vec(prop::collection::vec(number(), p), n);
        let labels = (0..n).map(|i| i as f64 + 0.5).collect::<Vec<f64>>();
        (rows, Just(labels))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_tables_agree((rows, labels) in table()) {
        assert_agreement(all_formats(&rows, &labels));
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        name in prop::sample::select(vec!["a.csv", "a.svm", "a.ffm", "u.data", "a.npy", "a-idx3-ubyte", "a"]),
    ) {
        let _ = crate::read_text(name, bytes);
    }

    #[test]
    fn any_text_is_read_or_refused_without_panic(
        text in "[-0-9a:.,;\"\t\n #?@e]{0,80}",
        name in prop::sample::select(vec!["a.csv", "a.tsv", "a.svm", "a.ffm", "u.data", "a"]),
    ) {
        let _ = crate::read_text(name, text);
    }
}
