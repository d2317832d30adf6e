//! One way in for every format: a whole file, or a chunk of rows at a time.

use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::format::Format;
use super::hash::MAX_BITS;
use super::notes::Notes;
use super::raw::RawRows;
use super::schema::{Schema, TableSchema};
use super::source::Input;
use super::{csv, idx, libsvm, npy, ratings};
use crate::error::{Error, Place, Result};

/// How a file is to be read; whatever is `None` is found out from the file.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The format; otherwise from the name, else from the first lines.
    pub format: Option<Format>,
    /// Whether the first line of a csv names the columns.
    pub header: Option<bool>,
    /// Label column of a csv: a name, a number from 1, `first` or `last`.
    pub label: Option<String>,
    /// Labels of an idx or npy file: idx, npy, or text with one label a line.
    pub labels: Option<PathBuf>,
    /// What the first feature is called in libsvm and libffm files: 0 or 1.
    pub index_base: Option<u8>,
    /// Columns of a training csv that are no features: names, or numbers from 1.
    pub ignore: Vec<String>,
    /// Columns of a training csv whose numbers are categories, likewise.
    pub categorical: Vec<String>,
    /// Column of a training csv with the weight of each row, likewise.
    pub weights: Option<String>,
    /// Whether a file that follows a schema trains, too: it then has to have the column of weights
    /// that the schema names, if it names one.
    pub weigh: bool,
    /// N, 1 to 30, to hash the features of a training file into 2^N.
    pub hash_bits: Option<u8>,
    /// Whether the rows of a file that is read as a whole are kept beside it, as NAME.llfm-cache,
    /// and taken from there as long as neither it nor any other option changes.
    pub cache: bool,
    /// The most memory the rows may take, in bytes; no line may be longer than a quarter of it.
    pub max_memory: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            header: None,
            label: None,
            labels: None,
            index_base: None,
            ignore: Vec::new(),
            categorical: Vec::new(),
            weights: None,
            weigh: false,
            hash_bits: None,
            cache: false,
            max_memory: u64::MAX / 2,
        }
    }
}

/// What a format's reader is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) path: &'a Path,
    pub(crate) options: &'a ReadOptions,
    /// The schema to follow; `None`: the file decides.
    pub(crate) schema: Option<&'a Schema>,
    pub(crate) need_labels: bool,
}

impl Request<'_> {
    /// N, where features are hashed into 2^N: as the schema says, else as asked.
    pub(crate) fn hash_bits(&self) -> Option<u8> {
        self.schema.map_or(self.options.hash_bits, Schema::hash_bits)
    }

    /// Refuses what is asked of a file whose format cannot give it.
    fn check(&self, format: Format) -> Result<()> {
        match self.schema {
            Some(schema) => {
                self.check_weighed(schema, format)?;
                self.check_hashed(schema, format)
            }
            None => self.check_training(format),
        }
    }

    /// Rows that train on go on weighing as those before did.
    fn check_weighed(&self, schema: &Schema, format: Format) -> Result<()> {
        let weighed = matches!(schema, Schema::Table(TableSchema { weights: Some(_), .. }));
        if !(self.options.weigh && weighed) || matches!(format, Format::Csv | Format::Tsv) {
            return Ok(());
        }
        let message = format!(
            "the model learned from weighed rows: expected a csv or tsv file with their weights, found \
             {}",
            format.name()
        );
        Err(Error::data(Place::file(self.path), message))
    }

    /// The hash of a feature is that of its number or of its name: formats have one of them.
    fn check_hashed(&self, schema: &Schema, format: Format) -> Result<()> {
        let table = matches!(format, Format::Csv | Format::Tsv);
        let (by, fits) = match schema {
            Schema::Sparse { .. } => ("number", matches!(format, Format::Libsvm | Format::Libffm)),
            Schema::Table(_) if schema.is_ratings() => {
                ("user and item", table || format == Format::Ratings)
            }
            Schema::Table(_) => ("name", table),
        };
        if schema.hash_bits().is_none() || fits {
            return Ok(());
        }
        let format = format.name();
        let message =
            format!("the model hashes features by {by}, which {format} files do not have");
        Err(Error::data(Place::file(self.path), message))
    }

    fn check_training(&self, format: Format) -> Result<()> {
        let (options, file) = (self.options, self.path.display());
        let asked = [
            ("--ignore", !options.ignore.is_empty()),
            ("--categorical", !options.categorical.is_empty()),
            ("--weights", options.weights.is_some()),
        ];
        let table = matches!(format, Format::Csv | Format::Tsv);
        if let Some((flag, _)) = asked.into_iter().find(|&(_, asked)| asked && !table) {
            let found = format.name();
            let message = format!("{flag} names a column of a csv or tsv file; {file} is {found}");
            return Err(Error::Usage(message));
        }
        let Some(bits) = options.hash_bits else {
            return Ok(());
        };
        if !(1..=MAX_BITS).contains(&bits) {
            let message =
                format!("--hash-bits {bits}: expected a whole number from 1 to {MAX_BITS}");
            return Err(Error::Usage(message));
        }
        if matches!(format, Format::Idx | Format::Npy) {
            let found = format.name();
            return Err(Error::Usage(format!(
                "--hash-bits goes with libsvm, libffm, csv, tsv and ratings; {file} is {found}, whose \
                 columns are few and have no names"
            )));
        }
        Ok(())
    }
}

/// What each format offers: its next rows.
pub(crate) trait Rows: Send {
    /// At most `max_rows` rows, or `None` at the end of the file.
    fn next(&mut self, max_rows: usize, notes: &mut Notes) -> Result<Option<RawRows>>;

    /// Whether any row so far names a feature 0.
    fn has_index_0(&self) -> bool {
        false
    }
}

/// Reads a file a chunk at a time, in bounded memory.
pub struct Reader {
    rows: Box<dyn Rows>,
    path: PathBuf,
    /// What opening had to say, told with the first chunk.
    notes: Notes,
    begun: bool,
}

impl Reader {
    /// Opens `path` (`-`: standard input).
    ///
    /// With a `schema` the columns are matched to it, and options for training files do nothing;
    /// without one the first rows decide, and the levels of categorical columns grow from chunk to
    /// chunk. Labels are read only where
    /// `need_labels` is set, and must then be there in every row.
    ///
    /// # Errors
    /// Files that cannot be opened, unpacked or matched to the schema.
    pub fn open(
        path: &Path,
        options: &ReadOptions,
        schema: Option<&Schema>,
        need_labels: bool,
    ) -> Result<Self> {
        let mut notes = Notes::new();
        let mut input = Input::open(path, options.max_memory)?;
        let format = Format::decide(options.format, &mut input, &mut notes)?;
        if options.labels.is_some() && !matches!(format, Format::Idx | Format::Npy) {
            return Err(Error::Usage(format!(
                "a labels file goes with idx and npy; {} has its labels inside ({})",
                path.display(),
                format.name()
            )));
        }
        let request = Request { path, options, schema, need_labels };
        request.check(format)?;
        let rows: Box<dyn Rows> = match format {
            Format::Libsvm => {
                Box::new(libsvm::LibsvmRows::open(input, request, false, &mut notes)?)
            }
            Format::Libffm => Box::new(libsvm::LibsvmRows::open(input, request, true, &mut notes)?),
            Format::Csv => Box::new(csv::CsvRows::open(input, request, None, &mut notes)?),
            Format::Tsv => Box::new(csv::CsvRows::open(input, request, Some(b'\t'), &mut notes)?),
            Format::Ratings => Box::new(ratings::RatingRows::open(input, request)?),
            Format::Idx => Box::new(idx::open(input, request)?),
            Format::Npy => Box::new(npy::open(input, request)?),
        };
        Ok(Self { rows, path: path.to_owned(), notes, begun: false })
    }

    /// The next rows, at most `max_rows` of them; `None` after the last.
    ///
    /// Text of libsvm, libffm, csv and tsv is parsed by the threads of rayon's pool; the outcome is
    /// that of a single one.
    ///
    /// # Errors
    /// A file without any row, and every fault of the data, with its place.
    pub fn next(&mut self, max_rows: usize, notes: &mut Notes) -> Result<Option<RawRows>> {
        notes.absorb(&mut self.notes);
        let rows = self.rows.next(max_rows.max(1), notes)?;
        if rows.is_none() && !self.begun {
            return Err(Error::data(Place::file(&self.path), "no rows"));
        }
        self.begun = true;
        Ok(rows)
    }

    /// Whether any row so far names a feature 0 of a libsvm or libffm file, be its value 0 or not.
    pub(crate) fn has_index_0(&self) -> bool {
        self.rows.has_index_0()
    }
}

/// Reads a whole training file, which fixes the schema, or takes the rows from its cache.
///
/// # Errors
/// Every fault of the data, with its place; rows beyond `options.max_memory`.
pub fn read(path: &Path, options: &ReadOptions, notes: &mut Notes) -> Result<RawRows> {
    read_all(Request { path, options, schema: None, need_labels: true }, notes)
}

/// Reads a whole file the way a training file was read: same columns, levels and index base.
///
/// # Errors
/// As [`read`], and columns that do not match `schema`.
pub fn read_with_schema(
    path: &Path,
    options: &ReadOptions,
    schema: &Schema,
    need_labels: bool,
    notes: &mut Notes,
) -> Result<RawRows> {
    read_all(Request { path, options, schema: Some(schema), need_labels }, notes)
}

fn read_all(request: Request, notes: &mut Notes) -> Result<RawRows> {
    if !request.options.cache {
        return parse_all(request, notes);
    }
    let Some(cache) = Cache::of(&request, notes)? else {
        return parse_all(request, notes);
    };
    if let Some(rows) = cache.rows(notes)? {
        return Ok(rows);
    }
    let mut said = Notes::new();
    let rows = parse_all(request, &mut said);
    notes.absorb(&mut said.clone());
    let rows = rows?;
    cache.keep(&rows, &said, notes);
    Ok(rows)
}

fn parse_all(request: Request, notes: &mut Notes) -> Result<RawRows> {
    let Request { path, options, schema, need_labels } = request;
    let mut reader = Reader::open(path, options, schema, need_labels)?;
    let rows = reader.next(usize::MAX, notes)?;
    rows.ok_or_else(|| Error::data(Place::file(path), "no rows"))
}
