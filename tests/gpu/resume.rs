//! A run on a GPU that is left between two steps ends with the bits of one without a break.

use llfm::backend::Placement;
use llfm::config::{Method, Optimizer, TrainConfig};

use crate::bench::{METHODS, compressed, config, only, regression, rings, surface};
use crate::gpu::device;
use crate::resume::assert_resumes;

#[test]
fn every_method_resumes_to_the_same_bits() {
    for placement in [Placement::Resident, Placement::Stream] {
        let Some(device) = device(placement) else { return };
        let dense = rings(310, 5, 1);
        for data in [compressed(&dense), dense] {
            for method in METHODS {
                let config = TrainConfig { epochs: 2, ..config(method) };
                assert_resumes(&device, &only(&data), &config, &[3, 10, 17]);
            }
            for optimizer in [Optimizer::Sgd, Optimizer::AdaGrad] {
                let config = TrainConfig { optimizer, epochs: 2, ..config(Method::LlfmJo) };
                assert_resumes(&device, &only(&data), &config, &[3, 17]);
            }
        }
    }
}

#[test]
fn ensembles_and_values_resume_to_the_same_bits() {
    let Some(device) = device(Placement::Auto) else { return };
    let data = surface(310, 4, 1);
    let config =
        TrainConfig { ensemble: 2, epochs: 2, anchor_dropout: 0.3, ..regression(Method::LlfmJo) };
    assert_resumes(&device, &only(&data), &config, &[7, 33]);
}
