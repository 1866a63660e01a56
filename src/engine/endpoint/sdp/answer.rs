//! Writes the answer. Everything that is mirrored from the offer was checked to be free of line ends by the parser.

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use wire::av1::DEPENDENCY_DESCRIPTOR_URI;
use wire::ext::{AUDIO_LEVEL_URI, MID_URI, REPAIRED_RID_URI, RID_URI, Rid, TRANSPORT_CC_URI};

use super::parse::{Feedback, Offer, Section};
use super::{Accepted, Agreed, Outcome, Role};
use crate::endpoint::dtls::Setup;
use crate::endpoint::ice::IceCredentials;
use crate::id::Codec;

/// What libwebrtc senders begin with, in kbit/s. Their own 300 makes the quality scaler shrink a 640x360 picture in the first
/// second, and it took up to 18 s to come back (measured in Chromium 156); others ignore the parameter.
const START_KBPS: u32 = 800;

/// Who answers.
pub(super) struct Us<'a> {
    pub(super) ice: &'a IceCredentials,
    pub(super) fingerprint: &'a str,
    pub(super) setup: Setup,
    pub(super) candidates: &'a [SocketAddr],
    pub(super) session_id: u64,
    /// Counts answers on the connection (RFC 3264 §8).
    pub(super) version: u32,
}

/// The answer's text, with CRLF line ends.
pub(super) fn write(offer: &Offer<'_>, outcomes: &[Outcome<'_>], us: &Us<'_>) -> String {
    let mut answer = Answer::default();
    answer.session(offer, outcomes, us);
    let mut first = true;
    for (section, outcome) in offer.sections.iter().zip(outcomes) {
        match outcome {
            Outcome::Rejected => answer.rejected(section),
            Outcome::Accepted(line) => {
                answer.transport(section, line, us);
                // Candidates belong to the bundle's transport, which its first line describes (RFC 9143 §7.3).
                if std::mem::take(&mut first) {
                    answer.candidates(us);
                }
                answer.media(section, line);
            }
        }
    }
    answer.0
}

#[derive(Default)]
struct Answer(String);

impl Answer {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(line);
        self.0.push_str("\r\n");
    }

    fn session(&mut self, offer: &Offer<'_>, outcomes: &[Outcome<'_>], us: &Us<'_>) {
        self.line(format_args!("v=0"));
        // RFC 9429 §5.2.1: 63 bits, and an address that tells nothing.
        self.line(format_args!("o=- {} {} IN IP4 127.0.0.1", us.session_id & (u64::MAX >> 1), us.version));
        self.line(format_args!("s=-"));
        self.line(format_args!("t=0 0"));
        if offer.bundle.is_some() {
            let accepted = outcomes.iter().filter_map(|outcome| match outcome {
                Outcome::Accepted(line) => Some(line.mid),
                Outcome::Rejected => None,
            });
            self.line(format_args!("a=group:BUNDLE {}", accepted.collect::<Vec<_>>().join(" ")));
        }
        if offer.session.allow_mixed {
            self.line(format_args!("a=extmap-allow-mixed"));
        }
        self.line(format_args!("a=msid-semantic: WMS *"));
        self.line(format_args!("a=ice-lite"));
    }

    /// RFC 3264 §6: port 0, with a format since there has to be one.
    fn rejected(&mut self, section: &Section<'_>) {
        let format = section.formats.split_ascii_whitespace().next().unwrap_or("0");
        self.line(format_args!("m={} 0 {} {format}", section.media, section.protocol));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        if let Some(mid) = section.attributes.mid.filter(|mid| super::is_mid(mid)) {
            self.line(format_args!("a=mid:{mid}"));
        }
        self.line(format_args!("a=inactive"));
    }

    fn transport(&mut self, section: &Section<'_>, line: &Accepted<'_>, us: &Us<'_>) {
        // The default candidate, or the placeholder of an agent that has none (RFC 8839 §4.2.1, RFC 8840 §4.1.1).
        let default = us.candidates.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 9)));
        // Who sends takes the first: libwebrtc sends redundant audio only where that stands before what it is made of.
        let formats = line.codecs.iter().flat_map(|Agreed { codec, .. }| {
            [codec.red_payload_type, Some(codec.payload_type), codec.rtx_payload_type].into_iter().flatten()
        });
        let formats = formats.map(|format| format.to_string()).collect::<Vec<_>>().join(" ");
        self.line(format_args!("m={} {} {} {formats}", section.media, default.port(), section.protocol));
        let family = if default.ip().to_canonical().is_ipv4() { "IP4" } else { "IP6" };
        self.line(format_args!("c=IN {family} {}", default.ip().to_canonical()));
        self.line(format_args!("a=mid:{}", line.mid));
        self.line(format_args!("a=ice-ufrag:{}", us.ice.ufrag));
        self.line(format_args!("a=ice-pwd:{}", us.ice.pwd));
        self.line(format_args!("a=fingerprint:{}", us.fingerprint));
        let setup = match us.setup {
            Setup::Passive => "passive",
            Setup::Active => "active",
        };
        self.line(format_args!("a=setup:{setup}"));
        self.line(format_args!("a=rtcp-mux"));
        if section.attributes.rtcp_rsize {
            self.line(format_args!("a=rtcp-rsize"));
        }
    }

    fn candidates(&mut self, us: &Us<'_>) {
        for (at, candidate) in us.candidates.iter().enumerate() {
            let ip: IpAddr = candidate.ip().to_canonical();
            // RFC 8445 §5.1.2.1: host preference 126, component 1, ours in order.
            let priority = 126_u32 << 24 | (0xffff_u32.saturating_sub(at as u32) << 8) | 255;
            let port = candidate.port();
            self.line(format_args!("a=candidate:{} 1 udp {priority} {ip} {port} typ host", at + 1));
        }
        self.line(format_args!("a=end-of-candidates"));
    }

    fn media(&mut self, section: &Section<'_>, line: &Accepted<'_>) {
        if section.attributes.allow_mixed {
            self.line(format_args!("a=extmap-allow-mixed"));
        }
        self.extensions(line);
        match line.role {
            Role::Send => self.line(format_args!("a=recvonly")),
            Role::Slot { .. } => self.line(format_args!("a=sendonly")),
            Role::Unused => self.line(format_args!("a=inactive")),
        }
        line.codecs.iter().for_each(|agreed| self.codec(line, agreed));
        if let Role::Slot { ssrc, rtx_ssrc } = line.role {
            self.slot(ssrc, rtx_ssrc);
        }
        self.layers(line);
    }

    fn extensions(&mut self, line: &Accepted<'_>) {
        let extensions = &line.extensions;
        let named = [
            (extensions.audio_level, AUDIO_LEVEL_URI),
            (extensions.transport_cc, TRANSPORT_CC_URI),
            (extensions.mid, MID_URI),
            (extensions.rid, RID_URI),
            (extensions.repaired_rid, REPAIRED_RID_URI),
            (extensions.dependency_descriptor, DEPENDENCY_DESCRIPTOR_URI),
        ];
        for (id, uri) in named.into_iter().filter_map(|(id, uri)| Some((id?, uri))) {
            self.line(format_args!("a=extmap:{id} {uri}"));
        }
    }

    fn codec(&mut self, line: &Accepted<'_>, agreed: &Agreed<'_>) {
        let codec = &agreed.codec;
        let payload_type = codec.payload_type;
        self.line(format_args!("a=rtpmap:{payload_type} {}", codec.codec.encoding()));
        for (kind, name) in Feedback::KINDS {
            // Audio is not retransmitted: concealment and redundancy are there in time, a resent packet is not.
            let speaks = codec.codec != Codec::Opus || kind == Feedback::TRANSPORT_CC;
            if speaks && agreed.feedback.contains(kind) {
                self.line(format_args!("a=rtcp-fb:{payload_type} {name}"));
            }
        }
        let sends = matches!(line.role, Role::Send);
        match (codec.codec, agreed.form) {
            (Codec::Opus, _) => self.line(format_args!("a=fmtp:{payload_type} minptime=10;useinbandfec=1")),
            (Codec::H264, Some(profile)) => self.line(format_args!(
                "a=fmtp:{payload_type} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}{}",
                if sends { format!(";x-google-start-bitrate={START_KBPS}") } else { String::new() },
            )),
            (Codec::Vp8, _) if sends => {
                self.line(format_args!("a=fmtp:{payload_type} x-google-start-bitrate={START_KBPS}"));
            }
            (Codec::Vp9 | Codec::Av1, Some(form)) => self.line(format_args!("a=fmtp:{payload_type} {form}")),
            _ => {}
        }
        if let Some(red) = codec.red_payload_type {
            self.line(format_args!("a=rtpmap:{red} red/48000/2"));
            self.line(format_args!("a=fmtp:{red} {payload_type}/{payload_type}"));
        }
        if let Some(rtx) = codec.rtx_payload_type {
            self.line(format_args!("a=rtpmap:{rtx} rtx/90000"));
            self.line(format_args!("a=fmtp:{rtx} apt={payload_type}"));
        }
    }

    /// RFC 8853 §5.3.2: one alternative of each stream, in the offer's order. None is asked to pause.
    fn layers(&mut self, line: &Accepted<'_>) {
        if line.layers.is_empty() {
            return;
        }
        for rid in &line.layers {
            self.line(format_args!("a=rid:{rid} recv"));
        }
        let rids: Vec<&str> = line.layers.iter().map(Rid::as_str).collect();
        self.line(format_args!("a=simulcast:recv {}", rids.join(";")));
    }

    /// Each slot is a stream of its own: libwebrtc would hold one back for the other if two shared an msid.
    fn slot(&mut self, ssrc: u32, rtx_ssrc: Option<u32>) {
        self.line(format_args!("a=msid:slot-{ssrc:08x} track-{ssrc:08x}"));
        if let Some(rtx) = rtx_ssrc {
            self.line(format_args!("a=ssrc-group:FID {ssrc} {rtx}"));
        }
        for ssrc in [Some(ssrc), rtx_ssrc].into_iter().flatten() {
            self.line(format_args!("a=ssrc:{ssrc} cname:plenum"));
        }
    }
}
