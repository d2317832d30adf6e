//! Finding the files of the sets, telling what is missing, checking what is there.

use std::fmt::Write;
use std::iter;
use std::path::{Path, PathBuf};

use llfm::data;
use llfm::error::Place;
use llfm::{Error, Result};

use super::sets::{File, Layout, SETS, Set, Source};
use crate::cli::console::complain;
use crate::cli::machine::CHECKOUT;

/// Endings a file may have.
const PACKED: [&str; 4] = [".gz", "", ".xz", ".zst"];

/// Where files are looked for.
pub(super) struct Folders {
    /// `data/` of a checkout.
    embedded: Vec<PathBuf>,
    /// The user's.
    data: Option<PathBuf>,
}

/// A set whose files are there.
pub(super) struct Found {
    pub(super) set: &'static Set,
    pub(super) layout: &'static Layout,
    folder: PathBuf,
    /// What [`Found::check`] found.
    pub(super) digests: Vec<Digest>,
}

/// What a file holds.
pub(super) struct Digest {
    /// Path below the folder, without `.gz`.
    pub(super) path: &'static str,
    /// Of the content as unpacked.
    pub(super) sha256: String,
    /// Whether that is what was published.
    pub(super) published: bool,
}

impl Folders {
    pub(super) fn new(data: Option<&Path>) -> Self {
        let beside_source = CHECKOUT.map(|checkout| Path::new(checkout).join("data"));
        let embedded = iter::once(PathBuf::from("data")).chain(beside_source).collect();
        Self { embedded, data: data.map(Path::to_owned) }
    }

    /// The sets asked for, or all that are there.
    ///
    /// # Errors
    /// [`Error::Usage`] for a folder that is not there and an unknown set; [`Error::Data`] naming every file that is missing.
    pub(super) fn find(&self, names: &[String]) -> Result<Vec<Found>> {
        if let Some(folder) = self.data.as_deref().filter(|folder| !folder.is_dir()) {
            let message = format!("--data {}: there is no such folder", folder.display());
            return Err(Error::Usage(message));
        }
        let mut wanted: Vec<&'static Set> = Vec::new();
        for name in names {
            let set = Set::named(name)?;
            if !wanted.iter().any(|other| other.name == set.name) {
                wanted.push(set);
            }
        }
        let candidates: Vec<&'static Set> =
            if names.is_empty() { SETS.iter().collect() } else { wanted };
        let found: Vec<Found> = candidates.iter().filter_map(|set| self.find_one(set)).collect();
        let missing: Vec<&Set> =
            candidates.iter().copied().filter(|set| !has(&found, set)).collect();
        if found.is_empty() || (!names.is_empty() && !missing.is_empty()) {
            return Err(self.missing(&missing));
        }
        Ok(found)
    }

    fn find_one(&self, set: &'static Set) -> Option<Found> {
        set.layouts.iter().find_map(|layout| {
            let folders: Vec<&PathBuf> = if layout.embedded {
                self.embedded.iter().collect()
            } else {
                self.data.iter().collect()
            };
            let has_all =
                |folder: &&PathBuf| layout.files().all(|file| file.below(folder).is_some());
            let folder = folders.into_iter().find(has_all)?.clone();
            Some(Found { set, layout, folder, digests: Vec::new() })
        })
    }

    /// What to download, and where to put it.
    fn missing(&self, sets: &[&Set]) -> Error {
        let root = self.data.as_deref().unwrap_or(Path::new("DIR"));
        let mut text = String::from("missing files; nothing was trained");
        let mut first = None;
        for set in sets {
            let _ = write!(text, "\n\n{}, from {}", set.name, set.origin);
            let Some(layout) = set.layouts.last() else { continue };
            for file in layout.files().filter(|file| file.below(root).is_none()) {
                let place = root.join(file.path);
                let _ = write!(
                    text,
                    "\n  {} (or .gz, .xz, .zst)\n    sha256 {} as unpacked",
                    place.display(),
                    file.sha256
                );
                first.get_or_insert(place);
            }
        }
        let looked: Vec<String> =
            self.embedded.iter().map(|folder| folder.display().to_string()).collect();
        let _ =
            write!(text, "\n\nLooked for banana, magic04 and letter in {}; ", looked.join(" and "));
        match &self.data {
            Some(data) => {
                let _ =
                    write!(text, "for the others, and for those too, below {}.", data.display());
            }
            None => text.push_str("name a folder DIR with files as above by --data DIR."),
        }
        Error::data(Place::file(first.as_deref().unwrap_or(root)), text)
    }
}

fn has(found: &[Found], set: &Set) -> bool {
    found.iter().any(|one| one.set.name == set.name)
}

impl File {
    /// Where it lies in a folder, packed or not.
    fn below(&self, folder: &Path) -> Option<PathBuf> {
        let places = PACKED.iter().map(|ending| folder.join(format!("{}{ending}", self.path)));
        places.into_iter().find(|place| place.is_file())
    }
}

impl Found {
    /// The path of a source's rows, and of its labels.
    pub(super) fn paths(&self, source: &Source) -> (PathBuf, Option<PathBuf>) {
        let path =
            |file: &File| file.below(&self.folder).unwrap_or_else(|| self.folder.join(file.path));
        (path(&source.rows), source.labels.as_ref().map(path))
    }

    /// The files whose content is not the published one's.
    pub(super) fn files_differ(&self) -> Vec<String> {
        let differing = self.digests.iter().filter(|digest| !digest.published);
        differing.map(|digest| digest.path.to_owned()).collect()
    }

    /// Takes the checksums of the files; warns of those that are not the published ones.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read.
    pub(super) fn check(&mut self, quiet: bool) -> Result<()> {
        for file in self.layout.files() {
            let path = file.below(&self.folder).unwrap_or_else(|| self.folder.join(file.path));
            let found = data::content_sha256(&path)?;
            let published = found == file.sha256;
            if !published && !quiet {
                let (path, expected) = (path.display(), file.sha256);
                let text = format!(
                    "{path}: the content is not the published file's: sha256 {found}, expected \
                     {expected}; results may differ"
                );
                complain("warning", &text);
            }
            self.digests.push(Digest { path: file.path, sha256: found, published });
        }
        Ok(())
    }
}
