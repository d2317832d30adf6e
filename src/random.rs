//! Random numbers: a named generator, one stream for each purpose.

use rand::SeedableRng;
pub(crate) use rand_xoshiro::Xoshiro256PlusPlus as Generator;

/// What a stream of random numbers is for. Streams of one seed do not overlap in use, so that a
/// change in how one is consumed leaves the others as they were.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// Seeding of the anchors.
    Anchors = 1,
    /// Initial factors.
    Factors = 2,
    /// Order of the rows.
    Order = 3,
    /// Rows that calibrate L.
    Calibration = 4,
    /// Points of a search space.
    Search = 5,
    /// Which anchors each step hides.
    Dropout = 6,
    /// Order of the chunks of a stream.
    Chunks = 7,
}

/// The generator of a seed alone. Only the split of the rows uses it: another program can draw the
/// same split without knowing how [`stream`] mixes its arguments.
pub(crate) fn plain(seed: u64) -> Generator {
    Generator::seed_from_u64(seed)
}

/// The stream of one purpose for member `member` of an ensemble seeded with `seed`.
pub(crate) fn stream(seed: u64, member: usize, purpose: Purpose) -> Generator {
    // Odd multipliers spread the three numbers over the word; the generator hashes it further.
    let word = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add((member as u64).wrapping_mul(0xd1b5_4a32_d192_ed03))
        .wrapping_add((purpose as u64).wrapping_mul(0x8cb9_2ba7_2f3d_8dd7));
    Generator::seed_from_u64(word)
}
