//! csv and its relatives.

use llfm::data::schema::ColumnKind;
use llfm::data::{Schema, Task};

use crate::{Bench, assert_data_error, cells, numbers, read_text};

const ROWS: [[f32; 2]; 2] = [[1.0, 2.0], [4.0, 5.5]];

#[test]
fn line_ends_marks_comments_and_blanks_make_no_difference() {
    // Row 2.
    for text in [
        "1,2,0\n4,5.5,1\n",
        "1,2,0\r\n4,5.5,1\r\n",
        "\u{feff}1,2,0\n4,5.5,1",
        "# comment\n\n1,2,0\n   \n# more\n4,5.5,1\n\n",
        " 1 , 2 ,0\n4, 5.5, 1 \n",
        "\"1\",2,0\n4,\"5.5\",1\n",
        "a,b,label\n1,2,0\n4,5.5,1\n",
        "1;2;0\n4;5.5;1\n",
        "1\t2\t0\n4\t5.5\t1\n",
        "1 2  0\n4  5.5 1\n",
    ] {
        let rows = read_text("a.csv", text).expect(text);
        assert_eq!(cells(&rows), ROWS, "{text}");
        assert_eq!(numbers(&rows), [0.0, 1.0], "{text}");
    }
}

#[test]
fn quoted_fields_hold_delimiters_quotes_and_line_ends() {
    let text = "name,x,label\n\"a, \"\"b\"\"\nc\",1,0\nplain,2,1\n";
    let rows = read_text("a.csv", text).expect("rows");
    assert_eq!(levels(&rows.schema, 0), ["a, \"b\"\nc", "plain"]);
    assert_data_error(read_text("a.csv", "1,2\n\"3,4\n"), &["a.csv:2", "never ends"]);
}

fn levels(schema: &Schema, column: usize) -> Vec<String> {
    let Schema::Table(table) = schema else { panic!("no table") };
    match &table.columns[column].kind {
        ColumnKind::Categorical { levels } => levels.as_slice().to_vec(),
        ColumnKind::Numeric => panic!("a numeric column"),
    }
}

#[test]
fn headers_are_found_and_can_be_overridden() {
    let mut bench = Bench::new();
    let rows = bench.read("a.csv", "colour,size,class\nred,big,yes\nblue,big,no\n");
    assert_eq!(rows.expect("words below a header of words").n_rows(), 2);
    assert!(bench.noted("`colour`"));
    let rows = read_text("a.csv", "red,big,yes\nblue,big,no\nred,small,no\n");
    assert_eq!(rows.expect("words that come again are no header").n_rows(), 3);
    bench.options.header = Some(false);
    let rows = bench.read("a.csv", "colour,size,class\nred,big,yes\nblue,big,no\n");
    assert_eq!(rows.expect("no header, as asked").n_rows(), 3);
    bench.options.header = Some(true);
    assert_eq!(bench.read("b.csv", "1,2,3\n4,5,6\n").expect("a header, as asked").n_rows(), 1);
}

#[test]
fn a_first_line_behind_a_hash_names_the_columns_where_it_fits() {
    let names = |text: &str| {
        let rows = read_text("a.csv", text).expect(text);
        assert_eq!(cells(&rows), ROWS, "{text}");
        (rows.schema.column_name(0), rows.schema.column_name(1), numbers(&rows))
    };
    let named = |a: &str, b: &str| (a.to_owned(), b.to_owned(), vec![0.0, 1.0]);
    assert_eq!(names("#label,a,b\n0,1,2\n1,4,5.5\n"), named("a", "b"));
    assert_eq!(names("# a b label\n1 2 0\n4 5.5 1\n"), named("a", "b"));
    assert_eq!(names("#,b,label\n1,2,0\n4,5.5,1\n"), named("#", "b"));
    for comment in ["#a,b", "#a,b,label,d", "#a,a,label", "#7,8,9", "\n# more\n#label,a,b"] {
        let text = format!("{comment}\n1,2,0\n4,5.5,1\n");
        assert_eq!(names(&text), named("x1", "x2"), "{text}");
    }
    assert_eq!(names("# x, y, z\na,b,label\n1,2,0\n4,5.5,1\n"), named("a", "b"));
    let rows = read_text("a.csv", "#colour,size,class\nred,big,yes\nblue,small,no\n");
    assert_eq!(rows.expect("rows of words").n_rows(), 2);
    let mut bench = Bench::new();
    let train = bench.read("a.csv", "#a,b,label\n1,2,0\n4,5.5,1\n").expect("rows");
    let later = bench.follow(&train, "b.csv", "#b,a\n2,1\n5.5,4\n", false).expect("rows");
    assert_eq!(cells(&later), ROWS);
    bench.options.header = Some(false);
    let rows = bench.read("a.csv", "#label,a,b\n1,2,0\n4,5.5,1\n").expect("rows");
    assert_eq!(
        (cells(&rows), rows.schema.column_name(0)),
        (ROWS.map(Vec::from).to_vec(), "x1".to_owned())
    );
}

#[test]
fn comments_between_rows_are_counted_in_one_note() {
    let mut bench = Bench::new();
    let text = "# top\n1,2,0\n#tag,7,1\n# more\n4,5.5,1\n# end\n";
    assert_eq!(cells(&bench.read("a.csv", text).expect("rows")), ROWS);
    assert!(bench.noted("2 lines of") && bench.noted("begin with #"), "{:?}", bench.notes);
    let mut bench = Bench::new();
    bench.read("a.csv", "# top\n# more\n1,2,0\n4,5.5,1\n# end\n").expect("rows");
    assert!(!bench.noted("begin with #"));
}

#[test]
fn the_label_column_is_found_by_name_number_or_place() {
    let text = "a,b,Target,c\n1,2,0,3\n4,5,1,6\n";
    let mut bench = Bench::new();
    assert_eq!(numbers(&bench.read("a.csv", text).expect("rows")), [0.0, 1.0]);
    for (label, expected) in [("first", [1.0, 4.0]), ("last", [3.0, 6.0]), ("2", [2.0, 5.0])] {
        bench.options.label = Some(label.to_owned());
        assert_eq!(numbers(&bench.read("a.csv", text).expect("rows")), expected);
    }
    bench.options.label = Some("b".to_owned());
    assert_eq!(numbers(&bench.read("a.csv", text).expect("rows")), [2.0, 5.0]);
    // Row 14.
    bench.options.label = Some("nope".to_owned());
    assert_data_error(bench.read("a.csv", text), &["nope", "`a`", "`Target`", "`c`"]);
}

#[test]
fn keel_headers_name_columns_and_label() {
    let text = "@relation r\n@attribute At1 real[-3,2]\n@attribute Class {-1.0,1.0}\n\
                @attribute At2 real\n@inputs At1, At2\n@outputs Class\n@data\n1,-1.0,2\n4,1.0,5.5\n";
    let rows = read_text("a.dat", text).expect("rows");
    assert_eq!(cells(&rows), ROWS);
    assert_eq!(numbers(&rows), [-1.0, 1.0]);
    assert_eq!(rows.schema.column_name(1), "At2");
}

#[test]
fn columns_in_another_order_are_matched_by_name() {
    // Rows 15 and 16.
    let mut bench = Bench::new();
    let train = bench.read("a.csv", "a,b,label\n1,2,0\n4,5.5,1\n").expect("rows");
    let with = bench.follow(&train, "b.csv", "label,b,a\n0,2,1\n1,5.5,4\n", true).expect("rows");
    assert_eq!(cells(&with), ROWS);
    assert_eq!(numbers(&with), [0.0, 1.0]);
    let without = bench.follow(&train, "b.csv", "b,a\n2,1\n5.5,4\n", false).expect("rows");
    assert_eq!(cells(&without), ROWS);
    assert!(without.labels.is_none());
    let bare = bench.follow(&train, "b.csv", "1,2\n4,5.5\n", false).expect("rows");
    assert_eq!(cells(&bare), ROWS);
    assert_data_error(bench.follow(&train, "b.csv", "b,a\n2,1\n", true), &["no labels"]);
    assert_data_error(bench.follow(&train, "b.csv", "a,z\n2,1\n", false), &["missing", "`b`"]);
}

#[test]
fn ratings_come_with_any_separator_and_with_a_header() {
    for (name, text) in [
        ("u.data", "7\t9\t3\t881\n8\t9\t4\t882\n"),
        ("ua.base", "7,9,3\n8,9,4\n"),
        ("u1.test", "7::9::3::1\n8::9::4::1\n"),
        ("u.data", "7 9 3\n8 9 4\n"),
        ("u.data", "user,item,rating\n7,9,3\n\n8,9,4"),
    ] {
        let rows = read_text(name, text).expect(text);
        assert_eq!(cells(&rows), [[0.0, 0.0], [1.0, 0.0]], "{text}");
        assert_eq!(numbers(&rows), [3.0, 4.0], "{text}");
        assert_eq!(levels(&rows.schema, 0), ["7", "8"]);
    }
    assert_data_error(read_text("u.data", "1\t2\n"), &["u.data:1", "found 2"]);
    assert_data_error(read_text("u.data", "1\t2\t3\n1\t2\tx\n"), &["u.data:2:5", "`x`"]);
}

#[test]
fn ratings_are_a_regression_unless_told_otherwise() {
    let rows = read_text("u.data", "7\t9\t3\n8\t9\t4\n").expect("rows");
    let labels = rows.labels.expect("labels");
    let place = std::path::Path::new("u.data");
    let mut notes = llfm::data::Notes::new();
    let (task, mut map) =
        llfm::data::LabelMap::fit(&labels, None, None, place, &mut notes).expect("a regression");
    assert_eq!(task, Task::Regression);
    assert_eq!(map.clamp(), None);
    map.set_clamp(true);
    assert_eq!(map.clamp(), Some([3.0, 4.0]));
}

#[test]
fn a_single_row_of_words_is_no_header_when_predicting() {
    let mut bench = Bench::new();
    let train = bench.read("a.csv", "red,big,1\nblue,big,0\nred,small,1\n").expect("rows");
    let rows = bench.follow(&train, "b.csv", "blue,huge\n", false).expect("a row");
    assert_eq!(cells(&rows), [[1.0, 2.0]]);
}

#[test]
fn names_that_cannot_be_printed_are_escaped_in_notes_and_errors() {
    let mut bench = Bench::new();
    let text = "\"a\u{1b}[31m\nb\",c\u{202e}é,label\nx,y,0\nx,z,1\n3,z,1\n";
    let rows = bench.read("a.csv", text).expect("rows");
    assert_eq!(rows.schema.column_name(0), "a\u{1b}[31m\nb");
    assert!(bench.noted(r"`a\u{1b}[31m\nb`, `c\u{202e}é`"), "{:?}", bench.notes);
    bench.options.label = Some("nope".to_owned());
    assert_data_error(bench.read("a.csv", text), &[r"`a\u{1b}[31m\nb`"]);
}

#[test]
fn a_column_of_numbers_with_stray_words_is_warned_of() {
    let mut bench = Bench::new();
    let text = "age,town,y\n1,a,0\n2.5,b,1\nn.k.,a,0\n4,b,1\n";
    bench.read("t.csv", text).expect("rows");
    assert!(bench.noted("categorical, a feature for each value: `age`;"));
    let mut plain = Bench::new();
    plain.read("t.csv", text.replace("n.k.", "")).expect("rows");
    assert!(!plain.noted("a feature for each value"));
}
