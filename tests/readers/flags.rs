//! What the command line says of columns: ignored, categorical, weights; and hashed features.

use std::path::Path;

use llfm::data::{
    Features, Missing, Notes, Preprocess, PreprocessOptions, RawRows, Scale, Schema, read,
};

use crate::{Bench, assert_data_error, cells, fit, numbers};

const TABLE: &str = "id,a,day,w,label\n7,1,3,0.5,0\n8,4,1,2,1\n9,6,3,0,1\n";

fn asked(ignore: &[&str], categorical: &[&str], weights: Option<&str>) -> Bench {
    let mut bench = Bench::new();
    bench.options.ignore = ignore.iter().map(|&name| name.to_owned()).collect();
    bench.options.categorical = categorical.iter().map(|&name| name.to_owned()).collect();
    bench.options.weights = weights.map(str::to_owned);
    bench
}

fn hashing(bits: u8) -> Bench {
    let mut bench = Bench::new();
    bench.options.hash_bits = Some(bits);
    bench
}

#[track_caller]
fn assert_usage_error(bench: &mut Bench, name: &str, text: &str, parts: &[&str]) {
    let error = bench.read(name, text).expect_err("refused");
    assert_eq!(error.exit_code(), 2, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn ignored_columns_are_no_features() {
    for name in ["id", "1"] {
        let mut bench = asked(&[name, "w"], &[], None);
        let rows = bench.read("a.csv", TABLE).expect("rows");
        assert_eq!(cells(&rows), [[1.0, 3.0], [4.0, 1.0], [6.0, 3.0]]);
        assert_eq!(rows.schema.column_name(1), "day");
        for (text, need_labels) in [
            ("day,id,label,a,w\n3,x,1,1,?\n1,y,0,4,?\n3,z,1,6,?\n", true),
            ("day,a\n3,1\n1,4\n3,6\n", false),
        ] {
            let later = bench.follow(&rows, "b.csv", text, need_labels).expect(text);
            assert_eq!(cells(&later), cells(&rows), "{text}");
        }
        let other = bench.follow(&rows, "b.csv", "day,a,new\n3,1,2\n", false);
        assert_data_error(other, &["`new`", "does not know"]);
    }
}

#[test]
fn ignored_columns_without_names_stand_where_they_did() {
    let mut bench = asked(&["1", "4"], &[], None);
    bench.options.label = Some("3".to_owned());
    let rows = bench.read("a.csv", "7,1,0,9,3\n8,4,1,9,1\n").expect("rows");
    assert_eq!(cells(&rows), [[1.0, 3.0], [4.0, 1.0]]);
    bench.options.label = None;
    let labelled = bench.follow(&rows, "b.csv", "x,1,0,y,3\nx,4,1,y,1\n", true).expect("labelled");
    assert_eq!((cells(&labelled), numbers(&labelled)), (cells(&rows), vec![0.0, 1.0]));
    let bare = bench.follow(&rows, "b.csv", "x,1,y,3\nx,4,y,1\n", false).expect("bare");
    assert_eq!(cells(&bare), cells(&rows));
    bench.options.label = Some("first".to_owned());
    let moved = bench.follow(&rows, "b.csv", "0,x,1,y,3\n1,x,4,y,1\n", true).expect("moved");
    assert_eq!((cells(&moved), numbers(&moved)), (cells(&rows), vec![0.0, 1.0]));
    let few = bench.follow(&rows, "b.csv", "1,3\n4,1\n", false);
    assert_data_error(few, &["expected 4 columns", "found 2"]);
}

#[test]
fn columns_that_share_an_ignored_name_are_all_ignored() {
    let mut bench = asked(&["x"], &[], None);
    let rows = bench.read("a.csv", "x,a,x,label\n1,2,3,0\n4,5,6,1\n").expect("rows");
    assert_eq!(cells(&rows), [[2.0], [5.0]]);
}

#[test]
fn columns_that_cannot_be_what_is_asked_are_refused() {
    let refused = asked(&["ID"], &[], None).read("a.csv", TABLE);
    assert_data_error(refused, &["a.csv", "no column to ignore `ID`", "`id`, `a`"]);
    let refused = asked(&[], &["6"], None).read("a.csv", TABLE);
    assert_data_error(refused, &["no categorical column `6`", "`label`"]);
    let refused = asked(&[], &[], Some("v")).read("a.csv", "1,2,3\n4,5,6\n");
    assert_data_error(refused, &["no weights column `v`", "3 columns without names"]);
    let refused = asked(&["1", "2"], &[], None).read("a.csv", "1,2,3\n4,5,6\n");
    assert_data_error(refused, &["no column is left"]);
    let label = ["this column is the label", "--label"];
    assert_usage_error(&mut asked(&["label"], &[], None), "a.csv", TABLE, &label);
    assert_usage_error(&mut asked(&[], &["5"], None), "a.csv", TABLE, &label);
    assert_usage_error(&mut asked(&[], &[], Some("last")), "a.csv", TABLE, &label);
    let both = ["--weights w", "--ignore"];
    assert_usage_error(&mut asked(&["w"], &[], Some("w")), "a.csv", TABLE, &both);
    let csv = ["csv", "libsvm"];
    assert_usage_error(&mut asked(&["1"], &[], None), "a.svm", "1 1:2\n", &csv);
    assert_usage_error(&mut asked(&[], &["1"], None), "a.svm", "1 1:2\n", &csv);
    assert_usage_error(&mut asked(&[], &[], Some("1")), "u.data", "1\t2\t3\n", &["ratings"]);
}

#[test]
fn categories_may_be_numbers_and_are_not_warned_of() {
    let mut bench = asked(&["id", "w"], &["day"], None);
    let rows = bench.read("a.csv", TABLE).expect("rows");
    let fitted = fit(&rows, &PreprocessOptions::default());
    let names: Vec<String> = (0..fitted.n_features()).map(|j| fitted.feature_name(j)).collect();
    assert_eq!(names, ["a", "day=1", "day=3", "day=<unseen>"]);
    let later = bench.follow(&rows, "b.csv", "a,day\n1,3\n2,4\n", false).expect("rows");
    assert_eq!(cells(&later), [[1.0, 0.0], [2.0, 2.0]]);
    let text = "age,town,y\n1,a,0\n2.5,b,1\nn.k.,a,0\n4,b,1\n";
    let mut plain = asked(&[], &[], None);
    plain.read("t.csv", text).expect("rows");
    assert!(plain.noted("a feature for each"), "{:?}", plain.notes);
    for mut bench in [asked(&[], &["age"], None), asked(&["age"], &[], None)] {
        bench.read("t.csv", text).expect("rows");
        assert!(!bench.noted("a feature for each"), "{:?}", bench.notes);
        assert!(bench.noted("as they hold words: `town`"), "{:?}", bench.notes);
    }
}

#[test]
fn weights_are_read_split_and_no_feature() {
    let mut bench = asked(&["id"], &[], Some("w"));
    let rows = bench.read("a.csv", TABLE).expect("rows");
    assert_eq!(rows.weights, Some(vec![0.5, 2.0, 0.0]));
    assert_eq!(cells(&rows), [[1.0, 3.0], [4.0, 1.0], [6.0, 3.0]]);
    for text in ["day,w,a,label\n3,x,1,0\n", "a,day,label\n1,3,0\n"] {
        let later = bench.follow(&rows, "b.csv", text, true).expect(text);
        assert_eq!((cells(&later), later.weights), (vec![vec![1.0, 3.0]], None), "{text}");
    }
    let parts = rows.split(&[vec![2, 0], vec![1]]);
    let weights: Vec<_> = parts.into_iter().map(|part| part.weights).collect();
    assert_eq!(weights, [Some(vec![0.5, 0.0]), Some(vec![2.0])]);
}

#[test]
fn weights_that_are_none_are_refused_with_their_place() {
    for bad in ["-1", "", "much", "inf", "1e39", "nan"] {
        let text = format!("a,w,label\n1,2,0\n2,{bad},1\n");
        let refused = asked(&[], &[], Some("w")).read("a.csv", text);
        assert_data_error(refused, &["a.csv:3:3", "`w`", "from 0", &format!("`{bad}`")]);
    }
    let refused = asked(&[], &[], Some("2")).read("a.csv", "1,0,0\n2,0,1\n");
    assert_data_error(refused, &["a.csv", "weights column `2`", "every weight is 0"]);
}

/// Columns and values of each row.
fn sparse(fitted: &Preprocess, rows: RawRows, notes: &mut Notes) -> Vec<Vec<(u32, f32)>> {
    let Features::Sparse(rows) = fitted.apply(rows, Path::new("test"), notes).expect("rows apply")
    else {
        panic!("dense");
    };
    assert_eq!(rows.n_cols, fitted.n_features());
    let pairs = |i| {
        let (columns, values) = rows.row(i);
        assert!(columns.is_sorted_by(|a, b| a < b), "{columns:?}");
        columns.iter().copied().zip(values.iter().copied()).collect()
    };
    (0..rows.n_rows()).map(pairs).collect()
}

fn unscaled() -> PreprocessOptions {
    PreprocessOptions { scale: Some(Scale::None), ..PreprocessOptions::default() }
}

fn stored(fitted: &Preprocess) -> Preprocess {
    let stored: Preprocess =
        serde_json::from_str(&serde_json::to_string(fitted).expect("json")).expect("stored");
    assert_eq!(&stored, fitted);
    assert!(stored.is_consistent());
    stored
}

#[test]
fn hashed_indices_need_not_have_been_seen() {
    let mut bench = hashing(18);
    let rows = bench.read("a.svm", "1 1:1 900:2\n0 5:3\n").expect("rows");
    let fitted = stored(&fit(&rows, &unscaled()));
    assert!(fitted.is_sparse());
    assert_eq!(fitted.n_features(), 1 << 18);
    let seen = sparse(&fitted, rows, &mut bench.notes);
    let path = bench.file("b.svm", "1 900:2 1:1\n1 5:3 2000000000:4\n");
    let later = llfm::data::read_with_schema(
        &path,
        &bench.options,
        fitted.schema(),
        true,
        &mut bench.notes,
    );
    let later = sparse(&fitted, later.expect("rows"), &mut bench.notes);
    assert_eq!(later[0], seen[0]);
    assert_eq!((later[1].len(), seen[1].len()), (2, 1));
    assert!(later[1].contains(&seen[1][0]));
    assert!(!bench.noted("unknown to the model"), "{:?}", bench.notes);
}

#[test]
fn hashed_tables_keep_no_levels_and_know_every_word() {
    let mut bench = hashing(20);
    let text = "c,n,label\nred,10,0\nblue,,1\n,30,0\n";
    let rows = bench.read("a.csv", text).expect("rows");
    let fitted = stored(&fit(&rows, &unscaled()));
    assert!(!serde_json::to_string(&fitted).expect("json").contains("blue"));
    let train = sparse(&fitted, rows.clone(), &mut bench.notes);
    let values = |row: &[(u32, f32)]| {
        let mut values: Vec<f32> = row.iter().map(|pair| pair.1).collect();
        values.sort_by(f32::total_cmp);
        values
    };
    let all: Vec<Vec<f32>> = train.iter().map(|row| values(row)).collect();
    assert_eq!(all, [[1.0, 10.0], [1.0, 20.0], [1.0, 30.0]]);
    assert!(bench.noted("1 missing cells") || bench.noted("1 missing cell"), "{:?}", bench.notes);
    let path = bench.file("b.csv", "n,c\n10,green\n10,red\n30,\n7,blue\n");
    let mut reader =
        llfm::data::Reader::open(&path, &bench.options, Some(fitted.schema()), false).expect("b");
    let mut later = Vec::new();
    // Chunks of a row: each has words of its own.
    while let Some(rows) = reader.next(1, &mut bench.notes).expect("a chunk") {
        later.extend(sparse(&fitted, rows, &mut bench.notes));
    }
    assert_eq!(later[1], train[0]);
    assert_eq!(later[2], train[2]);
    assert_eq!(values(&later[0]), [1.0, 10.0]);
    assert!(later[0].iter().any(|pair| !train.concat().contains(pair)), "green has a column");
    assert!(!bench.noted("unseen"), "{:?}", bench.notes);
    let options = PreprocessOptions { missing: Missing::Error, ..unscaled() };
    let refused = Preprocess::fit(&rows, &options, Path::new("a.csv"), &mut bench.notes);
    assert_data_error(refused, &["a.csv:3:6", "--missing"]);
}

#[test]
fn hashed_ratings_have_one_column_each_for_user_and_item() {
    let mut bench = hashing(24);
    let rows = bench.read("u.data", "1\t1\t3\n2\t1\t4\n").expect("rows");
    let fitted = stored(&fit(&rows, &unscaled()));
    let train = sparse(&fitted, rows, &mut bench.notes);
    let path = bench.file("u1.test", "1\t2\t3\n2\t1\t4\n");
    let schema = fitted.schema();
    let rows = llfm::data::read_with_schema(&path, &bench.options, schema, true, &mut bench.notes);
    let later = sparse(&fitted, rows.expect("rows"), &mut bench.notes);
    assert_eq!(later[1], train[1]);
    assert_eq!(later[0].len(), 2);
    assert_eq!(later[0].iter().filter(|pair| train[0].contains(pair)).count(), 1);
}

#[test]
fn hashes_that_collide_are_summed() {
    let mut bench = hashing(1);
    let rows = bench.read("a.svm", "1 1:1 2:2 3:4 4:8 5:16 6:32\n0 1:1\n").expect("rows");
    let rows = sparse(&fit(&rows, &unscaled()), rows, &mut bench.notes);
    assert!(rows[0].len() <= 2);
    assert_eq!(rows[0].iter().map(|pair| pair.1).sum::<f32>(), 63.0);
}

#[test]
fn hashing_is_refused_where_features_have_nothing_to_hash() {
    let mut bench = hashing(10);
    bench.options.format = Some(llfm::data::Format::Npy);
    assert_usage_error(&mut bench, "a.npy", "", &["--hash-bits", "npy"]);
    assert_usage_error(&mut hashing(31), "a.svm", "1 1:1\n", &["--hash-bits 31", "1 to 30"]);
    let mut bench = hashing(10);
    let numbered = bench.read("a.svm", "1 1:1\n0 2:1\n").expect("rows");
    let named = bench.read("a.csv", "a,label\n1,0\n2,1\n").expect("rows");
    let refused = bench.follow(&numbered, "b.csv", "1,0\n", true);
    assert_data_error(refused, &["b.csv", "by number", "csv"]);
    let refused = bench.follow(&named, "b.svm", "1 1:1\n", true);
    assert_data_error(refused, &["b.svm", "by name", "libsvm"]);
}

#[test]
fn schemas_of_older_models_still_load() {
    let mut bench = Bench::new();
    let table = bench.read("a.csv", "a,label\n1,0\n2,1\n").expect("rows").schema;
    let pairs = bench.read("a.svm", "1 1:1\n0 2:1\n").expect("rows").schema;
    for schema in [table, pairs] {
        let text = serde_json::to_string(&schema).expect("json");
        assert!(
            !["ignored", "weights", "hash_bits"].iter().any(|key| text.contains(key)),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Schema>(&text).expect("a schema"), schema);
    }
    let path = bench.file("b.csv", TABLE);
    assert!(read(&path, &bench.options, &mut bench.notes).is_ok());
}
