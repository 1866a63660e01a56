//! RTP header extension elements (RFC 8285) and the few that the server itself reads or writes.

/// Audio level of the sender, RFC 6464.
pub const AUDIO_LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// Transport-wide sequence number, the input of congestion control.
pub const TRANSPORT_CC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// Media section that a packet belongs to, RFC 9143 §15.2.
pub const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// Simulcast layer that a packet belongs to, RFC 8852.
pub const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
/// Simulcast layer that a retransmission repairs, RFC 8852.
pub const REPAIRED_RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
/// Absolute send time, 24 bits of 6.18 fixed-point seconds.
pub const ABS_SEND_TIME_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";

pub(crate) const ONE_BYTE_PROFILE: u16 = 0xBEDE;
pub(crate) const TWO_BYTE_PROFILE: u16 = 0x1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

/// The elements `(id, value)` of one header extension block. A truncated element ends the
/// iteration; what stood before it remains valid.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> Extensions<'a> {
    pub(crate) const fn none() -> Self {
        Self { form: Form::OneByte, rest: &[] }
    }

    pub(crate) fn new(profile: u16, elements: &'a [u8]) -> Self {
        match profile {
            ONE_BYTE_PROFILE => Self { form: Form::OneByte, rest: elements },
            // RFC 8285 §4.3: the low four bits are "appbits", free to be anything.
            _ if profile & 0xfff0 == TWO_BYTE_PROFILE => Self { form: Form::TwoByte, rest: elements },
            _ => Self::none(),
        }
    }

    fn next_head(&mut self) -> Option<(u8, usize)> {
        loop {
            let (&head, rest) = self.rest.split_first()?;
            self.rest = rest;
            match (self.form, head) {
                (_, 0) => {} // One octet of padding, between elements or at the end.
                (Form::OneByte, _) => {
                    let id = head >> 4;
                    // RFC 8285 §4.2: id 15 stops the parsing, and so does id 0 with a length.
                    return (1..=14).contains(&id).then_some((id, usize::from(head & 0x0f) + 1));
                }
                (Form::TwoByte, id) => {
                    let (&len, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    return Some((id, usize::from(len)));
                }
            }
        }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.next_head().and_then(|(id, len)| {
            let (value, rest) = self.rest.split_at_checked(len)?;
            self.rest = rest;
            Some((id, value))
        });
        if element.is_none() {
            self.rest = &[];
        }
        element
    }
}

/// The audio level element (RFC 6464 §3): what the active speaker is chosen by, without decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// The sender's own opinion that the packet contains voice.
    pub voice: bool,
    /// Level in -dBov, 0..=127: 0 is the loudest, 127 is silence.
    pub level: u8,
}

impl AudioLevel {
    /// Reads the element's value. The two-byte form may pad it, so longer values are accepted.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let octet = value.first()?;
        Some(Self { voice: octet & 0x80 != 0, level: octet & 0x7f })
    }

    /// The element's single octet.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        let level = if self.level > 0x7f { 0x7f } else { self.level };
        (self.voice as u8) << 7 | level
    }
}

/// The transport-wide sequence number. Version 2 of the extension appends a feedback request,
/// which is not ours to answer, so longer values are accepted.
#[must_use]
pub fn transport_seq(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|octets| u16::from_be_bytes(*octets))
}

/// Name of a simulcast layer: what `a=rid` in SDP and the RID elements of packets (RFC 8851, RFC 8852) have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rid {
    len: u8,
    text: [u8; Self::LEN_MAX],
}

impl Rid {
    /// Octets that a name may have: what the one-byte form of an element has room for. Browsers use one to three.
    pub const LEN_MAX: usize = 16;

    /// Reads a name. `None`: empty, too long, or made of other than letters, digits, `-` and `_` (RFC 8851 §10).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let is_name = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        if value.is_empty() || !value.iter().all(is_name) {
            return None;
        }
        let mut text = [0; Self::LEN_MAX];
        text.get_mut(..value.len())?.copy_from_slice(value);
        Some(Self { len: value.len() as u8, text })
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get(..usize::from(self.len)).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Rid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Display for Rid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
