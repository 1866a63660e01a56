//! Reads the Opus track out of a WebM file, packet after packet.
//!
//! The composed file has a picture too, and may be as long as a day: it is read once from front to back and never
//! held in memory. Elements are read flat: a segment, a cluster and a block group are simply entered, so sizes that
//! say "unknown", as in a file that was cut off, need no care. Nothing is trusted: a block of ours has a limit, all
//! other things are jumped over.
//!
//! ```text
//! file -> id, size -> Info: scale | Tracks: number, delay of A_OPUS | Cluster: time | block of that number -> packet
//! ```
//!
//! RFC 9559 <https://www.rfc-editor.org/rfc/rfc9559> (Matroska), RFC 7845 <https://www.rfc-editor.org/rfc/rfc7845>
//! (Opus).

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use super::{MAX_DURATION_MS, RenderError};
use crate::ebml::{self, ElementStart, id};

/// Samples in a millisecond: Opus counts at 48 kHz, whatever it carries (RFC 7845 §5.1).
pub(crate) const SAMPLES_PER_MS: i64 = 48;

/// RFC 9559 §5.1.3.5, §5.1.3.5.1: a block with a duration of its own.
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
/// Larger heads are not ours.
const MAX_HEAD_BYTES: u64 = 1 << 20;
/// RFC 6716 §3.4: 48 frames of 1,275 bytes and their lengths are more than any encoder makes.
const MAX_PACKET_BYTES: u64 = 64 << 10;
/// RFC 9559 §5.1.2.1: nanoseconds of a tick, when the file does not say.
const DEFAULT_SCALE_NS: u64 = 1_000_000;

/// One Opus packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packet {
    /// When its first sample is heard, in samples after time zero; negative within the encoder's delay.
    pub(crate) at: i64,
    pub(crate) data: Vec<u8>,
}

/// A file being read.
#[derive(Debug)]
pub(crate) struct SoundReader<R> {
    from: BufReader<R>,
    scale_ns: u64,
    track: Option<Track>,
    cluster_ticks: u64,
    read_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Track {
    number: u64,
    delay_samples: i64,
}

impl SoundReader<File> {
    pub(crate) fn open(path: &Path) -> Result<Self, RenderError> {
        Ok(Self::new(File::open(path).map_err(reading)?))
    }
}

impl<R: Read + Seek> SoundReader<R> {
    pub(crate) fn new(from: R) -> Self {
        let from = BufReader::with_capacity(1 << 16, from);
        Self { from, scale_ns: DEFAULT_SCALE_NS, track: None, cluster_ticks: 0, read_bytes: 0 }
    }

    /// How far the file is read.
    pub(crate) const fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// The encoder's delay, which is not to be heard; known once a packet was read.
    pub(crate) fn delay_samples(&self) -> i64 {
        self.track.map_or(0, |track| track.delay_samples)
    }

    /// The next packet; none at the end. A torn end is an end.
    pub(crate) fn next_packet(&mut self) -> Result<Option<Packet>, RenderError> {
        loop {
            match self.step() {
                Ok(None) => {}
                Ok(Some(packet)) => return Ok(Some(packet)),
                Err(Stop::End) if self.track.is_none() => return Err(RenderError::Nothing("it has no sound")),
                Err(Stop::End) => return Ok(None),
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
    }

    /// One element.
    fn step(&mut self) -> Result<Option<Packet>, Stop> {
        let ElementStart { id, size, .. } = self.start()?;
        match (id, size) {
            (id::SEGMENT | id::CLUSTER | BLOCK_GROUP, _) => {}
            (id::TIMESTAMP, Some(size @ ..=8)) => self.cluster_ticks = ebml::read_uint(&self.body(size)?),
            (id::INFO, Some(size @ ..=MAX_HEAD_BYTES)) => {
                let info = self.body(size)?;
                let scale = child(&info, id::TIMESTAMP_SCALE).map(ebml::read_uint);
                self.scale_ns = scale.unwrap_or(DEFAULT_SCALE_NS);
            }
            (id::TRACKS, Some(size @ ..=MAX_HEAD_BYTES)) => {
                let tracks = self.body(size)?;
                let opus = ebml::children(&tracks).filter(|(_, start, _)| start.id == id::TRACK_ENTRY);
                self.track = opus.filter_map(|(.., entry)| opus_track(entry)).next();
                if self.track.is_none() {
                    return Err(RenderError::Nothing("it has no sound").into());
                }
            }
            (id::SIMPLE_BLOCK | BLOCK, Some(size)) => return self.block(size),
            (_, Some(size)) => self.skip(size)?,
            (_, None) => return Err(RenderError::Damaged("an element has no length").into()),
        }
        Ok(None)
    }

    /// RFC 9559 §10.1: track number, 16-bit time, flags, frame.
    fn block(&mut self, size: u64) -> Result<Option<Packet>, Stop> {
        let Some(track) = self.track else { return Err(RenderError::Damaged("a block before its track").into()) };
        let mut first = [0];
        self.fill(&mut first)?;
        let [first] = first;
        let more = u64::from(first.leading_zeros());
        if more > 7 || size < 1 + more + 3 {
            return Err(RenderError::Damaged("a block without a track number").into());
        }
        let number = self.body(more)?;
        let number = u64::from(first & (0x7F >> more)) << (8 * more) | ebml::read_uint(&number);
        let rest = size - 1 - more;
        if number != track.number {
            self.skip(rest)?;
            return Ok(None);
        }
        if rest > MAX_PACKET_BYTES {
            return Err(RenderError::Damaged("a packet is too large").into());
        }
        let mut body = self.body(rest)?;
        let [high, low, flags, ..] = *body.as_slice() else { return Err(Stop::End) };
        // RFC 9559 §10.3: Opus is never laced.
        if flags & 0x06 != 0 {
            return Err(RenderError::Damaged("packets are laced").into());
        }
        let at =
            self.samples(i16::from_be_bytes([high, low])).ok_or(RenderError::Damaged("a time lies too far away"))?;
        body.drain(..3);
        Ok(Some(Packet { at: at - track.delay_samples, data: body }))
    }

    /// Of a block, in samples after time zero; none behind all recordings.
    fn samples(&self, offset: i16) -> Option<i64> {
        let ticks = i128::from(self.cluster_ticks) + i128::from(offset);
        let samples = ticks * i128::from(self.scale_ns) * i128::from(SAMPLES_PER_MS) / 1_000_000;
        let limit = i128::from(MAX_DURATION_MS) * i128::from(SAMPLES_PER_MS);
        i64::try_from(samples).ok().filter(|samples| i128::from(*samples) <= limit)
    }

    fn start(&mut self) -> Result<ElementStart, Stop> {
        let mut bytes = Vec::with_capacity(12);
        while bytes.len() < 12 {
            let mut next = [0];
            self.fill(&mut next)?;
            bytes.extend(next);
            if let Some(start) = ebml::read_start(&bytes) {
                return Ok(start);
            }
        }
        Err(RenderError::Damaged("it is no WebM file").into())
    }

    fn body(&mut self, size: u64) -> Result<Vec<u8>, Stop> {
        let mut body = Vec::new();
        let read = self.from.by_ref().take(size).read_to_end(&mut body).map_err(reading)?;
        self.read_bytes += read as u64;
        if read as u64 == size { Ok(body) } else { Err(Stop::End) }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Stop> {
        self.read_bytes += bytes.len() as u64;
        self.from.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Stop::End,
            _ => reading(error).into(),
        })
    }

    fn skip(&mut self, size: u64) -> Result<(), Stop> {
        let Ok(distance) = i64::try_from(size) else { return Err(Stop::End) };
        self.read_bytes = self.read_bytes.saturating_add(size);
        self.from.seek_relative(distance).map_err(|_| Stop::End)
    }
}

enum Stop {
    End,
    Failed(RenderError),
}

impl From<RenderError> for Stop {
    fn from(error: RenderError) -> Self {
        Self::Failed(error)
    }
}

fn reading(error: io::Error) -> RenderError {
    RenderError::Disk { what: "reading the recorded sound", source: error }
}

fn child(body: &[u8], id: u32) -> Option<&[u8]> {
    ebml::children(body).find(|(_, start, _)| start.id == id).map(|(.., content)| content)
}

fn opus_track(entry: &[u8]) -> Option<Track> {
    child(entry, id::CODEC_ID).filter(|codec| *codec == b"A_OPUS")?;
    let number = ebml::read_uint(child(entry, id::TRACK_NUMBER)?);
    let delay_ns = child(entry, id::CODEC_DELAY).map_or(0, ebml::read_uint);
    // More than a second is no encoder's delay.
    let delay_samples = (delay_ns.min(1_000_000_000) * SAMPLES_PER_MS as u64 + 500_000) / 1_000_000;
    Some(Track { number, delay_samples: delay_samples as i64 })
}

#[cfg(test)]
mod tests;
