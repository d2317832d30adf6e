//! What the columns of a file mean; kept in the model so that later files are read alike.

use std::sync::Arc;

use crate::data::number::printable;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// The meaning of a file's columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schema {
    /// Columns in a fixed order: csv, tsv, idx, npy, ratings.
    Table(TableSchema),
    /// Numbered features, most of them zero: libsvm, libffm.
    Sparse {
        /// Number of features.
        n_features: usize,
        /// What the first feature is called in the file: 0 or 1.
        #[serde(deserialize_with = "index_base")]
        index_base: u8,
        /// N, where the features are hashed into 2^N.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hash_bits: Option<u8>,
    },
}

/// The columns of a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableSchema {
    /// Feature columns in order.
    pub columns: Vec<Column>,
    /// Where the label stood, if the file had it among its columns.
    pub label: Option<ColumnPlace>,
    /// Whether the rows are ratings of items by users.
    pub ratings: bool,
    /// Columns that are no features; later files may lack them where columns have names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<ColumnPlace>,
    /// Where the weight of each training row stood, if there was one; no feature either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<ColumnPlace>,
    /// N, where the features are hashed into 2^N.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_bits: Option<u8>,
}

/// One feature column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, where the file has a header.
    pub name: Option<String>,
    /// What its cells are.
    pub kind: ColumnKind,
}

/// What the cells of a column are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnKind {
    /// Numbers.
    Numeric,
    /// Words: a cell holds the code of its level, or the number of levels for a word that is none.
    Categorical {
        /// The words, by code.
        levels: Levels,
    },
}

/// Where a column that is no feature stood in the training file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnPlace {
    /// Its name, where the file has a header.
    pub name: Option<String>,
    /// Its place among all columns, from 0.
    pub position: usize,
}

/// The words of a categorical column. Cloning is cheap, as there may be millions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Levels(Arc<Vec<String>>);

impl Levels {
    /// The words by code.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the very same list in memory: quick, and false negatives do no harm.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl PartialEq for Levels {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.0 == other.0
    }
}

impl From<Vec<String>> for Levels {
    fn from(words: Vec<String>) -> Self {
        Self(Arc::new(words))
    }
}

impl From<Levels> for Vec<String> {
    fn from(levels: Levels) -> Self {
        Arc::unwrap_or_clone(levels.0)
    }
}

impl TableSchema {
    /// The columns that are neither features nor the label.
    pub(crate) fn set_aside(&self) -> impl Iterator<Item = &ColumnPlace> {
        self.ignored.iter().chain(&self.weights)
    }
}

/// A forged file may say any number.
fn index_base<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    let base = u8::deserialize(from)?;
    let wrong = || D::Error::custom(format!("features count from 0 or 1, found {base}"));
    (base <= 1).then_some(base).ok_or_else(wrong)
}

impl Schema {
    /// A table of `n_columns` unnamed numeric columns.
    pub fn numeric(n_columns: usize) -> Self {
        let column = Column { name: None, kind: ColumnKind::Numeric };
        Self::Table(TableSchema { columns: vec![column; n_columns], ..TableSchema::default() })
    }

    /// Number of columns before encoding.
    pub fn n_columns(&self) -> usize {
        match self {
            Self::Table(table) => table.columns.len(),
            Self::Sparse { n_features, .. } => *n_features,
        }
    }

    /// Whether both have the very same lists of levels in memory.
    pub(crate) fn has_levels_of(&self, other: &Self) -> bool {
        let (Self::Table(mine), Self::Table(others)) = (self, other) else { return true };
        mine.columns.len() == others.columns.len()
            && mine.columns.iter().zip(&others.columns).all(|(a, b)| match (&a.kind, &b.kind) {
                (ColumnKind::Categorical { levels: a }, ColumnKind::Categorical { levels: b }) => {
                    a.is(b)
                }
                _ => true,
            })
    }

    /// N, where features are hashed into 2^N.
    pub fn hash_bits(&self) -> Option<u8> {
        match self {
            Self::Table(TableSchema { hash_bits, .. }) | Self::Sparse { hash_bits, .. } => {
                *hash_bits
            }
        }
    }

    /// Whether every column holds numbers, so that any format can carry the rows.
    pub fn is_numeric(&self) -> bool {
        match self {
            Self::Table(table) => table.columns.iter().all(|c| c.kind == ColumnKind::Numeric),
            Self::Sparse { .. } => true,
        }
    }

    /// Whether the rows are ratings.
    pub fn is_ratings(&self) -> bool {
        matches!(self, Self::Table(table) if table.ratings)
    }

    /// [`Schema::column_name`] as messages show it: short, and safe on a terminal.
    pub(crate) fn shown_name(&self, j: usize) -> String {
        printable(&self.column_name(j))
    }

    /// What column `j` is called: its name, or its number as the file counts.
    pub fn column_name(&self, j: usize) -> String {
        match self {
            Self::Table(table) => match &table.columns[j].name {
                Some(name) => name.clone(),
                None => format!("x{}", j + 1),
            },
            Self::Sparse { index_base, .. } => format!("{}", j + usize::from(*index_base)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::data::number::printable;

    #[test]
    fn names_are_shown_without_control_characters_and_cut() {
        assert_eq!(printable("größe\x1b[2J\n"), "größe\\u{1b}[2J\\n");
        assert_eq!(printable(&"é".repeat(50)), format!("{}…", "é".repeat(40)));
        assert_eq!(printable(&"e".repeat(40)), "e".repeat(40));
    }
}
