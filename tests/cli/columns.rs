//! The flags that say what columns are, and how features are hashed.

use crate::bench::{Bench, clouds};

/// Clouds with an id that would tell nothing, and a weight.
fn weighed(rows: usize, seed: u64, weight: impl Fn(&str) -> f32) -> String {
    let clouds = clouds(rows, seed);
    let mut lines = clouds.lines();
    let mut text = format!("id,w,{}\n", lines.next().unwrap_or_default());
    for (i, line) in lines.enumerate() {
        let animal = line.rsplit(',').next().unwrap_or_default();
        text += &format!("{i},{},{line}\n", weight(animal));
    }
    text
}

#[test]
fn a_model_remembers_which_columns_are_no_features() {
    let bench = Bench::new();
    bench.write("train.csv", &weighed(240, 1, |_| 1.0));
    bench.write("plain.csv", &clouds(240, 1));
    bench.write("test.csv", &clouds(60, 2));
    let train = |data: &str, flags: &str| {
        let line = format!("train {data} --test test.csv --epochs 3 --json --model m.llfm --force");
        bench.line(&format!("{line} {flags}")).succeeds().result()["test"].clone()
    };
    let plain = train("plain.csv", "");
    assert_eq!(train("train.csv", "--ignore id,w"), plain);
    assert_eq!(train("train.csv", "--ignore id --ignore 2"), plain);
    let expected = bench.line("predict m.llfm plain.csv").succeeds().out;
    assert_eq!(bench.line("predict m.llfm train.csv").succeeds().out, expected);
    bench.line("evaluate m.llfm test.csv").succeeds();
    bench.write("c.toml", "ignore = [\"id\", \"w\"]\n");
    assert_eq!(train("train.csv", "--config c.toml"), plain);
}

#[test]
fn rows_of_weight_zero_teach_nothing() {
    let bench = Bench::new();
    bench.write("train.csv", &weighed(300, 1, |animal| f32::from(animal != "bird")));
    bench.write("test.csv", &clouds(90, 2));
    let line = "train train.csv --ignore id --weights w --test test.csv --epochs 5 --model m.llfm";
    bench.line(line).succeeds();
    let birds = |data: &str| {
        let out = bench.line(&format!("predict m.llfm {data}")).succeeds().out;
        out.lines().filter(|line| *line == "bird").count()
    };
    assert!(birds("test.csv") < 10, "{}", birds("test.csv"));
    assert!(birds("train.csv") < 30, "{}", birds("train.csv"));
}

#[test]
fn hashed_features_learn_and_meet_unseen_categories() {
    let bench = Bench::new();
    let town = |i: usize| ["Rom", "Ulm", "Bern"][i % 3];
    let rows = (0..300).map(|i| format!("{},{},{}\n", town(i), i % 7, town(i) == "Ulm"));
    bench.write("train.csv", &format!("town,day,label\n{}", rows.collect::<String>()));
    let line = "train train.csv --categorical day --hash-bits 10 --model m.llfm --json --epochs 5";
    let start = bench.line(line).succeeds().json_lines();
    assert_eq!(start[0]["features"], 1024);
    bench.write("new.csv", "day,town\n1,Ulm\n9,Ulm\n2,Rom\n3,Oslo\n");
    let done = bench.line("predict m.llfm new.csv").succeeds();
    assert_eq!(done.out.lines().take(3).collect::<Vec<_>>(), ["true", "true", "false"]);
    assert!(!done.err.contains("unseen"), "{}", done.err);
    assert!(bench.line("inspect m.llfm").succeeds().out.contains("hashed into 2^10 features"));
}

#[test]
fn columns_matched_by_place_alone_are_told_where_a_narrower_file_would_pass() {
    let bench = Bench::new();
    let text = weighed(90, 1, |_| 1.0);
    let without = |columns: usize| -> String {
        let rows = text.lines().skip(1);
        rows.map(|line| format!("{}\n", line.splitn(columns + 1, ',').last().unwrap_or("")))
            .collect()
    };
    bench.write("train.csv", &without(1));
    bench.write("narrow.csv", &without(2));
    bench.line("train train.csv --weights 1 --epochs 1 --model m.llfm").succeeds();
    let done = bench.line("predict m.llfm train.csv").succeeds();
    assert!(!done.err.contains("without names"), "{}", done.err);
    let done = bench.line("predict m.llfm narrow.csv");
    assert!(done.err.contains("3 columns without names"), "{}", done.err);
}

#[test]
fn millions_of_hashed_features_are_saved_and_loaded() {
    let bench = Bench::new();
    bench.write("data.svm", &"1 7:1 900000000:2\n0 3:1 80:1\n".repeat(20));
    let line = "train data.svm --hash-bits 22 --method fm --factors 1 --epochs 1 --model m.llfm";
    bench.line(line).succeeds();
    let bytes = bench.read("m.llfm");
    let header = u64::from_le_bytes(*bytes.first_chunk().expect("a length"));
    assert!(header < 10_000, "{header} bytes of metadata, whose length readers limit");
    assert_eq!(bench.line("predict m.llfm data.svm").succeeds().out.lines().count(), 40);
}

#[test]
fn flags_about_columns_that_cannot_be_are_usage_errors() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(30, 1));
    bench.write("data.svm", "1 1:2\n0 1:3\n");
    for (line, code, words) in [
        ("train data.csv --ignore animal", 2, ["--ignore animal", "label"]),
        ("train data.csv --ignore west", 3, ["`west`", "`east`"]),
        ("train data.csv --weights west", 3, ["weights column `west`", "`east`"]),
        ("train data.csv --ignore east --categorical east", 2, ["--categorical", "--ignore"]),
        ("train data.svm --ignore 1", 2, ["--ignore", "csv"]),
        ("train data.svm --weights 1", 2, ["--weights", "csv"]),
        ("train data.csv --hash-bits 31", 2, ["--hash-bits", "30"]),
    ] {
        bench.line(line).fails(code, &words);
    }
}
