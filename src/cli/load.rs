//! From files to data sets: read, split, label, prepare.

use std::path::{Path, PathBuf};
use std::time::Instant;

use llfm::data::{
    self, Chunks, Notes, RawRows, ReadOptions, Reader, Schema, SplitOptions, StoredRows, Task,
};
use llfm::experiment::{Apart, Part, Preparation, Prepared, RawParts, StreamedParts};
use llfm::gpu::adapter::Request;
use llfm::model::Model;
use llfm::{Error, Result};

use super::args::{IndexBase, PartArgs, PrepareArgs, ReadArgs, TalkArgs, TrainArgs, YesNo};
use super::compare::CompareArgs;
use super::console::show_notes;
use super::memory::default_limit;

/// Everything training needs from the files.
pub(crate) struct Loaded {
    pub(crate) rows: Prepared,
    /// Seconds it took.
    pub(crate) seconds: f64,
}

/// What of a command line says which rows to read, and how.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) data: &'a Path,
    pub(crate) parts: &'a PartArgs,
    pub(crate) read: &'a ReadArgs,
    pub(crate) prepare: &'a PrepareArgs,
    pub(crate) task: Option<Task>,
    /// Whether the training rows stay on the disk.
    pub(crate) stream: bool,
    /// Whether they could.
    pub(crate) may_stream: bool,
    pub(crate) talk: &'a TalkArgs,
}

impl<'a> From<&'a TrainArgs> for Source<'a> {
    fn from(args: &'a TrainArgs) -> Self {
        Self {
            data: &args.data,
            parts: &args.parts,
            read: &args.read,
            prepare: &args.prepare,
            task: args.settings.task.flatten(),
            stream: args.stream,
            may_stream: matches!(args.run.device, Request::Auto | Request::Cpu),
            talk: &args.talk,
        }
    }
}

impl<'a> Source<'a> {
    /// What `llfm compare` names; nothing where it leaves the data to us.
    pub(crate) fn of(args: &'a CompareArgs) -> Option<Self> {
        Some(Self {
            data: args.data.as_deref()?,
            parts: &args.parts,
            read: &args.read,
            prepare: &args.prepare,
            task: args.settings.task.flatten(),
            stream: false,
            may_stream: false,
            talk: &args.talk,
        })
    }

    /// The error, with what else helps where the rows need too much memory.
    fn with_way_out(self, error: Error) -> Error {
        let exceeds = self.may_stream && data::rows_exceed_memory(&error, self.data);
        match error {
            Error::Data { place, message } if exceeds => {
                let way_out = "or leave the rows on the disk by --stream, on the CPU";
                Error::Data { place, message: format!("{message}, {way_out}") }
            }
            error => error,
        }
    }

    /// How DATA is read, in the columns of `schema` where it is given.
    fn train_options(self, schema: Option<&Schema>) -> ReadOptions {
        let mut options = self.read.options(self.read.labels.as_deref());
        options.index_base = match self.prepare.index_base {
            Some(IndexBase::Zero) => Some(0),
            Some(IndexBase::One) => Some(1),
            Some(IndexBase::Auto) | None => None,
        };
        options.ignore.clone_from(&self.prepare.ignore);
        options.categorical.clone_from(&self.prepare.categorical);
        options.weights.clone_from(&self.prepare.weights);
        options.hash_bits = self.prepare.hash_bits;
        options.weigh = schema.is_some();
        options.cache = self.parts.cache;
        options
    }

    /// The options of the library for what was read.
    pub(crate) fn preparation(self) -> Preparation {
        Preparation {
            task: self.task,
            classes: None,
            positive: self.prepare.positive.clone(),
            scale: self.prepare.scale,
            clip: self.prepare.clip,
            missing: self.prepare.missing,
            class_weight: self.prepare.class_weight,
            max_memory: self.read.limit(),
        }
    }
}

impl ReadArgs {
    /// The options of the library, for a file whose labels may be in another one.
    pub(crate) fn options(&self, labels: Option<&Path>) -> ReadOptions {
        ReadOptions {
            format: self.format,
            header: self.header.map(|header| header == YesNo::Yes),
            label: self.label.clone(),
            labels: labels.map(Path::to_owned),
            max_memory: self.max_memory.unwrap_or_else(default_limit),
            ..ReadOptions::default()
        }
    }
}

impl Loaded {
    /// Reads and prepares what the command line names.
    ///
    /// With a `model` to go on from, its columns, levels, scales and classes are those of the rows.
    pub(crate) fn read<'a>(source: impl Into<Source<'a>>, model: Option<Model>) -> Result<Self> {
        let args = source.into();
        let start = Instant::now();
        let mut notes = Notes::new();
        let rows = Self::read_with(args, model, &mut notes);
        // Also when reading failed: what was guessed before may be why.
        show_notes(&mut notes, args.talk.quiet, args.talk.verbose);
        Ok(Self { rows: rows?, seconds: start.elapsed().as_secs_f64() })
    }

    fn read_with(args: Source<'_>, model: Option<Model>, notes: &mut Notes) -> Result<Prepared> {
        let schema = model.as_ref().map(|model| model.preprocess.schema());
        let how = args.preparation();
        if args.stream {
            let parts = streamed_parts(args, schema, notes)?;
            return match model {
                None => Prepared::streamed(parts, &how, notes),
                Some(model) => Prepared::streamed_from_model(parts, model, how.class_weight, notes),
            };
        }
        let prepared = read_parts(args, schema, notes).and_then(|parts| match model {
            None => Prepared::new(parts, &how, notes),
            Some(model) => Prepared::from_model(parts, model, how.class_weight, notes),
        });
        prepared.map_err(|error| args.with_way_out(error))
    }
}

/// Reads the model that predicts the rows of DATA; where the two are in the wrong order says so.
pub(crate) fn predicting_model(path: &Path, data: &Path, max_memory: u64) -> Result<Model> {
    Model::load_within(path, max_memory).map_err(|error| match error {
        Error::Model { path, message }
            if data.is_file() && Model::load_within(data, max_memory).is_ok() =>
        {
            let data = data.display();
            Error::Model { path, message: format!("{message}; {data} is one: MODEL comes first") }
        }
        error => error,
    })
}

/// Reads the files, and cuts off the rows that validate and test.
pub(crate) fn read_parts(
    args: Source<'_>,
    schema: Option<&Schema>,
    notes: &mut Notes,
) -> Result<RawParts> {
    let options = args.train_options(schema);
    if options.cache {
        let files = [Some(args.data), args.parts.valid.as_deref(), args.parts.test.as_deref()];
        files.into_iter().flatten().try_for_each(data::check_cacheable)?;
    }
    let rows = match schema {
        None => data::read(args.data, &options, notes)?,
        Some(schema) => data::read_with_schema(args.data, &options, schema, true, notes)?,
    };
    let parts = args.parts;
    let split = data::split_rows(rows.n_rows(), &split_options(parts))?;
    let [train, valid, test] = cut(rows, &split);
    let train = train.expect("a split that leaves no rows to train on is refused");
    let part = |rows| Part { rows, place: args.data.to_owned() };
    let valid = match valid.map(part) {
        None => other_part(&parts.valid, &parts.valid_labels, &options, &train.schema, notes)?,
        valid => valid,
    };
    let test = match test.map(part) {
        None => other_part(&parts.test, &parts.test_labels, &options, &train.schema, notes)?,
        test => test,
    };
    Ok(RawParts { train: part(train), valid, test })
}

/// The same with the rows of DATA in a file.
fn streamed_parts(
    args: Source<'_>,
    schema: Option<&Schema>,
    notes: &mut Notes,
) -> Result<StreamedParts> {
    let options = args.train_options(schema);
    let guess_base = schema.is_none() && options.index_base.is_none();
    // A chunk does not tell whether there is a feature 0.
    let base = if guess_base { Some(0) } else { options.index_base };
    let of_chunks = ReadOptions { index_base: base, ..options.clone() };
    let mut reader = Reader::open(args.data, &of_chunks, schema, true)?;
    let (folder, limit) = (std::env::temp_dir(), options.max_memory);
    let rows = StoredRows::spool(&mut reader, args.data, &folder, limit, guess_base, notes)?;
    let parts = args.parts;
    let [valid, test] = apart(&rows, parts, limit)?;
    let mut other = |path, labels| {
        let part = other_part(path, labels, &options, rows.schema(), notes)?;
        Ok::<_, Error>(part.map(|part| Apart::Part(Box::new(part))))
    };
    let valid = match valid {
        None => other(&parts.valid, &parts.valid_labels)?,
        valid => valid,
    };
    let test = match test {
        None => other(&parts.test, &parts.test_labels)?,
        test => test,
    };
    Ok(StreamedParts { rows, place: args.data.to_owned(), valid, test })
}

/// The rows of DATA that validate and test, where fractions say so.
fn apart(rows: &StoredRows, parts: &PartArgs, limit: u64) -> Result<[Option<Apart>; 2]> {
    if parts.valid_fraction == 0.0 && parts.test_fraction == 0.0 {
        return Ok([None, None]);
    }
    // A permutation of all rows, and its parts.
    if 16 * rows.n_rows() as u64 > limit {
        return Err(Error::Usage(format!(
            "a random split of {} rows does not fit --max-memory: name rows in a file of their own by \
             --valid and --test",
            rows.n_rows()
        )));
    }
    let [_, valid, test] = data::split_rows(rows.n_rows(), &split_options(parts))?;
    Ok([valid, test].map(|rows| (!rows.is_empty()).then_some(Apart::Rows(rows))))
}

/// The rows of --valid or --test.
fn other_part(
    path: &Option<PathBuf>,
    labels: &Option<PathBuf>,
    options: &ReadOptions,
    schema: &Schema,
    notes: &mut Notes,
) -> Result<Option<Part>> {
    let Some(path) = path else { return Ok(None) };
    let options = ReadOptions { labels: labels.clone(), weigh: false, ..options.clone() };
    let rows = data::read_with_schema(path, &options, schema, true, notes)?;
    Ok(Some(Part { rows, place: path.to_owned() }))
}

/// The rows that train, validate and test; the last two only where the lists have some.
fn cut(rows: RawRows, lists: &[Vec<usize>; 3]) -> [Option<RawRows>; 3] {
    let [_, valid, test] = lists;
    if valid.is_empty() && test.is_empty() {
        return [Some(rows), None, None];
    }
    let mut parts = rows.split(lists).into_iter().zip(lists);
    [(); 3].map(|()| parts.next().and_then(|(part, list)| (!list.is_empty()).then_some(part)))
}

fn split_options(parts: &PartArgs) -> SplitOptions {
    SplitOptions {
        test_fraction: parts.test_fraction,
        valid_fraction: parts.valid_fraction,
        seed: parts.split_seed,
    }
}
