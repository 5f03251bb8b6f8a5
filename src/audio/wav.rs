//! WAV files, 16 bit (door of crate hound). Reading takes any rate and channel count and gives 8 kHz mono.

use std::path::Path;

/// Reads a WAV file as 8 kHz mono. The error names the file and what to do.
pub fn read_8k_mono(path: &Path) -> Result<Vec<i16>, String> {
    let _ = path;
    todo!()
}
/// The same from memory; `name` is for errors.
pub fn decode_8k_mono(name: &str, bytes: &[u8]) -> Result<Vec<i16>, String> {
    let _ = (name, bytes);
    todo!()
}
/// Writes 16 bit; `channels` interleave, short ones are padded with silence.
pub fn write(path: &Path, hz: u32, channels: &[&[i16]]) -> Result<(), String> {
    let _ = (path, hz, channels);
    todo!()
}
