//! The answerer: one offer in, one answer out, and what both sides agreed on (RFC 9429, RFC 3264, RFC 9143).
//!
//! Browsers and other WHIP or WHEP clients come through the same [`negotiate`]. The server answers once and never
//! offers: what the client sends becomes [`SendLine`]s, what it wants to receive becomes [`SlotLine`]s whose SSRCs are
//! fixed for the life of the connection.
//!
//! ```text
//! offer -> parse (bounded, borrowed) -> accept or reject each line -> write the answer
//!                                             |-> sendonly: SendLine    (we receive)
//!                                             |-> recvonly: SlotLine    (we send)
//!                                             |-> inactive: agreed on, unused
//!                                             `-> unknown:  port 0
//! ```
//!
//! A further offer on the same connection may only ask for more slots: see [`again`].
//!
//! `rtc-sdp` is not used here: it keeps every attribute of every line as text of its own, where a 512 KiB offer needs a
//! bound, and it cannot say which line is at fault. Tests read our answers with it.

use std::net::SocketAddr;

use arrayvec::ArrayVec;
use wire::ext::Rid;

use crate::endpoint::certificate::Fingerprint;
use crate::endpoint::dtls::Setup;
use crate::endpoint::ice::IceCredentials;
use crate::id::{Codec, LAYERS_MAX, MediaKind};
use crate::line::{ExtensionIds, NegotiatedCodec, SendLine, SlotLine};

mod again;
mod answer;
mod parse;
#[cfg(test)]
mod tests;

pub use again::{Agreement, continues, negotiate_again};
use parse::{Feedback, Offer, Section};

/// Longest offer, in bytes.
pub const MAX_OFFER_LEN: usize = 512 * 1024;

/// Most media lines in an offer.
pub const MAX_LINES: usize = 64;

/// Longest format parameters that are repeated. Browsers' have some thirty.
const FORM_LEN_MAX: usize = 128;

/// Longest mid that we mirror; the header extension has room for 16 bytes.
const MAX_MID_LEN: usize = 16;

/// Why an offer is refused. The text is for the author of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// Longer than [`MAX_OFFER_LEN`].
    #[error("the offer is longer than {MAX_OFFER_LEN} bytes; offer fewer lines or fewer codecs (setCodecPreferences)")]
    TooLarge,
    /// More than [`MAX_LINES`].
    #[error("the offer has more than {MAX_LINES} media lines; offer fewer receive slots")]
    TooManyLines,
    /// No SDP.
    #[error(
        "line {line} of the offer is not SDP (RFC 8866: \"x=value\", beginning with v=0); send the text of createOffer() unchanged"
    )]
    Malformed {
        /// Line number, from 1.
        line: usize,
    },
    /// No or a bad `a=mid`.
    #[error(
        "media line {line} has no a=mid, or one that is repeated, longer than {MAX_MID_LEN} bytes or has blanks; give every media line its own mid (RFC 9143)"
    )]
    Mid {
        /// Which `m=` line, from 1.
        line: usize,
    },
    /// Not bundled.
    #[error(
        "media line {line} is not in a=group:BUNDLE; all media share one transport here, so offer with bundlePolicy \"max-bundle\" (RFC 9143)"
    )]
    NotBundled {
        /// Which `m=` line, from 1.
        line: usize,
    },
    /// No RTCP multiplexing.
    #[error("media line {line} has no a=rtcp-mux; RTP and RTCP share one port here, so offer it (RFC 5761)")]
    RtcpMux {
        /// Which `m=` line, from 1.
        line: usize,
    },
    /// No usable fingerprint.
    #[error("the offer has no a=fingerprint of sha-256, sha-384 or sha-512; DTLS-SRTP needs one (RFC 8122)")]
    NoFingerprint,
    /// Nobody would begin the DTLS handshake.
    #[error(
        "the offer has no a=setup of actpass, active or passive; one side has to begin, so offer actpass (RFC 5763)"
    )]
    Setup,
    /// No ICE.
    #[error("the offer has no a=ice-ufrag; the server finds clients by ICE, so offer it (RFC 8839)")]
    NoIce,
    /// A line that both sends and receives.
    #[error(
        "media line {line} is sendrecv; the server answers sendonly and recvonly lines only, so add one transceiver per direction"
    )]
    SendRecv {
        /// Which `m=` line, from 1.
        line: usize,
    },
    /// A further offer on a connection that stands wants something of it otherwise.
    #[error(
        "media line {line} is not as it was agreed on; a further offer on the same connection may only add recvonly lines at its end, so keep the others as they were, or begin a new connection"
    )]
    Changed {
        /// Which `m=` line, from 1.
        line: usize,
    },
    /// Every line had to be rejected.
    #[error(
        "no media line of the offer can be used; offer audio with opus/48000/2 or video with VP8/90000 or H264/90000 (packetization-mode=1, profile-level-id=42e01f), over UDP/TLS/RTP/SAVPF"
    )]
    NothingInCommon,
}

/// What the answer says about us.
pub struct AnswerParams<'a> {
    /// Of this endpoint.
    pub ice: &'a IceCredentials,
    /// Of our certificate: `sha-256 AB:CD:..`.
    pub fingerprint: &'a str,
    /// UDP host candidates, best first.
    pub candidates: &'a [SocketAddr],
    /// Any number that is not used twice.
    pub session_id: u64,
    /// Gives an SSRC that no stream of this endpoint has.
    pub new_ssrc: &'a mut dyn FnMut() -> u32,
}

/// What both sides agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The answer's text.
    pub answer: String,
    /// Who begins the DTLS handshake: we, where the client says that it will not.
    pub setup: Setup,
    /// Whose certificate the DTLS handshake must show.
    pub peer_fingerprint: Fingerprint,
    /// How to sign a check of ours for it; none where the offer has no password.
    pub peer_credentials: Option<IceCredentials>,
    /// Ids of header extensions, the same on all lines.
    pub extensions: ExtensionIds,
    /// What the client sends, in the order of the offer.
    pub sends: Vec<SendLine>,
    /// What it receives, in the order of the offer. Of a further offer: what it receives in addition.
    pub slots: Vec<SlotLine>,
    /// All of it, for the next offer on the same connection.
    pub agreement: Agreement,
}

/// `a=sendrecv` and its kin, as the offerer sees them (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "sendrecv" => Self::SendRecv,
            "sendonly" => Self::SendOnly,
            "recvonly" => Self::RecvOnly,
            "inactive" => Self::Inactive,
            _ => return None,
        })
    }
}

/// What becomes of a media line.
#[expect(clippy::large_enum_variant, reason = "a few dozen of them for as long as one offer is answered")]
enum Outcome<'a> {
    Rejected,
    Accepted(Accepted<'a>),
}

/// An accepted media line.
struct Accepted<'a> {
    mid: &'a str,
    kind: MediaKind,
    /// In the order of the answer; never empty.
    codecs: Codecs<'a>,
    extensions: ExtensionIds,
    layers: ArrayVec<Rid, LAYERS_MAX>,
    role: Role,
}

/// What a line may carry, in the order of the answer.
type Codecs<'a> = ArrayVec<Agreed<'a>, { Codec::PICTURES.len() }>;

/// A codec that both sides have.
#[derive(Clone, Copy)]
struct Agreed<'a> {
    codec: NegotiatedCodec,
    feedback: Feedback,
    /// Format parameters of the offer that the answer repeats: which of its forms was taken.
    form: Option<&'a str>,
}

/// What an accepted line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Send,
    Slot { ssrc: u32, rtx_ssrc: Option<u32> },
    Unused,
}

/// Answers an offer.
///
/// # Errors
/// An [`SdpError`] that says what the client has to change. Lines that we cannot use are no error: they are rejected in
/// the answer, unless nothing is left.
pub fn negotiate(offer: &str, params: AnswerParams<'_>) -> Result<Negotiated, SdpError> {
    answer_offer(offer, params, &Agreement::default())
}

/// Answers an offer on a connection of which so much was agreed on before.
fn answer_offer(offer: &str, params: AnswerParams<'_>, before: &Agreement) -> Result<Negotiated, SdpError> {
    let AnswerParams { ice, fingerprint, candidates, session_id, new_ssrc } = params;
    let offer = parse::parse(offer)?;
    let extensions = before.extensions.or(session_extensions(&offer));
    let mut outcomes = Vec::with_capacity(offer.sections.len());
    for (at, section) in offer.sections.iter().enumerate() {
        outcomes.push(consider(&offer, section, at + 1, extensions, before.slot_at(at), new_ssrc)?);
    }
    check_mids(&offer)?;
    before.check(&outcomes)?;
    let (wanted, peer_fingerprint) = check_transport(&offer, &outcomes)?;
    let setup = before.setup.unwrap_or(wanted);
    let peer_credentials = peer_credentials(&offer, &outcomes);
    let version = before.version + 1;
    let us = answer::Us { ice, fingerprint, setup, candidates, session_id, version };
    let known = before.slots();
    Ok(Negotiated {
        answer: answer::write(&offer, &outcomes, &us),
        setup,
        sends: send_lines(&offer, &outcomes),
        slots: slot_lines(&outcomes).into_iter().filter(|slot| !known.contains(&slot.ssrc)).collect(),
        agreement: Agreement::new(version, peer_credentials.as_ref(), &peer_fingerprint, setup, extensions, &outcomes),
        peer_fingerprint,
        peer_credentials,
        extensions,
    })
}

/// Ids mean the same on all lines of a bundle (RFC 9143 §9.2); the first line that names an extension counts.
fn session_extensions(offer: &Offer<'_>) -> ExtensionIds {
    offer.sections.iter().fold(offer.session.extensions, |known, section| known.or(section.attributes.extensions))
}

/// Accepts, rejects or refuses one line (`line` counts from 1), which may have been a slot before.
fn consider<'a>(
    offer: &Offer<'a>,
    section: &Section<'a>,
    line: usize,
    known: ExtensionIds,
    slot: Option<Role>,
    new_ssrc: &mut dyn FnMut() -> u32,
) -> Result<Outcome<'a>, SdpError> {
    let attributes = &section.attributes;
    let stopped = section.port == "0" && !attributes.bundle_only;
    let Some((kind, mut codecs)) = common_codecs(section).filter(|_| !stopped) else {
        return Ok(Outcome::Rejected);
    };
    let mid = attributes.mid.filter(|mid| is_mid(mid)).ok_or(SdpError::Mid { line })?;
    // RFC 9143 §7.2: one line alone needs no group.
    let bundled = match offer.bundle {
        Some(mids) => mids.split_ascii_whitespace().any(|bundled| bundled == mid),
        None => offer.sections.len() == 1,
    };
    if !bundled {
        return Err(SdpError::NotBundled { line });
    }
    if !attributes.rtcp_mux {
        return Err(SdpError::RtcpMux { line });
    }
    let role = match attributes.direction.or(offer.session.direction) {
        Some(Direction::SendOnly) => Role::Send,
        // What it is sent on stays what it was.
        Some(Direction::RecvOnly) => slot.unwrap_or_else(|| {
            let ssrc = new_ssrc();
            // An SSRC without its FID group makes the browser ignore retransmissions, and the reverse helps nobody.
            let rtx = codecs.iter().find_map(|agreed| agreed.codec.rtx_payload_type);
            Role::Slot { ssrc, rtx_ssrc: rtx.map(|_| new_ssrc()) }
        }),
        Some(Direction::Inactive) => Role::Unused,
        // RFC 8866 §6.7: sendrecv is the default.
        Some(Direction::SendRecv) | None => return Err(SdpError::SendRecv { line }),
    };
    let mut extensions = accepted_extensions(attributes.extensions.or(offer.session.extensions), known, kind);
    let sends_pictures = matches!(role, Role::Send) && kind == MediaKind::Video;
    let layers = if sends_pictures { common_layers(section, &codecs, extensions) } else { ArrayVec::new() };
    if layers.is_empty() {
        // A single stream needs no name, and we look for none.
        (extensions.rid, extensions.repaired_rid) = (None, None);
    }
    let may = |codec: Codec| codecs.iter().any(|agreed| agreed.codec.codec == codec);
    // Chromium 156 writes VP8 without picture ids and temporal layers where this is agreed on: all that a slot continues would
    // be gone. Who only receives may have both: it is told with AV1 alone.
    if !may(Codec::Av1) || (sends_pictures && may(Codec::Vp8)) {
        extensions.dependency_descriptor = None;
    }
    if extensions.transport_cc.is_none() {
        codecs.iter_mut().for_each(|agreed| agreed.feedback = agreed.feedback.without(Feedback::TRANSPORT_CC));
    }
    Ok(Outcome::Accepted(Accepted { mid, kind, codecs, extensions, layers, role }))
}

/// What the line's answer may name: offered on this line, under the id that holds everywhere.
fn accepted_extensions(offered: ExtensionIds, known: ExtensionIds, kind: MediaKind) -> ExtensionIds {
    let agreed = |here: Option<u8>, everywhere: Option<u8>| here.filter(|_| here == everywhere);
    ExtensionIds {
        audio_level: agreed(offered.audio_level, known.audio_level).filter(|_| kind == MediaKind::Audio),
        transport_cc: agreed(offered.transport_cc, known.transport_cc),
        mid: agreed(offered.mid, known.mid),
        rid: agreed(offered.rid, known.rid).filter(|_| kind == MediaKind::Video),
        repaired_rid: agreed(offered.repaired_rid, known.repaired_rid).filter(|_| kind == MediaKind::Video),
        dependency_descriptor: agreed(offered.dependency_descriptor, known.dependency_descriptor),
    }
}

/// The simulcast layers that we take: of each stream of the offer's list, the lowest first, the first alternative that is
/// declared and can carry our codecs. One alone, or layers whose packets could not be told apart, are no simulcast.
fn common_layers(section: &Section<'_>, codecs: &[Agreed<'_>], extensions: ExtensionIds) -> ArrayVec<Rid, LAYERS_MAX> {
    let is_repaired = codecs.iter().any(|agreed| agreed.codec.rtx_payload_type.is_some());
    let told_apart = extensions.rid.is_some() && (!is_repaired || extensions.repaired_rid.is_some());
    let mut layers = ArrayVec::new();
    for stream in section.attributes.simulcast_streams().filter(|_| told_apart) {
        // The first codec is what is sent unless we say otherwise.
        let carries = |rid: &Rid| {
            codecs.first().is_some_and(|agreed| section.attributes.can_send(rid, agreed.codec.payload_type))
        };
        let usable = |rid: &Rid| carries(rid) && !layers.contains(rid);
        if let Some(rid) = stream.alternatives().find(usable)
            && layers.try_push(rid).is_err()
        {
            break;
        }
    }
    if layers.len() < 2 { ArrayVec::new() } else { layers }
}

/// What a line can carry of what we forward, in our order: VP8 is in every answer that can have it.
fn common_codecs<'a>(section: &Section<'a>) -> Option<(MediaKind, Codecs<'a>)> {
    let secure = ["UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"];
    secure.contains(&section.protocol).then_some(())?;
    let (kind, wanted): (_, &[Codec]) = match section.media {
        "audio" => (MediaKind::Audio, &[Codec::Opus]),
        "video" => (MediaKind::Video, &Codec::PICTURES),
        _ => return None,
    };
    let codecs: Codecs<'a> = wanted.iter().filter_map(|codec| agree(section, *codec)).collect();
    (!codecs.is_empty()).then_some((kind, codecs))
}

/// A codec of a line, where it is offered: the first payload type of it that we can use.
fn agree<'a>(section: &Section<'a>, codec: Codec) -> Option<Agreed<'a>> {
    let attributes = &section.attributes;
    let named = |encoding: &'static str| {
        payload_types(section).filter(move |payload_type| {
            attributes.encoding(*payload_type).is_some_and(|other| other.eq_ignore_ascii_case(encoding))
        })
    };
    let profile = |payload_type: u8| attributes.parameter(payload_type, "profile-level-id");
    let payload_type = if codec == Codec::H264 {
        // What one sends, all others have to read.
        let mut usable = named(codec.encoding())
            .filter(|payload_type| attributes.parameter(*payload_type, "packetization-mode") == Some("1"))
            .filter(|payload_type| profile(*payload_type).is_some_and(|profile| h264_rank(profile).is_some()));
        let first = usable.next()?;
        let rank = |payload_type: &u8| profile(*payload_type).and_then(h264_rank);
        usable.fold(first, |best, other| if rank(&other) < rank(&best) { other } else { best })
    } else {
        // Of VP9 and AV1 the main profiles, which are meant where none is named (RFC 9628 §6.1, AV1 §7.2.1).
        let main = |name, payload_type| attributes.parameter(payload_type, name).is_none_or(|profile| profile == "0");
        named(codec.encoding()).find(|payload_type| match codec {
            Codec::Vp9 => main("profile-id", *payload_type),
            Codec::Av1 => main("profile", *payload_type),
            Codec::Opus | Codec::Vp8 | Codec::H264 => true,
        })?
    };
    let made_of = |other: &u8| attributes.apt(*other) == Some(payload_type);
    let is_voice = codec == Codec::Opus;
    Some(Agreed {
        codec: NegotiatedCodec {
            codec,
            payload_type,
            rtx_payload_type: named("rtx/90000").find(made_of).filter(|_| !is_voice),
            red_payload_type: named("red/48000/2").find(made_of).filter(|_| is_voice),
        },
        feedback: attributes.feedback(payload_type),
        form: match codec {
            Codec::H264 => profile(payload_type),
            Codec::Vp9 | Codec::Av1 => attributes.parameters(payload_type).filter(|form| form.len() <= FORM_LEN_MAX),
            Codec::Opus | Codec::Vp8 => None,
        },
    })
}

/// Which profile of H.264 we would rather have: constrained baseline, then plain baseline, whose further tools no browser uses.
/// All else would not be read by everybody (RFC 6184 §8.1, table 5).
fn h264_rank(profile: &str) -> Option<u8> {
    let is_hex = profile.len() == 6 && profile.bytes().all(|digit| digit.is_ascii_hexdigit());
    match profile.get(..4).filter(|_| is_hex)?.to_ascii_lowercase().as_str() {
        "42e0" => Some(0),
        "4200" => Some(1),
        _ => None,
    }
}

/// The payload types of an `m=` line in their order, each once: what is done for one may take as long as the offer.
fn payload_types(section: &Section<'_>) -> impl Iterator<Item = u8> {
    let mut seen = 0_u128;
    section.formats.split_ascii_whitespace().filter_map(|format| format.parse().ok()).filter(move |format| {
        let bit = 1_u128.checked_shl(u32::from(*format)).unwrap_or(0);
        let is_new = bit & !seen != 0;
        seen |= bit;
        is_new
    })
}

/// A mid that can be mirrored: short and without blanks.
fn is_mid(mid: &str) -> bool {
    !mid.is_empty() && mid.len() <= MAX_MID_LEN && mid.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Two lines of one name could not be told apart.
fn check_mids(offer: &Offer<'_>) -> Result<(), SdpError> {
    for (at, section) in offer.sections.iter().enumerate() {
        let mid = section.attributes.mid;
        let repeated = offer.sections.iter().take(at).any(|earlier| mid.is_some() && earlier.attributes.mid == mid);
        if repeated {
            return Err(SdpError::Mid { line: at + 1 });
        }
    }
    Ok(())
}

/// The transport is described by the first accepted line of the bundle or by the session (RFC 9143 §7.3).
fn check_transport(offer: &Offer<'_>, outcomes: &[Outcome<'_>]) -> Result<(Setup, Fingerprint), SdpError> {
    let first = offer.sections.iter().zip(outcomes).find(|(_, outcome)| matches!(outcome, Outcome::Accepted(_)));
    let (section, _) = first.ok_or(SdpError::NothingInCommon)?;
    let (here, session) = (&section.attributes, &offer.session);
    if here.ice_ufrag.or(session.ice_ufrag).is_none() {
        return Err(SdpError::NoIce);
    }
    let setup = match here.setup.or(session.setup) {
        Some("actpass" | "active") => Setup::Passive,
        Some("passive") => Setup::Active,
        _ => return Err(SdpError::Setup),
    };
    let fingerprints = if here.fingerprints.is_empty() { &session.fingerprints } else { &here.fingerprints };
    let fingerprint = fingerprints.iter().find_map(|value| Fingerprint::parse(value));
    Ok((setup, fingerprint.ok_or(SdpError::NoFingerprint)?))
}

/// The client's ICE credentials, from where its transport is described. RFC 8839 §5.4 has the bounds.
fn peer_credentials(offer: &Offer<'_>, outcomes: &[Outcome<'_>]) -> Option<IceCredentials> {
    let mut sections = offer.sections.iter().zip(outcomes);
    let (section, _) = sections.find(|(_, outcome)| matches!(outcome, Outcome::Accepted(_)))?;
    let (here, session) = (&section.attributes, &offer.session);
    let ufrag = here.ice_ufrag.or(session.ice_ufrag).filter(|ufrag| (4..=256).contains(&ufrag.len()))?;
    let pwd = here.ice_pwd.or(session.ice_pwd).filter(|pwd| (22..=256).contains(&pwd.len()))?;
    Some(IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
}

fn send_lines(offer: &Offer<'_>, outcomes: &[Outcome<'_>]) -> Vec<SendLine> {
    let lines = offer.sections.iter().zip(outcomes).filter_map(|(section, outcome)| match outcome {
        Outcome::Accepted(line @ Accepted { role: Role::Send, .. }) => Some((&section.attributes, line)),
        Outcome::Accepted(_) | Outcome::Rejected => None,
    });
    lines
        .map(|(attributes, line)| SendLine {
            mid: line.mid.to_owned(),
            kind: line.kind,
            // Which layer an announced SSRC is of, the offer does not say.
            ssrc: attributes.fid.map(|(media, _)| media).or(attributes.ssrc).filter(|_| line.layers.is_empty()),
            rtx_ssrc: attributes.fid.map(|(_, rtx)| rtx).filter(|_| line.layers.is_empty()),
            codecs: line.codecs.iter().map(|agreed| agreed.codec).collect(),
            layers: line.layers.clone(),
        })
        .collect()
}

fn slot_lines(outcomes: &[Outcome<'_>]) -> Vec<SlotLine> {
    let lines = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Accepted(line) => match line.role {
            Role::Slot { ssrc, rtx_ssrc } => Some((line, ssrc, rtx_ssrc)),
            Role::Send | Role::Unused => None,
        },
        Outcome::Rejected => None,
    });
    lines
        .map(|(line, ssrc, rtx_ssrc)| SlotLine {
            mid: line.mid.to_owned(),
            kind: line.kind,
            ssrc,
            rtx_ssrc,
            codecs: line.codecs.iter().map(|agreed| agreed.codec).collect(),
            dependency_descriptor: line.extensions.dependency_descriptor,
        })
        .collect()
}
