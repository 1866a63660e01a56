//! The engine, as signalling's [`Media`].
//!
//! Translation only: signalling's ids and words become the engine's and back. Answering an ordinary offer is some tenths
//! of a millisecond of arithmetic and waits for nobody, which is less than it costs to hand it to another thread; only
//! what is larger than any browser's offer goes where blocking is allowed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use engine::id as media;
use engine::{Connect, ConnectError, Connected, Engine};
use signaling::id::ParticipantId;
use signaling::ports::{
    EndpointId, Layout, Media, MediaConnect, MediaConnected, MediaPublication, MediaRefused, PublicationKind, SlotKind,
    Want,
};

/// Bytes of an offer that is answered on the spot. A page's has some ten thousand.
const ORDINARY_OFFER: usize = 64 * 1024;

/// Signalling's view of the engine.
pub(super) struct EngineMedia(pub(super) Arc<Engine>);

#[async_trait]
impl Media for EngineMedia {
    async fn connect(&self, request: MediaConnect) -> Result<MediaConnected, MediaRefused> {
        if request.offer.len() <= ORDINARY_OFFER {
            return catch_unwind(AssertUnwindSafe(|| answer(&self.0, &request))).unwrap_or_else(|_| Err(failed()));
        }
        let engine = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || answer(&engine, &request)).await.unwrap_or_else(|_| Err(failed()))
    }

    fn has_room(&self) -> bool {
        self.0.has_room()
    }

    fn disconnect(&self, name: EndpointId) {
        self.0.disconnect(endpoint(name));
    }

    fn remove(&self, who: ParticipantId) {
        self.0.remove(participant(who));
    }

    fn set_muted(&self, who: ParticipantId, kind: PublicationKind, muted: bool) {
        #[cfg(debug_assertions)]
        super::fault::point();
        self.0.set_muted(participant(who), engine_kind(kind), muted);
    }

    fn layout(&self, name: EndpointId, layout: Layout) {
        let Layout { wants, fill, max_tiles, max_bitrate, mix } = layout;
        let wants = wants.into_iter().map(want).collect();
        self.0.layout(endpoint(name), engine::layout::Layout { wants, fill, max_tiles, max_bitrate, mix });
    }
}

fn want(want: Want) -> engine::layout::Want {
    let Want { participant: who, kind, priority, width, height } = want;
    engine::layout::Want { participant: participant(who), kind: engine_kind(kind), priority, width, height }
}

fn answer(engine: &Engine, request: &MediaConnect) -> Result<MediaConnected, MediaRefused> {
    let lines: Vec<_> = request.lines.iter().map(|(mid, kind)| (mid.clone(), engine_kind(*kind))).collect();
    let answer = engine.connect(Connect {
        meeting: media::MeetingId(request.meeting.as_u128()),
        participant: participant(request.participant),
        offer: &request.offer,
        lines: &lines,
        replaces: request.replaces.map(endpoint),
    });
    answer.map(connected).map_err(refused)
}

/// A panic on an offer: it was reported where it happened, and costs this offer alone.
fn failed() -> MediaRefused {
    MediaRefused::Unavailable("The media engine failed on this offer. Try again.".to_owned())
}

fn connected(answer: Connected) -> MediaConnected {
    MediaConnected {
        endpoint: EndpointId(answer.endpoint.0),
        continues: answer.continues,
        answer: answer.answer,
        slots: answer.slots.into_iter().map(|(mid, kind)| (mid, slot_kind(kind))).collect(),
        publications: answer
            .publications
            .into_iter()
            .map(|(id, kind)| MediaPublication { id: id.0, kind: publication_kind(kind) })
            .collect(),
    }
}

fn refused(error: ConnectError) -> MediaRefused {
    match error {
        ConnectError::BadOffer(text) => MediaRefused::BadOffer(text),
        ConnectError::Busy(text) => MediaRefused::Busy(text),
        ConnectError::Unavailable(text) => MediaRefused::Unavailable(text),
    }
}

fn endpoint(name: EndpointId) -> media::EndpointId {
    media::EndpointId(name.0)
}

pub(super) fn participant(who: ParticipantId) -> media::ParticipantId {
    media::ParticipantId(who.as_u128())
}

fn engine_kind(kind: PublicationKind) -> media::PublicationKind {
    match kind {
        PublicationKind::Microphone => media::PublicationKind::Microphone,
        PublicationKind::Camera => media::PublicationKind::Camera,
        PublicationKind::Screen => media::PublicationKind::Screen,
        PublicationKind::ScreenAudio => media::PublicationKind::ScreenAudio,
    }
}

pub(super) fn publication_kind(kind: media::PublicationKind) -> PublicationKind {
    match kind {
        media::PublicationKind::Microphone => PublicationKind::Microphone,
        media::PublicationKind::Camera => PublicationKind::Camera,
        media::PublicationKind::Screen => PublicationKind::Screen,
        media::PublicationKind::ScreenAudio => PublicationKind::ScreenAudio,
    }
}

fn slot_kind(kind: media::MediaKind) -> SlotKind {
    match kind {
        media::MediaKind::Audio => SlotKind::Audio,
        media::MediaKind::Video => SlotKind::Video,
    }
}
