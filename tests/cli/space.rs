//! What `llfm search` says of settings that cannot be searched as they are written.

use crate::bench::{Bench, clouds};

#[test]
fn a_patience_with_folds_is_refused_with_what_helps_there() {
    let bench = Bench::new();
    let done = bench.line("search absent.csv --folds 3 --grid anchors=2,3 --patience 2");
    done.fails(2, &["--patience 2", "a fold is only measured", "--valid-fraction"]);
    bench.write("data.csv", &clouds(90, 1));
    let line = "search data.csv --folds 3 --epochs 1 --grid patience=1,2";
    bench.line(line).fails(2, &["--patience 1", "a fold is only measured"]);
    bench.line(&format!("{line} --valid-fraction 0.2")).succeeds();
}

#[test]
fn keys_with_underscores_are_refused_with_the_name_of_the_flag() {
    let bench = Bench::new();
    let hint = "`label_smoothing` cannot be searched: did you mean `label-smoothing`?";
    for flags in ["--grid label_smoothing=0,0.1", "--random 2 --range label_smoothing=0..0.2"] {
        let done = bench.line(&format!("search absent.csv {flags}"));
        assert!(done.code == 2 && done.err.contains(hint), "{}", done.err);
    }
    for table in [
        "[grid]\nlabel_smoothing = [0, 0.1]\n",
        "[random]\nlabel_smoothing = \"0..0.2\"\ntrials = 2\n",
    ] {
        bench.write("s.toml", table);
        bench.line("search absent.csv --space s.toml").fails(2, &["s.toml:2", hint]);
    }
}

#[test]
fn a_file_with_a_grid_and_random_points_is_refused() {
    let bench = Bench::new();
    bench.write("s.toml", "[random]\ntrials = 2\nl2 = \"0..1\"\n\n[grid]\nanchors = [2, 3]\n");
    let done = bench.line("search absent.csv --space s.toml");
    done.fails(2, &["s.toml:5", "[grid] or [random], not both"]);
}
