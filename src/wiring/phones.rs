//! The phone gateway between signalling, which knows who meets, and the engine and the mixers, which know what they sound like.
//!
//! Nothing is decided here: what the gateway asks is asked of signalling's door for phones, in the words of each.
//!
//! ```text
//! sip::gateway ─ Meetings, Door, Place, Record, Ringing, Invitation ─> here
//!      here ─> signaling::phones ─ Phones, Seat, IncomingRow, Ringing, Outgoing
//! ```

use std::time::Duration;

use async_trait::async_trait;
use engine::id as media;
use signaling::phones::{
    CallEnd, EndReason as Reason, Found, FoundMeeting, IncomingRow, Outgoing, Phones, PinAnswer, Seat, SeatNews,
    SeatRefused, SeatWish, masked,
};
use sip::ending::EndReason;
use sip::ivr::Seat as Standing;
use sip::meetings::{Caller, Door, End, Invitation, Lookup, Meetings, News, Place, PlaceWish, Record, Ringing, Taken};
use tokio::sync::{Mutex, mpsc};

use super::media::participant;

/// What others see of a caller who hides the number.
const ANONYMOUS: &str = "Phone";

/// Signalling, as the gateway sees it.
pub(super) struct Directory {
    phones: Phones,
    /// Calls that meetings want. Taken by one task, so that nobody waits for the lock.
    orders: Mutex<Option<mpsc::Receiver<Outgoing>>>,
}

impl Directory {
    pub(super) fn new(phones: Phones) -> Self {
        let orders = Mutex::new(phones.orders());
        Self { phones, orders }
    }
}

#[async_trait]
impl Meetings for Directory {
    async fn find(&self, caller: &Caller, id: &str) -> Lookup {
        match self.phones.find(counted(caller), id).await {
            Ok(Found::Meeting(meeting)) => Lookup::Door(Box::new(MeetingDoor { phones: self.phones.clone(), meeting })),
            Ok(Found::Nothing) => Lookup::Nothing,
            Ok(Found::LockedOut) => Lookup::LockedOut,
            Err(error) => {
                tracing::warn!(%error, "a conference id could not be looked up");
                Lookup::Unavailable
            }
        }
    }

    fn incoming(&self, trunk: &str, caller: &Caller) -> Box<dyn Record> {
        Box::new(Row(self.phones.incoming(trunk, caller.number.as_deref())))
    }

    async fn ring(&self, trunk: &str, called: &str, caller: &Caller, longest: Duration) -> Option<Box<dyn Ringing>> {
        match self.phones.ring(trunk, called, caller.number.as_deref(), longest).await {
            Ok(ringing) => Some(Box::new(Own(ringing?))),
            Err(error) => {
                tracing::warn!(%error, "it cannot ring at somebody's own number; the call is taken as any other");
                None
            }
        }
    }

    async fn next_invitation(&self) -> Option<Box<dyn Invitation>> {
        let order = self.orders.lock().await.as_mut()?.recv().await?;
        Some(Box::new(Order(order)))
    }
}

/// A caller as attempts are counted.
fn counted(caller: &Caller) -> &str {
    caller.number.as_deref().unwrap_or_default()
}

struct MeetingDoor {
    phones: Phones,
    meeting: FoundMeeting,
}

#[async_trait]
impl Door for MeetingDoor {
    fn has_started(&self) -> bool {
        self.meeting.has_started
    }

    async fn check_pin(&self, caller: &Caller, pin: &str) -> Option<bool> {
        match self.phones.check_pin(counted(caller), &self.meeting, pin) {
            PinAnswer::Right => Some(true),
            PinAnswer::Wrong => Some(false),
            PinAnswer::LockedOut => None,
        }
    }

    async fn join(&self, caller: &Caller, as_organizer: bool) -> Result<Box<dyn Place>, Standing> {
        let name = caller.number.as_deref().and_then(masked).unwrap_or_else(|| ANONYMOUS.to_owned());
        let seat = self.phones.join(&self.meeting, &name, as_organizer).await.map_err(standing)?;
        Ok(MeetingPlace::boxed(self.meeting.id, seat))
    }
}

fn standing(refused: SeatRefused) -> Standing {
    match refused {
        SeatRefused::Full | SeatRefused::Unavailable => Standing::Full,
        SeatRefused::Ended => Standing::Ended,
    }
}

struct MeetingPlace {
    meeting: signaling::id::MeetingId,
    seat: Seat,
}

impl MeetingPlace {
    fn boxed(meeting: signaling::id::MeetingId, seat: Seat) -> Box<dyn Place> {
        Box::new(Self { meeting, seat })
    }
}

#[async_trait]
impl Place for MeetingPlace {
    fn meeting(&self) -> media::MeetingId {
        media::MeetingId(self.meeting.as_u128())
    }

    fn participant(&self) -> media::ParticipantId {
        participant(self.seat.participant())
    }

    async fn next(&mut self) -> Option<News> {
        let news = self.seat.next().await?;
        Some(match news {
            SeatNews::Waits => News::Seat(Standing::Waits),
            SeatNews::In { .. } => News::Seat(Standing::In),
            SeatNews::Muted(muted) => News::Muted(muted),
            SeatNews::Hand(up) => News::Hand(up),
            SeatNews::Recorded(recorded) => News::Recorded(recorded),
            SeatNews::AsksConsent(asks) => News::AsksConsent(asks),
            SeatNews::Company(is_there) => News::Company(is_there),
            SeatNews::Denied => News::Seat(Standing::Denied),
            SeatNews::Removed => News::Seat(Standing::Removed),
            SeatNews::Ended => News::Seat(Standing::Ended),
            SeatNews::Full | SeatNews::GoingAway => News::Seat(Standing::Full),
        })
    }

    async fn wish(&mut self, wish: PlaceWish) {
        let wish = match wish {
            PlaceWish::Mute(muted) => SeatWish::Mute(muted),
            PlaceWish::Hand(up) => SeatWish::Hand(up),
            PlaceWish::Consent => SeatWish::Consent(true),
            PlaceWish::Leave => SeatWish::Leave,
        };
        self.seat.wish(wish).await;
    }

    async fn publishes(&mut self, endpoint: media::EndpointId, publication: media::PublicationId) {
        self.seat.publishes(endpoint.0, publication.0).await;
    }
}

struct Row(IncomingRow);

#[async_trait]
impl Record for Row {
    async fn joined(&mut self, meeting: media::MeetingId, who: media::ParticipantId) {
        let (meeting, who) =
            (signaling::id::MeetingId::from_u128(meeting.0), signaling::id::ParticipantId::from_u128(who.0));
        self.0.joined(meeting, who).await;
    }

    async fn ended(self: Box<Self>, end: End) {
        self.0.ended(written(end)).await;
    }
}

struct Own(signaling::phones::Ringing);

#[async_trait]
impl Ringing for Own {
    async fn taken(&mut self) -> Taken {
        match self.0.taken().await {
            signaling::phones::Taken::Answered => Taken::Answered,
            signaling::phones::Taken::Declined => Taken::Declined,
        }
    }

    async fn voicemail(&mut self) -> bool {
        self.0.voicemail().await
    }

    async fn join(&mut self) -> Result<Box<dyn Place>, Standing> {
        let meeting = self.0.meeting();
        let seat = self.0.join().await.map_err(standing)?;
        Ok(MeetingPlace::boxed(meeting, seat))
    }

    async fn leaves(&mut self, has_message: bool) {
        self.0.leaves(has_message).await;
    }

    async fn ended(self: Box<Self>, end: End) {
        self.0.ended(written(end)).await;
    }
}

struct Order(Outgoing);

#[async_trait]
impl Invitation for Order {
    fn number(&self) -> &str {
        self.0.number()
    }

    async fn cancelled(&mut self) {
        self.0.cancelled().await;
    }

    async fn ringing(&mut self) {
        self.0.ringing().await;
    }

    async fn answered(&mut self, trunk: &str) {
        self.0.answered(trunk).await;
    }

    async fn join(&mut self) -> Result<Box<dyn Place>, Standing> {
        let meeting = self.0.meeting();
        let seat = self.0.join().await.map_err(standing)?;
        Ok(MeetingPlace::boxed(meeting, seat))
    }

    async fn ended(self: Box<Self>, end: End) {
        self.0.ended(written(end)).await;
    }
}

fn written(end: End) -> CallEnd {
    let End { reason, sip_code, trunk } = end;
    let reason = match reason {
        EndReason::HungUp => Reason::HungUp,
        EndReason::Left => Reason::Left,
        EndReason::Removed => Reason::Removed,
        EndReason::NotLetIn => Reason::NotLetIn,
        EndReason::MeetingEnded => Reason::MeetingEnded,
        EndReason::Alone => Reason::Alone,
        EndReason::Full => Reason::Full,
        EndReason::WrongId => Reason::WrongId,
        EndReason::LockedOut => Reason::LockedOut,
        EndReason::Busy => Reason::Busy,
        EndReason::Declined => Reason::Declined,
        EndReason::NoAnswer => Reason::NoAnswer,
        EndReason::Unreachable => Reason::Unreachable,
        EndReason::NotConfirmed => Reason::NotConfirmed,
        EndReason::Cancelled => Reason::Cancelled,
        EndReason::Silent => Reason::Silent,
        EndReason::Failed => Reason::Failed,
    };
    CallEnd { reason, sip_code, trunk }
}
