//! The options of a running meeting and those in the store: each follows the other.
//!
//! ```text
//! lock, removal, co-organiser -> the machine, at once -> change_settings -> store
//! PATCH -> store -> `SettingsStored` -> read_settings -> the machine
//! ```

use super::commands::{Command, SettingsChange};
use super::task::{Task, store_failed};
use crate::id::SessionId;
use crate::policy::MeetingSettings;
use crate::protocol::{Frame, ServerMessage};
use crate::store::StoreError;

/// How often a change of the options is tried again when somebody else changed them at the same moment.
const TRIES: u32 = 5;

impl Task {
    /// Several may change the options at the same time, also by HTTP; each changes what it finds.
    pub(super) async fn change_settings(&mut self, change: SettingsChange, ack: Option<(SessionId, Option<u64>)>) {
        let stored = self.store_settings(change).await;
        if stored.is_err() {
            tracing::error!(meeting = %self.row.id, "a change of the options could not be stored");
        }
        if let Some((session, id)) = ack {
            let message = if stored.is_ok() { ServerMessage::Ack { id, seq: None } } else { store_failed(id) };
            self.audience.tell(session, Frame::encode(&message));
        }
    }

    async fn store_settings(&self, change: SettingsChange) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let Some(row) = self.shared.store.meeting(self.row.id).await? else { return Ok(()) };
            let changed = change.apply(MeetingSettings::read(&row.settings)).write();
            if self.shared.store.set_settings(row.id, &row.settings, &changed).await? {
                return Ok(());
            }
        }
        Err(StoreError::Append("the options are changed by others all the time".to_owned()))
    }

    /// Takes up what was stored, and what the organiser's policy makes of it.
    pub(super) async fn read_settings(&mut self) {
        let store = &self.shared.store;
        let read = async {
            let Some(row) = store.meeting(self.row.id).await? else { return Ok(None) };
            let policy = store.policy_of(row.organizer).await?;
            Ok(Some(self.shared.options_of(&row, policy)))
        };
        let read: Result<_, StoreError> = read.await;
        match read {
            Ok(Some(settings)) => self.follow_ups.push(Command::Settings(Box::new(settings))),
            // Deleted: the end is on its way.
            Ok(None) => {}
            Err(error) => tracing::error!(meeting = %self.row.id, %error, "the options could not be read"),
        }
    }
}
