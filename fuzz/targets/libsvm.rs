#![no_main]
use llfm::data::Format;
libfuzzer_sys::fuzz_target!(init: llfm_fuzz::init(), |data: &[u8]| {
    llfm_fuzz::reader::text(data, Format::Libsvm);
});
