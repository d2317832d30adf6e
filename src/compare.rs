//! The GPU backend beside the CPU's: each kernel alone, some steps, a whole run.

mod check;

pub(crate) use check::Checked;
