//! What one kernel wrote, beside what it should have written.

/// One output of one kernel.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    /// Entry point.
    pub(crate) kernel: &'static str,
    /// What is compared: a buffer's name, or what was derived from it.
    pub(crate) output: &'static str,
    pub(crate) found: Vec<f64>,
    pub(crate) expected: Vec<f64>,
}

impl Checked {
    /// The largest difference relative to the largest magnitude expected; infinite where a number
    /// is not finite or the lengths differ.
    pub(crate) fn error(&self) -> f64 {
        if self.found.len() != self.expected.len() {
            return f64::INFINITY;
        }
        let scale = self.expected.iter().fold(f64::MIN_POSITIVE, |max, x| max.max(x.abs()));
        let mut worst = 0.0_f64;
        for (found, expected) in self.found.iter().zip(&self.expected) {
            let difference = (found - expected).abs() / scale;
            // NaN is no smaller than anything.
            worst = if difference.is_finite() { worst.max(difference) } else { f64::INFINITY };
        }
        worst
    }

    /// The root mean square of the differences, relative to that of the numbers expected; infinite
    /// where [`Checked::error`] is.
    pub(crate) fn mean_error(&self) -> f64 {
        if !self.error().is_finite() {
            return f64::INFINITY;
        }
        let pairs = self.found.iter().zip(&self.expected);
        let squares: f64 = pairs.map(|(found, expected)| (found - expected).powi(2)).sum();
        let scale: f64 = self.expected.iter().map(|x| x * x).sum();
        (squares / scale.max(f64::MIN_POSITIVE)).sqrt()
    }
}

/// A number found, brought nearer to the one expected by what rounding explains; NaN stays.
pub(super) fn toward(found: f64, expected: f64, slack: f64) -> f64 {
    let away = found - expected;
    if away.is_nan() { away } else { found - away.clamp(-slack, slack) }
}
