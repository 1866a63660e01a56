//! Which send line of an endpoint a packet belongs to, and which simulcast layer of it.
//!
//! By SSRC where it is known from the offer or was learned; a new SSRC is learned from its MID extension, or from a payload
//! type that only one line has (RFC 8843 §9.2, RFC 9143). Where the line has layers, RID tells which one, and repaired RID
//! for retransmissions (RFC 8852). Each layer keeps one media SSRC and one RTX SSRC.

use arrayvec::ArrayVec;
use wire::rtp::RtpHeader;

use crate::id::LayerId;
use crate::line::{ExtensionIds, NegotiatedCodec, SendLine};

/// What an SSRC carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Media itself.
    Media,
    /// Retransmissions of the line's media (RFC 4588).
    Rtx,
}

/// A line and what of it a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the send line.
    pub line: usize,
    /// Its simulcast layer.
    pub layer: LayerId,
    /// Media or retransmission.
    pub role: Role,
    /// The codec entry that the payload type named.
    pub codec: NegotiatedCodec,
}

/// What is known of an SSRC.
#[derive(Clone, Copy, Debug)]
struct Known {
    ssrc: u32,
    line: usize,
    layer: LayerId,
    role: Role,
}

/// SSRCs of one endpoint.
#[derive(Debug)]
pub struct Demux {
    lines: Vec<SendLine>,
    extensions: ExtensionIds,
    known: ArrayVec<Known, KNOWN_MAX>,
}

/// Camera and screen with three layers, media and RTX each, two voices, and as much again. Full means: packets of further
/// SSRCs are refused.
const KNOWN_MAX: usize = 32;

impl Demux {
    /// For the send lines of an answer; `extensions` are the negotiated ids.
    #[must_use]
    pub fn new(lines: Vec<SendLine>, extensions: ExtensionIds) -> Self {
        let mut demux = Self { lines, extensions, known: ArrayVec::new() };
        let named: Vec<_> = demux.lines.iter().enumerate().map(|(at, line)| (at, line.ssrc, line.rtx_ssrc)).collect();
        for (line, media, rtx) in named {
            for (ssrc, role) in [(media, Role::Media), (rtx, Role::Rtx)] {
                if let Some(ssrc) = ssrc {
                    demux.learn(Known { ssrc, line, layer: LayerId::LOWEST, role });
                }
            }
        }
        demux
    }

    /// The send lines.
    #[must_use]
    pub fn lines(&self) -> &[SendLine] {
        &self.lines
    }

    /// Where a packet belongs; `packet` is decrypted. `None`: nowhere that we know of.
    pub fn place(&mut self, header: &RtpHeader, packet: &[u8]) -> Option<Place> {
        if let Some(&Known { line, layer, role, .. }) = self.known.iter().find(|known| known.ssrc == header.ssrc) {
            return self.codec(line, header.payload_type).map(|(codec, _)| Place { line, layer, role, codec });
        }
        let line = self.line_by_mid(header, packet).or_else(|| self.line_by_payload_type(header.payload_type))?;
        let (codec, role) = self.codec(line, header.payload_type)?;
        let layer = self.layer(line, role, header, packet)?;
        // A second media SSRC of a layer is a restarted sender, or a layer that was not agreed on.
        let taken = self.known.iter().any(|known| (known.line, known.layer, known.role) == (line, layer, role));
        let learned = !taken && self.learn(Known { ssrc: header.ssrc, line, layer, role });
        learned.then_some(Place { line, layer, role, codec })
    }

    /// The line and layer of a media SSRC that is known already.
    #[must_use]
    pub fn stream_of_media(&self, ssrc: u32) -> Option<(usize, LayerId)> {
        self.media().find(|known| known.ssrc == ssrc).map(|known| (known.line, known.layer))
    }

    /// The media SSRC of a line's layer, once known.
    #[must_use]
    pub fn media_ssrc(&self, line: usize, layer: LayerId) -> Option<u32> {
        self.media().find(|known| (known.line, known.layer) == (line, layer)).map(|known| known.ssrc)
    }

    /// Every media SSRC that is known.
    pub fn media_ssrcs(&self) -> impl Iterator<Item = u32> + '_ {
        self.media().map(|known| known.ssrc)
    }

    fn media(&self) -> impl Iterator<Item = &Known> {
        self.known.iter().filter(|known| known.role == Role::Media)
    }

    fn learn(&mut self, known: Known) -> bool {
        self.known.try_push(known).is_ok()
    }

    fn codec(&self, line: usize, payload_type: u8) -> Option<(NegotiatedCodec, Role)> {
        self.lines.get(line)?.codecs.iter().find_map(|codec| {
            if codec.payload_type == payload_type || codec.red_payload_type == Some(payload_type) {
                Some((*codec, Role::Media))
            } else if codec.rtx_payload_type == Some(payload_type) {
                Some((*codec, Role::Rtx))
            } else {
                None
            }
        })
    }

    fn line_by_mid(&self, header: &RtpHeader, packet: &[u8]) -> Option<usize> {
        let mid = element(header, packet, self.extensions.mid)?;
        self.lines.iter().position(|line| line.mid.as_bytes() == mid)
    }

    fn layer(&self, line: usize, role: Role, header: &RtpHeader, packet: &[u8]) -> Option<LayerId> {
        let line = self.lines.get(line)?;
        if line.layers.is_empty() {
            return Some(LayerId::LOWEST);
        }
        let id = match role {
            Role::Media => self.extensions.rid,
            Role::Rtx => self.extensions.repaired_rid,
        };
        line.layer(element(header, packet, id)?)
    }

    fn line_by_payload_type(&self, payload_type: u8) -> Option<usize> {
        let mut having = (0..self.lines.len()).filter(|&line| self.codec(line, payload_type).is_some());
        let first = having.next()?;
        having.next().is_none().then_some(first)
    }
}

/// The value of a header extension element.
fn element<'a>(header: &RtpHeader, packet: &'a [u8], id: Option<u8>) -> Option<&'a [u8]> {
    let id = id?;
    header.extensions(packet).find(|(other, _)| *other == id).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::id::{Codec, MediaKind};
    use wire::ext::Rid;
    use wire::rtp::{OutHeader, write_header};

    const EXTENSIONS: ExtensionIds = ExtensionIds {
        audio_level: None,
        transport_cc: None,
        mid: Some(4),
        rid: Some(10),
        repaired_rid: Some(11),
        dependency_descriptor: None,
    };

    fn line(mid: &str, layers: &[&str]) -> SendLine {
        SendLine {
            mid: mid.into(),
            kind: MediaKind::Video,
            ssrc: None,
            rtx_ssrc: None,
            codecs: vec![NegotiatedCodec {
                codec: Codec::Vp8,
                payload_type: 96,
                rtx_payload_type: Some(97),
                red_payload_type: None,
            }],
            layers: layers.iter().map(|rid| Rid::parse(rid.as_bytes()).unwrap()).collect(),
        }
    }

    /// Where a packet is placed: line, layer and role.
    fn placed(demux: &mut Demux, ssrc: u32, payload_type: u8, elements: &[(u8, &[u8])]) -> Option<(usize, u8, Role)> {
        let mut packet = vec![];
        let header = OutHeader { marker: false, payload_type, sequence: 1, timestamp: 1, ssrc, csrc: None };
        write_header(&mut packet, &header, elements);
        let place = demux.place(&RtpHeader::parse(&packet).unwrap(), &packet)?;
        Some((place.line, place.layer.0, place.role))
    }

    #[test]
    fn layers_are_learned_from_mid_and_rid_and_known_by_ssrc_from_then_on() {
        let mut demux = Demux::new(vec![line("0", &["q", "h", "f"]), line("1", &["q", "h", "f"])], EXTENSIONS);
        assert_eq!(placed(&mut demux, 1, 96, &[(4, b"1"), (10, b"f")]), Some((1, 2, Role::Media)));
        assert_eq!(placed(&mut demux, 2, 96, &[(4, b"1"), (10, b"q")]), Some((1, 0, Role::Media)));
        assert_eq!(placed(&mut demux, 3, 97, &[(4, b"1"), (11, b"f")]), Some((1, 2, Role::Rtx)));
        assert_eq!(placed(&mut demux, 1, 96, &[]), Some((1, 2, Role::Media)));
        assert_eq!(placed(&mut demux, 3, 97, &[]), Some((1, 2, Role::Rtx)));
        assert_eq!(demux.media_ssrc(1, LayerId(2)), Some(1));
        assert_eq!(demux.media_ssrc(1, LayerId(1)), None);
        assert_eq!(demux.stream_of_media(2), Some((1, LayerId::LOWEST)));
        assert_eq!(demux.stream_of_media(3), None, "retransmissions are no media");
    }

    #[test]
    fn a_packet_of_no_agreed_layer_is_placed_nowhere_and_learned_from_never() {
        let mut demux = Demux::new(vec![line("0", &["q", "h"])], EXTENSIONS);
        for elements in [&[(4, &b"0"[..])][..], &[(4, b"0"), (10, b"x")], &[(4, b"0"), (11, b"q")]] {
            assert_eq!(placed(&mut demux, 9, 96, elements), None, "{elements:?}");
        }
        assert_eq!(placed(&mut demux, 9, 97, &[(10, b"q")]), None, "a retransmission says what it repairs");
        assert_eq!(placed(&mut demux, 9, 96, &[(10, b"h")]), Some((0, 1, Role::Media)), "one line needs no MID");
        assert_eq!(placed(&mut demux, 10, 96, &[(10, b"h")]), None, "the layer has its SSRC");
    }

    #[test]
    fn a_line_without_layers_needs_no_rid() {
        let mut demux = Demux::new(vec![line("0", &[])], EXTENSIONS);
        assert_eq!(placed(&mut demux, 5, 96, &[]), Some((0, 0, Role::Media)));
        assert_eq!(placed(&mut demux, 6, 97, &[(10, b"q")]), Some((0, 0, Role::Rtx)));
    }

    #[test]
    fn a_flood_of_ssrcs_is_bounded() {
        let lines = (0..20).map(|at| line(&at.to_string(), &["q", "h", "f"])).collect();
        let mut demux = Demux::new(lines, EXTENSIONS);
        let mut placed_count = 0;
        for at in 0..20u8 {
            let mid = at.to_string();
            for rid in [b"q", b"h", b"f"] {
                let ssrc = u32::from(at) * 10 + u32::from(rid[0]) * 1_000;
                placed_count += usize::from(placed(&mut demux, ssrc, 96, &[(4, mid.as_bytes()), (10, rid)]).is_some());
            }
        }
        assert_eq!(placed_count, KNOWN_MAX);
    }
}
