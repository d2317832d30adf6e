//! Rows 1 to 3, 7 to 11, 13 and 14: what may be wrong with the text of a data file.

use crate::bench::{Bench, clouds, rings};
use crate::{refused, trained};

#[test]
fn fault_01_no_rows() {
    let words: &[&str] = &["no rows"];
    refused(&[
        ("a.csv", "", &["a.csv: no rows"]),
        ("a.csv", "x1,x2,label\n", words),
        ("a.csv", "\n \n", words),
        ("a.tsv", "a\tlabel\n", words),
        ("a.svm", "# nothing\n", words),
        ("a.ffm", "", words),
        ("u.data", "", words),
        ("a.idx", "", words),
        ("a.npy", "", words),
    ]);
    let bench = Bench::with_model();
    bench.write("none.csv", "east,north,animal\n");
    for command in ["predict", "evaluate"] {
        bench.line(&format!("{command} m.llfm none.csv")).fails(3, &["none.csv: no rows"]);
    }
}

#[test]
fn fault_02_ends_of_lines_marks_blanks_and_comments() {
    let spellings = |text: &str| {
        let (first, rest) = text.split_once('\n').expect("lines");
        [
            text.replace('\n', "\r\n"),
            format!("\u{feff}{text}"),
            text.trim_end().to_owned(),
            format!("# a comment\n\n{first}\n   \n# another\n{rest}\n\n"),
        ]
    };
    for (name, text) in [("a.csv", clouds(60, 1)), ("a.svm", rings(60, 1))] {
        let (plain, _) = trained(name, &text, "");
        for other in spellings(&text) {
            let (bench, _) = trained(name, &other, "");
            assert!(bench.read("m.llfm") == plain.read("m.llfm"), "{name}: {other:.40}");
        }
    }
}

#[test]
fn fault_03_a_token_that_is_no_number() {
    for token in ["2:abc", "x:1", "2:", "2", "2:1:1"] {
        let text = format!("1 1:1\n0 1:1 {token}\n");
        refused(&[("a.svm", &text, &["a.svm:2:7", "expected index:value", token])]);
    }
    refused(&[
        ("a.ffm", "1 1:1:1\n0 1:1:1 2:x\n", &["a.ffm:2:9", "field:index:value", "`2:x`"]),
        ("a.svm", "1 1:1\n1,2 1:1\n", &["a.svm:2:1", "several labels a row", "`1,2`"]),
        ("u.data", "1\t2\t3\n1\t2\tx\n", &["u.data:2:5", "expected a number", "`x`"]),
        ("u.data", "1\t2\n", &["u.data:1", "user, item and rating", "found 2"]),
    ]);
    let late = format!("{}1,oops,0\n", "1,2,0\n4,5,1\n".repeat(5_000));
    refused(&[("a.csv", &late, &["a.csv:10001:3", "expected a number", "`oops`"])]);
    let (_, done) = trained("a.csv", "1,2,0\n4,oops,1\n1,2,0\n", "");
    assert!(done.err.contains("categorical"), "{}", done.err);
}

#[test]
fn fault_07_the_same_index_twice() {
    refused(&[
        ("a.svm", "1 1:1 2:3 2:4\n", &["a.svm:1:11", "feature 2 stands twice"]),
        ("a.svm", "1 2:1 1:3 2:0\n", &["a.svm:1:11", "feature 2 stands twice"]),
        ("a.ffm", "1 1:2:1 3:2:1\n", &["a.ffm:1:9", "twice"]),
    ]);
}

#[test]
fn fault_08_indices_out_of_order() {
    let (sorted, _) = trained("a.svm", "1 1:1 2:2 3:3\n0 1:1 2:2\n", "");
    let (bench, done) = trained("a.svm", "1 3:3 1:1 2:2\n0 2:2 1:1\n", "");
    assert_eq!(done.err.matches("out of order are sorted (first on line 1)").count(), 1);
    assert!(bench.read("m.llfm") == sorted.read("m.llfm"));
}

#[test]
fn fault_09_the_index_base() {
    // Where a file has a feature 0, they count from there, also in later files.
    for (text, flags, features) in [
        ("1 0:1 2:3\n0 1:1\n", "", "3"),
        ("1 1:1 2:3\n0 1:1\n", "", "2"),
        ("1 1:1 2:3\n0 1:1\n", "--index-base 0", "3"),
    ] {
        let (bench, _) = trained("a.svm", text, flags);
        bench.write("later.svm", "1:5\n");
        bench.write("zero.svm", "0:5\n");
        let page = bench.line("inspect m.llfm --json").succeeds().result();
        assert_eq!(page["features"].to_string(), features, "{text}");
        bench.line("predict m.llfm later.svm").succeeds();
        let zero = bench.line("predict m.llfm zero.svm");
        match features {
            "2" => drop(zero.fails(3, &["zero.svm:1:1", "index 0", "--index-base"])),
            _ => drop(zero.succeeds()),
        }
    }
    refused(&[("a.svm", "1 0:1\n0 1:2\n1 2147483649:1\n", &["a.svm:3:3"])]);
    let bench = Bench::new();
    bench.write("a.svm", "1 1:1\n0 0:2\n");
    bench.line("train a.svm --index-base 1").fails(3, &["a.svm:2:3", "index 0", "--index-base"]);
}

#[test]
fn fault_10_an_index_beyond_the_largest() {
    for index in ["2147483649", "4294967297", "18446744073709551617", "99999999999999999999999"] {
        let text = format!("1 {index}:1\n");
        refused(&[("a.svm", &text, &["a.svm:1:3", "largest possible, 2147483648"])]);
    }
}

#[test]
fn fault_11_a_negative_index() {
    refused(&[
        ("a.svm", "1 1:1\n0 1:1 -2:1\n", &["a.svm:2:7", "a negative one", "`-2:1`"]),
        ("a.ffm", "1 1:1:1\n0 1:-2:1\n", &["a.ffm:2:3", "a negative one", "`1:-2:1`"]),
    ]);
}

#[test]
fn fault_13_ragged_rows() {
    refused(&[
        ("a.csv", "1,2,0\n1,2\n", &["a.csv:2", "expected 3", "found 2"]),
        ("a.csv", "1,2,0\n1,2,0,4\n", &["a.csv:2", "expected 3", "found 4"]),
        ("a.csv", "1,2,0\n\"1\",2,0,4\n", &["a.csv:2", "expected 3", "found 4"]),
        ("a.tsv", "1\t2\t0\n1\t2\n", &["a.tsv:2", "expected 3", "found 2"]),
        ("a.csv", "1,2\n\"3,4\n", &["a.csv:2", "a quoted field begins here and never ends"]),
    ]);
}

#[test]
fn fault_14_a_label_column_that_is_not_there() {
    let bench = Bench::new();
    bench.write("a.csv", "a,b,Target,c\n1,2,0,3\n4,5,1,6\n");
    let there = ["a.csv", "no label column `nope`", "`a`, `b`, `Target`, `c`"];
    bench.line("train a.csv --label nope").fails(3, &there);
    bench.write("b.csv", "1,2,0\n4,5,1\n");
    let there = ["no label column `4`", "3 columns without names"];
    bench.line("train b.csv --label 4").fails(3, &there);
}
