//! What the defaults reach on the embedded sets. One seed, so the outcome is always the same; the
//! floors lie below what was measured when they were set, in parentheses.

use crate::run;

fn accuracy(line: &str) -> f64 {
    let lines = run(&format!("train {line} --json"));
    lines.last().and_then(|l| l["test"]["accuracy"].as_f64()).expect("a test accuracy")
}

#[test]
fn banana_needs_anchors() {
    let banana = "data/banana.csv.gz --test-fraction 0.3333";
    let (jo, fm) = (accuracy(banana), accuracy(&format!("{banana} --method fm")));
    assert!(jo >= 0.885, "llfm-jo: {jo} (.8975)");
    assert!(fm < 0.65, "fm: {fm} (.555)");
}

#[test]
fn every_local_method_learns_banana() {
    for method in ["llfm-do", "llfm-apl"] {
        let line = format!("data/banana.csv.gz --test-fraction 0.3333 --method {method}");
        let found = accuracy(&line);
        assert!(found >= 0.88, "{method}: {found} (.896, .898)");
    }
}

#[test]
fn magic04_is_better_with_anchors() {
    let magic = "data/magic04.csv.gz --test-fraction 0.3333";
    let (jo, fm) = (accuracy(magic), accuracy(&format!("{magic} --method fm")));
    assert!(jo >= 0.86, "llfm-jo: {jo} (.8738)");
    assert!(jo > fm + 0.01, "llfm-jo {jo}, fm {fm}");
}

#[test]
fn letter_is_better_with_anchors() {
    let letter = "data/letter.csv.gz --test-fraction 0.25";
    let (jo, fm) = (accuracy(letter), accuracy(&format!("{letter} --method fm")));
    assert!(jo >= 0.955, "llfm-jo: {jo} (.9698)");
    assert!(jo > fm + 0.02, "llfm-jo {jo}, fm {fm}");
}
