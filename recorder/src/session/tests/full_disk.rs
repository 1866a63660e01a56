//! Somebody presses stop while the disk is full: what is held is given up, and the recording is whole up to there.

use super::*;

/// 1.8 seconds of voice and pictures; then the disk is full.
fn until_the_disk_is_full() -> Bench {
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    bench.add(PICTURE, PublicationKind::Camera);
    (0..90).for_each(|n| both(&mut bench, n).unwrap());
    bench.session.spool.is_full = true;
    bench
}

fn both(bench: &mut Bench, n: u16) -> Result<(), Fault> {
    let ms = u64::from(n) * 20;
    let picture = described(if n == 0 { &KEY } else { &DELTA });
    let voice = bench.packet(VOICE, ms, n, u32::from(n) * 960, &SOUND);
    let picture = bench.packet(PICTURE, ms, n, u32::from(n) * 1800, &picture);
    bench.try_item(voice)?;
    bench.try_item(picture)
}

impl Bench {
    fn stop(self, ms: u64) -> Ended {
        let (folder, now) = (self.folder(), self.at(ms));
        let Self { root, session, .. } = self;
        session.finish(now).unwrap();
        Ended::of(&folder, root)
    }
}

#[test]
fn a_stop_while_the_disk_is_full_keeps_what_was_written_and_lists_the_break() {
    let mut bench = until_the_disk_is_full();
    let (failed_at, fault) = (90..200u16)
        .find_map(|n| both(&mut bench, n).err().map(|fault| (u64::from(n) * 20, fault)))
        .expect("writing must fail");
    let now = bench.at(failed_at);
    bench.session.recover(fault, now, &mut |_| ()).unwrap();
    let mut promised = bench.live.tracks();
    promised.sort_by_key(|track| track.number);
    bench.live.note(Note::Left { participant: ADA });
    bench.live.note(Note::Joined { participant: ADA, display_name: "Ada".to_owned() });
    let ended = bench.stop(failed_at + 5_000);
    let manifest = &ended.manifest;
    assert_eq!((manifest.recovered, &manifest.failure), (false, &None));
    let [stop] = manifest.breaks[..] else { panic!("{:?}", manifest.breaks) };
    assert_eq!((stop.cause, (stop.to - stop.from).whole_seconds()), (BreakCause::DiskFull, 5));
    assert_eq!(manifest.participants.len(), 1, "what happened meanwhile is told");
    assert_eq!((promised.len(), ended.inspection.tracks.len()), (2, 2));
    for (track, promised) in ended.inspection.tracks.iter().zip(promised) {
        assert!(track.scan.good_bytes >= promised.size && track.scan.frames > 30, "{}", track.scan.frames);
    }
}

#[test]
fn a_disk_that_is_full_just_when_somebody_presses_stop_is_a_break_at_the_end() {
    let mut bench = until_the_disk_is_full();
    bench.session.lost_items = 7;
    let ended = bench.stop(1_800);
    let manifest = &ended.manifest;
    assert_eq!((manifest.recovered, &manifest.failure, manifest.lost_items), (false, &None, 7));
    let [stop] = manifest.breaks[..] else { panic!("{:?}", manifest.breaks) };
    assert_eq!((stop.cause, stop.to - stop.from), (BreakCause::DiskFull, time::Duration::ZERO));
    assert!((1_700..1_900).contains(&stop.at_ms), "{stop:?}");
}

#[test]
fn a_gap_of_which_nothing_was_written_is_not_listed() {
    let mut bench = until_the_disk_is_full();
    // A hole in what is held and will be given up.
    for n in [90, 91, 95, 96] {
        both(&mut bench, n).unwrap();
    }
    let ended = bench.stop(1_950);
    let voice = &ended.manifest.tracks[0];
    let end_ms = voice.offset_ms + voice.duration_ms;
    assert!(end_ms < 1_800 && voice.lost_packets == 3, "{voice:?}");
    assert_eq!((voice.gaps.len(), voice.gaps_unlisted), (0, 0), "{:?}", voice.gaps);
}

#[test]
fn a_disk_with_room_again_takes_at_the_stop_what_was_held() {
    let mut bench = until_the_disk_is_full();
    let (n, fault) = (90..200u16).find_map(|n| both(&mut bench, n).err().map(|fault| (n, fault))).unwrap();
    let now = bench.at(u64::from(n) * 20);
    bench.session.recover(fault, now, &mut |_| ()).unwrap();
    bench.session.spool.is_full = false;
    let ended = bench.stop(5_000);
    let voice = &ended.manifest.tracks[0];
    assert!(voice.frames >= u64::from(n) - 3, "{} of {n}", voice.frames);
}

#[test]
fn another_fault_at_the_stop_is_no_full_disk() {
    let mut bench = until_the_disk_is_full();
    // A folder where a file should be.
    bench.session.spool.is_full = false;
    bench.add(PublicationId(9), PublicationKind::Microphone);
    bench.item(bench.packet(PublicationId(9), 2_000, 0, 0, &SOUND));
    std::fs::create_dir(bench.folder().join(crate::spool::track_file(2, TrackCodec::Opus))).unwrap();
    let Bench { session, start, root, .. } = bench;
    assert!(matches!(session.finish(start + Duration::from_secs(2)), Err(Fault::Write(_))));
    drop(root);
}
