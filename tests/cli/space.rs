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

#[test]
fn what_fm_has_no_use_for_fails_with_how_to_search_it() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(90, 1));
    let hint = "make two searches: one of the other methods with it, one of fm without";
    let line = "search data.csv --epochs 1 --grid anchors=2,3 --grid method=fm,llfm-jo --output s";
    let done = bench.line(line).succeeds();
    assert!(done.out.contains("4 trials, 0 diverged, 2 failed"), "{}", done.out);
    assert_eq!(String::from_utf8_lossy(&bench.read("s.csv")).matches(hint).count(), 2);
    let done = bench.line("search absent.csv --anchors 5 --grid method=fm,llfm-jo");
    done.fails(2, &["--anchors has no meaning", hint]);
    let done = bench.line("search absent.csv --anchors 5 --method fm --grid l2=0,1");
    assert!(done.code == 2 && !done.err.contains(hint), "{}", done.err);
}

#[test]
fn the_first_line_names_every_method_and_loss_that_is_tried() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(90, 1));
    let line = "search data.csv --epochs 1 --grid method=fm,llfm-apl --grid loss=softmax,ovr \
                --eval-metric accuracy";
    let done = bench.line(line).succeeds();
    let first = done.out.lines().next().unwrap_or_default();
    assert_eq!(first, "fm, llfm-apl · multiclass · softmax, ovr loss");
    let start = &bench.line(&format!("{line} --json")).succeeds().json_lines()[0];
    assert_eq!(start["method"], "fm, llfm-apl");
    let done = bench.line("search data.csv --epochs 1 --grid factors=2,3").succeeds();
    assert!(done.out.starts_with("llfm-jo · multiclass · softmax loss"), "{}", done.out);
}

#[test]
fn halving_in_a_file_is_refused_with_shards_and_not_left_out() {
    let bench = Bench::new();
    bench.write("s.toml", "halving = 2\nepochs = 4\n[grid]\nanchors = [2, 3, 4]\n");
    let done = bench.line("search absent.csv --space s.toml --output s --shard 1/2");
    done.fails(2, &["--halving", "--shard", "all points"]);
    let help = bench.line("search --help").succeeds().out;
    assert!(help.contains("Not with --halving"), "{help}");
}
