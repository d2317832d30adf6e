//! idx and npy.

use crate::{Bench, assert_data_error, cells, numbers};

/// An idx array of bytes.
pub(crate) fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, u8::try_from(sizes.len()).expect("few dimensions")];
    sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
    file.extend(bytes);
    file
}

/// An npy array with the header fields given.
pub(crate) fn npy(version: u8, descr: &str, fortran: bool, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let length = u32::try_from(header.len()).expect("short");
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    file.extend(&length.to_le_bytes()[..if version == 1 { 2 } else { 4 }]);
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

pub(crate) fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn images_find_their_labels_by_name() {
    let mut bench = Bench::new();
    bench.file("a-labels-idx1-ubyte", idx(&[2], &[7, 3]));
    let rows = bench.read("a-images-idx3-ubyte", idx(&[2, 1, 2], &[0, 1, 2, 255])).expect("rows");
    assert_eq!(cells(&rows), [[0.0, 1.0], [2.0, 255.0]]);
    assert_eq!(numbers(&rows), [7.0, 3.0]);
    let mut alone = Bench::new();
    let lonely = alone.read("a-images-idx3-ubyte", idx(&[1, 1, 1], &[0]));
    assert_data_error(lonely, &["--labels"]);
    alone.options.labels = Some(alone.file("other.txt", "cat\n"));
    let rows = alone.read("a-images-idx3-ubyte", idx(&[1, 1, 1], &[0])).expect("rows");
    assert_eq!(rows.labels.expect("labels").len(), 1);
}

#[test]
fn every_version_order_and_type_of_npy_is_read() {
    let mut bench = Bench::new();
    bench.options.labels = Some(bench.file(
        "labels.npy",
        npy(
            1,
            "<i8",
            false,
            "(2,)",
            &[1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
        ),
    ));
    let expected = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let by_rows = doubles(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let by_columns = doubles(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let big: Vec<u8> = (1..=6_i16).flat_map(i16::to_be_bytes).collect();
    for file in [
        npy(1, "<f8", false, "(2, 3)", &by_rows),
        npy(2, "<f8", false, "(2, 3)", &by_rows),
        npy(3, "<f8", true, "(2, 3)", &by_columns),
        npy(1, "|u1", false, "(2, 3)", &[1, 2, 3, 4, 5, 6]),
        npy(1, ">i2", false, "(2, 3)", &big),
    ] {
        let rows = bench.read("a.npy", file).expect("rows");
        assert_eq!(cells(&rows), expected);
        assert_eq!(numbers(&rows), [1.0, -1.0]);
    }
    let line = bench.read("a.npy", npy(1, "|b1", false, "(2,)", &[1, 0])).expect("rows");
    assert_eq!(cells(&line), [[1.0], [0.0]]);
    let complex = bench.read("a.npy", npy(1, "<c16", false, "(2,)", &[0; 32]));
    assert_data_error(complex, &["<c16"]);
}

#[test]
fn infinite_numbers_are_refused_and_nan_is_missing() {
    // Rows 4 and 6.
    let mut bench = Bench::new();
    bench.options.labels = Some(bench.file("labels.txt", "1\n2\n"));
    for bad in [f64::INFINITY, 1e39] {
        let rows = bench.read("a.npy", npy(1, "<f8", false, "(2, 1)", &doubles(&[1.0, bad])));
        assert_data_error(rows, &["row 2, column 1", "finite"]);
    }
    let rows = bench.read("a.npy", npy(1, "<f8", false, "(2, 1)", &doubles(&[1.0, f64::NAN])));
    assert!(cells(&rows.expect("rows"))[1][0].is_nan());
}

#[test]
fn another_number_of_columns_than_the_models_is_refused() {
    // Row 31.
    let mut bench = Bench::new();
    let train = bench.read("a.csv", "1,2,0\n4,5.5,1\n").expect("rows");
    let wide = npy(1, "|u1", false, "(1, 3)", &[1, 2, 3]);
    assert_data_error(bench.follow(&train, "b.npy", wide, false), &["expected 2", "found 3"]);
    let fitting = npy(1, "|u1", false, "(1, 2)", &[1, 2]);
    assert_eq!(cells(&bench.follow(&train, "b.npy", fitting, false).expect("rows")), [[1.0, 2.0]]);
}
