//! The one offer of a client, and what it reads in the answer.
//!
//! ```text
//! send lines (microphone, camera) + receive slots -> offer -> server -> answer -> transport and streams of each slot
//! ```
//!
//! The offer is what the page's peer connection writes after its codecs were trimmed, less what no server reads.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use super::dtls::Fingerprint;
use super::header::extension;
use super::ice::Credentials;
use crate::client::Kind;

/// Payload types, as Chromium numbers them.
pub(crate) const OPUS: u8 = 111;
pub(crate) const VP8: u8 = 96;
pub(crate) const VP8_RTX: u8 = 97;
/// Names of simulcast layers, smallest first, as the page gives them.
pub(crate) const RIDS: [&str; 3] = ["q", "h", "f"];

/// A stream that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) ssrc: u32,
    /// Of its retransmissions.
    pub(crate) rtx_ssrc: Option<u32>,
}

/// What a client sends and receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) microphone: Option<Sent>,
    /// Its layers, smallest first; one is plain video.
    pub(crate) camera: Vec<Sent>,
    pub(crate) audio_slots: u8,
    pub(crate) video_slots: u8,
}

/// A stream that we receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: Option<u32>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) ice: Credentials,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) candidates: Vec<SocketAddr>,
    pub(crate) slots: Vec<Slot>,
    /// Lines that the server refused.
    pub(crate) refused: usize,
}

/// Why an answer is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// No `a=ice-ufrag` or `a=ice-pwd`.
    #[error("the answer has no ICE credentials")]
    Ice,
    /// No SHA-256 `a=fingerprint`.
    #[error("the answer has no SHA-256 fingerprint")]
    Fingerprint,
    /// No UDP candidate.
    #[error("the answer names no UDP address to send media to")]
    Candidate,
}

/// Writes the offer.
pub(crate) fn offer(lines: &Lines, ice: &Credentials, fingerprint: &Fingerprint, session: u64) -> String {
    let mut writer = Offer { sections: String::new(), mids: 0, ice, fingerprint };
    if let Some(stream) = lines.microphone {
        writer.section(Kind::Audio, "sendonly", &[stream]);
    }
    if !lines.camera.is_empty() {
        writer.section(Kind::Video, "sendonly", &lines.camera);
    }
    for _ in 0..lines.audio_slots {
        writer.section(Kind::Audio, "recvonly", &[]);
    }
    for _ in 0..lines.video_slots {
        writer.section(Kind::Video, "recvonly", &[]);
    }
    let mids: String = (0..writer.mids).map(|mid| format!(" {mid}")).collect();
    let session = session >> 1;
    format!(
        "v=0\r\no=- {session} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE{mids}\r\na=extmap-allow-mixed\r\n\
         a=msid-semantic: WMS\r\n{}",
        writer.sections
    )
}

struct Offer<'a> {
    sections: String,
    mids: u32,
    ice: &'a Credentials,
    fingerprint: &'a Fingerprint,
}

impl Offer<'_> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = write!(self.sections, "{line}\r\n");
    }

    fn section(&mut self, kind: Kind, direction: &str, streams: &[Sent]) {
        match kind {
            Kind::Audio => self.line(format_args!("m=audio 9 UDP/TLS/RTP/SAVPF {OPUS}")),
            Kind::Video => self.line(format_args!("m=video 9 UDP/TLS/RTP/SAVPF {VP8} {VP8_RTX}")),
        }
        self.transport();
        let mid = self.mids;
        self.line(format_args!("a=mid:{mid}"));
        self.mids += 1;
        self.extensions(kind, streams.len() > 1);
        self.line(format_args!("a={direction}"));
        if !streams.is_empty() {
            self.line(format_args!("a=msid:- track-{mid}"));
        }
        self.line(format_args!("a=rtcp-mux\r\na=rtcp-rsize"));
        self.codec(kind);
        if streams.len() > 1 {
            self.layers(streams.len());
        } else {
            for stream in streams {
                self.stream(*stream);
            }
        }
    }

    fn transport(&mut self) {
        let Credentials { ufrag, pwd } = self.ice;
        let digits: Vec<String> = self.fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
        self.line(format_args!(
            "c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n\
             a=fingerprint:sha-256 {}\r\na=setup:actpass",
            digits.join(":")
        ));
    }

    fn extensions(&mut self, kind: Kind, simulcast: bool) {
        if kind == Kind::Audio {
            self.line(format_args!("a=extmap:{} urn:ietf:params:rtp-hdrext:ssrc-audio-level", extension::AUDIO_LEVEL));
        }
        self.line(format_args!(
            "a=extmap:{} http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
             a=extmap:{} urn:ietf:params:rtp-hdrext:sdes:mid",
            extension::TRANSPORT_CC,
            extension::MID
        ));
        if simulcast {
            self.line(format_args!(
                "a=extmap:{} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
                 a=extmap:{} urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
                extension::RID,
                extension::REPAIRED_RID
            ));
        }
    }

    fn codec(&mut self, kind: Kind) {
        match kind {
            Kind::Audio => self.line(format_args!(
                "a=rtpmap:{OPUS} opus/48000/2\r\na=rtcp-fb:{OPUS} transport-cc\r\n\
                 a=fmtp:{OPUS} minptime=10;useinbandfec=1"
            )),
            Kind::Video => {
                self.line(format_args!("a=rtpmap:{VP8} VP8/90000"));
                for feedback in ["transport-cc", "ccm fir", "nack", "nack pli"] {
                    self.line(format_args!("a=rtcp-fb:{VP8} {feedback}"));
                }
                self.line(format_args!("a=rtpmap:{VP8_RTX} rtx/90000\r\na=fmtp:{VP8_RTX} apt={VP8}"));
            }
        }
    }

    fn stream(&mut self, Sent { ssrc, rtx_ssrc }: Sent) {
        if let Some(rtx_ssrc) = rtx_ssrc {
            self.line(format_args!("a=ssrc-group:FID {ssrc} {rtx_ssrc}"));
        }
        for ssrc in [Some(ssrc), rtx_ssrc].into_iter().flatten() {
            self.line(format_args!("a=ssrc:{ssrc} cname:load"));
        }
    }

    fn layers(&mut self, count: usize) {
        let rids: Vec<&str> = RIDS.into_iter().take(count).collect();
        for rid in &rids {
            self.line(format_args!("a=rid:{rid} send"));
        }
        self.line(format_args!("a=simulcast:send {}", rids.join(";")));
    }
}

/// Reads an answer. The transport is that of the first section that says it: everything is bundled.
pub(crate) fn read(answer: &str) -> Result<Answer, AnswerError> {
    let (mut ufrag, mut pwd, mut fingerprint) = (None, None, None);
    let (mut candidates, mut slots, mut refused) = (Vec::new(), Vec::new(), 0);
    let mut section = Section::default();
    for line in answer.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            slots.extend(std::mem::take(&mut section).slot());
            let mut words = media.split_ascii_whitespace();
            section.kind = match words.next() {
                Some("audio") => Some(Kind::Audio),
                Some("video") => Some(Kind::Video),
                _ => None,
            };
            refused += usize::from(words.next() == Some("0"));
            continue;
        }
        let Some(attribute) = line.strip_prefix("a=") else { continue };
        match attribute.split_once(':') {
            None if attribute == "sendonly" => section.sends = true,
            Some(("ice-ufrag", value)) => ufrag = ufrag.or(Some(value)),
            Some(("ice-pwd", value)) => pwd = pwd.or(Some(value)),
            Some(("fingerprint", value)) => fingerprint = fingerprint.or(parse_fingerprint(value)),
            Some(("candidate", value)) => candidates.extend(parse_candidate(value)),
            Some(("ssrc", value)) => section.ssrc = section.ssrc.or(first_number(value)),
            Some(("ssrc-group", value)) => section.fid = section.fid.or(parse_fid(value)),
            _ => {}
        }
    }
    slots.extend(section.slot());
    let (Some(ufrag), Some(pwd)) = (ufrag, pwd) else { return Err(AnswerError::Ice) };
    let ice = Credentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() };
    let fingerprint = fingerprint.ok_or(AnswerError::Fingerprint)?;
    if candidates.is_empty() {
        return Err(AnswerError::Candidate);
    }
    Ok(Answer { ice, fingerprint, candidates, slots, refused })
}

#[derive(Default)]
struct Section {
    kind: Option<Kind>,
    sends: bool,
    ssrc: Option<u32>,
    fid: Option<(u32, u32)>,
}

impl Section {
    fn slot(self) -> Option<Slot> {
        let kind = self.kind.filter(|_| self.sends)?;
        let ssrc = self.fid.map(|(media, _)| media).or(self.ssrc)?;
        Some(Slot { kind, ssrc, rtx_ssrc: self.fid.map(|(_, rtx)| rtx) })
    }
}

fn first_number(value: &str) -> Option<u32> {
    value.split_ascii_whitespace().next()?.parse().ok()
}

fn parse_fid(value: &str) -> Option<(u32, u32)> {
    let mut numbers = value.strip_prefix("FID ")?.split_ascii_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn parse_fingerprint(value: &str) -> Option<Fingerprint> {
    let (name, digits) = value.split_once(' ')?;
    if !name.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut fingerprint = [0; 32];
    let mut pairs = digits.trim().split(':');
    for byte in &mut fingerprint {
        let pair = pairs.next().filter(|pair| pair.len() == 2)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(fingerprint)
}

/// `1 1 udp 2130706431 192.0.2.1 8080 typ host`; names and TCP are not for us.
fn parse_candidate(value: &str) -> Option<SocketAddr> {
    let mut words = value.split_ascii_whitespace().skip(2);
    if !words.next()?.eq_ignore_ascii_case("udp") {
        return None;
    }
    let ip: IpAddr = words.nth(1)?.parse().ok()?;
    Some(SocketAddr::new(ip, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use proptest::prelude::*;
    use rtc::sdp::description::session::SessionDescription;

    use super::*;

    const ANSWER: &str = "v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\na=ice-lite\r\n\
        m=audio 8080 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:s0abcdefgh\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n\
        a=fingerprint:sha-256 AB:CD:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB\r\n\
        a=candidate:1 1 udp 2130706431 127.0.0.1 8080 typ host\r\na=candidate:2 1 udp 2130706175 2001:db8::1 8080 typ host\r\n\
        a=recvonly\r\nm=audio 8080 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=sendonly\r\na=ssrc:1001 cname:plenum\r\n\
        m=video 8080 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:2\r\na=sendonly\r\na=ssrc-group:FID 1004 1005\r\n\
        a=ssrc:1004 cname:plenum\r\na=ssrc:1005 cname:plenum\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\n";

    fn lines(layers: u32) -> Lines {
        let sent = |ssrc| Sent { ssrc, rtx_ssrc: Some(ssrc + 1) };
        Lines {
            microphone: Some(Sent { ssrc: 11, rtx_ssrc: None }),
            camera: (0..layers).map(|layer| sent(20 + 2 * layer)).collect(),
            audio_slots: 3,
            video_slots: 9,
        }
    }

    #[test]
    fn the_answers_transport_and_slots_are_read() {
        let answer = read(ANSWER).unwrap();
        assert_eq!((answer.ice.ufrag.as_str(), answer.ice.pwd.len()), ("s0abcdefgh", 24));
        assert_eq!(answer.fingerprint[..3], [0xAB, 0xCD, 0xAB]);
        let candidates: Vec<String> = answer.candidates.iter().map(ToString::to_string).collect();
        assert_eq!(candidates, ["127.0.0.1:8080", "[2001:db8::1]:8080"]);
        let slots = [
            Slot { kind: Kind::Audio, ssrc: 1001, rtx_ssrc: None },
            Slot { kind: Kind::Video, ssrc: 1004, rtx_ssrc: Some(1005) },
        ];
        assert_eq!((answer.slots.as_slice(), answer.refused), (&slots[..], 1));
    }

    #[test]
    fn an_answer_without_a_transport_is_refused_with_what_it_lacks() {
        assert_eq!(read(""), Err(AnswerError::Ice));
        assert_eq!(read(&ANSWER.replace("sha-256", "sha-1")), Err(AnswerError::Fingerprint));
        assert_eq!(read(&ANSWER.replace(" udp ", " tcp ")), Err(AnswerError::Candidate));
    }

    #[test]
    fn another_implementation_reads_the_offer() {
        let ice = Credentials::random();
        let text = offer(&lines(1), &ice, &[0xA1; 32], 99);
        let parsed = SessionDescription::unmarshal(&mut std::io::Cursor::new(text.as_bytes())).unwrap();
        assert_eq!(parsed.media_descriptions.len(), 14);
        let camera = &parsed.media_descriptions[1];
        assert_eq!(camera.attribute("ssrc-group").flatten(), Some("FID 20 21"));
        assert_eq!(camera.attribute("ice-ufrag").flatten(), Some(ice.ufrag.as_str()));
        assert!(camera.has_attribute("sendonly") && parsed.media_descriptions[13].has_attribute("recvonly"));
    }

    #[test]
    fn layers_are_named_by_rid_and_have_no_ssrc_in_the_offer() {
        let text = offer(&lines(3), &Credentials::random(), &[0; 32], 1);
        assert!(text.contains("a=simulcast:send q;h;f\r\n") && text.contains("a=rid:f send\r\n"));
        assert!(!text.contains("a=ssrc:20 ") && text.contains("a=ssrc:11 "));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), lines in "(a=(ssrc|fingerprint|candidate|ssrc-group):[ -~]{0,40}\r\n){0,8}") {
            let _ = read(&text);
            let _ = read(&format!("{ANSWER}{lines}"));
        }
    }
}
