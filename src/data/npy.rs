//! npy, NumPy's format: magic, version, a header that is a Python dictionary, then the numbers.

use super::array::{ArrayRows, Header, Kind};
use super::reader::Request;
use super::source::Input;
use crate::error::{Error, Place, Result};

/// The first bytes of every file.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// A longer header than this describes no plain array.
const MAX_HEADER: usize = 1 << 20;

/// Opens an array of one or more dimensions, the first of which counts the rows.
pub(crate) fn open(mut input: Input, request: Request) -> Result<ArrayRows> {
    let (header, offset) = read_header(&mut input)?;
    let labels = request.options.labels.clone();
    ArrayRows::open(input, header, offset, request, labels)
}

/// The header and where the numbers begin, in bytes.
pub(crate) fn read_header(input: &mut Input) -> Result<(Header, u64)> {
    let path = input.path().to_owned();
    let fail = |message: String| Error::data(Place::file(&path), message);
    let mut start = [0; 8];
    let read = input.read(&mut start)?;
    if read == 0 {
        return Err(fail("no rows".to_owned()));
    }
    if read < 8 || !start.starts_with(MAGIC) {
        return Err(fail("expected an npy file, which begins with \\x93NUMPY".to_owned()));
    }
    let width = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => {
            return Err(fail(format!("npy version {version} is not known; save as 1.0")));
        }
    };
    let ends = || fail("the file ends within the npy header".to_owned());
    let mut length = [0; 4];
    if input.read(&mut length[..width])? < width {
        return Err(ends());
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(fail(format!("the npy header claims {length} bytes")));
    }
    let mut text = vec![0; length];
    if input.read(&mut text)? < length {
        return Err(ends());
    }
    let text = String::from_utf8_lossy(&text);
    let header = parse(&text).map_err(fail)?;
    Ok((header, (8 + width + length) as u64))
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }`.
fn parse(text: &str) -> std::result::Result<Header, String> {
    let value = |key: &str| {
        let quoted = [format!("'{key}'"), format!("\"{key}\"")];
        let found = quoted.iter().find_map(|key| text.split_once(key.as_str()));
        let rest = found.and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
        rest.map(str::trim_start).ok_or_else(|| format!("the npy header has no `{key}`"))
    };
    let descr = value("descr")?;
    let descr = descr.split(['\'', '"']).nth(1).unwrap_or_default();
    let (order, code) = descr.split_at_checked(1).unwrap_or_default();
    let kind = kind(code).ok_or_else(|| {
        format!("expected real numbers of up to 8 bytes, found the npy type `{descr}`")
    })?;
    let fortran = value("fortran_order")?.starts_with("True");
    let shape = value("shape")?.strip_prefix('(').and_then(|shape| shape.split_once(')'));
    let (shape, _) = shape.ok_or("the npy header's shape is no tuple")?;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let sizes: std::result::Result<Vec<usize>, _> =
        sizes.map(|size| size.trim_end_matches('L').parse()).collect();
    let sizes = sizes.map_err(|_| "the npy header's shape is no list of sizes")?;
    let Some((&n_rows, rest)) = sizes.split_first() else {
        return Err("expected an array of one or two dimensions, found a single number".to_owned());
    };
    if fortran && rest.len() > 1 {
        return Err("arrays of three or more dimensions must be in C order".to_owned());
    }
    let n_columns = rest.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    let n_columns = n_columns.ok_or("the header's shape is impossibly large")?;
    let fortran = fortran && n_columns > 1;
    Ok(Header { kind, big_endian: order == ">", fortran, n_rows, n_columns })
}

fn kind(code: &str) -> Option<Kind> {
    Some(match code {
        "b1" => Kind::Bool,
        "u1" => Kind::U8,
        "i1" => Kind::I8,
        "u2" => Kind::U16,
        "i2" => Kind::I16,
        "u4" => Kind::U32,
        "i4" => Kind::I32,
        "u8" => Kind::U64,
        "i8" => Kind::I64,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => return None,
    })
}
