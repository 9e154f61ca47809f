//! The room of YAML, fed by libFuzzer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxseal::document::Format;

fuzz_target!(|data: &[u8]| waxseal_fuzz::room(data, Format::Yaml));
