//! Labels to classes and values.

use std::path::Path;

use llfm::data::{LabelMap, Notes, RawLabels, Targets, Task, UNKNOWN_CLASS};
use llfm::error::Result;

use crate::{assert_data_error, read_text};

/// Labels as a file of one feature has them.
fn labels(words: &[&str]) -> RawLabels {
    let text: String = words.iter().map(|word| format!("1,{word}\n")).collect();
    read_text("a.csv", text).expect("rows").labels.expect("labels")
}

fn fit(words: &[&str], task: Option<Task>, positive: Option<&str>) -> Result<(Task, LabelMap)> {
    LabelMap::fit(&labels(words), task, positive, Path::new("a.csv"), &mut Notes::new())
}

fn classes(map: &LabelMap, words: &[&str], notes: &mut Notes) -> Vec<u32> {
    match map.targets(&labels(words), Path::new("b.csv"), notes).expect("targets") {
        Targets::Classes(classes) => classes,
        Targets::Values(_) => panic!("values"),
    }
}

#[test]
fn two_values_are_binary_and_the_larger_is_positive() {
    // Row 26.
    for (words, negative, positive) in [
        (["0", "1"], "0", "1"),
        (["1.0", "-1.0"], "-1", "1"),
        (["2", "1"], "1", "2"),
        (["10", "9"], "9", "10"),
        (["ham", "spam"], "ham", "spam"),
    ] {
        let (task, map) = fit(&words, None, None).expect("binary");
        assert_eq!(task, Task::Binary);
        assert_eq!((map.class_name(0), map.class_name(1)), (negative, positive));
        assert_eq!(classes(&map, &[positive, negative], &mut Notes::new()), [1, 0]);
    }
}

#[test]
fn the_spelling_of_a_number_does_not_matter() {
    let (_, map) = fit(&["-1", "+1"], None, None).expect("binary");
    assert_eq!(classes(&map, &["-1.0", "1e0", "01"], &mut Notes::new()), [0, 1, 1]);
    let (_, map) = fit(&["1", "2", "x"], None, None).expect("classes");
    assert_eq!(classes(&map, &["1.0", "x", "2.00"], &mut Notes::new()), [0, 2, 1]);
}

#[test]
fn the_task_is_chosen_by_the_labels() {
    assert_eq!(fit(&["1", "2", "3.0"], None, None).expect("a task").0, Task::Multiclass);
    assert_eq!(fit(&["1", "2", "3.5"], None, None).expect("a task").0, Task::Regression);
    assert_eq!(fit(&["a", "b", "c"], None, None).expect("a task").0, Task::Multiclass);
    let many: Vec<String> = (0..101).map(|label| label.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(fit(&many, None, None).expect("a task").0, Task::Regression);
    assert_eq!(fit(&many[..100], None, None).expect("a task").0, Task::Multiclass);
    assert_eq!(fit(&["1", "2"], Some(Task::Regression), None).expect("a task").0, Task::Regression);
}

#[test]
fn one_of_many_classes_can_be_called_positive() {
    let (task, map) = fit(&["1", "2", "3"], None, Some("2.0")).expect("binary");
    assert_eq!(task, Task::Binary);
    assert_eq!((map.n_classes(), map.class_name(1)), (2, "2"));
    assert_eq!(classes(&map, &["1", "2", "3", "9"], &mut Notes::new()), [0, 1, 0, 0]);
    let (_, map) = fit(&["a", "b"], None, Some("a")).expect("binary");
    assert_eq!((map.class_name(0), map.class_name(1)), ("b", "a"));
    assert_eq!(fit(&["1", "2", "3"], None, Some("7")).expect_err("absent").exit_code(), 2);
    let binary = fit(&["1", "2", "3"], Some(Task::Binary), None);
    assert_eq!(binary.expect_err("three classes").exit_code(), 2);
}

#[test]
fn the_rest_has_a_name_no_class_has() {
    for (positive, negative) in [("rest", "not rest"), ("a", "not a")] {
        let (_, map) = fit(&["a", "b", "rest"], None, Some(positive)).expect("binary");
        assert_eq!((map.class_name(0), map.class_name(1)), (negative, positive));
        let found = classes(&map, &["a", "b", "rest"], &mut Notes::new());
        assert_eq!(found, ["a", "b", "rest"].map(|word| u32::from(word == positive)));
    }
    let (_, map) = fit(&["a", "b", "c"], None, Some("a")).expect("binary");
    assert_eq!(map.class_name(0), "rest");
}

#[test]
fn a_class_training_never_saw_is_unknown_and_named() {
    // Row 17.
    let (_, map) = fit(&["1", "2", "3"], None, None).expect("classes");
    let mut notes = Notes::new();
    assert_eq!(classes(&map, &["1", "8", "7", "8"], &mut notes)[1..], [UNKNOWN_CLASS; 3]);
    let said: Vec<String> = notes.iter().map(|note| note.to_string()).collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("3 rows") && said[0].contains("7, 8"), "{said:?}");
}

#[test]
fn labels_that_are_missing_or_no_numbers_are_refused() {
    // Row 5.
    for word in ["", "nan", "?", "NA", "N/A", "n/a", "#N/A", "None", "NULL", "<NA>"] {
        let text = format!("1,2\n1,{word}\n");
        assert_data_error(read_text("a.csv", text), &["a.csv:2:3", "label is missing"]);
    }
    assert_data_error(read_text("a.csv", "1,2\n1,inf\n"), &["a.csv:2:3", "finite"]);
    let words = fit(&["1.5", "2.5", "x"], Some(Task::Regression), None);
    assert_data_error(words, &["a.csv:3", "`x`", "regression"]);
    let large = fit(&["1.5", "1e39"], Some(Task::Regression), None);
    assert_data_error(large, &["single precision"]);
}

#[test]
fn a_few_words_among_many_numbers_are_no_classes_unless_asked_for() {
    let mut words: Vec<String> = (0..200).map(|label| format!("{label}.5")).collect();
    words[150] = "oops".to_owned();
    words[160] = "later".to_owned();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_data_error(fit(&words, None, None), &["a.csv:151", "`oops`", "--task"]);
    let (task, map) = fit(&words, Some(Task::Multiclass), None).expect("classes, as asked");
    assert_eq!((task, map.n_classes()), (Task::Multiclass, 200));
    assert_eq!(fit(&words[100..], None, None).expect("100 classes").1.n_classes(), 100);
    let many: Vec<String> = (0..200).map(|label| format!("class {label}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(fit(&many, None, None).expect("words alone").1.n_classes(), 200);
}

#[test]
fn the_mapping_survives_being_stored() {
    for map in [
        fit(&["a", "b", "c"], None, None).expect("classes").1,
        fit(&["0.1", "0.2", "0.3"], None, None).expect("values").1,
    ] {
        let text = serde_json::to_string(&map).expect("json");
        assert_eq!(serde_json::from_str::<LabelMap>(&text).expect("a map"), map);
    }
}
