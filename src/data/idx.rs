//! idx, the format of MNIST: two zeros, type, number of dimensions, sizes, then the numbers.

use std::path::{Path, PathBuf};

use super::array::{ArrayRows, Header, Kind};
use super::reader::Request;
use super::source::Input;
use crate::error::{Error, Place, Result};

/// Opens images, or any array whose first dimension counts the rows.
pub(crate) fn open(mut input: Input, request: Request) -> Result<ArrayRows> {
    let (header, offset) = read_header(&mut input)?;
    let labels = request.options.labels.clone().or_else(|| labels_beside(request.path));
    ArrayRows::open(input, header, offset, request, labels)
}

/// The header and its length in bytes; all dimensions but the first make up a row.
pub(crate) fn read_header(input: &mut Input) -> Result<(Header, u64)> {
    let path = input.path().to_owned();
    let fail = |message: &str| Err(Error::data(Place::file(&path), message));
    let mut magic = [0; 4];
    let read = input.read(&mut magic)?;
    if read == 0 {
        return fail("no rows");
    }
    if read < 4 || magic[..2] != [0, 0] {
        return fail("expected an idx file, which begins with two zero bytes");
    }
    let kind = match magic[2] {
        0x08 => Kind::U8,
        0x09 => Kind::I8,
        0x0b => Kind::I16,
        0x0c => Kind::I32,
        0x0d => Kind::F32,
        0x0e => Kind::F64,
        _ => return fail("unknown type of numbers in the idx header"),
    };
    let dimensions = usize::from(magic[3]);
    if dimensions == 0 {
        return fail("the idx header has no dimensions");
    }
    let mut sizes = vec![0; dimensions * 4];
    if input.read(&mut sizes)? < sizes.len() {
        return fail("the file ends within the idx header");
    }
    let mut sizes = sizes.chunks_exact(4).map(|size| {
        let size = u32::from_be_bytes(size.try_into().expect("chunks of four bytes"));
        usize::try_from(size).unwrap_or(usize::MAX)
    });
    let n_rows = sizes.next().unwrap_or(0);
    let Some(n_columns) = sizes.try_fold(1_usize, usize::checked_mul) else {
        return fail("the header's shape is impossibly large");
    };
    let header = Header { kind, big_endian: true, fortran: false, n_rows, n_columns };
    Ok((header, 4 + dimensions as u64 * 4))
}

/// `train-images-idx3-ubyte` has its labels in `train-labels-idx1-ubyte`, packed or not.
fn labels_beside(images: &Path) -> Option<PathBuf> {
    // Only an ASCII part of the name changes, so a name that is not UTF-8 has to be refused here;
    // `--labels` still takes it.
    let name = images.file_name()?.to_str()?;
    let (mark, at) = ["-idx", ".idx"].iter().find_map(|mark| Some((mark, name.rfind(mark)?)))?;
    let stem = name[..at].replace("images", "labels").replace("data", "labels");
    let tail = &name[at + mark.len()..];
    let tail = tail.trim_start_matches(|c: char| c.is_ascii_digit());
    let bare = [".gz", ".xz", ".zst"].iter().find_map(|packing| tail.strip_suffix(packing));
    let bare = bare.unwrap_or(tail);
    let endings = [tail.to_owned(), bare.to_owned(), format!("{bare}.gz")];
    let more = [format!("{bare}.xz"), format!("{bare}.zst")];
    let labels = endings.iter().chain(&more).map(|ending| format!("{stem}{mark}1{ending}"));
    labels.map(|name| images.with_file_name(name)).find(|path| path != images && path.exists())
}
