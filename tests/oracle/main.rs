//! The oracle checked against what is known without it: worked values, properties of the
//! mathematics, difference quotients, and a second way to compute the same thing.

// Every part is used here; other binaries use a part and allow dead code where they declare it.
#[path = "mod.rs"]
mod oracle;

mod checks {
    mod coding_properties;
    mod difference_quotients;
    mod golden_coding;
    mod losses;
    mod scores;
    mod training;
}
