//! Tests that documents name are there, and rows of faults have theirs.

use std::collections::BTreeSet;
use std::path::Path;

/// Documents whose tables say which test holds what they promise.
const DOCUMENTS: [&str; 1] = ["docs/determinism.md"];

/// Names of all tests below a folder: the functions that follow `#[test]`.
fn tests(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests(&path, names);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).expect("source is text");
            names.extend(text.split("#[test]\n").skip(1).filter_map(|rest| {
                let line = rest.lines().find_map(|line| line.trim_start().strip_prefix("fn "))?;
                Some(line.split('(').next()?.to_owned())
            }));
        }
    }
}

/// Code in a text that can only be the name of a test: four words or more.
fn named(text: &str) -> Vec<&str> {
    let is_name = |code: &&str| {
        let mut letters = code.chars();
        code.matches('_').count() >= 3
            && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.split('`').skip(1).step_by(2).filter(is_name).collect()
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = BTreeSet::new();
    tests(&root.join("src"), &mut all);
    tests(&root.join("tests"), &mut all);
    assert!(all.contains("every_test_that_a_document_names_is_there"));
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(root.join(document)).expect(document);
        let named = named(&text);
        assert!(named.len() > 10, "{document}: {named:?}");
        for name in named {
            assert!(all.contains(name), "{document}: there is no test {name}");
        }
    }
}

#[test]
fn every_fault_has_a_row_and_a_test_and_every_such_test_a_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = BTreeSet::new();
    tests(&root.join("tests"), &mut all);
    let tests: BTreeSet<String> =
        all.into_iter().filter(|name| name.starts_with("fault_")).collect();
    let page = std::fs::read_to_string(root.join("docs/faults.md")).expect("the page is there");
    let (mut rows, mut named) = (Vec::new(), BTreeSet::new());
    for line in page.lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let number = cells[0].strip_prefix("| ").and_then(|number| number.parse::<usize>().ok());
        let Some(number) = number else { continue };
        assert_eq!(cells.len(), 4, "number, case, what happens, tests: {line}");
        let start = format!("fault_{number:02}_");
        let of_row = cells[3].split('`').skip(1).step_by(2).map(|test| {
            let (_, name) = test.split_once("::").expect("file::name");
            assert!(name.starts_with(&start), "{name} in row {number}");
            name.to_owned()
        });
        let before = named.len();
        named.extend(of_row);
        assert!(named.len() > before, "row {number} names no test");
        rows.push(number);
    }
    assert!(rows.len() >= 48 && rows.iter().copied().eq(1..=rows.len()), "{rows:?}");
    let lost: Vec<_> = named.difference(&tests).collect();
    assert!(lost.is_empty(), "the table names tests that do not exist: {lost:?}");
    let unknown: Vec<_> = tests.difference(&named).collect();
    assert!(unknown.is_empty(), "the table lacks tests: {unknown:?}");
}
