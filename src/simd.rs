//! Running a loop compiled for the widest vector unit of the machine.
//!
//! Every sum is taken in an order that does not depend on the vector width, and products are added
//! with a fused multiply-add, so a kernel gives the same bits whichever of them it runs with.

use std::cmp::Ordering;

/// Runs `body`, which must be `#[inline(always)]` all the way down, with AVX-512, AVX2 or NEON
/// where the machine has them.
#[inline(always)]
pub(crate) fn vectorized<R>(body: impl FnOnce() -> R) -> R {
    #[cfg(test)]
    if tests::is_scalar() {
        return body();
    }
    pulp::Arch::new().dispatch(body)
}

/// Runs a kernel written in vectors, as [`vectorized`] runs one written in loops.
#[inline(always)]
pub(crate) fn dispatch<K: pulp::WithSimd>(kernel: K) -> K::Output {
    #[cfg(test)]
    if tests::is_scalar() {
        return kernel.with_simd(pulp::Scalar);
    }
    pulp::Arch::new().dispatch(kernel)
}

/// The widest vector unit that loops are compiled for, of this machine.
pub(crate) fn level() -> String {
    let arch = format!("{:?}", pulp::Arch::new());
    let name = arch.split('(').next().unwrap_or_default();
    match name {
        "V4" => "AVX-512".into(),
        "V3" => "AVX2".into(),
        other => other.to_lowercase(),
    }
}

/// Lanes that feature and anchor rows are padded to, one AVX-512 register of f32.
pub(crate) const LANES: usize = 16;

/// `n` rounded up to a multiple of [`LANES`].
pub(crate) const fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// Folds sixteen lanes pairwise, in halves that are vectors themselves.
#[inline(always)]
pub(crate) fn fold_lanes<T: Copy>(lanes: [T; LANES], fold: impl Fn(T, T) -> T) -> T {
    let eight: [T; 8] = std::array::from_fn(
        #[inline(always)]
        |l| fold(lanes[l], lanes[l + 8]),
    );
    let four: [T; 4] = std::array::from_fn(
        #[inline(always)]
        |l| fold(eight[l], eight[l + 4]),
    );
    fold(fold(four[0], four[2]), fold(four[1], four[3]))
}

/// A record of a known number of lanes, in groups of four: the compiler keeps those in registers,
/// where it would cut a plain array into odd parts.
pub(crate) type Quads<const Q: usize> = [[f32; 4]; Q];

/// Memory as records; what is left at the end is no record.
#[inline(always)]
pub(crate) fn as_quads<const Q: usize>(lanes: &[f32]) -> &[Quads<Q>] {
    lanes.as_chunks().0.as_chunks().0
}

/// The same, to be written.
#[inline(always)]
pub(crate) fn as_quads_mut<const Q: usize>(lanes: &mut [f32]) -> &mut [Quads<Q>] {
    lanes.as_chunks_mut().0.as_chunks_mut().0
}

/// Sums four lanes pairwise.
#[inline(always)]
pub(crate) fn sum_quad(quad: [f32; 4]) -> f32 {
    (quad[0] + quad[2]) + (quad[1] + quad[3])
}

/// A record with `inside` in its first lanes, `at` in the next and 0 in the rest.
#[inline(always)]
pub(crate) fn mask<const Q: usize>(lanes: usize, inside: f32, at: f32) -> Quads<Q> {
    let mut quads = [[0.0; 4]; Q];
    for (l, lane) in quads.as_flattened_mut().iter_mut().enumerate() {
        *lane = match l.cmp(&lanes) {
            Ordering::Less => inside,
            Ordering::Equal => at,
            Ordering::Greater => 0.0,
        };
    }
    quads
}

/// Calls a kernel with the groups of four lanes of a record known to the compiler, where there are
/// few: its sums are then held in registers.
macro_rules! with_quads {
    ($lanes:expr, $known:ident($($argument:expr),* $(,)?), else $other:expr) => {
        match $lanes {
            4 => $known::<1>($($argument),*),
            8 => $known::<2>($($argument),*),
            12 => $known::<3>($($argument),*),
            16 => $known::<4>($($argument),*),
            20 => $known::<5>($($argument),*),
            24 => $known::<6>($($argument),*),
            28 => $known::<7>($($argument),*),
            32 => $known::<8>($($argument),*),
            _ => $other,
        }
    };
}
pub(crate) use with_quads;

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    thread_local! {
        static SCALAR: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn is_scalar() -> bool {
        SCALAR.get()
    }

    /// Runs `body` without vectors; what it gives to other threads has them.
    pub(crate) fn without_vectors<R>(body: impl FnOnce() -> R) -> R {
        SCALAR.set(true);
        let result = body();
        SCALAR.set(false);
        result
    }
}
