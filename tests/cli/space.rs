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
