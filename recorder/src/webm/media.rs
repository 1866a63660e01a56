//! What a track of a file carries: how it is named in the head, and read back from there.
//!
//! ```text
//! Media --put_entry--> TrackEntry (codec id, private bytes, size) --read_entry--> Media
//! ```
//!
//! <https://www.matroska.org/technical/codec_specs.html> (codec ids, private bytes),
//! RFC 7845 §5.1 <https://www.rfc-editor.org/rfc/rfc7845> (Opus head).

use bytes::Bytes;

use crate::ebml::{self, id};

/// 312 samples: what every Opus encoder in browsers adds in front (its look-ahead).
const OPUS_PRE_SKIP: u16 = 312;
/// The same in nanoseconds.
const OPUS_CODEC_DELAY_NS: u64 = 6_500_000;
/// RFC 7845 §4.6: a decoder needs 80 ms to converge after a seek.
const OPUS_SEEK_PRE_ROLL_NS: u64 = 80_000_000;

const TYPE_VIDEO: u64 = 1;
const TYPE_AUDIO: u64 = 2;

const OPUS: &[u8] = b"A_OPUS";
const VP8: &[u8] = b"V_VP8";
const VP9: &[u8] = b"V_VP9";
const AV1: &[u8] = b"V_AV1";
const H264: &[u8] = b"V_MPEG4/ISO/AVC";

/// What a track carries. `config` is what a decoder needs before the first frame and stands in the head: frames of
/// another configuration need another file. Sizes in pixels; they may change inside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Opus,
    Vp8 {
        width: u16,
        height: u16,
    },
    Vp9 {
        width: u16,
        height: u16,
    },
    H264 {
        width: u16,
        height: u16,
        /// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1): the parameter sets.
        config: Bytes,
    },
    Av1 {
        width: u16,
        height: u16,
        /// `AV1CodecConfigurationRecord` (AV1 in ISO-BMFF §2.3): the sequence header.
        config: Bytes,
    },
}

impl Media {
    /// Width and height, of pictures.
    pub(crate) fn dimensions(&self) -> Option<(u16, u16)> {
        match self {
            Self::Opus => None,
            Self::Vp8 { width, height }
            | Self::Vp9 { width, height }
            | Self::H264 { width, height, .. }
            | Self::Av1 { width, height, .. } => Some((*width, *height)),
        }
    }

    /// Whether a file that carries this can take frames of `other`: only a size may change inside a file.
    pub(crate) fn goes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::H264 { config: ours, .. }, Self::H264 { config: theirs, .. })
            | (Self::Av1 { config: ours, .. }, Self::Av1 { config: theirs, .. }) => ours == theirs,
            _ => self.codec_id() == other.codec_id(),
        }
    }

    pub(crate) fn is_video(&self) -> bool {
        self.dimensions().is_some()
    }

    /// Whether WebM has a place for it; Matroska has one for all (<https://www.webmproject.org/docs/container/>).
    pub(crate) fn is_webm(&self) -> bool {
        !matches!(self, Self::H264 { .. })
    }

    fn codec_id(&self) -> &'static [u8] {
        match self {
            Self::Opus => OPUS,
            Self::Vp8 { .. } => VP8,
            Self::Vp9 { .. } => VP9,
            Self::H264 { .. } => H264,
            Self::Av1 { .. } => AV1,
        }
    }
}

/// Fills a TrackEntry.
pub(super) fn put_entry(out: &mut Vec<u8>, number: u64, media: &Media) {
    ebml::put_uint(out, id::TRACK_NUMBER, number);
    ebml::put_uint(out, id::TRACK_UID, number);
    ebml::put_uint(out, id::FLAG_LACING, 0);
    ebml::put_element(out, id::LANGUAGE, b"und");
    ebml::put_element(out, id::CODEC_ID, media.codec_id());
    match media {
        Media::Opus => ebml::put_element(out, id::CODEC_PRIVATE, &opus_head()),
        Media::H264 { config, .. } | Media::Av1 { config, .. } => ebml::put_element(out, id::CODEC_PRIVATE, config),
        Media::Vp8 { .. } | Media::Vp9 { .. } => {}
    }
    if let Some((width, height)) = media.dimensions() {
        ebml::put_uint(out, id::TRACK_TYPE, TYPE_VIDEO);
        ebml::put_master(out, id::VIDEO, |out| {
            ebml::put_uint(out, id::PIXEL_WIDTH, width.into());
            ebml::put_uint(out, id::PIXEL_HEIGHT, height.into());
        });
    } else {
        ebml::put_uint(out, id::TRACK_TYPE, TYPE_AUDIO);
        ebml::put_uint(out, id::CODEC_DELAY, OPUS_CODEC_DELAY_NS);
        ebml::put_uint(out, id::SEEK_PRE_ROLL, OPUS_SEEK_PRE_ROLL_NS);
        ebml::put_master(out, id::AUDIO, |out| {
            ebml::put_float(out, id::SAMPLING_FREQUENCY, 48_000.0);
            ebml::put_uint(out, id::CHANNELS, 2);
        });
    }
}

/// Track number and media of a TrackEntry's body; `None` when it is not one of ours.
pub(crate) fn read_entry(entry: &[u8]) -> Option<(u64, Media)> {
    let number = ebml::read_uint(ebml::child(entry, id::TRACK_NUMBER)?);
    let codec = ebml::child(entry, id::CODEC_ID)?;
    if codec == OPUS {
        return Some((number, Media::Opus));
    }
    let video = ebml::child(entry, id::VIDEO)?;
    let pixels = |id| u16::try_from(ebml::read_uint(ebml::child(video, id)?)).ok();
    let (width, height) = (pixels(id::PIXEL_WIDTH)?, pixels(id::PIXEL_HEIGHT)?);
    let config = ebml::child(entry, id::CODEC_PRIVATE).map(Bytes::copy_from_slice);
    let media = match codec {
        VP8 => Media::Vp8 { width, height },
        VP9 => Media::Vp9 { width, height },
        H264 => Media::H264 { width, height, config: config? },
        AV1 => Media::Av1 { width, height, config: config? },
        _ => return None,
    };
    Some((number, media))
}

/// RFC 7845 §5.1. RTP's Opus is always announced as two channels (RFC 7587 §7), whatever a packet carries.
fn opus_head() -> Vec<u8> {
    let mut head = b"OpusHead".to_vec();
    head.extend_from_slice(&[1, 2]); // version, channels
    head.extend_from_slice(&OPUS_PRE_SKIP.to_le_bytes());
    head.extend_from_slice(&48_000u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]); // gain, mapping family
    head
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn every_medium_reads_back_from_its_entry() {
        let config = Bytes::from_static(&[1, 2, 3]);
        let all = [
            Media::Opus,
            Media::Vp8 { width: 640, height: 360 },
            Media::Vp9 { width: 1920, height: 1080 },
            Media::H264 { width: 320, height: 180, config: config.clone() },
            Media::Av1 { width: 1, height: 65_535, config },
        ];
        for (number, media) in all.into_iter().enumerate() {
            let mut entry = Vec::new();
            put_entry(&mut entry, number as u64 + 1, &media);
            assert_eq!(read_entry(&entry), Some((number as u64 + 1, media)));
        }
    }

    #[test]
    fn the_opus_head_is_rfc_7845() {
        let head = opus_head();
        assert_eq!(head.len(), 19);
        assert_eq!(&head[..12], b"OpusHead\x01\x02\x38\x01");
        assert_eq!(u32::from_le_bytes(head[12..16].try_into().unwrap()), 48_000);
    }
}
