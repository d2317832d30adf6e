//! `--cache`: the rows of text files, kept beside them.

use crate::bench::{Bench, clouds};

#[test]
fn the_model_is_the_same_with_and_without_and_the_text_is_parsed_once() {
    let bench = Bench::new();
    bench.write("train.csv", &clouds(240, 1));
    bench.write("test.csv", &clouds(60, 2));
    let line = "train train.csv --test test.csv --epochs 2 --force --model";
    bench.line(&format!("{line} a.llfm")).succeeds();
    let first = bench.line(&format!("{line} b.llfm --cache -v")).succeeds();
    assert!(first.err.contains("rows kept in train.csv.llfm-cache"), "{}", first.err);
    let second = bench.line(&format!("{line} c.llfm --cache -v")).succeeds();
    for file in ["train.csv", "test.csv"] {
        let note = format!("note: {file}: rows taken from {file}.llfm-cache");
        assert!(second.err.contains(&note), "{}", second.err);
    }
    assert_eq!(bench.read("a.llfm"), bench.read("b.llfm"));
    assert_eq!(bench.read("a.llfm"), bench.read("c.llfm"));
    let plain = bench.line(&format!("{line} c.llfm --cache")).succeeds();
    assert!(!plain.err.contains("llfm-cache"), "{}", plain.err);
    assert!(bench.names().iter().all(|name| !name.ends_with(".tmp")));
}

#[test]
fn cv_and_search_take_the_rows_from_the_cache_and_a_settings_file_can_ask_for_it() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(120, 1));
    bench.write("c.toml", "cache = true\nepochs = 1\n");
    bench.line("cv data.csv --folds 2 --config c.toml").succeeds();
    for line in ["cv data.csv --folds 2", "search data.csv --grid anchors=2,3"] {
        let done = bench.line(&format!("{line} --cache --epochs 1 -v")).succeeds();
        assert!(done.err.contains("rows taken from data.csv.llfm-cache"), "{}", done.err);
    }
}

#[test]
fn standard_input_cannot_be_kept() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(60, 1));
    bench.line("train - --cache").fails(2, &["--cache", "standard input"]);
    bench.line("train data.csv --valid - --cache").fails(2, &["--cache", "standard input"]);
    bench.line("cv - --cache").fails(2, &["--cache", "standard input"]);
    assert_eq!(bench.names(), ["data.csv"]);
}
