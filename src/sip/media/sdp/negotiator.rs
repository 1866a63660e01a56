//! The offers and answers of one dialog, from the first to the last.
//!
//! It remembers what must stay: the id in `o=` while the version rises (RFC 3264 §8), the number and order of the media
//! (§8), and the keys. A failed negotiation changes nothing (§8: the session goes on as it was).
//!
//! ```text
//! answer(offer) ─> Negotiated, Text          offer() ─> Text ... accept_answer(answer) ─> Negotiated
//! ```

use std::net::{IpAddr, SocketAddr};

use rand::{CryptoRng, RngCore};

use super::choose::{self, Format};
use super::parse::{Media, parse};
use super::write::{Audio, description};
use super::{Capabilities, Direction, Events, Negotiated, PayloadType, Refused, Srtp, SrtpKeys, Text};
use crate::media::codec::{Codec, OPUS_BITRATE};
use crate::media::keys::SrtpKey;

/// Payload types of our offers, where the codec has none by itself.
const OPUS: u8 = 96;
const EVENTS: u8 = 101;
const EVENTS_OPUS: u8 = 102;

/// The state of one dialog's media.
#[derive(Debug)]
pub struct Negotiator {
    local: SocketAddr,
    capabilities: Capabilities,
    id: u64,
    /// Of the next description.
    version: u64,
    agreed: Option<Negotiated>,
    /// The other media as whole lines, and before which of them the audio stands.
    refused: Vec<String>,
    at: usize,
    /// `RTP/AVP` or another: as it was first said.
    protocol: String,
    offered: Option<Offered>,
}

/// An offer that is open.
#[derive(Debug)]
struct Offered {
    codecs: Vec<(u8, Codec)>,
    events: Vec<(u8, u32)>,
    key: Option<SrtpKey>,
}

impl Negotiator {
    /// `local`: where we receive; reports come one port above, unless both agree on one port.
    pub fn new(local: SocketAddr, capabilities: Capabilities, rng: &mut impl RngCore) -> Self {
        // 32 bits: some read no more.
        let id = u64::from(rng.next_u32());
        let protocol = if capabilities.srtp == Srtp::Required { "RTP/SAVP" } else { "RTP/AVP" }.to_owned();
        let refused = Vec::new();
        Self { local, capabilities, id, version: 1, agreed: None, refused, at: 0, protocol, offered: None }
    }

    /// What is in force.
    #[must_use]
    pub const fn agreed(&self) -> Option<&Negotiated> {
        self.agreed.as_ref()
    }

    /// Answers an offer, the first or a later one.
    ///
    /// The key in it is new whenever theirs is; while theirs stays, ours does, too, because a new key begins the packet
    /// counters anew.
    ///
    /// # Errors
    /// Nothing in the offer can be taken; what was agreed on stays in force.
    pub fn answer(&mut self, offer: &[u8], rng: &mut impl CryptoRng) -> Result<(Negotiated, Text), Refused> {
        let all = parse(offer)?;
        let (at, media, format) = self.pick(&all)?;
        let their_key = choose::protection(media, self.capabilities.srtp)?;
        let srtp = their_key.map(|line| self.keys(&line.key, rng));
        let negotiated = agree(media, self.local.ip(), format, srtp, None)?;
        let events = negotiated.events.map(|events| (events.payload_type.received, events.clock));
        let audio = Audio {
            protocol: media.protocol,
            codecs: &[(format.payload_type, format.codec)],
            events: events.as_slice(),
            ptime_ms: negotiated.ptime_ms,
            direction: negotiated.direction,
            is_muxed: media.is_muxed,
            crypto: their_key.zip(negotiated.srtp.as_ref()).map(|(line, keys)| (line.tag, &keys.ours)),
        };
        let others = all.iter().enumerate().filter(|(index, _)| *index != at);
        self.refused = others.map(|(_, media)| refusal(media)).collect();
        self.at = at;
        media.protocol.clone_into(&mut self.protocol);
        let text = description(self.local, self.id, self.version, &audio, &self.refused, at);
        self.version += 1;
        self.offered = None;
        self.agreed = Some(negotiated.clone());
        Ok((negotiated, text))
    }

    /// An offer: to call somebody, for an INVITE that brings none, or to refresh what is in force.
    pub fn offer(&mut self, rng: &mut impl CryptoRng) -> Text {
        let agreed = self.agreed.as_ref();
        let codecs = match agreed {
            Some(agreed) => vec![(agreed.payload_type.received, agreed.codec)],
            None => {
                self.capabilities.codecs.iter().map(|codec| (codec.static_type().unwrap_or(OPUS), *codec)).collect()
            }
        };
        let events = match agreed {
            Some(agreed) => agreed.events.iter().map(|events| (events.payload_type.received, events.clock)).collect(),
            None => first_events(&codecs),
        };
        let is_secure = agreed.map_or(self.capabilities.srtp == Srtp::Required, |agreed| agreed.srtp.is_some());
        let key = is_secure.then(|| {
            let known = agreed.and_then(|agreed| agreed.srtp.as_ref()).map(|keys| keys.ours.clone());
            known.unwrap_or_else(|| SrtpKey::generate(rng))
        });
        let audio = Audio {
            protocol: &self.protocol,
            codecs: &codecs,
            events: &events,
            ptime_ms: agreed.map_or(20, |agreed| agreed.ptime_ms),
            direction: Direction::SendRecv,
            is_muxed: agreed.is_some_and(|agreed| agreed.control.is_none()),
            crypto: key.as_ref().map(|key| (1, key)),
        };
        let text = description(self.local, self.id, self.version, &audio, &self.refused, self.at);
        self.version += 1;
        self.offered = Some(Offered { codecs, events, key });
        text
    }

    /// Takes an answer to our offer. There may be several: an early one in a 183, those of other branches of a forked
    /// call, and the one of the 200; the last counts (RFC 3261 §13.2.1).
    ///
    /// # Errors
    /// It refuses us, or says what we have not offered; what was agreed on stays in force.
    pub fn accept_answer(&mut self, answer: &[u8]) -> Result<Negotiated, Refused> {
        let offered = self.offered.as_ref().ok_or(Refused::Unexpected)?;
        let all = parse(answer)?;
        // RFC 3264 §6: the answer has as many media as the offer, in its order.
        let media = all.get(self.at).ok_or(Refused::NoAudio)?;
        let policy = if offered.key.is_some() { Srtp::Required } else { Srtp::Disabled };
        let their_key = choose::protection(media, policy)?;
        let codecs: Vec<Codec> = offered.codecs.iter().map(|(_, codec)| *codec).collect();
        let format = choose::format(media, &codecs).ok_or(Refused::NoCodec)?;
        // RFC 4568 §5.1.3: the tag is that of the line that was taken, and we had one.
        let keys = match (offered.key.clone(), their_key) {
            (Some(ours), Some(line)) if line.tag == 1 => Some(SrtpKeys { ours, theirs: line.key.clone() }),
            (Some(_), _) => return Err(Refused::SrtpRequired),
            (None, _) => None,
        };
        let negotiated = agree(media, self.local.ip(), format, keys, Some(offered))?;
        self.agreed = Some(negotiated.clone());
        Ok(negotiated)
    }

    /// The first line that can be taken. If none can, the reason of the line that came nearest.
    fn pick<'a, 'm>(&self, all: &'m [Media<'a>]) -> Result<(usize, &'m Media<'a>, Format), Refused> {
        let mut reason = Refused::NoAudio;
        for (at, media) in all.iter().enumerate() {
            let taken = choose::protection(media, self.capabilities.srtp)
                .and_then(|_| choose::addresses(media, self.local.ip()))
                .and_then(|_| choose::format(media, &self.capabilities.codecs).ok_or(Refused::NoCodec));
            match taken {
                Ok(format) => return Ok((at, media, format)),
                Err(Refused::NoAudio) => {}
                Err(other) => reason = other,
            }
        }
        Err(reason)
    }

    fn keys(&self, theirs: &SrtpKey, rng: &mut impl CryptoRng) -> SrtpKeys {
        let known = self.agreed.as_ref().and_then(|agreed| agreed.srtp.as_ref()).filter(|keys| keys.theirs == *theirs);
        known.cloned().unwrap_or_else(|| SrtpKeys { ours: SrtpKey::generate(rng), theirs: theirs.clone() })
    }
}

/// All that a line says. `offered`: we said first, and our numbers count for what comes.
fn agree(
    media: &Media<'_>,
    local: IpAddr,
    format: Format,
    srtp: Option<SrtpKeys>,
    offered: Option<&Offered>,
) -> Result<Negotiated, Refused> {
    let (packets, control) = choose::addresses(media, local)?;
    let Format { payload_type: sent, codec } = format;
    let received = offered.and_then(|offered| offered.codecs.iter().find(|(_, of)| *of == codec));
    let payload_type = PayloadType { sent, received: received.map_or(sent, |(number, _)| *number) };
    let events = choose::events(media, codec).map(|(sent, clock)| {
        let received = offered.and_then(|offered| offered.events.iter().find(|(_, of)| *of == clock));
        Events { payload_type: PayloadType { sent, received: received.map_or(sent, |(number, _)| *number) }, clock }
    });
    let bitrate = if codec == Codec::Opus { choose::bitrate(media, sent) } else { OPUS_BITRATE };
    Ok(Negotiated {
        codec,
        payload_type,
        events,
        comfort_noise: choose::comfort_noise(media),
        ptime_ms: choose::ptime_ms(media, codec),
        bitrate,
        direction: choose::direction(media),
        media: packets,
        control,
        srtp,
    })
}

/// Events for the clocks of the codecs that we offer.
fn first_events(codecs: &[(u8, Codec)]) -> Vec<(u8, u32)> {
    let mut events = Vec::new();
    if codecs.iter().any(|(_, codec)| codec.clock() == 8_000) {
        events.push((EVENTS, 8_000));
    }
    if codecs.iter().any(|(_, codec)| *codec == Codec::Opus) {
        events.push((EVENTS_OPUS, 48_000));
    }
    events
}

/// RFC 3264 §6: refused by port 0, with what it said otherwise.
fn refusal(media: &Media<'_>) -> String {
    // A line without formats is against the grammar, and so would be ours.
    let formats = if media.formats.is_empty() { "0" } else { media.formats };
    format!("m={} 0 {} {formats}", media.kind, media.protocol)
}
