//! Binary arrays of numbers: what idx and npy have in common.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ShapeBuilder, s};

use super::build::TableBuilder;
use super::label_column;
use super::notes::Notes;
use super::number;
use super::raw::{Cells, RawLabels, RawRows};
use super::reader::{Request, Rows};
use super::schema::Schema;
use super::side_labels;
use super::source::{Input, check_memory, is_stdin};
use crate::error::{Error, Place, Result};

/// The type of the numbers in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Kind {
    /// Bytes of one number.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The number in exactly `width()` bytes.
    #[expect(clippy::cast_precision_loss, reason = "features are floating point in the end")]
    fn value(self, bytes: &[u8], big_endian: bool) -> f64 {
        let mut little = [0; 8];
        little[..bytes.len()].copy_from_slice(bytes);
        if big_endian {
            little[..bytes.len()].reverse();
        }
        let [a, b, c, d, ..] = little;
        match self {
            Self::Bool => f64::from(u8::from(a != 0)),
            Self::U8 => f64::from(a),
            Self::I8 => f64::from(i8::from_le_bytes([a])),
            Self::U16 => f64::from(u16::from_le_bytes([a, b])),
            Self::I16 => f64::from(i16::from_le_bytes([a, b])),
            Self::U32 => f64::from(u32::from_le_bytes([a, b, c, d])),
            Self::I32 => f64::from(i32::from_le_bytes([a, b, c, d])),
            Self::F32 => f64::from(f32::from_le_bytes([a, b, c, d])),
            Self::U64 => u64::from_le_bytes(little) as f64,
            Self::I64 => i64::from_le_bytes(little) as f64,
            Self::F64 => f64::from_le_bytes(little),
        }
    }
}

/// What an array's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) big_endian: bool,
    /// Columns lie one after the other instead of rows.
    pub(crate) fortran: bool,
    pub(crate) n_rows: usize,
    pub(crate) n_columns: usize,
}

impl Header {
    /// Fails where the shape cannot be that of the file, before anything is allocated for it.
    ///
    /// A packed file hides its length; there the rows grow as they come, and end early.
    pub(crate) fn check(&self, offset: u64, input: &Input) -> Result<()> {
        let cells = (self.n_rows as u64).checked_mul(self.n_columns as u64);
        let bytes = cells.and_then(|cells| cells.checked_mul(self.kind.width() as u64));
        let place = || Place::file(input.path());
        let Some(bytes) = bytes.and_then(|bytes| bytes.checked_add(offset)) else {
            return Err(Error::data(place(), "the header's shape is impossibly large"));
        };
        if self.n_columns == 0 {
            return Err(Error::data(place(), "the rows have no columns"));
        }
        if !input.is_packed() && !is_stdin(input.path()) {
            let meta = std::fs::metadata(input.path()).map_err(Error::io("read", input.path()))?;
            if meta.is_file() && meta.len() != bytes {
                let there = meta.len();
                let message = format!("the header speaks of {bytes} bytes, the file has {there}");
                return Err(Error::data(place(), message));
            }
        }
        let needed = cells.and_then(|cells| cells.checked_mul(4)).unwrap_or(u64::MAX);
        if self.fortran {
            check_memory(needed, input.max_memory() / 2, input.path())
        } else {
            Ok(())
        }
    }

    /// Reads the next `count` numbers; fails where the file ends before.
    pub(crate) fn numbers(
        &self,
        count: usize,
        input: &mut Input,
        block: &mut Vec<u8>,
        mut each: impl FnMut(f64) -> Result<()>,
    ) -> Result<()> {
        let width = self.kind.width();
        let mut left = count;
        while left > 0 {
            let wanted = left.min(BLOCK);
            block.resize(wanted * width, 0);
            if input.read(block)? < block.len() {
                let message = "the file ends before the numbers its header speaks of";
                return Err(Error::data(Place::file(input.path()), message));
            }
            for bytes in block.chunks_exact(width) {
                each(self.kind.value(bytes, self.big_endian))?;
            }
            left -= wanted;
        }
        Ok(())
    }
}

/// Numbers read at a time.
const BLOCK: usize = 1 << 14;

/// The rows of a binary array, labels from a file beside it.
pub(crate) struct ArrayRows {
    input: Input,
    path: PathBuf,
    header: Header,
    table: TableBuilder,
    block: Vec<u8>,
    labels: Option<RawLabels>,
    done: usize,
    /// The cells of an array that lies by columns, as its rows cannot be had one by one.
    turned: Option<Array2<f32>>,
}

impl ArrayRows {
    /// Takes over behind the header, which is `offset` bytes long.
    pub(crate) fn open(
        input: Input,
        header: Header,
        offset: u64,
        request: Request,
        labels: Option<PathBuf>,
    ) -> Result<Self> {
        header.check(offset, &input)?;
        if let Some(schema) = request.schema {
            check_columns(schema, header.n_columns, &input)?;
        }
        let labels = match (request.need_labels, labels) {
            (false, _) => None,
            (true, None) => {
                return Err(label_column::absent(request.path, "name their file by --labels"));
            }
            (true, Some(path)) => Some(side_labels::read(&path, request.options.max_memory)?),
        };
        if let Some(labels) = &labels
            && labels.len() != header.n_rows
        {
            let message = format!("{} rows, but {} labels", header.n_rows, labels.len());
            return Err(Error::data(Place::file(request.path), message));
        }
        let path = request.path.to_owned();
        let table = TableBuilder::new(header.n_columns, request.options.max_memory);
        Ok(Self { input, path, header, table, block: Vec::new(), labels, done: 0, turned: None })
    }

    /// The next `n_rows` of an array that lies by rows.
    fn by_rows(&mut self, n_rows: usize) -> Result<Cells> {
        let Self { input, path, header, table, block, done, .. } = self;
        for row in *done..*done + n_rows {
            let mut column = 0..header.n_columns;
            header.numbers(header.n_columns, input, block, |value| {
                table.push(cell(value, row, column.next().expect("as many numbers"), path)?, path)
            })?;
        }
        Ok(table.take())
    }

    /// The next `n_rows` of an array that lies by columns; the first call reads it all.
    fn by_columns(&mut self, n_rows: usize) -> Result<Cells> {
        let Self { input, path, header, block, done, turned, .. } = self;
        if turned.is_none() {
            let mut cells = Vec::new();
            header.numbers(header.n_rows * header.n_columns, input, block, |value| {
                let (row, column) = (cells.len() % header.n_rows, cells.len() / header.n_rows);
                cells.push(cell(value, row, column, path)?);
                Ok(())
            })?;
            let shape = (header.n_rows, header.n_columns).f();
            *turned = Array2::from_shape_vec(shape, cells).ok();
        }
        let whole = turned.as_ref().ok_or_else(|| impossible(path))?;
        let part = whole.slice(s![*done..*done + n_rows, ..]);
        Ok(Cells::Table(part.as_standard_layout().into_owned()))
    }
}

impl Rows for ArrayRows {
    fn next(&mut self, max_rows: usize, _notes: &mut Notes) -> Result<Option<RawRows>> {
        let begin = self.done;
        let n_rows = max_rows.min(self.header.n_rows - begin);
        if n_rows == 0 {
            return Ok(None);
        }
        let cells =
            if self.header.fortran { self.by_columns(n_rows)? } else { self.by_rows(n_rows)? };
        self.done += n_rows;
        if self.done == self.header.n_rows && !self.input.peek(1)?.is_empty() {
            let message = "the file goes on behind the numbers its header speaks of";
            return Err(Error::data(Place::file(&self.path), message));
        }
        let labels = match &self.labels {
            Some(_) if n_rows == self.header.n_rows => self.labels.take(),
            Some(labels) => Some(labels.slice(begin..begin + n_rows)),
            None => None,
        };
        let schema = Schema::numeric(self.header.n_columns);
        Ok(Some(RawRows { schema, cells, labels, weights: None, first_missing: None }))
    }
}

/// The value as a cell: NaN is a missing one, infinity an error.
fn cell(value: f64, row: usize, column: usize, path: &Path) -> Result<f32> {
    let cell = number::narrow(value);
    if cell.is_infinite() {
        let (row, column) = (row + 1, column + 1);
        let message = format!(
            "row {row}, column {column}: expected a finite number of single precision (up to \
             3.4e38), found {value:e}"
        );
        return Err(Error::data(Place::file(path), message));
    }
    Ok(cell)
}

fn impossible(path: &Path) -> Error {
    Error::data(Place::file(path), "the header's shape is impossible")
}

/// A dense file has to have the very columns the model knows.
fn check_columns(schema: &Schema, found: usize, input: &Input) -> Result<()> {
    let place = || Place::file(input.path());
    if !schema.is_numeric() {
        let message = "the model has categorical columns, which this format cannot hold";
        return Err(Error::data(place(), message));
    }
    let expected = schema.n_columns();
    if found != expected {
        let message = format!("expected {expected} columns, as in training, found {found}");
        return Err(Error::data(place(), message));
    }
    Ok(())
}
