//! What of an audio line both sides can do.
//!
//! ```text
//! Media, Capabilities ─> audio that is allowed? ─> first codec of theirs that is ours ─> events, times, addresses
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crypto::CryptoLine;
use super::parse::{Media, RtpMap};
use super::{Direction, Refused, Srtp};
use crate::media::codec::{Codec, OPUS_BITRATE};

/// Milliseconds of packets that we can make.
const PTIMES: [u8; 5] = [10, 20, 30, 40, 60];

/// What nearly everybody does.
const PTIME: u8 = 20;

/// A format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) payload_type: u8,
    pub(super) codec: Codec,
}

/// Whether the line is audio that the trunk's policy lets us take, and with which key.
pub(super) fn protection<'a>(media: &'a Media<'_>, policy: Srtp) -> Result<Option<&'a CryptoLine>, Refused> {
    if media.kind != "audio" || media.port == 0 {
        return Err(Refused::NoAudio);
    }
    // Feedback (AVPF, SAVPF) may be sent, and need not (RFC 4585 §3.1): to us they are the same.
    let is_secure = match media.protocol {
        "RTP/AVP" | "RTP/AVPF" => false,
        "RTP/SAVP" | "RTP/SAVPF" => true,
        _ => return Err(Refused::NoAudio),
    };
    match (is_secure, policy) {
        (false, Srtp::Disabled | Srtp::Allowed) => Ok(None),
        (false, Srtp::Required) => Err(Refused::SrtpRequired),
        (true, Srtp::Disabled) => Err(Refused::SrtpDisabled),
        (true, Srtp::Allowed | Srtp::Required) => media.crypto.first().map(Some).ok_or(Refused::SrtpRequired),
    }
}

/// Payload types of the line, in its order. RFC 5761 §4: 64 to 95 look like RTCP when the marker is set.
fn payload_types(media: &Media<'_>) -> impl Iterator<Item = u8> {
    let types = media.formats.split_ascii_whitespace().filter_map(|format| format.parse::<u8>().ok());
    types.filter(|payload_type| matches!(payload_type, 0..=63 | 96..=127))
}

fn rtpmap<'a>(media: &Media<'a>, payload_type: u8) -> Option<RtpMap<'a>> {
    media.rtpmaps.iter().find(|map| map.payload_type == payload_type).copied()
}

/// The first format of theirs that is ours: RFC 3264 §6.1 lets the offerer's order count.
pub(super) fn format(media: &Media<'_>, codecs: &[Codec]) -> Option<Format> {
    payload_types(media).find_map(|payload_type| {
        let codec = match rtpmap(media, payload_type) {
            Some(map) => Codec::named(map.name, map.clock),
            None => Codec::of_static_type(payload_type),
        };
        codec.filter(|codec| codecs.contains(codec)).map(|codec| Format { payload_type, codec })
    })
}

/// Payload type and clock of telephone events: those that count like the codec (RFC 4733 §2.1), else any.
pub(super) fn events(media: &Media<'_>, codec: Codec) -> Option<(u8, u32)> {
    let named = |name: &'static str| {
        let maps = payload_types(media).filter_map(|payload_type| rtpmap(media, payload_type));
        maps.filter(move |map| map.name.eq_ignore_ascii_case(name) && (8_000..=48_000).contains(&map.clock))
    };
    let best = named("telephone-event").find(|map| map.clock == codec.clock());
    best.or_else(|| named("telephone-event").next()).map(|map| (map.payload_type, map.clock))
}

/// Comfort noise under a number of its own (RFC 3389 §4).
pub(super) fn comfort_noise(media: &Media<'_>) -> Option<u8> {
    let is_noise =
        |payload_type: &u8| rtpmap(media, *payload_type).is_some_and(|map| map.name.eq_ignore_ascii_case("CN"));
    payload_types(media).find(is_noise)
}

/// Milliseconds of a packet: what they prefer, if we can make it and they can take it, else 20.
pub(super) fn ptime_ms(media: &Media<'_>, codec: Codec) -> u8 {
    // RFC 6716 §2.1.4: Opus has no frame of 30 ms, and we make no packets of several.
    let can = |ms: &u8| codec != Codec::Opus || *ms != 30;
    let most = media.maxptime_ms.unwrap_or(u32::MAX);
    let wanted = media.ptime_ms.and_then(|ms| PTIMES.into_iter().filter(can).find(|known| u32::from(*known) == ms));
    let wanted = wanted.unwrap_or(PTIME);
    let fitting = PTIMES.into_iter().filter(can).filter(|ms| *ms <= wanted && u32::from(*ms) <= most);
    fitting.max().unwrap_or(PTIMES[0])
}

/// bit/s of Opus that they want at most (RFC 7587 §6.1).
pub(super) fn bitrate(media: &Media<'_>, payload_type: u8) -> u32 {
    let parameters =
        media.parameters.iter().filter(|(of, _)| *of == payload_type).flat_map(|(_, text)| text.split(';'));
    let asked = parameters.filter_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.eq_ignore_ascii_case("maxaveragebitrate").then(|| value.trim().parse::<u32>().ok()).flatten()
    });
    asked.min().unwrap_or(OPUS_BITRATE).clamp(6_000, OPUS_BITRATE)
}

/// Where packets and reports go. `None` for the second: with the packets. `local`: where we are. From one family of addresses nothing
/// reaches the other, but a phone that has both, and says the one that we have not (Linphone does), sends from the other: nowhere, until
/// its packets show where it is.
pub(super) fn addresses(media: &Media<'_>, local: IpAddr) -> Result<(SocketAddr, Option<SocketAddr>), Refused> {
    let nowhere = match local {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let reached = |address: IpAddr| {
        let is_for_one = match address {
            IpAddr::V4(address) => !address.is_multicast() && !address.is_broadcast(),
            IpAddr::V6(address) => !address.is_multicast(),
        };
        is_for_one.then_some(if address.is_ipv4() == local.is_ipv4() { address } else { nowhere })
    };
    let address = media.address.and_then(reached).ok_or(Refused::Address)?;
    let packets = SocketAddr::new(address, media.port);
    if media.is_muxed {
        return Ok((packets, None));
    }
    // RFC 3550 §11: the next port, unless RFC 3605 says another.
    let port = media.control_port.or_else(|| media.port.checked_add(1)).unwrap_or(media.port);
    Ok((packets, Some(SocketAddr::new(media.control_address.and_then(reached).unwrap_or(address), port))))
}

/// Who sends, as we see it. RFC 3264 §8.4: the address 0.0.0.0 was how RFC 2543 held somebody.
pub(super) fn direction(media: &Media<'_>) -> Direction {
    let ours = media.direction.unwrap_or(Direction::SendRecv).reversed();
    let is_held = media.address.is_some_and(|address| address.is_unspecified());
    Direction::new(ours.sends() && !is_held, ours.receives())
}
