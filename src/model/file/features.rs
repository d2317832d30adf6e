//! What the preprocessing has for each feature to named tensors, and back: millions of numbers would
//! not fit in the header.

use safetensors::{Dtype, SafeTensors};

use crate::container::Packed;
use crate::data::Preprocess;

const MEAN: &str = "feature_mean";
const SCALE: &str = "feature_scale";
const NEVER_SEEN: &str = "never_seen";

/// The lists that have numbers, those of eight bytes first.
pub(super) fn pack(preprocess: &Preprocess) -> Vec<Packed<'static>> {
    let (shifts, factors, never_seen) = preprocess.numbers();
    let tensors = [
        list(MEAN, "F64", shifts, f64::to_le_bytes),
        list(SCALE, "F64", factors, f64::to_le_bytes),
        list(NEVER_SEEN, "U32", never_seen, u32::to_le_bytes),
    ];
    tensors.into_iter().filter(|tensor| !tensor.bytes.is_empty()).collect()
}

fn list<T: Copy, const N: usize>(
    name: &'static str,
    dtype: &'static str,
    numbers: &[T],
    to_bytes: fn(T) -> [u8; N],
) -> Packed<'static> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|&x| to_bytes(x)).collect();
    Packed { name: name.into(), dtype, shape: vec![numbers.len()], bytes: bytes.into() }
}

/// Puts the lists the file has in their places; returns how many there are. Files of version 1 have
/// none, and theirs are in their places by now.
pub(super) fn unpack(file: &SafeTensors, preprocess: &mut Preprocess) -> Result<usize, String> {
    let (shifts, factors, never_seen) = preprocess.numbers_mut();
    let found = [
        fill(file, MEAN, Dtype::F64, shifts, f64::from_le_bytes)?,
        fill(file, SCALE, Dtype::F64, factors, f64::from_le_bytes)?,
        fill(file, NEVER_SEEN, Dtype::U32, never_seen, u32::from_le_bytes)?,
    ];
    Ok(found.into_iter().filter(|&found| found).count())
}

/// Takes the numbers of a tensor, if the file has it.
fn fill<T, const N: usize>(
    file: &SafeTensors,
    name: &str,
    dtype: Dtype,
    numbers: &mut Vec<T>,
    from_bytes: fn([u8; N]) -> T,
) -> Result<bool, String> {
    let Ok(view) = file.tensor(name) else { return Ok(false) };
    if view.dtype() != dtype || view.shape().len() != 1 {
        let (found, shape) = (view.dtype(), view.shape());
        return Err(format!(
            "the tensor `{name}` is {found} {shape:?}, expected a list of {dtype}"
        ));
    }
    let (chunks, _) = view.data().as_chunks::<N>();
    *numbers = chunks.iter().map(|&bytes| from_bytes(bytes)).collect();
    Ok(true)
}
