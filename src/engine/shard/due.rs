//! Which endpoints have something to send in this turn, and which of their slots: bits in one dense table.
//!
//! A packet that arrives touches eight bytes per receiver here and nothing of the receiver itself; endpoints are visited
//! once a turn, however many packets came for them.
//!
//! ```text
//! fan-out: mark(endpoint, slot) -> [Due] -> flush: next_voice(), next_picture()
//! ```

use std::collections::VecDeque;

/// Marks of one endpoint.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    voices: u64,
    pictures: u64,
    /// Pictures that the pacer holds back.
    waiting: u64,
    voice_queued: bool,
    picture_queued: bool,
}

/// Who is to be visited.
#[derive(Debug, Default)]
pub(super) struct Due {
    marks: Vec<Marks>,
    voices: VecDeque<u32>,
    pictures: VecDeque<u32>,
}

impl Due {
    /// Makes room for an endpoint's key and forgets whoever had it before.
    pub(super) fn reset(&mut self, key: usize) {
        if self.marks.len() <= key {
            self.marks.resize(key + 1, Marks::default());
        }
        if let Some(marks) = self.marks.get_mut(key) {
            // It may still stand in a queue; it is found empty there.
            *marks = Marks { voices: 0, pictures: 0, waiting: 0, ..*marks };
        }
    }

    pub(super) fn mark_voice(&mut self, key: u32, slot: u8) {
        if let Some(marks) = self.marks.get_mut(key as usize) {
            marks.voices |= 1 << (slot & 63);
            if !std::mem::replace(&mut marks.voice_queued, true) {
                self.voices.push_back(key);
            }
        }
    }

    pub(super) fn mark_picture(&mut self, key: u32, slot: u8) {
        if let Some(marks) = self.marks.get_mut(key as usize) {
            marks.pictures |= 1 << (slot & 63);
            if !std::mem::replace(&mut marks.picture_queued, true) {
                self.pictures.push_back(key);
            }
        }
    }

    /// Retransmissions are due, with or without new pictures.
    pub(super) fn mark_resends(&mut self, key: usize) {
        if let Some(marks) = self.marks.get_mut(key)
            && !std::mem::replace(&mut marks.picture_queued, true)
        {
            self.pictures.push_back(key as u32);
        }
    }

    /// The pacer holds back the pictures of these slots.
    pub(super) fn wait(&mut self, key: u32, slots: u64) {
        if let Some(marks) = self.marks.get_mut(key as usize) {
            marks.waiting |= slots;
        }
    }

    /// The pacer's time has come.
    pub(super) fn resume(&mut self, key: usize) {
        if self.marks.get(key).is_some_and(|marks| marks.waiting != 0) {
            self.mark_resends(key);
        }
    }

    /// The outbox was full: the endpoint has its turn again behind the others.
    pub(super) fn again(&mut self, key: u32, slots: u64) {
        self.wait(key, slots);
        self.mark_resends(key as usize);
    }

    /// The next endpoint with new voices, and the slots that have them.
    pub(super) fn next_voice(&mut self) -> Option<(u32, u64)> {
        let key = self.voices.pop_front()?;
        let marks = self.marks.get_mut(key as usize)?;
        marks.voice_queued = false;
        Some((key, std::mem::take(&mut marks.voices)))
    }

    /// The next endpoint with new pictures or retransmissions, and the slots that have pictures.
    pub(super) fn next_picture(&mut self) -> Option<(u32, u64)> {
        let key = self.pictures.pop_front()?;
        let marks = self.marks.get_mut(key as usize)?;
        marks.picture_queued = false;
        Some((key, std::mem::take(&mut marks.pictures) | std::mem::take(&mut marks.waiting)))
    }

    /// Who is visited next, voices before pictures, with the slots that have something; nobody is taken off the list.
    pub(super) fn upcoming(&self, count: usize) -> impl Iterator<Item = (u32, u64)> + '_ {
        let voices = self.voices.iter().map(|&key| (key, true));
        let pictures = self.pictures.iter().map(|&key| (key, false));
        voices.chain(pictures).take(count).filter_map(|(key, is_voice)| {
            let marks = self.marks.get(key as usize)?;
            Some((key, if is_voice { marks.voices } else { marks.pictures | marks.waiting }))
        })
    }

    /// Nobody is to be visited.
    pub(super) fn is_empty(&self) -> bool {
        self.voices.is_empty() && self.pictures.is_empty()
    }
}
