//! How a browser gets its endpoint: its offer is answered, its slots and publications are made, and a shard takes it in.
//!
//! ```text
//! Connect -> placement -> negotiate -> Handshake::Expect to a control thread -> Command::Add to a shard -> Connected
//!         -> a further offer of an endpoint that stands: negotiate_again -> Command::Grow
//! ```

use std::collections::HashSet;

use rand::Rng;

use super::ShardGone;
use super::control_thread::{Handshake, tell_span};
use super::handle::Engine;
use super::mixes::new_publication;
use super::placement::Placement;
use super::running::Running;
use super::standing::{Ssrcs, Standing};
use crate::command::{Command, NewPublication};
use crate::egress::rewrite::Start;
use crate::egress::slot::Slot;
use crate::endpoint::ice::IceCredentials;
use crate::endpoint::sdp::{AnswerParams, Negotiated, SdpError, continues, negotiate, negotiate_again};
use crate::endpoint::webrtc::EndpointParts;
use crate::id::{EndpointId, MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::ingest::demux::Demux;
use crate::line::{ExtensionIds, SendLine, SlotLine};
use crate::shard::span::ShardIndex;

/// A browser's wish to connect.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    /// Where it joins.
    pub meeting: MeetingId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// Its SDP offer.
    pub offer: &'a str,
    /// What its send lines carry, by mid. Of a line that is not named the medium tells: a microphone, a camera.
    pub lines: &'a [(String, PublicationKind)],
    /// The endpoint that it takes the place of; or goes on with, where the offer is a further one on the same connection.
    pub replaces: Option<EndpointId>,
}

/// A new endpoint, or one that has more slots now.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Its name.
    pub endpoint: EndpointId,
    /// It is the one of [`Connect::replaces`].
    pub continues: bool,
    /// The SDP answer.
    pub answer: String,
    /// All its receive slots by mid.
    pub slots: Vec<(String, MediaKind)>,
    /// What it publishes.
    pub publications: Vec<(PublicationId, PublicationKind)>,
}

/// Why an endpoint could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The offer; the text is for the author of the client.
    #[error("{0}")]
    BadOffer(String),
    /// Every thread that could carry another endpoint has no time left; those who are in keep their quality.
    #[error("{0}")]
    Busy(String),
    /// The engine is stopping.
    #[error("{0}")]
    Unavailable(String),
}

impl ConnectError {
    pub(super) fn busy() -> Self {
        Self::Busy(
            "the server is at its capacity and keeps what it has for the meetings that run; try again in a minute"
                .to_owned(),
        )
    }
}

impl From<SdpError> for ConnectError {
    fn from(error: SdpError) -> Self {
        Self::BadOffer(error.to_string())
    }
}

impl From<ShardGone> for ConnectError {
    fn from(_: ShardGone) -> Self {
        Self::Unavailable("the media engine is stopping; try again in a moment".to_owned())
    }
}

impl Engine {
    /// Answers an offer and makes the endpoint: about a millisecond of CPU, no waiting for the network.
    ///
    /// # Errors
    /// [`ConnectError::BadOffer`] with a text for the client's author, [`ConnectError::Busy`] beyond capacity, or
    /// [`ConnectError::Unavailable`].
    pub fn connect(&self, connect: Connect<'_>) -> Result<Connected, ConnectError> {
        let running = self.running.as_ref().ok_or(ShardGone)?;
        let before = connect.replaces.and_then(|old| Some((old, running.standings.get(old)?)));
        if let Some((endpoint, standing)) = before.filter(|(_, before)| continues(connect.offer, &before.agreement)) {
            return self.grow(running, endpoint, &standing, connect.offer);
        }
        let endpoint = running.placement.place(connect.meeting, |span| tell_span(&running.shards, span));
        let connected = self.connect_at(running, endpoint, &connect);
        if connected.is_err() {
            running.standings.end(endpoint);
            running.placement.gone(endpoint, |span| tell_span(&running.shards, span));
        }
        connected
    }

    fn connect_at(
        &self,
        running: &Running,
        endpoint: EndpointId,
        connect: &Connect<'_>,
    ) -> Result<Connected, ConnectError> {
        let shard = running.shard_with_room(endpoint)?;
        let prefix = ShardIndex::new(shard).unwrap_or(ShardIndex::FIRST).ufrag_prefix();
        let credentials = IceCredentials::generate(&prefix);
        let mut ssrcs = Ssrcs::default();
        let negotiated = negotiate(
            connect.offer,
            AnswerParams {
                ice: &credentials,
                fingerprint: &self.fingerprint,
                candidates: self.candidates.get(shard).map(Vec::as_slice).unwrap_or_default(),
                session_id: endpoint.0,
                new_ssrc: &mut || ssrcs.next(),
            },
        )?;
        let Negotiated { answer, setup, peer_fingerprint, peer_credentials, extensions, sends, slots, agreement } =
            negotiated;
        let (lines, publications): (Vec<SendLine>, Vec<NewPublication>) =
            self.publications(sends, connect.lines)?.into_iter().unzip();
        let connected = Connected {
            endpoint,
            continues: false,
            answer,
            slots: by_mid(&slots).collect(),
            publications: publications.iter().map(|publication| (publication.id, publication.kind)).collect(),
        };
        let report_ssrc = ssrcs.next();
        let standing = Standing {
            credentials: credentials.clone(),
            agreement,
            ssrcs,
            slots: connected.slots.clone(),
            publications: connected.publications.clone(),
        };
        running.standings.begin(endpoint, standing);
        let parts = EndpointParts {
            id: endpoint,
            meeting: connect.meeting,
            participant: connect.participant,
            credentials,
            peer_credentials,
            extensions,
            demux: Demux::new(lines, extensions),
            publications: Vec::new(),
            slots: new_slots(0, slots, extensions),
            report_ssrc,
            follows_estimate: running.follow_estimate,
        };
        // The handshake must be expected before the first record can come.
        let control = running.control_of(endpoint).ok_or(ShardGone)?;
        let expect = Handshake::Expect { endpoint, fingerprint: peer_fingerprint, setup };
        control.send(expect).map_err(|_| ShardGone)?;
        // An endpoint that is replaced may live in another shard.
        let elsewhere = connect.replaces.filter(|old| Placement::shard_of(*old) != shard);
        if let Some(old) = elsewhere {
            running.order(old, Command::Remove(old));
        }
        let replaces = connect.replaces.filter(|_| elsewhere.is_none());
        let mailbox = running.shards.get(shard).ok_or(ShardGone)?;
        mailbox.send(Command::Add { parts: Box::new(parts), publications, replaces })?;
        Ok(connected)
    }

    /// A further offer on a connection that stands: its endpoint gets the slots that are new in it.
    fn grow(
        &self,
        running: &Running,
        endpoint: EndpointId,
        before: &Standing,
        offer: &str,
    ) -> Result<Connected, ConnectError> {
        let shard = running.shard_with_room(endpoint)?;
        let mut standing = before.clone();
        let negotiated = negotiate_again(
            offer,
            AnswerParams {
                ice: &before.credentials,
                fingerprint: &self.fingerprint,
                candidates: self.candidates.get(shard).map(Vec::as_slice).unwrap_or_default(),
                session_id: endpoint.0,
                new_ssrc: &mut || standing.ssrcs.next(),
            },
            &before.agreement,
        )?;
        let Negotiated { answer, extensions, slots, agreement, .. } = negotiated;
        let first = standing.slots.len();
        standing.agreement = agreement;
        standing.slots.extend(by_mid(&slots));
        let connected = Connected {
            endpoint,
            continues: true,
            answer,
            slots: standing.slots.clone(),
            publications: standing.publications.clone(),
        };
        if !running.standings.renew(endpoint, standing) {
            return Err(ConnectError::Unavailable("the connection has ended; begin a new one".to_owned()));
        }
        running.order(endpoint, Command::Grow { endpoint, slots: new_slots(first, slots, extensions) });
        Ok(connected)
    }

    /// One publication for each line that the client has named, or whose medium tells what it is; of lines of the same kind the first.
    fn publications(
        &self,
        sends: Vec<SendLine>,
        named: &[(String, PublicationKind)],
    ) -> Result<Vec<(SendLine, NewPublication)>, ConnectError> {
        let mut taken = HashSet::new();
        let mut publications = Vec::new();
        for line in sends {
            let name = named.iter().find(|(mid, _)| *mid == line.mid).map(|(_, kind)| *kind);
            let kind = name.unwrap_or(PublicationKind::usual(line.kind));
            if kind.media() != line.kind {
                return Err(ConnectError::BadOffer(format!(
                    "the line with mid {} is named a {kind:?}, which its medium cannot carry; name each line by what it sends",
                    line.mid
                )));
            }
            let Some(codec) = line.codecs.first().map(|entry| entry.codec) else { continue };
            let layers = line.layers.len().max(1) as u8;
            if taken.insert(kind) {
                let id = new_publication(&self.next_publication);
                publications.push((line, NewPublication { id, kind, codec, layers }));
            }
        }
        Ok(publications)
    }
}

/// Odd, so that every number comes once before any comes twice; large, so that two ids in a row do not look alike.
pub(super) const PUBLICATION_STEP: u32 = 0x9e37_79b1;

fn by_mid(slots: &[SlotLine]) -> impl Iterator<Item = (String, MediaKind)> + '_ {
    slots.iter().map(|slot| (slot.mid.clone(), slot.kind))
}

/// Slots for lines of an answer, counted up from `first`.
fn new_slots(first: usize, lines: Vec<SlotLine>, extensions: ExtensionIds) -> Vec<Slot> {
    let slots = (first..).zip(lines);
    slots
        .map(|(at, line)| Slot::new(at as u8, line, extensions, random_start(), rand::rng().random::<u16>() >> 1))
        .collect()
}

/// RFC 3550 §5.1: first numbers are random. Sequence numbers begin in the lower half, so that a receiver that misses the first
/// packets does not guess the roll-over counter wrong (RFC 3711 §3.3.1).
fn random_start() -> Start {
    let mut random = rand::rng();
    Start {
        sequence: random.random::<u16>() >> 1,
        clock_base: random.random(),
        picture_id: random.random::<u16>() >> 1,
        tl0_pic_idx: random.random(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Instant;

    use arrayvec::ArrayVec;

    use super::super::handle::tests::engine;
    use super::*;
    use crate::id::Codec;
    use crate::line::NegotiatedCodec;

    #[test]
    fn a_bad_offer_is_refused_in_words_and_leaves_nothing_behind() {
        let engine = engine();
        let connect = Connect {
            meeting: MeetingId(1),
            participant: ParticipantId(1),
            offer: "hello",
            lines: &[],
            replaces: None,
        };
        let refused = engine.connect(connect).unwrap_err();
        assert!(matches!(&refused, ConnectError::BadOffer(text) if text.contains("SDP")), "{refused}");
        assert!(engine.is_alive());
    }

    #[test]
    fn a_further_offer_goes_on_with_its_endpoint_and_another_connection_takes_its_place() {
        const PAGE: &str = include_str!("../endpoint/sdp/testdata/chromium_page.sdp");
        let engine = engine();
        let offer = |offer: &str, replaces| {
            engine.connect(Connect {
                meeting: MeetingId(1),
                participant: ParticipantId(1),
                offer,
                lines: &[],
                replaces,
            })
        };
        let first = offer(PAGE, None).unwrap();
        let again = offer(PAGE, Some(first.endpoint)).unwrap();
        assert!(!first.continues && again.continues);
        assert_eq!((again.endpoint, &again.slots), (first.endpoint, &first.slots));
        assert_eq!(again.publications, first.publications);
        let refused = offer(&PAGE.replacen("a=recvonly", "a=inactive", 1), Some(first.endpoint)).unwrap_err();
        assert!(matches!(&refused, ConnectError::BadOffer(text) if text.contains("further offer")), "{refused}");
        assert!(offer(PAGE, Some(first.endpoint)).unwrap().continues, "what was refused has changed nothing");
        let other = offer(&PAGE.replace("a=ice-ufrag:gcgE", "a=ice-ufrag:other"), Some(first.endpoint)).unwrap();
        assert!(!other.continues && other.endpoint != first.endpoint);
        // What was agreed on is kept for as long as there is an endpoint, and no longer.
        let standings = &engine.running.as_ref().unwrap().standings;
        engine.disconnect(other.endpoint);
        let soon = Instant::now() + std::time::Duration::from_secs(10);
        while standings.get(first.endpoint).is_some() || standings.get(other.endpoint).is_some() {
            assert!(Instant::now() < soon, "still kept");
            std::thread::yield_now();
        }
    }

    #[test]
    fn lines_carry_what_they_are_named_and_otherwise_what_their_medium_says() {
        let engine = engine();
        let line = |mid: &str, kind, codec| SendLine {
            mid: mid.to_owned(),
            kind,
            ssrc: None,
            rtx_ssrc: None,
            codecs: vec![NegotiatedCodec { codec, payload_type: 96, rtx_payload_type: None, red_payload_type: None }],
            layers: ArrayVec::new(),
        };
        let sends = || {
            let audio = ["0", "3"].map(|mid| line(mid, MediaKind::Audio, Codec::Opus));
            let video = ["1", "2"].map(|mid| line(mid, MediaKind::Video, Codec::Vp8));
            audio.into_iter().chain(video).collect::<Vec<_>>()
        };
        let kinds = |named: &[(String, PublicationKind)]| -> Vec<(String, PublicationKind)> {
            let made = engine.publications(sends(), named).unwrap();
            made.into_iter().map(|(line, publication)| (line.mid, publication.kind)).collect()
        };
        let named = |mid: &str, kind| (mid.to_owned(), kind);
        let (microphone, camera) = (named("0", PublicationKind::Microphone), named("1", PublicationKind::Camera));
        assert_eq!(kinds(&[]), [microphone.clone(), camera.clone()], "a client of before; its other lines have no use");
        let (screen, sound) = (named("2", PublicationKind::Screen), named("3", PublicationKind::ScreenAudio));
        let all = [microphone, sound.clone(), camera, screen.clone()];
        assert_eq!(kinds(&[screen, sound]), all);
        let refused = engine.publications(sends(), &[named("1", PublicationKind::ScreenAudio)]).unwrap_err();
        assert!(matches!(&refused, ConnectError::BadOffer(text) if text.contains("mid 1")), "{refused}");
    }
}
