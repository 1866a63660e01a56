//! Keeping order: rights and roles, muting, removing, locking, and what the meeting's options change while it runs.
//!
//! Every wish of a client passes [`Meeting::allows`] first. What a change of role or options takes away ends at once, in the
//! router, whatever the client does.
//!
//! ```text
//! setRole, options -> standing -> lost the microphone? muted. lost sharing? stopped. -> rights to its owner, roster to all
//! ```

use std::time::{Duration, Instant};

use super::commands::{Effect, SettingsChange};
use super::member::Member;
use super::state::Meeting;
use crate::auth::KeyName;
use crate::id::{ParticipantId, SessionId};
use crate::policy::roles::{Standing, default_role, may, may_set_role, outranks, rights};
use crate::policy::settings::COORGANIZERS;
use crate::policy::{MeetingSettings, Person};
use crate::ports::{PublicationKind, RecordingNote};
use crate::protocol::{
    CallReaction, ClientMessage, CloseCode, OptionsView, ReactionView, RemovedReason, Right, Role, ServerMessage,
};

/// In the long run somebody may react so often ...
const REACTION_PAUSE: Duration = Duration::from_secs(1);
/// ... and so many times at once.
const REACTION_BURST: u32 = 5;

/// The right that a wish needs, if it needs one.
fn right_for(by: ParticipantId, message: &ClientMessage) -> Option<Right> {
    match message {
        ClientMessage::Mute { kind, muted: false, .. } => Some(match kind {
            PublicationKind::Microphone => Right::Microphone,
            PublicationKind::Camera => Right::Camera,
            PublicationKind::Screen | PublicationKind::ScreenAudio => Right::Share,
        }),
        ClientMessage::MuteParticipant { .. } | ClientMessage::MuteAll { .. } => Some(Right::Mute),
        ClientMessage::RemoveParticipant { .. } => Some(Right::Remove),
        ClientMessage::SetRole { .. } => Some(Right::SetRoles),
        ClientMessage::Admit { .. } | ClientMessage::AdmitAll { .. } | ClientMessage::Deny { .. } => Some(Right::Admit),
        ClientMessage::Lock { .. } => Some(Right::Lock),
        ClientMessage::Hand { participant_id: Some(whom), .. } if *whom != by => Some(Right::LowerHands),
        ClientMessage::Hand { raised: true, .. } => Some(Right::RaiseHand),
        ClientMessage::React { .. } => Some(Right::React),
        ClientMessage::Spotlight { .. } => Some(Right::Spotlight),
        ClientMessage::Chat { .. } => Some(Right::Chat),
        ClientMessage::Record { .. } => Some(Right::Record),
        // Nobody needs leave to be silent.
        ClientMessage::Mute { muted: true, .. }
        | ClientMessage::RecordingConsent { .. }
        | ClientMessage::Hand { raised: false, .. }
        | ClientMessage::Offer { .. }
        | ClientMessage::Layout(_)
        | ClientMessage::Uplink { .. }
        | ClientMessage::Leave { .. }
        | ClientMessage::Hello { .. }
        | ClientMessage::Subscribe { .. }
        | ClientMessage::Ping {}
        | ClientMessage::Pong {} => None,
    }
}

/// What somebody is told who lacks a right.
fn lacks(right: Right) -> &'static str {
    match right {
        Right::Microphone => {
            "Attendees' microphones are switched off in this meeting. Raise your hand to be given the word."
        }
        Right::Camera => {
            "Attendees' cameras are switched off in this meeting. Ask an organiser to be made a presenter."
        }
        Right::Chat => "The chat of this meeting is switched off.",
        Right::RaiseHand => "Hands cannot be raised in this meeting.",
        Right::React => "Reactions are switched off in this meeting.",
        Right::Share => "Attendees do not share in this meeting. Ask an organiser to be made a presenter.",
        Right::Spotlight => "Attendees do not set the spotlight. Ask an organiser or a presenter to do it.",
        Right::Mute => "You may not mute others here. Ask an organiser to do it.",
        Right::Remove => "You may not remove others here. Ask an organiser to do it.",
        Right::Admit => "You may not decide who is let in. Ask an organiser to do it.",
        Right::LowerHands => "You may not lower the hands of others. Ask an organiser to do it.",
        Right::SetRoles => "You may not change roles. Ask an organiser to do it.",
        Right::Lock => "You may not lock or unlock the meeting. Ask an organiser to do it.",
        Right::Record => "You may not record this meeting. Ask an organiser to do it.",
        Right::DialOut => {
            "You may not call people into this meeting. Ask an organiser of the meeting's own organisation to do it."
        }
        Right::ChangeOptions => "You may not change the meeting's options. Ask an organiser to do it.",
    }
}

/// What somebody is told who has not agreed to be recorded.
const CONSENT_NEEDED: &str =
    "This meeting is recorded. Agree to be recorded before you use your microphone, camera or screen.";

/// What everybody is told of a meeting's options.
pub(super) fn options_view(settings: &MeetingSettings) -> OptionsView {
    OptionsView {
        is_locked: settings.is_locked,
        are_anonymous_held: settings.are_anonymous_held,
        allow_attendee_to_enable_mic: settings.allow_attendee_to_enable_mic,
        allow_attendee_to_enable_camera: settings.allow_attendee_to_enable_camera,
    }
}

impl Meeting {
    /// What everybody is told of the meeting's options.
    #[must_use]
    pub fn options(&self) -> OptionsView {
        options_view(&self.settings)
    }

    /// All that a participant may do.
    #[must_use]
    pub fn rights(&self, participant: ParticipantId) -> Vec<Right> {
        self.members.get(&participant).map(|member| rights(member.standing, &self.settings)).unwrap_or_default()
    }

    pub(super) fn may(&self, standing: Standing, right: Right) -> bool {
        may(standing, right, &self.settings)
    }

    /// Whether somebody may do what they ask for; tells them if not.
    pub(super) fn allows(&mut self, session: SessionId, by: ParticipantId, message: &ClientMessage) -> bool {
        let Some(right) = right_for(by, message) else { return true };
        let standing = self.members.get(&by).map(|member| member.standing);
        let allowed = standing.is_some_and(|standing| self.may(standing, right));
        if allowed {
            return true;
        }
        // Of two hindrances the one is named that they cannot take away themselves.
        if standing.is_some_and(|standing| self.may(Standing { held: false, ..standing }, right)) {
            self.fail(session, message.id(), "consent_needed", CONSENT_NEEDED);
        } else {
            self.fail(session, message.id(), "not_allowed", lacks(right));
        }
        false
    }

    /// What somebody is: what they were made by name, or what the options make them.
    pub(super) fn standing_of(&self, participant: ParticipantId, person: Person) -> Standing {
        let held = self.is_held(participant);
        let at_home = person.kind.is_at_home();
        let (role, trusted) = match self.given_roles.get(&participant) {
            Some(role) => (*role, true),
            None => (default_role(person, &self.settings), person.kind.is_verified()),
        };
        Standing { role, trusted, held, at_home }
    }

    /// What somebody is has changed, or what the options allow: what they may not do any more ends now.
    pub(super) fn set_standing(&mut self, participant: ParticipantId, before: &[Right], by: Option<ParticipantId>) {
        let Some(member) = self.members.get(&participant) else { return };
        let (session, person, was) = (member.session, member.person, member.standing);
        let standing = self.standing_of(participant, person);
        if let Some(member) = self.members.get_mut(&participant) {
            member.standing = standing;
        }
        if standing.held && !was.held {
            self.mute_held(participant);
        }
        self.tell_consent(participant);
        let after = rights(standing, &self.settings);
        // First, so that its owner knows why what follows ends.
        if let Some(session) = session
            && (before != after || was.role != standing.role)
        {
            self.send(session, ServerMessage::Rights { role: standing.role, may: after.clone() });
        }
        self.silence_if_barred(participant, by);
        let shares = self.members.get(&participant).is_some_and(|member| member.shares_screen);
        if shares && !after.contains(&Right::Share) {
            self.stop_share(participant, by);
        }
        if let Some(session) = session {
            let (heard, hears) = (before.contains(&Right::Admit), after.contains(&Right::Admit));
            if heard != hears {
                self.effects.push(Effect::HearLobby { session, hears });
            }
        }
        if was.role != standing.role {
            self.changed(participant);
        }
    }

    /// Mutes what somebody may not switch on.
    pub(super) fn silence_if_barred(&mut self, participant: ParticipantId, by: Option<ParticipantId>) {
        for (kind, right) in
            [(PublicationKind::Microphone, Right::Microphone), (PublicationKind::Camera, Right::Camera)]
        {
            let Some(member) = self.members.get(&participant) else { return };
            if !member.is_muted(kind) && !self.may(member.standing, right) {
                self.silence(participant, kind, by);
            }
        }
    }

    /// Mutes somebody in the router, and tells them who did it.
    fn silence(&mut self, whom: ParticipantId, kind: PublicationKind, by: Option<ParticipantId>) {
        self.mute(whom, kind, true);
        let session = self.members.get(&whom).and_then(|member| member.session);
        if let Some(session) = session {
            self.send(session, ServerMessage::Muted { kind, by });
        }
    }

    pub(super) fn mute_other(&mut self, session: SessionId, id: Option<u64>, by: ParticipantId, whom: ParticipantId) {
        if self.is_here(session, id, whom) {
            self.silence(whom, PublicationKind::Microphone, Some(by));
            self.ack(session, id);
        }
    }

    pub(super) fn mute_all(&mut self, session: SessionId, id: Option<u64>, by: ParticipantId) {
        let loud: Vec<_> = self
            .members
            .values()
            .filter(|member| member.id != by && !member.microphone_muted)
            .map(|member| member.id)
            .collect();
        for whom in loud {
            self.silence(whom, PublicationKind::Microphone, Some(by));
        }
        self.ack(session, id);
    }

    pub(super) fn remove_other(&mut self, session: SessionId, id: Option<u64>, by: ParticipantId, whom: ParticipantId) {
        if whom == by {
            self.fail(session, id, "not_allowed", "You cannot remove yourself; leave the meeting instead.");
            return;
        }
        if !self.is_here(session, id, whom) {
            return;
        }
        if !outranks(self.role(by), self.role(whom)) {
            self.fail(session, id, "not_allowed", "An organiser cannot be removed by you. Ask the organiser.");
            return;
        }
        let target = self.members.get(&whom).and_then(|member| member.session);
        let user = self.members.get(&whom).and_then(|member| member.person.user);
        self.removed_users.extend(user);
        self.removed.insert(whom);
        self.lobby.forget(whom);
        if let Some(target) = target {
            self.send(target, ServerMessage::Removed { reason: RemovedReason::Removed });
            self.effects.push(Effect::Close { session: target, code: CloseCode::Removed });
        }
        // The same link lets them in under another name; only a person can tell.
        self.change_settings(SettingsChange::HoldAnonymous(true), None);
        // Who is a co-organiser is past every lobby.
        if let Some(user) = user {
            self.change_settings(SettingsChange::RemoveCoorganizer(user), None);
        }
        self.depart(whom);
        self.effects.push(Effect::PersistRemoval { participant: whom, ack: (session, id) });
    }

    /// Somebody was signed out everywhere, or a key was revoked: whoever takes part or waits by that is out, and comes back
    /// only with a token of after. That is no removal: it holds nobody in the lobby.
    pub(super) fn sign_out(&mut self, is_over: impl Fn(&Person, &KeyName) -> bool) {
        let theirs = self.members.values().filter(|member| is_over(&member.person, &member.signed_by));
        let theirs: Vec<_> = theirs.map(|member| (member.id, member.session)).collect();
        for (participant, session) in theirs {
            let close = session.map(|session| Effect::Close { session, code: CloseCode::TokenRefused });
            self.effects.extend(close);
            self.depart(participant);
        }
        self.sign_out_of_lobby(is_over);
    }

    pub(super) fn set_role(
        &mut self,
        session: SessionId,
        id: Option<u64>,
        by: ParticipantId,
        whom: ParticipantId,
        role: Role,
    ) {
        if !self.is_here(session, id, whom) {
            return;
        }
        if !may_set_role(self.role(by), self.role(whom), role) {
            let text =
                "You cannot make that of them: the organiser stays, and organisers make and unmake co-organisers.";
            self.fail(session, id, "not_allowed", text);
            return;
        }
        let user = self.members.get(&whom).and_then(|member| member.person.user);
        let change = match user {
            Some(user) if role == Role::Coorganizer => Some(SettingsChange::AddCoorganizer(user)),
            None if role == Role::Coorganizer => {
                self.fail(session, id, "not_allowed", "Only somebody who is signed in can be a co-organiser.");
                return;
            }
            Some(user) => Some(SettingsChange::RemoveCoorganizer(user)),
            None => None,
        };
        let is_full = self.settings.coorganizers.len() >= COORGANIZERS;
        if role == Role::Coorganizer && is_full && !user.is_some_and(|user| self.settings.coorganizers.contains(&user))
        {
            self.fail(
                session,
                id,
                "too_many_accounts",
                "A meeting has at most 10 co-organisers. Make one a presenter first.",
            );
            return;
        }
        let before = self.rights(whom);
        self.given_roles.insert(whom, role);
        self.set_standing(whom, &before, Some(by));
        // Who organises a meeting is kept with it; other roles last as long as the run.
        let ack = Some((session, id));
        if !change.is_some_and(|change| self.change_settings(change, ack)) {
            self.ack(session, id);
        }
    }

    pub(super) fn lock(&mut self, session: SessionId, id: Option<u64>, locked: bool) {
        if !self.change_settings(SettingsChange::Lock(locked), Some((session, id))) {
            self.ack(session, id);
        }
    }

    /// Changes the options and has it stored, with the `ack` after that. `false`: they are like that already.
    fn change_settings(&mut self, change: SettingsChange, ack: Option<(SessionId, Option<u64>)>) -> bool {
        let changed = change.apply(self.settings.clone());
        let is_news = changed != self.settings;
        if is_news {
            self.apply_settings(changed);
            self.effects.push(Effect::ChangeSettings { change, ack });
        }
        is_news
    }

    /// The meeting has other options from now on.
    pub(super) fn apply_settings(&mut self, settings: MeetingSettings) {
        if settings == self.settings {
            return;
        }
        let before: Vec<_> = self.members.keys().map(|whom| (*whom, self.rights(*whom))).collect();
        let shown = self.options();
        self.settings = settings;
        if self.options() != shown {
            self.broadcast(ServerMessage::Options(self.options()));
        }
        for (whom, before) in before {
            self.set_standing(whom, &before, None);
        }
        if self.settings.forbids_recording {
            self.stop_recording();
        }
        self.reconsider_lobby();
    }

    /// Raises or lowers a hand. Hands stand in the order in which they were raised.
    pub(super) fn hand(
        &mut self,
        session: SessionId,
        id: Option<u64>,
        by: ParticipantId,
        raised: bool,
        whom: Option<ParticipantId>,
    ) {
        let whom = whom.unwrap_or(by);
        if raised && whom != by {
            self.fail(session, id, "not_allowed", "Everybody raises their own hand. You may lower it for them.");
            return;
        }
        if !self.is_here(session, id, whom) {
            return;
        }
        let next = self.hands + 1;
        let Some(member) = self.members.get_mut(&whom) else { return };
        if member.hand.is_some() != raised {
            member.hand = raised.then_some(next);
            self.hands = next;
            self.changed(whom);
        }
        self.ack(session, id);
    }

    pub(super) fn react(
        &mut self,
        session: SessionId,
        id: Option<u64>,
        by: ParticipantId,
        reaction: CallReaction,
        now: Instant,
    ) {
        if reaction == CallReaction::Unknown {
            self.fail(
                session,
                id,
                "unknown_reaction",
                "This server does not know that reaction. See its list of them.",
            );
            return;
        }
        let Some(member) = self.members.get_mut(&by) else { return };
        if !member.may_react(now) {
            let text = "Too many reactions: one a second. Nobody was shown this one.";
            self.fail(session, id, "too_many_requests", text);
            return;
        }
        self.broadcast(ServerMessage::Reactions { reactions: vec![ReactionView { participant_id: by, reaction }] });
        self.note(RecordingNote::Reaction { participant: by, reaction: reaction.name().to_owned() });
        self.ack(session, id);
    }

    /// Whether somebody is in the meeting; tells who asked if not.
    pub(super) fn is_here(&mut self, session: SessionId, id: Option<u64>, whom: ParticipantId) -> bool {
        let here = self.members.contains_key(&whom);
        if !here {
            self.fail(session, id, "not_in_meeting", "That participant is not in the meeting any more.");
        }
        here
    }
}

impl Member {
    /// Whether they may react now; counts it if so.
    fn may_react(&mut self, now: Instant) -> bool {
        let until = self.reactions_until.map_or(now, |until| until.max(now)) + REACTION_PAUSE;
        let allowed = until <= now + REACTION_PAUSE * REACTION_BURST;
        if allowed {
            self.reactions_until = Some(until);
        }
        allowed
    }
}
