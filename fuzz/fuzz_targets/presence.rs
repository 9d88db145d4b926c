#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ivy_fuzz::presence(input));
