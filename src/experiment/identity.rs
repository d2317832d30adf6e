//! What a run is, in a form that tells it from others.

use serde_json::{Value, json};

use super::Prepared;
use crate::config::TrainConfig;
use crate::data::Dataset;
use crate::model::fingerprint;

impl Prepared {
    /// What a run with these settings is: everything its parameters depend on but the device and a model
    /// it starts from. Test rows are not among it, nothing is chosen by them.
    pub fn identity(&self, config: &TrainConfig) -> Value {
        let shape = self.shape();
        let training = match &self.stream {
            None => rows(&self.train),
            Some(rows) => json!({
                "rows": rows.n_rows(),
                "fingerprint": short(rows.fingerprint()),
                // The order of the rows depends on them, and they on --max-memory.
                "windows": (rows.n_windows() > 1).then(|| json!({
                    "max_memory": rows.max_memory(),
                    "chunks": short(&rows.chunks_fingerprint()),
                })),
            }),
        };
        // What differs is told in the order of the keys: rows before the settings that follow from them.
        json!({
            "data": {
                "training": training,
                "validation": self.valid.as_ref().map(rows),
                "features": shape.features,
            },
            "llfm": env!("CARGO_PKG_VERSION"),
            "settings": config,
        })
    }
}

fn rows(rows: &Dataset) -> Value {
    json!({"rows": rows.features.n_rows(), "fingerprint": short(&fingerprint(rows))})
}

/// As much of a fingerprint as people like to read: 64 bits.
fn short(fingerprint: &str) -> &str {
    &fingerprint[..16]
}
