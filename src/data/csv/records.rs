//! Records of a csv: lines without comments and blanks, joined where a quoted field spans several.

use crate::data::source::Input;
use crate::error::{Error, Place, Result};

/// About what a column takes while a file is read: its name, what is known of it, and its words in
/// every block that is parsed at once.
const COLUMN_BYTES: u64 = 2048;

/// Yields the records of a file; the first ones can be looked at before they are consumed.
pub(super) struct Records {
    input: Input,
    /// Text of the records looked at ahead, one after the other.
    window: Vec<u8>,
    /// End in `window`, and line, of each of them.
    ahead: Vec<(usize, u64)>,
    /// How many of them are consumed.
    replayed: usize,
    /// A record of several lines.
    joined: Vec<u8>,
    current: Current,
    line: u64,
    comments: Comments,
}

/// What is known of the lines that begin with `#`.
#[derive(Default)]
struct Comments {
    /// The first line of the file that is not blank, if it is a comment; it may be a header.
    first: Option<Vec<u8>>,
    /// Whether any record or comment came.
    begun: bool,
    /// Whether any record came, so that comments count.
    counting: bool,
    /// Since the last record; those behind all rows do not count.
    pending: u64,
    /// Between records, since last asked for.
    between: u64,
}

impl Comments {
    fn comment(&mut self, text: &[u8]) {
        if !self.begun {
            self.first = Some(text.to_vec());
        }
        self.begun = true;
        self.pending += u64::from(self.counting);
    }

    fn record(&mut self) {
        self.between += std::mem::take(&mut self.pending);
        (self.begun, self.counting) = (true, true);
    }
}

#[derive(Clone, Copy)]
enum Current {
    Window,
    Line,
    Joined,
}

impl Records {
    pub(super) fn new(input: Input) -> Self {
        Self {
            input,
            window: Vec::new(),
            ahead: Vec::new(),
            replayed: 0,
            joined: Vec::new(),
            current: Current::Line,
            line: 0,
            comments: Comments::default(),
        }
    }

    /// The first line of the file if it begins with `#`, without that.
    pub(super) fn first_comment(&self) -> Option<&[u8]> {
        self.comments.first.as_ref().map(|text| &text[1..])
    }

    /// How many comments between records were skipped since the last call.
    pub(super) fn take_comments(&mut self) -> u64 {
        std::mem::take(&mut self.comments.between)
    }

    /// Fails where there is no room for what so many columns take, or names of them.
    pub(super) fn check_columns(&self, count: usize) -> Result<()> {
        let most = self.input.max_memory() / COLUMN_BYTES;
        if count as u64 <= most {
            return Ok(());
        }
        let message = format!(
            "{count} columns are more than the {most} that the memory allowed has room for; raise \
             --max-memory"
        );
        Err(Error::data(self.next_place(), message))
    }

    /// Keeps up to `count` records to look at, or as many as a quarter of the memory holds.
    pub(super) fn look_ahead(&mut self, count: usize) -> Result<()> {
        while self.ahead.len() < count && self.window.len() <= self.input.line_limit() {
            if !self.advance_live()? {
                break;
            }
            let record = match self.current {
                Current::Joined => &self.joined,
                _ => self.input.line(),
            };
            self.window.extend_from_slice(record);
            self.ahead.push((self.window.len(), self.line));
        }
        Ok(())
    }

    /// Drops the consumed records from the window, so that looking ahead counts from here.
    pub(super) fn forget(&mut self) {
        if self.replayed == self.ahead.len() {
            self.window.clear();
            self.ahead.clear();
            self.replayed = 0;
            self.comments.counting = false;
        }
    }

    /// The records looked at ahead and not consumed.
    pub(super) fn ahead(&self) -> impl Iterator<Item = &[u8]> {
        (self.replayed..self.ahead.len()).map(|i| self.seen(i))
    }

    /// Where the first of those begins.
    pub(super) fn next_place(&self) -> Place {
        let line = self.ahead.get(self.replayed).map_or(0, |&(_, line)| line);
        Place::line(self.input.path(), line)
    }

    fn seen(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ahead[i - 1].0 };
        &self.window[start..self.ahead[i].0]
    }

    /// Moves on to the next record; false at the end of the file.
    pub(super) fn advance(&mut self) -> Result<bool> {
        if self.replayed < self.ahead.len() {
            self.line = self.ahead[self.replayed].1;
            self.replayed += 1;
            self.current = Current::Window;
            return Ok(true);
        }
        if !self.window.is_empty() {
            self.window = Vec::new();
        }
        self.advance_live()
    }

    fn advance_live(&mut self) -> Result<bool> {
        loop {
            if !self.input.advance()? {
                return Ok(false);
            }
            self.line = self.input.line_number();
            let line = self.input.line();
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            if is_comment(text) {
                self.comments.comment(text);
                continue;
            }
            self.comments.record();
            self.current = Current::Line;
            if memchr::memchr(b'"', line).is_some() && ends_open(line, false) {
                self.join()?;
            }
            return Ok(true);
        }
    }

    /// Adds lines until the quoted field is closed.
    fn join(&mut self) -> Result<()> {
        self.joined.clear();
        self.joined.extend_from_slice(self.input.line());
        self.current = Current::Joined;
        let mut open = true;
        while open {
            if !self.input.advance()? {
                let place = Place::line(self.input.path(), self.line);
                return Err(Error::data(place, "a quoted field begins here and never ends"));
            }
            self.joined.push(b'\n');
            self.joined.extend_from_slice(self.input.line());
            if self.joined.len() > self.input.line_limit() {
                return Err(self.input.too_long(self.line));
            }
            open = ends_open(self.input.line(), true);
        }
        Ok(())
    }

    /// The current record.
    pub(super) fn record(&self) -> &[u8] {
        match self.current {
            Current::Window => self.seen(self.replayed - 1),
            Current::Line => self.input.line(),
            Current::Joined => &self.joined,
        }
    }

    /// The line the current record begins on.
    pub(super) fn line(&self) -> u64 {
        self.line
    }
}

/// Whether a line without the spaces around it is a comment: `#N/A` as the first of several fields
/// is a missing cell.
fn is_comment(text: &[u8]) -> bool {
    text[0] == b'#'
        && !(text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"#n/a"))
            && matches!(text.get(4), Some(b',' | b';' | b'\t')))
}

/// Whether a quoted field is still open after `text`, given whether one was before it.
///
/// A quote opens a field only at its beginning; which character ends fields is not known yet, so
/// any of the usual ones counts.
fn ends_open(text: &[u8], mut open: bool) -> bool {
    let mut fresh = true;
    let mut bytes = text.iter().peekable();
    while let Some(&byte) = bytes.next() {
        if open {
            if byte == b'"' && bytes.next_if(|&&next| next == b'"').is_none() {
                open = false;
                fresh = false;
            }
        } else if byte == b'"' && fresh {
            open = true;
        } else if byte != b' ' {
            fresh = matches!(byte, b',' | b';' | b'\t');
        }
    }
    open
}
