//! A further offer on a connection that stands: everything that was agreed on stays as it is, and it may ask for more slots.
//!
//! Why no other change: nobody renegotiates because of somebody else, and for oneself capture is `replaceTrack`. What is
//! left is a gallery that has grown. Slots keep their SSRCs, so that what flows in them goes on without a break.
//!
//! ```text
//! offer -> continues? (ICE credentials and certificate of before)
//!            |-> no:  a new connection, negotiate
//!            `-> yes: negotiate_again -> each line as before, or refused -> SlotLines of the new ones, the next Agreement
//! ```

use arrayvec::ArrayVec;
use wire::ext::Rid;

use super::{Accepted, AnswerParams, Negotiated, Outcome, Role, SdpError, answer_offer, parse};
use crate::endpoint::certificate::Fingerprint;
use crate::endpoint::dtls::Setup;
use crate::endpoint::ice::IceCredentials;
use crate::id::{LAYERS_MAX, MediaKind};
use crate::line::{ExtensionIds, NegotiatedCodec};

/// What a client and its endpoint agreed on so far. Nothing yet, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Answers that were given.
    pub(super) version: u32,
    peer: Option<(IceCredentials, Fingerprint)>,
    /// Who began the handshake. Browsers offer `actpass` again, and an answer that turned the roles would be an error to them
    /// (RFC 8842 §5.5).
    pub(super) setup: Option<Setup>,
    pub(super) extensions: ExtensionIds,
    /// By media line; none where it was rejected.
    lines: Vec<Option<AgreedLine>>,
}

/// A media line that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct AgreedLine {
    mid: String,
    kind: MediaKind,
    codecs: Vec<NegotiatedCodec>,
    extensions: ExtensionIds,
    layers: ArrayVec<Rid, LAYERS_MAX>,
    role: Role,
}

impl AgreedLine {
    fn of(line: &Accepted<'_>) -> Self {
        let &Accepted { mid, kind, ref codecs, extensions, ref layers, role } = line;
        let codecs = codecs.iter().map(|agreed| agreed.codec).collect();
        Self { mid: mid.to_owned(), kind, codecs, extensions, layers: layers.clone(), role }
    }
}

impl Agreement {
    pub(super) fn new(
        version: u32,
        peer_credentials: Option<&IceCredentials>,
        peer_fingerprint: &Fingerprint,
        setup: Setup,
        extensions: ExtensionIds,
        outcomes: &[Outcome<'_>],
    ) -> Self {
        let lines = outcomes.iter().map(|outcome| match outcome {
            Outcome::Accepted(line) => Some(AgreedLine::of(line)),
            Outcome::Rejected => None,
        });
        let peer = peer_credentials.map(|credentials| (credentials.clone(), peer_fingerprint.clone()));
        Self { version, peer, setup: Some(setup), extensions, lines: lines.collect() }
    }

    /// What the line at an index is sent on, where it is a slot.
    pub(super) fn slot_at(&self, at: usize) -> Option<Role> {
        let line = self.lines.get(at)?.as_ref()?;
        Some(line.role).filter(|role| matches!(role, Role::Slot { .. }))
    }

    /// SSRCs of its slots.
    pub(super) fn slots(&self) -> Vec<u32> {
        let roles = self.lines.iter().flatten().map(|line| line.role);
        roles.filter_map(|role| if let Role::Slot { ssrc, .. } = role { Some(ssrc) } else { None }).collect()
    }

    /// Every line is as it was, and what is new only receives.
    pub(super) fn check(&self, outcomes: &[Outcome<'_>]) -> Result<(), SdpError> {
        if outcomes.len() < self.lines.len() {
            return Err(SdpError::Changed { line: outcomes.len() + 1 });
        }
        for (at, outcome) in outcomes.iter().enumerate() {
            let stays = match (self.lines.get(at).and_then(Option::as_ref), outcome) {
                (Some(before), Outcome::Accepted(line)) => *before == AgreedLine::of(line),
                (Some(_), Outcome::Rejected) => false,
                // RFC 9429 §5.2.2: a line that was rejected may be used for another.
                (None, Outcome::Accepted(line)) => self.version == 0 || line.role != Role::Send,
                (None, Outcome::Rejected) => true,
            };
            if !stays {
                return Err(SdpError::Changed { line: at + 1 });
            }
        }
        Ok(())
    }
}

/// Whether an offer is made on the connection that this was agreed on for: by the same ICE agent, with the same certificate.
/// Other credentials are an ICE restart or another connection.
#[must_use]
pub fn continues(offer: &str, before: &Agreement) -> bool {
    let (Ok(offer), Some((credentials, fingerprint))) = (parse::parse(offer), before.peer.as_ref()) else {
        return false;
    };
    let sections = || std::iter::once(&offer.session).chain(offer.sections.iter().map(|section| &section.attributes));
    let mut ufrags = sections().filter_map(|attributes| attributes.ice_ufrag);
    let mut pwds = sections().filter_map(|attributes| attributes.ice_pwd);
    let mut fingerprints = sections().flat_map(|attributes| &attributes.fingerprints);
    ufrags.all(|ufrag| ufrag == credentials.ufrag)
        && pwds.all(|pwd| pwd == credentials.pwd)
        && sections().any(|attributes| attributes.ice_ufrag.is_some())
        && fingerprints.any(|value| Fingerprint::parse(value).as_ref() == Some(fingerprint))
}

/// Answers a further offer on a connection that stands: `params` are those of before. The slots that come back are the new ones.
///
/// # Errors
/// [`SdpError::Changed`] where anything else than new slots is wanted, and all that [`super::negotiate`] refuses. What was agreed on
/// before goes on to hold then.
pub fn negotiate_again(offer: &str, params: AnswerParams<'_>, before: &Agreement) -> Result<Negotiated, SdpError> {
    answer_offer(offer, params, before)
}
