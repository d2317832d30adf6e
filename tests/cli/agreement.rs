//! The same rows give the same model, whatever file they come from.

use std::io::Write as _;

use llfm::model::Model;

use crate::bench::Bench;

/// Rows as csv and as libsvm; every `lit`-th cell is not zero.
fn both(rows: u32, columns: u32, lit: u32, label: impl Fn(u32) -> String) -> (String, String) {
    let (mut csv, mut svm) = (String::new(), String::new());
    for i in 0..rows {
        let label = label(i);
        svm += &label;
        for j in 0..columns {
            let mixed = (i * 31 + j * 17) ^ (i >> 2);
            let value = (f64::from(mixed % 97) - 48.0) / 8.0;
            let value = if mixed % lit == 0 { value } else { 0.0 };
            csv += &format!("{value},");
            if value != 0.0 || j + 1 == columns {
                svm += &format!(" {}:{value}", j + 1);
            }
        }
        csv += &format!("{label}\n");
        svm += "\n";
    }
    (csv, svm)
}

fn load(bench: &Bench, name: &str) -> Model {
    Model::load(&bench.path(name)).expect("the model file is sound")
}

#[test]
fn csv_and_libsvm_of_the_same_rows_make_the_same_model() {
    let words = |i: u32| ["1", "-1"][usize::from(i % 3 == 1)].to_owned();
    let whole = |i: u32| (i % 5).to_string();
    let value = |i: u32| format!("{}", f64::from(i * i % 101) + 0.25);
    let labels: [&dyn Fn(u32) -> String; 3] = [&words, &whole, &value];
    for (columns, lit, sparse) in [(6, 1, false), (5, 3, false), (600, 300, true)] {
        for label in labels {
            let bench = Bench::new();
            let (csv, svm) = both(300, columns, lit, label);
            bench.write("a.csv", &csv);
            bench.write("a.svm", &svm);
            for method in ["fm", "llfm-do", "llfm-apl", "llfm-jo"] {
                for (data, model) in [("a.csv", "csv.llfm"), ("a.svm", "svm.llfm")] {
                    let anchors = if method == "fm" { 1 } else { 6 };
                    let line = format!(
                        "--epochs 2 --anchors {anchors} --valid-fraction 0.2 --quiet --force"
                    );
                    bench
                        .line(&format!("train {data} --method {method} {line} --model {model}"))
                        .succeeds();
                }
                let (one, other) = (load(&bench, "csv.llfm"), load(&bench, "svm.llfm"));
                assert_eq!(one.preprocess.is_sparse(), sparse);
                assert_eq!(one.members, other.members, "{method}");
                assert_eq!(one.summary, other.summary, "{method}");
                assert_eq!(one.config, other.config);
                assert_eq!(one.labels, other.labels);
                assert_eq!(one.target_scale, other.target_scale);
                // The files differ in one thing: how the columns are named.
                assert_ne!(one.preprocess.schema(), other.preprocess.schema());
                let predict =
                    |model, data| bench.line(&format!("predict {model} {data}")).succeeds().out;
                assert_eq!(predict("csv.llfm", "a.csv"), predict("svm.llfm", "a.svm"));
            }
        }
    }
}

#[test]
fn a_packed_file_and_a_shuffled_spelling_make_the_same_bytes() {
    let bench = Bench::new();
    let (csv, _) = both(200, 5, 2, |i| (i % 3).to_string());
    bench.write("a.csv", &csv);
    let file = std::fs::File::create(bench.path("b.csv.gz")).expect("the folder is writable");
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(csv.as_bytes()).expect("the folder is writable");
    packed.finish().expect("the folder is writable");
    bench.write("c.csv", &csv.replace('\n', "\r\n").replace(".5,", ".500,"));
    bench.write("d.csv", &csv.replace(',', ";"));
    for name in ["a.csv", "b.csv.gz", "c.csv", "d.csv"] {
        bench.line(&format!("train {name} --epochs 2 --model {name}.llfm")).succeeds();
        assert_eq!(bench.read("a.csv.llfm"), bench.read(&format!("{name}.llfm")), "{name}");
    }
}
