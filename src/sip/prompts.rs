//! The sounds of [`Prompt`]: those in the binary, and those that the operator puts in their place.
//!
//! ```text
//! <folder>/<language>/<name>.wav, else the binary's own ─hound─> 48 kHz samples, read once
//! ```
//!
//! Whose voice it is and under which licence: `prompts/ATTRIBUTION.md`.

use std::collections::HashMap;
use std::path::Path;

use mixer::announce::{Prompt as Sound, PromptError};

use crate::ivr::Prompt;

/// A prompt of the operator's that cannot be played.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file} cannot be a prompt: {why}. Use WAV, mono, 8 to 48 kHz, 16 bits, at most a minute, or take the file away"
)]
pub struct BadPrompt {
    file: String,
    #[source]
    why: PromptError,
}

/// All prompts, ready to be played.
#[derive(Clone, Debug)]
pub struct Prompts {
    sounds: HashMap<Prompt, Sound>,
}

macro_rules! own {
    ($name:literal) => {
        include_bytes!(concat!("prompts/en/", $name, ".wav"))
    };
}

/// What is in the binary.
const fn own(prompt: Prompt) -> &'static [u8] {
    match prompt {
        Prompt::Welcome => own!("welcome"),
        Prompt::ConferenceId => own!("conference-id"),
        Prompt::WrongId => own!("wrong-id"),
        Prompt::OrganizerPin => own!("organizer-pin"),
        Prompt::WrongPin => own!("wrong-pin"),
        Prompt::TooManyTries => own!("too-many-tries"),
        Prompt::Unavailable => own!("unavailable"),
        Prompt::Lobby => own!("lobby"),
        Prompt::Hold => own!("hold"),
        Prompt::Joined => own!("joined"),
        Prompt::NotLetIn => own!("not-let-in"),
        Prompt::Removed => own!("removed"),
        Prompt::Ended => own!("ended"),
        Prompt::Alone => own!("alone"),
        Prompt::Invited => own!("invited"),
        Prompt::Muted => own!("muted"),
        Prompt::Unmuted => own!("unmuted"),
        Prompt::HandRaised => own!("hand-raised"),
        Prompt::HandLowered => own!("hand-lowered"),
        Prompt::Recorded => own!("recorded"),
        Prompt::Consent => own!("consent"),
        Prompt::Help => own!("help"),
        Prompt::Voicemail => own!("voicemail"),
        Prompt::Beep => own!("beep"),
        Prompt::MessageSaved => own!("message-saved"),
        Prompt::Goodbye => own!("goodbye"),
    }
}

impl Prompts {
    /// Reads them: of `language` in `folder` where there is such a file, else our own.
    ///
    /// # Errors
    /// A file of the operator's is none that can be played.
    pub fn read(folder: Option<&Path>, language: &str) -> Result<Self, BadPrompt> {
        let mut sounds = HashMap::new();
        for prompt in Prompt::ALL {
            let theirs = folder.map(|folder| folder.join(language).join(format!("{}.wav", prompt.name())));
            let file = theirs.filter(|file| file.is_file());
            let bad = |why| {
                let file = file.as_ref().map_or_else(|| prompt.name().to_owned(), |file| file.display().to_string());
                BadPrompt { file, why }
            };
            let sound = match &file {
                Some(file) => {
                    let opened = std::fs::File::open(file).map_err(|error| bad(PromptError::Wav(error.into())))?;
                    Sound::read(std::io::BufReader::new(opened))
                }
                None => Sound::read(own(prompt)),
            };
            sounds.insert(prompt, sound.map_err(bad)?);
        }
        Ok(Self { sounds })
    }

    /// What it sounds like.
    #[must_use]
    pub fn sound(&self, prompt: Prompt) -> Option<Sound> {
        self.sounds.get(&prompt).cloned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_prompt_of_ours_can_be_played_and_says_something() {
        let prompts = Prompts::read(None, "en").unwrap();
        for prompt in Prompt::ALL {
            let sound = prompts.sound(prompt).unwrap();
            let loudest = sound.samples().iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
            assert!(sound.len() > 4_800 && loudest > 0.05, "{prompt:?}: {} samples, {loudest}", sound.len());
        }
    }

    #[test]
    fn the_operators_own_come_first_and_what_is_no_sound_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("de")).unwrap();
        let file = folder.path().join("de/welcome.wav");
        std::fs::write(&file, own(Prompt::Goodbye)).unwrap();
        let prompts = Prompts::read(Some(folder.path()), "de").unwrap();
        assert_eq!(prompts.sound(Prompt::Welcome), prompts.sound(Prompt::Goodbye));
        std::fs::write(&file, b"no sound").unwrap();
        let error = Prompts::read(Some(folder.path()), "de").unwrap_err().to_string();
        assert!(error.contains("welcome.wav"), "{error}");
    }
}
