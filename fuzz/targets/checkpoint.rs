#![no_main]
libfuzzer_sys::fuzz_target!(init: llfm_fuzz::init(), |data: &[u8]| llfm_fuzz::checkpoint::file(data));
