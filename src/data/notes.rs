//! What was decided or noticed on the way, collected for the caller to print.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteLevel {
    /// What only those who want to know more ask for.
    Detail,
    /// A decision taken for the user.
    Info,
    /// Something that may be a mistake in the data.
    Warning,
}

/// One thing worth saying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Detail, decision or warning.
    pub level: NoteLevel,
    /// The sentence, without its count.
    pub text: String,
    /// How many things it speaks of; `None` where counting means nothing.
    pub count: Option<u64>,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            // Each counted text starts with what is counted, in the plural.
            Some(1) => write!(f, "1 {}", self.text.replacen("s of ", " of ", 1)),
            Some(count) => write!(f, "{count} {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Decisions and warnings in the order they first came up, each once.
///
/// The library prints nothing itself: a program drains the notes and shows them as it likes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Note>", into = "Vec<Note>")]
pub struct Notes {
    seen: IndexMap<(NoteLevel, String), Option<u64>>,
}

impl Notes {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a detail; a second time changes nothing.
    pub fn detail(&mut self, text: impl Into<String>) {
        self.seen.entry((NoteLevel::Detail, text.into())).or_insert(None);
    }

    /// Records a decision; a second time changes nothing.
    pub fn info(&mut self, text: impl Into<String>) {
        self.seen.entry((NoteLevel::Info, text.into())).or_insert(None);
    }

    /// Records a warning; a second time changes nothing.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.seen.entry((NoteLevel::Warning, text.into())).or_insert(None);
    }

    /// Adds `count` to the warning that reads "`count` `text`", where the text starts with a plural and " of ";
    /// zero records nothing.
    pub fn warn_count(&mut self, count: u64, text: impl Into<String>) {
        if count > 0 {
            let total = self.seen.entry((NoteLevel::Warning, text.into())).or_insert(Some(0));
            *total = Some(total.unwrap_or(0) + count);
        }
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// The notes in order.
    pub fn iter(&self) -> impl Iterator<Item = Note> + '_ {
        self.seen.iter().map(|((level, text), &count)| Note {
            level: *level,
            text: text.clone(),
            count,
        })
    }

    /// Takes the notes out, in order.
    pub fn drain(&mut self) -> Vec<Note> {
        let notes = self.iter().collect();
        self.seen.clear();
        notes
    }

    /// Adds the notes of `other` after these, merging equal ones.
    pub fn absorb(&mut self, other: &mut Self) {
        for ((level, text), count) in other.seen.drain(..) {
            match (level, count) {
                (NoteLevel::Warning, Some(count)) => self.warn_count(count, text),
                _ => {
                    self.seen.entry((level, text)).or_insert(count);
                }
            }
        }
    }
}

impl From<Vec<Note>> for Notes {
    fn from(notes: Vec<Note>) -> Self {
        let seen = notes.into_iter().map(|note| ((note.level, note.text), note.count));
        Self { seen: seen.collect() }
    }
}

impl From<Notes> for Vec<Note> {
    fn from(notes: Notes) -> Self {
        notes.iter().collect()
    }
}
