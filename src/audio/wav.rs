//! WAV files, 16 bit (door of crate hound). Reading takes any rate and channel count and gives 8 kHz mono.
//!
//! In: a file or its bytes: PCM of 8, 16, 24 or 32 bit, or 32-bit float. Out: 8 kHz mono samples, or an error that names the file and says
//! what to do. Writing: 16-bit PCM at any rate. Bounded: files above 64 MiB are refused before they are read.

use std::io::Cursor;
use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use super::pcm::Rate;
use super::resample;

/// Largest file that is read: 64 MiB, 5.8 minutes of 48 kHz stereo.
const MAX_BYTES: u64 = 64 << 20;

/// Reads a WAV file as 8 kHz mono. The error names the file and what to do.
pub fn read_8k_mono(path: &Path) -> Result<Vec<i16>, String> {
    read_mono(path, Rate::Hz8000)
}

/// The same at any rate.
pub fn read_mono(path: &Path, rate: Rate) -> Result<Vec<i16>, String> {
    let name = path.display();
    let size = std::fs::metadata(path).map_err(|error| format!("{name}: cannot be read: {error}"))?.len();
    if size > MAX_BYTES {
        return Err(format!("{name}: {} MiB is too large, the limit is 64 MiB", size >> 20));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    decode_mono_at(&name.to_string(), &bytes, rate)
}

/// The same from memory; `name` is for errors.
pub fn decode_8k_mono(name: &str, bytes: &[u8]) -> Result<Vec<i16>, String> {
    decode_mono_at(name, bytes, Rate::Hz8000)
}

fn decode_mono_at(name: &str, bytes: &[u8], rate: Rate) -> Result<Vec<i16>, String> {
    let (hz, samples) = decode_mono(name, bytes)?;
    resample::convert(&samples, hz, rate.hz())
        .ok_or_else(|| format!("{name}: a sample rate of {hz} Hz is not supported (1,000 to 384,000)"))
}

/// The file's own rate, and its channels mixed to one.
fn decode_mono(name: &str, bytes: &[u8]) -> Result<(u32, Vec<i16>), String> {
    let convert = "convert it with: ffmpeg -i IN -ar 8000 -ac 1 -c:a pcm_s16le OUT.wav";
    let explain = |error: hound::Error| match error {
        hound::Error::FormatError(what) => format!("{name}: not a WAV file we can read ({what}); {convert}"),
        hound::Error::IoError(_) => format!("{name}: the file ends before its header says; export it again"),
        hound::Error::Unsupported => format!("{name}: this WAV encoding is not PCM; {convert}"),
        other => format!("{name}: {other}; {convert}"),
    };
    let mut reader = WavReader::new(Cursor::new(bytes)).map_err(explain)?;
    let spec = reader.spec();
    let full_scale = match spec.sample_format {
        SampleFormat::Float => 1.0,
        SampleFormat::Int if (8..=32).contains(&spec.bits_per_sample) => f64::from(1u32 << (spec.bits_per_sample - 1)),
        SampleFormat::Int => {
            return Err(format!("{name}: {} bits a sample are not supported; {convert}", spec.bits_per_sample));
        }
    };
    let channels = usize::from(spec.channels);
    let factor = 32_768.0 / full_scale / channels as f64;
    let mut mono = Vec::new();
    let mut mix = Mix { sum: 0.0, have: 0, channels, factor };
    match spec.sample_format {
        SampleFormat::Float => {
            for sample in reader.samples::<f32>() {
                mono.extend(mix.add(f64::from(sample.map_err(explain)?)));
            }
        }
        SampleFormat::Int => {
            for sample in reader.samples::<i32>() {
                mono.extend(mix.add(f64::from(sample.map_err(explain)?)));
            }
        }
    }
    if mono.is_empty() {
        return Err(format!("{name}: the file has no audio"));
    }
    Ok((spec.sample_rate, mono))
}

/// Averages the channels of one instant.
struct Mix {
    sum: f64,
    have: usize,
    channels: usize,
    factor: f64,
}

impl Mix {
    fn add(&mut self, sample: f64) -> Option<i16> {
        self.sum += sample;
        self.have += 1;
        if self.have < self.channels {
            return None;
        }
        // `as` saturates, and makes 0 of NaN.
        let mixed = (self.sum * self.factor).round() as i16;
        (self.sum, self.have) = (0.0, 0);
        Some(mixed)
    }
}

/// Writes 16 bit; `channels` interleave, short ones are padded with silence.
pub fn write(path: &Path, hz: u32, channels: &[&[i16]]) -> Result<(), String> {
    let bytes = encode(hz, channels).map_err(|error| format!("{}: {error}", path.display()))?;
    std::fs::write(path, bytes).map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}

/// The bytes of such a file.
pub fn encode(hz: u32, channels: &[&[i16]]) -> Result<Vec<u8>, String> {
    let count =
        u16::try_from(channels.len()).ok().filter(|count| *count > 0).ok_or("a WAV file has 1 to 65,535 channels")?;
    let spec = WavSpec { channels: count, sample_rate: hz, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut bytes = Cursor::new(Vec::new());
    let write = |bytes: &mut Cursor<Vec<u8>>| -> Result<(), hound::Error> {
        let mut writer = WavWriter::new(bytes, spec)?;
        let len = channels.iter().map(|channel| channel.len()).max().unwrap_or(0);
        for n in 0..len {
            for channel in channels {
                writer.write_sample(channel.get(n).copied().unwrap_or(0))?;
            }
        }
        writer.finalize()
    };
    write(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::super::tone;
    use super::*;

    /// A file of `tone`, one channel, in the given encoding.
    fn file(hz: u32, bits: u16, format: SampleFormat, samples: &[f64]) -> Vec<u8> {
        let spec = WavSpec { channels: 1, sample_rate: hz, bits_per_sample: bits, sample_format: format };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, spec).expect("a valid spec");
        for sample in samples {
            match format {
                SampleFormat::Float => writer.write_sample(*sample as f32).expect("in memory"),
                SampleFormat::Int => {
                    let full_scale = f64::from(1u32 << (bits - 1)) - 1.0;
                    writer.write_sample((sample * full_scale).round() as i32).expect("in memory");
                }
            }
        }
        writer.finalize().expect("in memory");
        bytes.into_inner()
    }

    fn sine(hz: f64, rate: u32, len: usize) -> Vec<f64> {
        (0..len).map(|n| (std::f64::consts::TAU * hz * n as f64 / f64::from(rate)).sin() * 0.5).collect()
    }

    #[test]
    fn a_file_written_reads_back_the_same() {
        let tone = tone::dual(440.0, 620.0, 300, 0.5);
        let bytes = encode(8000, &[&tone]).expect("encodes");
        assert_eq!(decode_8k_mono("a.wav", &bytes).expect("decodes"), tone);
    }

    #[test]
    fn every_encoding_rate_and_width_becomes_the_same_tone() {
        for rate in [8000u32, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000] {
            for (bits, format) in [
                (8, SampleFormat::Int),
                (16, SampleFormat::Int),
                (24, SampleFormat::Int),
                (32, SampleFormat::Int),
                (32, SampleFormat::Float),
            ] {
                let bytes = file(rate, bits, format, &sine(1000.0, rate, rate as usize));
                let samples = decode_8k_mono("a.wav", &bytes).expect("decodes");
                assert_eq!(samples.len(), 8000, "{rate} Hz, {bits} bit");
                let ideal = sine(1000.0, 8000, 8000);
                // Away from the borders, within what 8 bits can say.
                let worst =
                    (400..7600).map(|n| (f64::from(samples[n]) / 32_768.0 - ideal[n]).abs()).fold(0.0, f64::max);
                let allowed = if bits == 8 { 0.012 } else { 0.002 };
                assert!(worst < allowed, "{rate} Hz, {bits} bit {format:?}: off by {worst}");
            }
        }
    }

    #[test]
    fn channels_are_mixed_and_short_ones_padded() {
        let bytes = encode(8000, &[&[1000, 1000, 1000], &[3000]]).expect("encodes");
        assert_eq!(decode_8k_mono("a.wav", &bytes).expect("decodes"), [2000, 500, 500]);
        assert!(encode(8000, &[]).is_err());
    }

    #[test]
    fn errors_name_the_file_and_say_what_to_do() {
        let good = encode(8000, &[&[1; 800]]).expect("encodes");
        let error = |bytes: &[u8]| decode_8k_mono("hold.wav", bytes).expect_err("refused");
        assert!(
            error(b"ID3 not a wav").starts_with("hold.wav: not a WAV file we can read"),
            "{}",
            error(b"ID3 not a wav")
        );
        assert!(error(&good[..500]).contains("ends before its header says"), "{}", error(&good[..500]));
        let mut mu_law = good.clone();
        mu_law[20] = 7;
        assert!(error(&mu_law).contains("ffmpeg -i"), "{}", error(&mu_law));
        let empty = encode(8000, &[&[]]).expect("encodes");
        assert!(error(&empty).contains("no audio"));
        let slow = encode(999, &[&[1; 10]]).expect("encodes");
        assert!(error(&slow).contains("999 Hz"));
        let missing = read_8k_mono(Path::new("no/such/file.wav")).expect_err("refused");
        assert!(missing.starts_with("no/such/file.wav: cannot be read"), "{missing}");
    }

    #[test]
    fn a_broken_header_never_panics() {
        let good = encode(16_000, &[&[7; 64], &[9; 64]]).expect("encodes");
        for at in 0..44 {
            for value in [0, 1, 2, 3, 7, 8, 0x10, 0x7F, 0x80, 0xFE, 0xFF] {
                let mut bytes = good.clone();
                bytes[at] = value;
                // An extensible header, too: its fields are read from what follows.
                let _ = decode_mono("a.wav", &bytes);
                bytes[16] = 40;
                bytes[20..22].copy_from_slice(&[0xFE, 0xFF]);
                let _ = decode_mono("a.wav", &bytes);
            }
        }
    }
}
