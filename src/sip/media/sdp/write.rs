//! Writing a description: one audio line, and the others that were refused, where they stood.
//!
//! ```text
//! Audio, refused lines ─> description() ─> Text
//! ```

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use zeroize::Zeroizing;

use super::crypto::SUITE;
use super::{Direction, Text};
use crate::media::codec::Codec;
use crate::media::keys::SrtpKey;

/// Long enough for what we write, so that a key is not left behind in a buffer that was too short.
const ROOM: usize = 4_096;

/// The audio line that we say.
#[derive(Debug)]
pub(super) struct Audio<'a> {
    pub(super) protocol: &'a str,
    /// In order, with their payload types.
    pub(super) codecs: &'a [(u8, Codec)],
    /// Payload types and clocks of telephone events.
    pub(super) events: &'a [(u8, u32)],
    pub(super) ptime_ms: u8,
    pub(super) direction: Direction,
    pub(super) is_muxed: bool,
    /// Tag and key.
    pub(super) crypto: Option<(u32, &'a SrtpKey)>,
}

/// `refused`: whole `m=` lines; the audio stands before number `at`.
pub(super) fn description(
    local: SocketAddr,
    id: u64,
    version: u64,
    audio: &Audio<'_>,
    refused: &[String],
    at: usize,
) -> Text {
    let mut text =
        Zeroizing::new(String::with_capacity(ROOM + refused.iter().map(|line| line.len() + 2).sum::<usize>()));
    let family = match local.ip() {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    };
    let address = local.ip();
    // Writing to a string does not fail.
    let _ =
        write!(text, "v=0\r\no=- {id} {version} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n");
    let (before, after) = refused.split_at_checked(at).unwrap_or((refused, &[]));
    for line in before {
        let _ = write!(text, "{line}\r\n");
    }
    audio_lines(&mut text, local.port(), audio);
    for line in after {
        let _ = write!(text, "{line}\r\n");
    }
    Text(text)
}

fn audio_lines(text: &mut String, port: u16, audio: &Audio<'_>) {
    let _ = write!(text, "m=audio {port} {}", audio.protocol);
    for payload_type in
        audio.codecs.iter().map(|(number, _)| number).chain(audio.events.iter().map(|(number, _)| number))
    {
        let _ = write!(text, " {payload_type}");
    }
    let _ = write!(text, "\r\n");
    for (payload_type, codec) in audio.codecs {
        let _ = write!(text, "a=rtpmap:{payload_type} {}\r\n", codec.rtpmap());
        if *codec == Codec::Opus {
            // RFC 7587 §7: we make one channel, and who hears the phone can use its repair.
            let _ = write!(text, "a=fmtp:{payload_type} stereo=0;sprop-stereo=0;useinbandfec=1\r\n");
        }
    }
    for (payload_type, clock) in audio.events {
        let _ = write!(text, "a=rtpmap:{payload_type} telephone-event/{clock}\r\na=fmtp:{payload_type} 0-15\r\n");
    }
    if let Some((tag, key)) = audio.crypto {
        let _ = write!(text, "a=crypto:{tag} {SUITE} inline:{}\r\n", key.to_base64().as_str());
    }
    if audio.is_muxed {
        let _ = write!(text, "a=rtcp-mux\r\n");
    }
    let _ = write!(text, "a=ptime:{}\r\na={}\r\n", audio.ptime_ms, audio.direction.name());
}
