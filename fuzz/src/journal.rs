//! The journal of a search, which `--resume` goes on with: refused with the line, or gone on with, and
//! what is added then comes back with what stood there.

use llfm::error::Error;
use llfm::journal::Journal;
use llfm::tune::trial::Trial;
use serde_json::{Value, json};

use super::{assert_printable, with_file};

const FILE: &str = "a.jsonl";

/// What the first line of a journal that is gone on with says.
pub fn header() -> Value {
    json!({"command": "search", "settings": {"epochs": 3}})
}

/// Checks a journal.
pub fn file(data: &[u8]) {
    with_file(FILE, data, |path| {
        let (mut journal, entries) = match Journal::resume::<Trial>(&path, &header()) {
            Ok(found) => found,
            Err(error) => {
                let text = error.to_string();
                assert!(matches!(error, Error::Usage(_) | Error::Data { .. }), "{text}");
                assert!(text.contains(FILE), "{text}");
                assert_printable(&text);
                assert_eq!(std::fs::read(&path).expect("it is there"), data, "left alone");
                return;
            }
        };
        let more = entries.first().cloned();
        if let Some(trial) = &more {
            journal.append(trial).expect("a trial that was read");
        }
        drop(journal);
        let all: Vec<Trial> = entries.into_iter().chain(more).collect();
        let (_journal, again) = Journal::resume::<Trial>(&path, &header()).expect("whole lines");
        assert_eq!(all, again);
    });
}
