//! Which send line of an endpoint a packet belongs to.
//!
//! By SSRC where it is known from the offer or was learned; a new SSRC is learned from its MID extension, or from a payload
//! type that only one line has (RFC 8843 §9.2, RFC 9143). A line keeps one media SSRC and one RTX SSRC: one layer for now.

use arrayvec::ArrayVec;
use wire::rtp::RtpHeader;

use crate::line::{NegotiatedCodec, SendLine};

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
    /// Media or retransmission.
    pub role: Role,
    /// The codec entry that the payload type named.
    pub codec: NegotiatedCodec,
}

/// SSRCs of one endpoint.
#[derive(Debug)]
pub struct Demux {
    lines: Vec<SendLine>,
    mid_extension: Option<u8>,
    known: ArrayVec<(u32, usize, Role), KNOWN_MAX>,
}

/// Eight lines with media and RTX each. Full means: packets of further SSRCs are refused.
const KNOWN_MAX: usize = 16;

impl Demux {
    /// For the send lines of an answer; `mid_extension` is the negotiated id of the MID header extension.
    #[must_use]
    pub fn new(lines: Vec<SendLine>, mid_extension: Option<u8>) -> Self {
        let mut demux = Self { lines, mid_extension, known: ArrayVec::new() };
        let named: Vec<_> = demux.lines.iter().enumerate().map(|(at, line)| (at, line.ssrc, line.rtx_ssrc)).collect();
        for (at, media, rtx) in named {
            for (ssrc, role) in [(media, Role::Media), (rtx, Role::Rtx)] {
                if let Some(ssrc) = ssrc {
                    demux.learn(ssrc, at, role);
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
        if let Some(&(_, line, role)) = self.known.iter().find(|(ssrc, ..)| *ssrc == header.ssrc) {
            return self.codec(line, header.payload_type).map(|(codec, _)| Place { line, role, codec });
        }
        let line = self.line_by_mid(header, packet).or_else(|| self.line_by_payload_type(header.payload_type))?;
        let (codec, role) = self.codec(line, header.payload_type)?;
        // A second media SSRC on a line is another layer or a restarted sender; the endpoint answers for one.
        let taken = self.known.iter().any(|&(_, other, kind)| other == line && kind == role);
        (!taken && self.learn(header.ssrc, line, role)).then_some(Place { line, role, codec })
    }

    /// The line of a media SSRC that is known already.
    #[must_use]
    pub fn line_of_media(&self, ssrc: u32) -> Option<usize> {
        self.known.iter().find(|&&(known, _, role)| known == ssrc && role == Role::Media).map(|&(_, line, _)| line)
    }

    /// The media SSRC of a line, once known.
    #[must_use]
    pub fn media_ssrc(&self, line: usize) -> Option<u32> {
        self.known.iter().find(|&&(_, at, role)| at == line && role == Role::Media).map(|&(ssrc, ..)| ssrc)
    }

    fn learn(&mut self, ssrc: u32, line: usize, role: Role) -> bool {
        self.known.try_push((ssrc, line, role)).is_ok()
    }

    fn codec(&self, line: usize, payload_type: u8) -> Option<(NegotiatedCodec, Role)> {
        self.lines.get(line)?.codecs.iter().find_map(|codec| {
            if codec.payload_type == payload_type {
                Some((*codec, Role::Media))
            } else if codec.rtx_payload_type == Some(payload_type) {
                Some((*codec, Role::Rtx))
            } else {
                None
            }
        })
    }

    fn line_by_mid(&self, header: &RtpHeader, packet: &[u8]) -> Option<usize> {
        let id = self.mid_extension?;
        let (_, mid) = header.extensions(packet).find(|(other, _)| *other == id)?;
        self.lines.iter().position(|line| line.mid.as_bytes() == mid)
    }

    fn line_by_payload_type(&self, payload_type: u8) -> Option<usize> {
        let mut having = (0..self.lines.len()).filter(|&line| self.codec(line, payload_type).is_some());
        let first = having.next()?;
        having.next().is_none().then_some(first)
    }
}
