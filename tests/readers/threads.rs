//! Blocks and threads make no difference: rows, notes and errors are those of one thread with one
//! block.

use std::path::Path;

use llfm::data::schema::ColumnKind;
use llfm::data::{Cells, Notes, RawRows, ReadOptions, Reader, Schema};
use proptest::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::Bench;

/// Memory for blocks of a few lines.
const TINY: u64 = 400_000;

/// All that reading in chunks of `at_once` rows gives, as text, as NaN is not equal to itself.
fn outcome(
    path: &Path,
    options: &ReadOptions,
    schema: Option<&Schema>,
    at_once: usize,
) -> Vec<String> {
    let (mut notes, mut found) = (Notes::new(), Vec::new());
    match Reader::open(path, options, schema, true) {
        Err(error) => found.push(error.to_string()),
        Ok(mut reader) => loop {
            match reader.next(at_once, &mut notes) {
                Ok(Some(rows)) => found.push(format!("{rows:?}")),
                Ok(None) => break,
                Err(error) => {
                    found.push(error.to_string());
                    break;
                }
            }
        },
    }
    found.push(format!("{:?}", notes.iter().collect::<Vec<_>>()));
    found
}

fn pools() -> [ThreadPool; 2] {
    [1, 4].map(|n| ThreadPoolBuilder::new().num_threads(n).build().expect("threads"))
}

/// Compares one block with tiny ones, read by one thread and by four.
fn assert_alike(
    pools: &[ThreadPool; 2],
    path: &Path,
    options: &ReadOptions,
    schema: Option<&Schema>,
) {
    let tiny = ReadOptions { max_memory: TINY, ..options.clone() };
    for at_once in [usize::MAX, 7] {
        let expected = pools[0].install(|| outcome(path, options, schema, at_once));
        for pool in pools {
            let found = pool.install(|| outcome(path, &tiny, schema, at_once));
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}

/// Lines of which each says its number.
fn lines(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).map(|i| line(i) + "\n").collect()
}

/// Texts with everything that a row can leave to the rows below it.
fn texts() -> Vec<(&'static str, String)> {
    let words = |i: usize| format!("{},w{},{}", i % 5, i * i % 17, i % 3);
    let quoted = |i: usize| match i % 9 {
        4 => format!("\"a\n{i},\"\"b\",{i},1"),
        7 => format!("# {i}\n\n\"x,{i}\",,0"),
        _ => format!("c{},{i},{}", i % 4, i % 2),
    };
    let pairs = |i: usize| format!("{} {}:1 {}:{i}", i % 3, i % 7 + 1, i % 50 + 8);
    vec![
        ("words.csv", lines(300, words)),
        ("quoted.csv", format!("name,x,label\n{}", lines(300, quoted))),
        ("labels.csv", lines(300, |i| format!("{i},{}", if i < 200 { i % 9 } else { i % 9 + 90 }))),
        (
            "late.csv",
            lines(300, |i| format!("{i},{}", if i == 230 { "b".into() } else { i.to_string() })),
        ),
        ("spaces.csv", lines(300, |i| format!("{i}  {} {}", i * 2, i % 2))),
        ("ragged.csv", lines(300, |i| if i == 210 || i == 240 { "1,2".into() } else { words(i) })),
        ("open.csv", format!("{}\"never,1,0\n", lines(300, words))),
        ("both.csv", format!("{}1,2\n\"never,1,0\n", lines(300, words))),
        ("tabs.tsv", lines(300, |i| format!("{i}\t?\tlabel{}", i % 30))),
        ("pairs.svm", lines(300, pairs)),
        ("zero.svm", lines(300, |i| if i == 222 { "1 0:3".into() } else { pairs(i) })),
        (
            "unsorted.svm",
            lines(300, |i| if i > 250 { format!("1 9:1 {}:2", i % 8 + 1) } else { pairs(i) }),
        ),
        ("twice.svm", lines(300, |i| if i > 250 { "1 9:1 9:2".into() } else { pairs(i) })),
        (
            "words.svm",
            lines(300, |i| format!("{} 1:{i} # {i}\n", if i % 40 == 39 { "up" } else { "7" })),
        ),
        ("fault.svm", lines(300, |i| if i % 100 == 99 { format!("1 {i}:x") } else { pairs(i) })),
        ("fields.ffm", lines(300, |i| format!("{} 1:{}:1 2:{}:0.5", i % 2, i % 9, i % 90 + 9))),
        ("ratings.csv", lines(300, |i| format!("u{},i{},{}", i % 41, i % 37, i % 5))),
    ]
}

#[test]
fn every_kind_of_text_reads_the_same_in_blocks() {
    let (bench, pools) = (Bench::new(), pools());
    for (name, text) in texts() {
        let path = bench.file(name, text);
        assert_alike(&pools, &path, &bench.options, None);
    }
}

#[test]
fn texts_that_follow_a_schema_read_the_same_in_blocks() {
    let (mut bench, pools) = (Bench::new(), pools());
    let follow = |bench: &Bench, train: &RawRows, name: &str, text: &str| {
        let path = bench.file(name, text);
        assert_alike(&pools, &path, &bench.options, Some(&train.schema));
    };
    let words = texts().swap_remove(0).1;
    let train = bench.read("t.csv", "1,w0,0\n2,w1,1\n3,w4,2\n").expect("rows");
    follow(&bench, &train, "later.csv", &words);
    let sparse = bench.read("t.svm", "1 1:1 20:1\n0 2:1\n").expect("rows");
    follow(&bench, &sparse, "later.svm", &lines(300, |i| format!("{} {}:1", i % 2, i % 40 + 1)));
    bench.options.hash_bits = Some(5);
    let train = bench.read("t.csv", "1,w0,0\n2,w1,1\n3,w4,2\n").expect("rows");
    follow(&bench, &train, "later.csv", &words);
    bench.options.weights = Some("1".to_owned());
    let path = bench.file("later.csv", words);
    assert_alike(&pools, &path, &bench.options, None);
}

#[test]
fn a_file_cut_off_is_noticed_behind_the_rows_in_front() {
    let (bench, pools) = (Bench::new(), pools());
    let packed = zstd::encode_all(texts()[0].1.as_bytes(), 1).expect("bytes");
    let path = bench.file("cut.csv.zst", &packed[..packed.len() - 9]);
    assert_alike(&pools, &path, &bench.options, None);
}

#[test]
fn blocks_of_full_size_are_put_together_in_order() {
    let (mut bench, [one, four]) = (Bench::new(), pools());
    let csv = lines(90_000, |i| format!("{i},w{},{}", i * 7919 % 4_001, i % 11));
    let svm = lines(90_000, |i| format!("{} {}:{i} 5000:1", i % 2, i % 4_000 + 1));
    for (name, text) in [("a.csv", csv), ("a.svm", svm)] {
        let rows = one.install(|| bench.read(name, &text)).expect("rows");
        assert_eq!(four.install(|| bench.read(name, &text)).expect("rows"), rows);
        let last = 89_999;
        match (&rows.cells, &rows.schema) {
            (Cells::Table(cells), Schema::Table(schema)) => {
                assert_eq!(cells.row(last).to_vec(), [89_999.0, 1_977.0]);
                let ColumnKind::Categorical { levels } = &schema.columns[1].kind else {
                    panic!("numbers");
                };
                assert_eq!(levels.as_slice()[1_977], format!("w{}", last * 7919 % 4_001));
                assert_eq!(levels.len(), 4_001);
            }
            (Cells::Sparse(csr), _) => assert_eq!(csr.row(last).1, [89_999.0, 1.0]),
            _ => panic!("columns and cells differ"),
        }
    }
}

/// Lines of one kind that are mostly right.
fn text() -> impl Strategy<Value = String> {
    let csv = prop_oneof![
        60 => (0..9_u8, "[a-e]", -9..9_i8).prop_map(|(a, b, c)| format!("{a},{b},{c}\n")),
        5 => "[0-9],\"[a-c,\n]{0,3}\",[ab]\n",
        2 => "#[a-c]{0,3}\n",
        1 => "[-0-9a:.,;\"\t\n #?@e]{0,12}\n",
    ];
    let pairs = prop_oneof![
        60 => (0..5_u8, 5..9_u8, 0..3_u8).prop_map(|(a, b, c)| format!("{c} {a}:1 {b}:2\n")),
        5 => (1..9_u8, 1..9_u8).prop_map(|(a, b)| format!("a {a}:1 {b}:2 # c\n")),
        1 => "[-0-9a:. #e]{0,12}\n",
    ];
    let many = |line: BoxedStrategy<String>| prop::collection::vec(line, 0..80);
    let lines = prop_oneof![many(csv.boxed()), many(pairs.boxed())];
    lines.prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_texts_read_the_same_in_blocks(
        text in text(),
        name in prop::sample::select(vec!["a.csv", "a.tsv", "a.svm", "a.ffm", "a"]),
    ) {
        let bench = Bench::new();
        let path = bench.file(name, text);
        assert_alike(&pools(), &path, &bench.options, None);
    }
}
