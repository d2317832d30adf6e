//! The GPU kernels as text: that they are valid, translate for every driver, and keep the contract
//! of `shaders/README.md`. None of it needs a GPU.

mod shaders {
    mod contract;
    mod pairing;
    pub(crate) mod source;
    mod translation;
}
