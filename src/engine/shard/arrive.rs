//! The first half of a turn: whose a datagram is, and what it comes to.
//!
//! ```text
//! first octet -> STUN: ufrag -> endpoint answers, path learned
//!             -> DTLS: path  -> record for the control thread
//!             -> SRTP: path  -> endpoint opens -> fan_out           unknown path: SSRC -> one check to where it came from
//!             -> SRTCP: path -> endpoint opens -> feedback, reports
//! ```
//!
//! Whatever names another shard's endpoint, path, SSRC or check is handed over to it.

use std::collections::hash_map::Entry;

use smallvec::SmallVec;

use super::span::{Letter, ShardIndex};
use super::{CHECKS_MAX, DtlsOutput, Handled, Owner, Shard};
use crate::clock::Micros;
use crate::endpoint::ice::{asker, is_stun, is_success, server_ufrag};
use crate::endpoint::webrtc::{PathNews, Received, Turn};
use crate::path::Path;

impl Shard {
    /// A datagram from the network that came at `arrived`. It may be overwritten (SRTP is opened in place).
    ///
    /// RFC 7983 §7: the first octet tells the protocols apart.
    pub fn handle_datagram(&mut self, now: Micros, arrived: Micros, path: Path, datagram: &mut [u8]) -> Handled {
        match datagram.first() {
            Some(0..=3) => self.stun(now, path, datagram),
            Some(20..=63) => self.dtls(path, datagram),
            Some(128..=191) => self.secure(now, arrived, path, datagram),
            _ => {
                self.counters.refused_unknown_protocol += 1;
                Handled::Here
            }
        }
    }

    fn stun(&mut self, now: Micros, path: Path, datagram: &[u8]) -> Handled {
        if !is_stun(datagram) {
            self.counters.refused_stun += 1;
            return Handled::Here;
        }
        if is_success(datagram) {
            return self.check_answer(now, path, datagram);
        }
        let Some(ufrag) = server_ufrag(datagram) else {
            self.counters.refused_stun += 1;
            return Handled::Here;
        };
        let Some(&key) = self.by_ufrag.get(ufrag) else {
            match ShardIndex::of_ufrag(ufrag) {
                Some(shard) if self.others.contains(shard) => return Handled::HandOver(shard),
                _ => self.counters.refused_stun += 1,
            }
            return Handled::Here;
        };
        self.guarded(now, key, |shard| {
            let Some((endpoint, mut turn)) = shard.turn(now, key) else { return };
            match endpoint.handle_stun(&mut turn, path, datagram) {
                Ok(news) => shard.note_path(key, path, news),
                Err(error) => {
                    tracing::debug!(endpoint = %endpoint.id, reason = error.label(), "connectivity check refused");
                    shard.counters.refused_stun += 1;
                }
            }
        });
        Handled::Here
    }

    /// A check of ours was answered: an endpoint has moved.
    fn check_answer(&mut self, now: Micros, path: Path, datagram: &[u8]) -> Handled {
        let asker = asker(datagram).and_then(|asker| ShardIndex::new(usize::from(asker)));
        if let Some(asker) = asker.filter(|asker| self.others.contains(*asker)) {
            return Handled::HandOver(asker);
        }
        let at = self.checks.iter().position(|(checked, _)| *checked == path);
        let Some((at, key)) = at.and_then(|at| Some((at, self.checks.get(at)?.1))) else {
            self.counters.refused_stun += 1;
            return Handled::Here;
        };
        self.guarded(now, key, |shard| {
            let endpoint = shard.endpoints.get_mut(key);
            let Some(news) = endpoint.and_then(|endpoint| endpoint.handle_check_answer(now, path, datagram)) else {
                shard.counters.refused_stun += 1;
                return;
            };
            shard.checks.remove(at);
            shard.counters.paths_moved += 1;
            shard.note_path(key, path, news);
        });
        Handled::Here
    }

    /// An endpoint has proven that it is at `path`. A path that belonged to another one (a reloaded page on the same port, or
    /// somebody who checks with addresses of others) is whose check came last.
    fn note_path(&mut self, key: usize, path: Path, news: PathNews) {
        if let PathNews::Learned { forgotten } = news {
            if let Some(forgotten) = forgotten {
                self.forget_path(key, forgotten);
            }
            let endpoint = self.endpoints.get(key).map(|endpoint| endpoint.id);
            self.dtls.extend(endpoint.map(DtlsOutput::Reachable));
        }
        let owner = Owner::Endpoint(key);
        if self.by_path.insert(path, owner) != Some(owner) {
            self.tell_everybody(&Letter::PathLearned(path));
        }
    }

    pub(super) fn forget_path(&mut self, key: usize, path: Path) {
        if self.by_path.get(&path) == Some(&Owner::Endpoint(key)) {
            self.by_path.remove(&path);
            self.tell_everybody(&Letter::PathForgotten(path));
        }
    }

    /// Notes the SSRCs that an endpoint is heard on. One that is somebody else's already stays that one's.
    pub(super) fn learn_ssrcs(&mut self, key: usize) {
        let Some(endpoint) = self.endpoints.get(key) else { return };
        let ssrcs: SmallVec<[u32; 8]> = endpoint.media_ssrcs().collect();
        for ssrc in ssrcs {
            if let Entry::Vacant(vacant) = self.by_ssrc.entry(ssrc) {
                vacant.insert(Owner::Endpoint(key));
                self.tell_everybody(&Letter::SsrcLearned(ssrc));
            }
        }
    }

    pub(super) fn forget_ssrc(&mut self, key: usize, ssrc: u32) {
        if self.by_ssrc.get(&ssrc) == Some(&Owner::Endpoint(key)) {
            self.by_ssrc.remove(&ssrc);
            self.tell_everybody(&Letter::SsrcForgotten(ssrc));
        }
    }

    fn dtls(&mut self, path: Path, datagram: &[u8]) -> Handled {
        match self.by_path.get(&path) {
            Some(&Owner::Shard(shard)) => return Handled::HandOver(shard),
            Some(&Owner::Endpoint(key)) => {
                if let Some(endpoint) = self.endpoints.get(key) {
                    let record = DtlsOutput::Record { endpoint: endpoint.id, datagram: datagram.to_vec() };
                    self.dtls.push_back(record);
                }
            }
            None => self.counters.refused_unknown_path += 1,
        }
        Handled::Here
    }

    fn secure(&mut self, now: Micros, arrived: Micros, path: Path, datagram: &mut [u8]) -> Handled {
        match self.by_path.get(&path) {
            Some(&Owner::Endpoint(key)) => {
                if wire::rtp::is_rtcp(datagram) {
                    self.guarded(now, key, |shard| shard.rtcp(now, key, datagram));
                } else {
                    self.guarded(now, key, |shard| shard.rtp(now, arrived, key, datagram));
                }
            }
            Some(&Owner::Shard(shard)) => return Handled::HandOver(shard),
            None => return self.unknown_path(now, path, datagram),
        }
        Handled::Here
    }

    /// SRTP from an address that nobody owns: a NAT may have given an endpoint a new one, which its SSRC then tells.
    fn unknown_path(&mut self, now: Micros, path: Path, datagram: &mut [u8]) -> Handled {
        let header = wire::rtp::RtpHeader::parse(datagram).ok().filter(|_| !wire::rtp::is_rtcp(datagram));
        let owner = header.and_then(|header| self.by_ssrc.get(&header.ssrc));
        if let Some(&Owner::Shard(shard)) = owner {
            return Handled::HandOver(shard);
        }
        self.counters.refused_unknown_path += 1;
        if let Some(&Owner::Endpoint(key)) = owner {
            self.guarded(now, key, |shard| shard.suspect_move(now, key, path, datagram));
        }
        Handled::Here
    }

    fn suspect_move(&mut self, now: Micros, key: usize, path: Path, datagram: &mut [u8]) {
        let asker = self.index.to_byte();
        let before = self.outbox.trains().len();
        if let Some((endpoint, mut turn)) = self.turn(now, key) {
            endpoint.suspect_move(&mut turn, asker, path, datagram);
        }
        if self.outbox.trains().len() > before {
            if self.checks.len() >= CHECKS_MAX {
                self.checks.pop_front();
            }
            self.checks.push_back((path, key));
        }
    }

    pub(super) fn rtp(&mut self, now: Micros, arrived: Micros, key: usize, datagram: &mut [u8]) {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        let mut turn = Turn {
            // Where the kernel says when a packet came, jitter and feedback go by that and not by when we had the time.
            now: arrived.min(now),
            outbox: &mut self.outbox,
            scratch: &mut self.scratch,
            counters: &mut self.counters,
        };
        let received = endpoint.receive_rtp(&mut turn, datagram);
        self.timers.arm(key, endpoint.poll_timeout(now));
        let Some(Received { publication, packet, retransmitted, recovered }) = received else { return };
        for earlier in &recovered {
            self.fan_out(now, arrived, publication, earlier, false);
        }
        self.fan_out(now, arrived, publication, &packet, retransmitted);
    }

    pub(super) fn rtcp(&mut self, now: Micros, key: usize, datagram: &[u8]) {
        let mut reports = std::mem::take(&mut self.reports);
        if let Some((endpoint, mut turn)) = self.turn(now, key) {
            endpoint.receive_rtcp(&mut turn, datagram, &mut reports);
            let chooses = endpoint.take_choice_due();
            if endpoint.is_to_be_visited() {
                self.due.mark_resends(key);
            }
            if chooses {
                self.allocate(now, key);
            }
        }
        for slot in reports.pictures_lost.drain(..) {
            self.picture_lost(now, key, slot);
        }
        for report in reports.sender_reports.drain(..) {
            self.tap_sender_report(now, &report);
        }
        self.reports = reports;
    }
}
