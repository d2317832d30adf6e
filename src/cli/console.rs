//! Printing that survives closed pipes, and notes to the user.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::Path;

use llfm::data::{Note, NoteLevel, Notes};
use llfm::{Error, Result};

/// Standard output, buffered, for results only; talk goes to standard error.
pub(crate) struct Console {
    out: BufWriter<Stdout>,
    /// Whether the work goes on when nobody reads the output any more.
    keep_going: bool,
    closed: bool,
    colours: bool,
}

impl Console {
    /// `keep_going`: a closed pipe silences the output instead of being an error, as when a model
    /// is to be saved in the end.
    pub(crate) fn new(keep_going: bool) -> Self {
        let out = io::stdout();
        let colours = colours(&out);
        Self { out: BufWriter::with_capacity(1 << 16, out), keep_going, closed: false, colours }
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints a line at once, for those who follow the output.
    pub(crate) fn event(&mut self, value: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|e| stdout_error(io::Error::other(e)))?;
        self.line(&text)?;
        self.flush()
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let done = self.out.write_all(bytes);
        self.outcome(done)
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let done = self.out.flush();
        self.outcome(done)
    }

    fn outcome(&mut self, done: io::Result<()>) -> Result<()> {
        match done {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe && self.keep_going => {
                self.closed = true;
                Ok(())
            }
            done => done.map_err(stdout_error),
        }
    }

    /// Text in bold where the terminal can show it.
    pub(crate) fn bold(&self, text: &str) -> String {
        if self.colours { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Text that steps back where the terminal can show it.
    pub(crate) fn dim(&self, text: &str) -> String {
        if self.colours { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

pub(super) fn stdout_error(error: io::Error) -> Error {
    Error::io("write", Path::new("standard output"))(error)
}

/// Whether a stream is a terminal that wants colours.
pub(crate) fn colours(stream: &impl IsTerminal) -> bool {
    let unset = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
    stream.is_terminal()
        && unset("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Writes `llfm: KIND: TEXT` to standard error, which may be closed.
///
/// Messages quote files: what would command the terminal is escaped.
pub(crate) fn complain(kind: &str, text: &str) {
    let text: String = text
        .chars()
        .flat_map(|c| {
            let escape = c.is_control() && !matches!(c, '\n' | '\t');
            let (escaped, plain) =
                if escape { (Some(c.escape_default()), None) } else { (None, Some(c)) };
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    let _ = writeln!(io::stderr(), "llfm: {kind}: {text}");
}

/// Writes a line to standard error, which may be closed.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Shows what the library noticed, unless the user wants silence; details to those who want more.
pub(crate) fn show_notes(notes: &mut Notes, quiet: bool, verbose: bool) {
    let notes = notes.drain();
    let shown = |note: &&Note| !quiet && (verbose || note.level != NoteLevel::Detail);
    notes.iter().filter(shown).for_each(show_note);
}

/// Shows what may be wrong, and keeps what was merely decided to itself.
pub(crate) fn show_warnings(notes: &mut Notes, quiet: bool) {
    let notes = notes.drain();
    let warnings = notes.iter().filter(|note| !quiet && note.level == NoteLevel::Warning);
    warnings.for_each(show_note);
}

fn show_note(note: &Note) {
    let kind = match note.level {
        NoteLevel::Detail | NoteLevel::Info => "note",
        NoteLevel::Warning => "warning",
    };
    complain(kind, &note.to_string());
}
