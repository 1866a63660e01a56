//! Who comes for a recording, and what of it is theirs.
//!
//! ```text
//! token, session, participant's token, link's cookie -> standing of each -> what any of them may (policy::recordings)
//!     nothing proven ----------> 401            the meeting is not theirs to know of -> 404, as if there were none
//!     of the organisation -----> 403            expired or deleted ------------------> 410, to those who could read it
//! ```

use std::collections::HashMap;

use axum::http::StatusCode;
use axum::http::request::Parts;

use super::super::client::{Caller, cookie};
use super::super::error::ApiError;
use super::super::meetings::{find, refused};
use super::super::state::AppState;
use super::downloads::Watch;
use super::share;
use crate::clock::Timestamp;
use crate::id::RecordingId;
use crate::policy::MeetingSettings;
use crate::policy::recordings::{Account, Action, Life, Recorded, Standing, may, standing};
use crate::store::{MeetingRow, RecordingRow, UserRow};

/// A recording that somebody may read, if it is still there.
pub(super) struct Reached {
    pub(super) meeting: MeetingRow,
    pub(super) row: RecordingRow,
    /// What they may do.
    pub(super) actions: Vec<Action>,
    /// Hears when it is taken from them.
    pub(super) watch: Watch,
}

/// Finds a recording for those who may read it. What became of it since, [`Reached::kept`] says.
pub(super) async fn reach(state: &AppState, parts: &Parts, id: &str) -> Result<Reached, ApiError> {
    let callers = Caller::all(parts, state).await?;
    let secret = cookie(&parts.headers, share::COOKIE);
    if callers.is_empty() && secret.is_none() {
        return Err(ApiError::unauthorized());
    }
    // Whoever has nothing but a link's secret that opens nothing learns as little as one without.
    let unknown = || if callers.is_empty() { ApiError::unauthorized() } else { unknown() };
    let id: RecordingId = id.parse().map_err(|_| unknown())?;
    let watch = state.downloads.watch(id);
    let row = state.store.recording(id).await?.ok_or_else(unknown)?;
    let meeting = state.store.meeting(row.meeting).await?.ok_or_else(unknown)?;
    let own = Look::of(state, &meeting).actions(&callers, &row).await?;
    let by_link = secret.is_some_and(|secret| share::opens(&row, secret)) && !own.contains(&Action::Read);
    if by_link {
        let actions = Action::ALL.into_iter().filter(|action| may(Standing::LinkHolder, *action)).collect();
        return Ok(Reached { meeting, row, actions, watch });
    }
    if !own.contains(&Action::Read) {
        return Err(if callers.is_empty() { unknown() } else { not_yours(&meeting, &callers) });
    }
    Ok(Reached { meeting, row, actions: own, watch: watch.in_own_right() })
}

impl Reached {
    /// The same, if it is there now.
    pub(super) fn kept(self) -> Result<Self, ApiError> {
        match self.row.life(Timestamp::now()) {
            Life::Kept => Ok(self),
            life => Err(gone(life)),
        }
    }

    /// The same, if that may be done with it.
    pub(super) fn to(self, action: Action) -> Result<Self, ApiError> {
        let why = match action {
            Action::Purge => "Only the meeting's organiser deletes a recording for good at once.",
            Action::ReadChat => "The chat of a recording is for those of the meeting's organisation, not for a link.",
            _ => "You may read this recording. To change it ask the meeting's organiser, or whoever began to record.",
        };
        if self.actions.contains(&action) { Ok(self) } else { Err(ApiError::forbidden(why)) }
    }
}

/// There was one.
pub(super) fn gone(life: Life) -> ApiError {
    let (code, text) = match life {
        Life::Expired => {
            ("recording_expired", "This recording was deleted when its time was over. Its owner may bring it back.")
        }
        Life::Kept | Life::Deleted => ("recording_deleted", "This recording was deleted. Its owner may bring it back."),
        Life::Purged => ("recording_deleted", "This recording was deleted for good."),
    };
    ApiError::new(StatusCode::GONE, code, text)
}

pub(super) fn unknown() -> ApiError {
    ApiError::not_found("recording")
}

/// To whom the meeting does not exist, its recordings do not either.
fn not_yours(meeting: &MeetingRow, callers: &[Caller]) -> ApiError {
    if refused(meeting, callers).status == StatusCode::NOT_FOUND {
        return unknown();
    }
    ApiError::forbidden(
        "This recording is for those who organise its meeting, for whoever began it, and for those of the organisation \
         who were in it. Ask one of the first two for its link.",
    )
}

/// Looks at the recordings of one meeting.
pub(super) struct Look<'a> {
    state: &'a AppState,
    meeting: &'a MeetingRow,
    settings: MeetingSettings,
    /// Who was in which run, as far as it was asked.
    were_there: HashMap<(crate::id::UserId, u64), bool>,
}

impl<'a> Look<'a> {
    pub(super) fn of(state: &'a AppState, meeting: &'a MeetingRow) -> Self {
        let settings = MeetingSettings::read(&meeting.settings);
        Self { state, meeting, settings, were_there: HashMap::new() }
    }

    /// What any of them may do with a recording.
    pub(super) async fn actions(&mut self, callers: &[Caller], row: &RecordingRow) -> Result<Vec<Action>, ApiError> {
        let mut standings = Vec::with_capacity(callers.len());
        for caller in callers {
            standings.push(match caller {
                Caller::User(user) => self.standing(user, row).await?,
                // An account that the participant's token names was proven when the token was made; for one meeting.
                Caller::Participant(claims) if claims.meeting == self.meeting.id => match claims.person.user {
                    Some(user) => self.participant(user, row).await?,
                    None => Standing::Acquainted,
                },
                Caller::Participant(_) => Standing::Stranger,
            });
        }
        let allowed = |action: &Action| standings.iter().any(|standing| may(*standing, *action));
        Ok(Action::ALL.into_iter().filter(allowed).collect())
    }

    /// Whether somebody has a place in the meeting, so that a list without a row is an answer and no refusal.
    pub(super) async fn is_near(&self, callers: &[Caller]) -> Result<bool, ApiError> {
        for caller in callers {
            let is_near = match caller {
                Caller::Participant(claims) => claims.meeting == self.meeting.id,
                Caller::User(user) if user.tenant != self.meeting.tenant => false,
                Caller::User(user) => {
                    user.id == self.meeting.organizer
                        || user.admin
                        || self.settings.coorganizers.contains(&user.id)
                        || self.state.store.member(self.meeting.thread, user.id).await?.is_some()
                }
            };
            if is_near {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn participant(&mut self, user: crate::id::UserId, row: &RecordingRow) -> Result<Standing, ApiError> {
        let Some(user) = self.state.store.user(user).await? else { return Ok(Standing::Acquainted) };
        // What a token for one call gives is reading what was recorded in it.
        Ok(match self.standing(&user, row).await? {
            Standing::Stranger | Standing::Acquainted => Standing::Acquainted,
            _ => Standing::Attendee,
        })
    }

    async fn standing(&mut self, user: &UserRow, row: &RecordingRow) -> Result<Standing, ApiError> {
        let account = Account { user: user.id, tenant: &user.tenant, admin: user.admin };
        let recorded = Recorded {
            tenant: &self.meeting.tenant,
            organizer: self.meeting.organizer,
            coorganizers: &self.settings.coorganizers,
            starter: row.starter,
        };
        let first = standing(account, &recorded, false);
        if first != Standing::Acquainted {
            return Ok(first);
        }
        // Asked last: it reads a run.
        let was_there = match self.were_there.get(&(user.id, row.run)) {
            Some(was_there) => *was_there,
            None => self.state.store.was_in_run(self.meeting.thread, row.run, user.id).await?,
        };
        self.were_there.insert((user.id, row.run), was_there);
        Ok(standing(account, &recorded, was_there))
    }
}

/// The meeting of an id in a path, and those who ask.
pub(super) async fn of_meeting(
    state: &AppState,
    parts: &Parts,
    id: &str,
) -> Result<(MeetingRow, Vec<Caller>), ApiError> {
    let callers = Caller::all(parts, state).await?;
    if callers.is_empty() {
        return Err(ApiError::unauthorized());
    }
    Ok((find(state, id).await?, callers))
}
