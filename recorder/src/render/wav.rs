//! Everybody's sound as WAV, for programs that read nothing else.
//!
//! The composed file's Opus is decoded, 48 kHz, one channel, 16 bits: 96,000 bytes a second, 346 MB an hour. A sample's
//! place in the files is its time in the recording: holes are filled with silence of their length, the encoder's delay
//! is cut off. A WAV file cannot grow beyond 4 GiB, so the next file begins before, with the very next sample.
//!
//! ```text
//! sound -> packet, time -> opus -> | silence up to the time | samples | -> hound -> mix-1.wav, mix-2.wav, ...
//! ```

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::RenderError;
use super::sound::{SAMPLES_PER_MS, SoundReader};

/// Where WAV files end at the latest: 32-bit lengths, and some programs read them as signed.
pub(crate) const MAX_FILE_BYTES: u64 = (1 << 32) - (1 << 20);

const RATE: u32 = 48_000;
const BYTES_PER_SAMPLE: u64 = 2;
/// Of one file; hound writes 44 or 68 bytes.
const HEAD_BYTES: u64 = 128;
/// RFC 6716 §2.1.4: a packet has at most 120 ms.
const MAX_PACKET_SAMPLES: usize = 120 * SAMPLES_PER_MS as usize;
/// Times are whole milliseconds, so contiguous packets may seem so far apart, or over each other.
const ROUNDING_SAMPLES: i64 = SAMPLES_PER_MS;
/// Silence is written in pieces of this many samples.
const SILENCE: usize = 4_800;

/// Decodes the Opus track of `content` into `mix-1.wav` and so on in `work`, each of at most `limit_bytes`.
///
/// Blocks: about ten seconds for an hour. An interrupted call is begun anew.
pub(crate) fn wav(
    content: &Path,
    work: &Path,
    limit_bytes: u64,
    progress: &dyn Fn(u8),
    cancelled: &AtomicBool,
) -> Result<Vec<PathBuf>, RenderError> {
    fs::create_dir_all(work).map_err(RenderError::disk("preparing the work folder"))?;
    let total = fs::metadata(content).map_or(1, |found| found.len().max(1));
    let mut reader = SoundReader::open(content)?;
    let mut decoder =
        opus::Decoder::new(RATE, opus::Channels::Mono).map_err(|_| RenderError::Damaged("no decoder could be made"))?;
    let mut mix = Mix::new(work, limit_bytes);
    let mut samples = [0; MAX_PACKET_SAMPLES];
    let mut unheard = None;
    while let Some(packet) = reader.next_packet()? {
        if cancelled.load(Ordering::Relaxed) {
            return Err(RenderError::Cancelled);
        }
        // A packet that cannot be decoded is a hole. The next one says how long.
        let Ok(count) = decoder.decode(&packet.data, &mut samples, false) else { continue };
        // The decoder's first samples are the encoder's delay, not sound (RFC 7845 §4.2).
        let cut = count.min(*unheard.get_or_insert(reader.delay_samples().max(0) as usize));
        unheard = unheard.map(|left| left - cut);
        mix.put(packet.at + cut as i64, samples.get(cut..count).unwrap_or_default())?;
        progress(u8::try_from(reader.read_bytes().saturating_mul(100) / total).unwrap_or(100).min(99));
    }
    let files = mix.finish()?;
    progress(100);
    Ok(files)
}

type Writer = hound::WavWriter<BufWriter<File>>;

/// The files being written.
struct Mix<'a> {
    folder: &'a Path,
    /// Of one file.
    limit_samples: u64,
    files: Vec<PathBuf>,
    open: Option<Writer>,
    /// Free samples of the open file.
    room: u64,
    /// Where the next sample belongs.
    position: i64,
}

impl<'a> Mix<'a> {
    fn new(folder: &'a Path, limit_bytes: u64) -> Self {
        let limit_samples = limit_bytes.min(MAX_FILE_BYTES).saturating_sub(HEAD_BYTES) / BYTES_PER_SAMPLE;
        Self { folder, limit_samples: limit_samples.max(1), files: Vec::new(), open: None, room: 0, position: 0 }
    }

    /// Writes samples that belong at `at`.
    fn put(&mut self, at: i64, samples: &[i16]) -> Result<(), RenderError> {
        let ahead = at - self.position;
        let mut samples = samples;
        if ahead > ROUNDING_SAMPLES {
            self.silence(ahead.unsigned_abs())?;
        } else if ahead < -ROUNDING_SAMPLES {
            let behind = usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX);
            samples = samples.get(behind..).unwrap_or_default();
        }
        self.write(samples)
    }

    fn silence(&mut self, mut count: u64) -> Result<(), RenderError> {
        let zeros = [0; SILENCE];
        while count > 0 {
            let piece = zeros.get(..usize::try_from(count).unwrap_or(SILENCE).min(SILENCE)).unwrap_or(&zeros);
            self.write(piece)?;
            count -= piece.len() as u64;
        }
        Ok(())
    }

    fn write(&mut self, mut samples: &[i16]) -> Result<(), RenderError> {
        while !samples.is_empty() {
            if self.room == 0 {
                self.roll()?;
            }
            let fits = usize::try_from(self.room).unwrap_or(usize::MAX).min(samples.len());
            let (now, later) = samples.split_at(fits);
            if let Some(writer) = &mut self.open {
                now.iter().try_for_each(|sample| writer.write_sample(*sample)).map_err(writing)?;
            }
            self.room -= fits as u64;
            self.position += fits as i64;
            samples = later;
        }
        Ok(())
    }

    fn roll(&mut self) -> Result<(), RenderError> {
        self.close()?;
        let file = self.folder.join(format!("mix-{}.wav", self.files.len() + 1));
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        self.open = Some(hound::WavWriter::create(&file, spec).map_err(writing)?);
        self.files.push(file);
        self.room = self.limit_samples;
        Ok(())
    }

    /// The head with the true lengths is written here.
    fn close(&mut self) -> Result<(), RenderError> {
        self.open.take().map_or(Ok(()), |writer| writer.finalize().map_err(writing))
    }

    fn finish(mut self) -> Result<Vec<PathBuf>, RenderError> {
        if self.files.is_empty() {
            return Err(RenderError::Nothing("nobody was heard"));
        }
        self.close()?;
        Ok(self.files)
    }
}

fn writing(error: hound::Error) -> RenderError {
    let source = match error {
        hound::Error::IoError(source) => source,
        other => io::Error::other(other),
    };
    RenderError::Disk { what: "writing the WAV", source }
}

#[cfg(test)]
mod tests;
