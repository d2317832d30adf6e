//! Readers: the same rows, or the same error, however a file is cut; within the memory allowed.
//!
//! The first byte of an input chooses options (`0`: none), the rest is the file. For idx and npy the
//! next two are the length of a file of labels, which stands before the array.

use std::collections::HashSet;
use std::path::Path;

use llfm::data::schema::ColumnKind;
use llfm::data::{
    Cells, ChunkWriter, Features, Format, LabelMap, Notes, Preprocess, PreprocessOptions,
    RawLabels, RawRows, ReadOptions, Reader, Schema,
};
use llfm::error::{Error, Place, Result};

use super::{assert_printable, with_file};

/// Bytes that rows may take where memory is short.
const LITTLE: u64 = 1 << 14;
/// And where only rows are prepared: a single libsvm line may name 2^31 features.
const PLENTY: u64 = 1 << 22;

/// Checks a file of text.
pub fn text(data: &[u8], format: Format) {
    let Some((&flags, file)) = data.split_first() else { return };
    let name = match format {
        Format::Csv => "a.csv",
        Format::Tsv => "a.tsv",
        Format::Libsvm => "a.svm",
        Format::Libffm => "a.ffm",
        _ => "u.data",
    };
    with_file(name, file, |path| check(&path, &options(flags, format), true));
}

/// Checks a compressed csv, which may unpack to far more than it is.
pub fn packed(data: &[u8]) {
    let options = ReadOptions { max_memory: PLENTY, ..ReadOptions::default() };
    with_file("a.csv.gz", data, |path| check(&path, &options, true));
}

/// Checks an array with a file of labels, or without.
pub fn array(data: &[u8], format: Format) {
    let Some((&[flags, low, high], rest)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (labels, array) = rest.split_at(length);
    let name = if format == Format::Idx { "a.idx" } else { "a.npy" };
    with_file("labels", labels, |labels| {
        let has_labels = flags == b'0';
        let labels = has_labels.then_some(labels);
        let options = ReadOptions { format: Some(format), labels, ..ReadOptions::default() };
        with_file(name, array, |path| check(&path, &options, has_labels));
    });
}

/// What a byte asks of a reader.
fn options(flags: u8, format: Format) -> ReadOptions {
    let mut options = ReadOptions { format: Some(format), ..ReadOptions::default() };
    let bit = |i: u8| (flags ^ b'0') >> i & 1 == 1;
    if matches!(format, Format::Csv | Format::Tsv) {
        options.header = bit(0).then_some(bit(1));
        options.ignore.extend(bit(2).then(|| "2".to_owned()));
        options.categorical.extend(bit(3).then(|| "1".to_owned()));
        options.weights = bit(4).then(|| "3".to_owned());
        options.label = bit(5).then(|| "first".to_owned());
    } else if format != Format::Ratings {
        options.index_base = bit(0).then_some(u8::from(bit(1)));
    }
    options.hash_bits = bit(6).then_some(5);
    options
}

fn check(path: &Path, options: &ReadOptions, need_labels: bool) {
    let whole = read(path, options, None, need_labels, usize::MAX);
    let mut from_zero = options.clone();
    // As `--stream` does: rows to come may have a feature 0.
    from_zero.index_base = options.index_base.or(Some(0));
    let pieces = read(path, &from_zero, None, need_labels, 1);
    match (&whole, pieces) {
        (Ok(whole), Ok(pieces)) => assert_same(whole, &based(pieces, whole), "by rows"),
        (Err(whole), Err(pieces)) => {
            assert_eq!(whole.to_string(), pieces.to_string(), "by rows");
            assert_fault(whole, path);
        }
        (whole, pieces) => panic!("whole {whole:?}, by rows {pieces:?}"),
    }
    let little = ReadOptions { max_memory: LITTLE, ..options.clone() };
    match read(path, &little, None, need_labels, usize::MAX) {
        Ok(rows) => {
            assert!(bytes(&rows) <= LITTLE, "{} bytes of rows", bytes(&rows));
            assert_same(
                whole.as_ref().expect("more memory does no harm"),
                &rows,
                "in little memory",
            );
        }
        Err(error) => assert_fault(&error, path),
    }
    if let Ok(whole) = whole {
        followed(path, options, whole.clone(), need_labels);
        prepared(path, whole);
    }
}

/// Rows read `at_once` at a time, put together by a file of rows as `--stream` and `--cache` do.
fn read(
    path: &Path,
    options: &ReadOptions,
    schema: Option<&Schema>,
    need_labels: bool,
    at_once: usize,
) -> Result<RawRows> {
    let mut notes = Notes::new();
    let mut reader = Reader::open(path, options, schema, need_labels)?;
    let folder = path.parent().expect("a folder");
    let mut writer = ChunkWriter::unnamed(folder, path)?;
    let mut any = false;
    while let Some(rows) = reader.next(at_once, &mut notes)? {
        assert!((1..=at_once).contains(&rows.n_rows()), "{} rows", rows.n_rows());
        assert_shape(&rows, need_labels);
        notes.iter().for_each(|note| assert_printable(&note.text));
        if at_once == usize::MAX {
            let rest = reader.next(at_once, &mut notes)?;
            assert!(rest.is_none(), "rows behind the last");
            return Ok(rows);
        }
        any = true;
        writer.push(&rows)?;
    }
    assert!(any, "a file without rows is an error");
    writer.finish_unnamed()?.read_all()
}

/// Rows whose first feature was taken to be called 0, by the name it has in `whole`.
fn based(mut rows: RawRows, whole: &RawRows) -> RawRows {
    if let (
        Schema::Sparse { index_base: 1, .. },
        Schema::Sparse { n_features, index_base: base @ 0, .. },
        Cells::Sparse(csr),
    ) = (&whole.schema, &mut rows.schema, &mut rows.cells)
    {
        let less = n_features.saturating_sub(1);
        (*base, *n_features, csr.n_cols) = (1, less, less);
        csr.indices.iter_mut().for_each(|j| *j -= 1);
    }
    rows
}

/// Every part has as many rows as the others, every code a level, every column its place.
fn assert_shape(rows: &RawRows, need_labels: bool) {
    let n = rows.n_rows();
    let labels = rows.labels.as_ref();
    assert!(!need_labels || labels.is_some(), "labels were asked for");
    assert!(labels.is_none_or(|labels| labels.len() == n), "labels {labels:?} of {n} rows");
    assert!(rows.weights.as_ref().is_none_or(|weights| weights.len() == n), "a weight a row");
    match &rows.cells {
        Cells::Table(cells) => assert_eq!(cells.ncols(), rows.n_columns()),
        Cells::Sparse(csr) => {
            assert_eq!((csr.n_cols, csr.offsets[n]), (rows.n_columns(), csr.values.len()));
            for i in 0..n {
                let (indices, values) = csr.row(i);
                assert!(indices.is_sorted_by(|a, b| a < b), "{indices:?}");
                assert!(indices.iter().all(|&j| (j as usize) < csr.n_cols), "{indices:?}");
                assert!(values.iter().all(|x| x.is_finite() && *x != 0.0), "{values:?}");
            }
        }
    }
}

/// Bytes of cells and labels.
fn bytes(rows: &RawRows) -> u64 {
    let cells = match &rows.cells {
        Cells::Table(cells) => 4 * cells.len(),
        Cells::Sparse(csr) => 8 * csr.values.len(),
    };
    cells as u64
}

/// The error names the file, or the flag at fault; nothing but the data or the options is.
fn assert_fault(error: &Error, path: &Path) {
    let text = error.to_string();
    assert_printable(&text);
    match error {
        Error::Data { place: Place { file, .. }, message } => {
            let about = file == path || file.file_name().is_some_and(|name| name == "labels");
            assert!(about && !message.is_empty(), "{text}");
        }
        Error::Usage(_) => assert!(text.contains("--"), "no flag is named: {text}"),
        _ => panic!("{error:?}"),
    }
}

/// Compares all that rows are; NaN is NaN.
pub fn assert_same(a: &RawRows, b: &RawRows, how: &str) {
    assert_eq!(a.schema, b.schema, "{how}");
    match (&a.cells, &b.cells) {
        (Cells::Table(a), Cells::Table(b)) => {
            assert_eq!(a.dim(), b.dim(), "{how}");
            let same = a.iter().zip(b).all(|(a, b)| alike(f64::from(*a), f64::from(*b)));
            assert!(same, "{how}: {a:?} {b:?}");
        }
        (Cells::Sparse(a), Cells::Sparse(b)) => {
            assert_eq!((&a.offsets, &a.indices), (&b.offsets, &b.indices), "{how}");
            let mut both = a.values.iter().zip(&b.values);
            assert!(both.all(|(a, b)| alike(f64::from(*a), f64::from(*b))), "{how}: {a:?} {b:?}");
        }
        _ => panic!("{how}: a table and sparse rows"),
    }
    match (&a.labels, &b.labels) {
        // On which line a name stands first is told of a whole file only.
        (
            Some(RawLabels::Words { names, codes, .. }),
            Some(RawLabels::Words { names: other_names, codes: other_codes, .. }),
        ) => assert_eq!((names, codes), (other_names, other_codes), "{how}"),
        (Some(RawLabels::Numbers(a)), Some(RawLabels::Numbers(b)))
        | (Some(RawLabels::Ratings(a)), Some(RawLabels::Ratings(b))) => {
            let same = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(*a, *b));
            assert!(same, "{how}: {a:?} {b:?}");
        }
        (a, b) => assert_eq!(a, b, "{how}"),
    }
    assert_eq!(a.weights, b.weights, "{how}");
}

/// The same number, or none in both.
fn alike(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// A file that follows the schema it gave has the same cells, whole or by rows.
fn followed(path: &Path, options: &ReadOptions, mut rows: RawRows, need_labels: bool) {
    // Only rows that train have them.
    rows.weights = None;
    if names_are_words(&rows) {
        return;
    }
    let schema = Some(&rows.schema);
    let again = read(path, options, schema, need_labels, usize::MAX);
    let again = again.unwrap_or_else(|error| panic!("{error}, which {:?} is of", rows.schema));
    if rows.schema.hash_bits().is_some() {
        return hashed(path, options, &rows, again);
    }
    assert_same(&rows, &again, "by its own schema");
    let by_rows = read(path, options, schema, need_labels, 1);
    let by_rows = by_rows.unwrap_or_else(|error| panic!("{error}, by rows"));
    assert_same(&rows, &by_rows, "by its own schema and rows");
}

/// Whether all names of columns are words of rows, too: which line is the header then is a guess.
fn names_are_words(rows: &RawRows) -> bool {
    let Schema::Table(table) = &rows.schema else { return false };
    let mut words = HashSet::new();
    for column in &table.columns {
        if let ColumnKind::Categorical { levels } = &column.kind {
            words.extend(levels.as_slice());
        }
    }
    if let Some(RawLabels::Words { names, .. }) = &rows.labels {
        words.extend(names);
    }
    table.columns.iter().all(|column| column.name.as_ref().is_some_and(|name| words.contains(name)))
}

/// A hash forgets words from chunk to chunk: the features are the same, not the codes.
fn hashed(path: &Path, options: &ReadOptions, rows: &RawRows, again: RawRows) {
    let mut notes = Notes::new();
    let Ok(fitted) = Preprocess::fit(rows, &PreprocessOptions::default(), path, &mut notes) else {
        return;
    };
    let features = fitted.apply(rows.clone(), path, &mut notes).expect("its own rows");
    let followed = fitted.apply(again, path, &mut notes).expect("its own rows");
    assert_eq!(features, followed);
    let mut reader = Reader::open(path, options, Some(&rows.schema), false).expect("the same file");
    let mut n = 0;
    while let Some(row) = reader.next(1, &mut notes).expect("the same rows") {
        let row = fitted.apply(row, path, &mut notes).expect("its own rows");
        assert_eq!(features.select(&[n]), row, "row {n} by itself");
        n += 1;
    }
    assert_eq!(n as usize, rows.n_rows());
}

/// Labels and features are fitted, or refused in words; what is fitted applies to its own rows.
pub fn prepared(path: &Path, rows: RawRows) {
    let mut notes = Notes::new();
    if let Some(labels) = &rows.labels {
        match LabelMap::fit(labels, None, None, path, &mut notes) {
            Ok((_, map)) => {
                let targets = map.targets(labels, path, &mut notes);
                targets.map_or_else(|error| assert_fault(&error, path), drop);
            }
            Err(error) => assert_fault(&error, path),
        }
    }
    let options = PreprocessOptions { max_memory: PLENTY, ..PreprocessOptions::default() };
    match Preprocess::fit(&rows, &options, path, &mut notes) {
        Ok(fitted) => {
            assert!(fitted.is_consistent());
            let (n, p) = (rows.n_rows(), fitted.n_features());
            let features = match fitted.apply(rows, path, &mut notes) {
                Ok(features) => features,
                Err(error) => return assert_fault(&error, path),
            };
            assert_eq!((features.n_rows(), features.n_cols()), (n, p));
            let finite = match &features {
                Features::Dense(cells) => cells.iter().all(|x| x.is_finite()),
                Features::Sparse(csr) => csr.values.iter().all(|x| x.is_finite()),
            };
            assert!(finite, "{features:?} of {fitted:?}");
        }
        Err(error) => assert_fault(&error, path),
    }
}
