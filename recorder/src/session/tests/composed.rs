//! The composed recording: what is heard and seen in it, and when.

use super::*;
use crate::scan::Scan;

const BOB: ParticipantId = ParticipantId(0xb0b);
const BOBS_VOICE: PublicationId = PublicationId(3);
const BOBS_PICTURE: PublicationId = PublicationId(4);
const SCREEN: PublicationId = PublicationId(5);
const LOUD: u8 = 20;
const QUIET: u8 = 100;

/// A voice with a real encoder: a tone where it speaks, else silence.
struct Speaker {
    publication: PublicationId,
    encoder: opus::Encoder,
    sample: u64,
    sent: u16,
}

impl Speaker {
    fn new(publication: PublicationId) -> Self {
        let encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Audio).unwrap();
        Self { publication, encoder, sample: 0, sent: 0 }
    }

    /// The next 20 ms, captured at `ms`, which arrive when they are over.
    fn say(&mut self, bench: &mut Bench, ms: u64, tone: bool) {
        let mut samples = [0f32; 960];
        for sample in &mut samples {
            if tone {
                *sample = 0.4 * (self.sample as f32 * 1000.0 / 48_000.0 * std::f32::consts::TAU).sin();
            }
            self.sample += 1;
        }
        let payload = self.encoder.encode_vec_float(&samples, 1000).unwrap();
        let n = self.sent;
        self.sent += 1;
        let item = bench.packet(self.publication, ms + 20, n, u32::from(n) * 960, &payload);
        let TapItem::Packet { publication, arrival, packet, .. } = item else { unreachable!() };
        let level = Some(if tone { LOUD } else { QUIET });
        bench.item(TapItem::Packet { publication, arrival, level, packet });
    }
}

/// One block of the composed file.
#[derive(Clone, Debug)]
struct Piece {
    track: u64,
    at_ms: i64,
    key: bool,
    data: Vec<u8>,
}

/// The composed file's blocks.
fn content(ended: &Ended) -> (Scan, Vec<Piece>) {
    let content = ended.inspection.content.as_ref().unwrap();
    let bytes = std::fs::read(&content.path).unwrap();
    let pieces = crate::ebml::children(&bytes[content.scan.head.bytes.len()..])
        .flat_map(|(_, _, body)| crate::webm::blocks(body).unwrap())
        .map(|block| Piece { track: block.track, at_ms: block.at_ms, key: block.key, data: block.data.to_vec() });
    (content.scan.clone(), pieces.collect())
}

/// The composed sound, decoded; the first sample lies at the returned time.
fn sound(pieces: &[Piece]) -> (i64, Vec<f32>) {
    let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
    let mut all = Vec::new();
    let blocks: Vec<_> = pieces.iter().filter(|piece| piece.track == 2).collect();
    for piece in &blocks {
        let mut samples = [0f32; 960];
        let count = decoder.decode_float(&piece.data, &mut samples, false).unwrap();
        all.extend_from_slice(&samples[..count]);
    }
    // Players skip the encoder's look-ahead, as the head of the file tells them.
    (blocks[0].at_ms, all.split_off(312))
}

/// Where something begins to be heard, in milliseconds after `from_ms`.
fn onset(samples: &[f32], from_ms: usize) -> usize {
    let from = from_ms * 48;
    from_ms + samples[from..].iter().position(|sample| sample.abs() > 0.1).expect("something is heard") / 48
}

#[test]
fn what_is_said_is_heard_when_it_was_said() {
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    let mut ada = Speaker::new(VOICE);
    // Speech of 600 ms every two seconds; the first packet lies at 20 ms, so all do 20 ms after they were captured.
    for n in 0..500u64 {
        ada.say(&mut bench, n * 20, n % 100 >= 70);
    }
    let ended = bench.end();
    let (_, pieces) = content(&ended);
    let (begins_ms, samples) = sound(&pieces);
    let blocks: Vec<_> = pieces.iter().filter(|piece| piece.track == 2).collect();
    assert!(blocks.windows(2).all(|two| two[1].at_ms - two[0].at_ms == 20), "the sound has no holes");
    let errors: Vec<i64> = (0..5)
        .map(|turn| {
            let said_ms = turn * 2000 + 1400 + 20;
            let heard_ms = begins_ms + onset(&samples, turn as usize * 2000 + 800) as i64;
            heard_ms - said_ms
        })
        .collect();
    #[allow(clippy::print_stdout, reason = "what was measured")]
    {
        println!("heard minus said: {errors:?} ms");
    }
    assert!(errors.iter().all(|error| error.abs() <= 5), "{errors:?}");
}

#[test]
fn lost_and_retransmitted_packets_do_not_shift_the_sound() {
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    let mut queue = Vec::new();
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Audio).unwrap();
    for n in 0..500u64 {
        let speaks = n % 100 >= 70;
        let samples: Vec<f32> = (0..960)
            .map(|i| if speaks { 0.4 * ((n * 960 + i) as f32 / 48.0 * std::f32::consts::TAU).sin() } else { 0.0 })
            .collect();
        let payload = encoder.encode_vec_float(&samples, 1000).unwrap();
        let held = n % 7 == 3;
        let ms = n * 20 + 20 + if held { 120 } else { 0 };
        let item = bench.packet(VOICE, ms, n as u16, n as u32 * 960, &payload);
        let TapItem::Packet { publication, arrival, packet, .. } = item else { unreachable!() };
        let item = TapItem::Packet { publication, arrival, level: Some(if speaks { LOUD } else { QUIET }), packet };
        if n % 31 != 5 {
            queue.push(item);
        }
    }
    let arrival = |item: &TapItem| match item {
        TapItem::Packet { arrival, .. } => *arrival,
        _ => unreachable!(),
    };
    queue.sort_by_key(arrival);
    queue.into_iter().for_each(|item| bench.item(item));
    let ended = bench.end();
    let (begins_ms, samples) = sound(&content(&ended).1);
    for turn in 0..5 {
        let said_ms = turn * 2000 + 1400 + 20;
        let heard_ms = begins_ms + onset(&samples, turn as usize * 2000 + 800) as i64;
        assert!((heard_ms - said_ms).abs() <= 25, "{} ms", heard_ms - said_ms);
    }
}

/// Two people with pictures of 50 a second; who speaks, and when key frames come, says `act`.
fn two(seconds: u64, mut act: impl FnMut(&mut Bench, u64) -> (bool, bool)) -> Ended {
    let mut bench = Bench::new();
    for (publication, participant, kind) in [
        (VOICE, ADA, PublicationKind::Microphone),
        (PICTURE, ADA, PublicationKind::Camera),
        (BOBS_VOICE, BOB, PublicationKind::Microphone),
        (BOBS_PICTURE, BOB, PublicationKind::Camera),
    ] {
        let codec = if kind == PublicationKind::Camera { Codec::Vp8 } else { Codec::Opus };
        bench.item(TapItem::Added { publication, participant, kind, codec });
    }
    let (mut ada, mut bob) = (Speaker::new(VOICE), Speaker::new(BOBS_VOICE));
    let mut wanted: Vec<PublicationId> = vec![PICTURE, BOBS_PICTURE];
    for n in 0..seconds * 50 {
        let (ada_speaks, bob_speaks) = act(&mut bench, n * 20);
        ada.say(&mut bench, n * 20, ada_speaks);
        bob.say(&mut bench, n * 20, bob_speaks);
        for (publication, mark) in [(PICTURE, 0xA0), (BOBS_PICTURE, 0xB0)] {
            let key = wanted.contains(&publication);
            let mut frame = if key { KEY.to_vec() } else { DELTA.to_vec() };
            frame.push(mark);
            let item = bench.packet(publication, n * 20 + 20, n as u16, n as u32 * 1800, &described(&frame));
            bench.item(item);
        }
        wanted = bench
            .told
            .drain(..)
            .filter_map(|told| if let Told::WantsKeyFrame(publication) = told { Some(publication) } else { None })
            .collect();
    }
    bench.end()
}

/// Stretches in which one picture is shown: its mark, from and to.
fn shown(pieces: &[Piece]) -> Vec<(u8, i64, i64)> {
    let mut shown: Vec<(u8, i64, i64)> = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.track == 1) {
        let mark = *piece.data.last().unwrap();
        match shown.last_mut() {
            Some((last, _, to)) if *last == mark => *to = piece.at_ms,
            _ => {
                assert!(piece.key, "a new picture begins with a key frame");
                shown.push((mark, piece.at_ms, piece.at_ms));
            }
        }
    }
    shown
}

#[test]
fn whoever_speaks_is_seen_and_times_only_go_forward() {
    let ended = two(12, |_, ms| (ms < 4_000, (4_000..8_000).contains(&ms)));
    let (scan, pieces) = content(&ended);
    for track in [1, 2] {
        let times: Vec<_> = pieces.iter().filter(|piece| piece.track == track).map(|piece| piece.at_ms).collect();
        assert!(times.windows(2).all(|two| two[0] < two[1]), "track {track}");
    }
    let order = pieces.windows(2).filter(|two| two[1].at_ms < two[0].at_ms - 20).count();
    assert_eq!(order, 0, "sound and pictures lie beside each other");
    let shown = shown(&pieces);
    let [(0xA0, first, to), (0xB0, from, last)] = shown[..] else { panic!("{shown:?}") };
    assert!(first < 100 && last > 11_900, "{shown:?}");
    assert!((4_100..5_000).contains(&from) && from - to <= 40, "{shown:?}");
    let spoken: Vec<_> = ended.inspection.spoken.iter().map(|(who, span)| (who.0, span.from_ms, span.to_ms)).collect();
    assert_eq!(spoken.len(), 2, "{spoken:?}");
    assert!(spoken[0].0 == ADA && spoken[0].1 < 200 && (3_900..4_200).contains(&spoken[0].2), "{spoken:?}");
    assert!(spoken[1].0 == BOB && (3_950..4_200).contains(&spoken[1].1), "{spoken:?}");
    assert!(scan.cues.len() >= 2, "players can jump to {:?}", scan.cues);
    let journal: Vec<_> = ended.inspection.shown.iter().map(|shown| shown.who.map(|(who, _)| who.0)).collect();
    assert_eq!(journal, [Some(ADA), Some(BOB)]);
}

#[test]
fn a_shared_screen_is_seen_whoever_speaks_and_black_when_nobody_is() {
    let mut sent = 0u16;
    let ended = two(10, |bench, ms| {
        if ms == 3_000 {
            bench.item(TapItem::Added {
                publication: SCREEN,
                participant: BOB,
                kind: PublicationKind::Screen,
                codec: Codec::Vp8,
            });
        }
        if (3_000..6_000).contains(&ms) {
            let mut frame = if ms % 500 == 0 { KEY.to_vec() } else { DELTA.to_vec() };
            frame.push(0xC0);
            let item = bench.packet(SCREEN, ms, sent, u32::from(sent) * 1800, &described(&frame));
            bench.item(item);
            sent += 1;
        }
        if ms == 6_000 {
            bench.item(TapItem::Removed { publication: SCREEN });
        }
        if ms == 8_000 {
            for publication in [PICTURE, BOBS_PICTURE] {
                bench.item(TapItem::Muted { publication, muted: true });
            }
        }
        (true, false)
    });
    let shown = shown(&content(&ended).1);
    let marks: Vec<u8> = shown.iter().map(|(mark, ..)| *mark).collect();
    let black = *include_bytes!("../../black.vp8").last().unwrap();
    assert_eq!(marks, [0xA0, 0xC0, 0xA0, black], "{shown:?}");
    assert!((3_000..3_700).contains(&shown[1].1) && (6_000..7_500).contains(&shown[2].1), "{shown:?}");
    assert_eq!(ended.inspection.shown.last().map(|last| last.who), Some(None));
}

#[test]
fn a_meeting_without_pictures_is_black_and_one_without_voices_is_silent() {
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    bench.times_after_idle_of_nothing(5);
    let ended = bench.end();
    let (scan, pieces) = content(&ended);
    let [picture, sound] = &scan.tracks[..] else { panic!("{:?}", scan.tracks) };
    assert!((4..=6).contains(&picture.frames), "{}", picture.frames);
    assert!(sound.frames > 240, "{}", sound.frames);
    assert!(pieces.iter().filter(|piece| piece.track == 1).all(|piece| piece.key));
}

#[test]
fn pictures_of_another_codec_are_left_out_and_counted() {
    let mut bench = Bench::new();
    bench.item(TapItem::Added {
        publication: BOBS_PICTURE,
        participant: BOB,
        kind: PublicationKind::Camera,
        codec: Codec::Vp9,
    });
    bench.add(PICTURE, PublicationKind::Camera);
    bench.picture(0, 0, &KEY);
    bench.picture(1_500, 1, &DELTA);
    // One that goes, and one that is there to the end.
    bench.item(TapItem::Removed { publication: BOBS_PICTURE });
    bench.add_codec(SCREEN, Codec::Av1);
    let manifest = bench.end().manifest;
    assert_eq!(manifest.content.unwrap().foreign_pictures, 2);
}

#[test]
fn a_reader_of_a_running_recording_gets_a_file_with_length_and_cues_and_the_same_bytes_again() {
    let mut bench = Bench::new();
    bench.add(PICTURE, PublicationKind::Camera);
    let picture = |bench: &mut Bench, n: u16| {
        let frame = described(if n.is_multiple_of(50) { &KEY } else { &DELTA });
        let item = bench.packet(PICTURE, u64::from(n) * 20, n, u32::from(n) * 1800, &frame);
        bench.item(item);
    };
    (0..300).for_each(|n| picture(&mut bench, n));
    let then = bench.live.content().unwrap();
    let size = then.clusters.last().unwrap().size;
    let layout = crate::snapshot::layout(&then, None).unwrap();
    (300..600).for_each(|n| picture(&mut bench, n));
    let now = bench.live.content().unwrap();
    let again = crate::snapshot::layout(&now, Some(size)).unwrap();
    assert_eq!(
        (again.head.clone(), again.clusters.clone(), again.cues.clone()),
        (layout.head, layout.clusters, layout.cues)
    );
    assert!(crate::snapshot::layout(&now, None).unwrap().clusters.end > again.clusters.end);
    assert!(crate::snapshot::layout(&now, Some(10)).is_none());
    let spooled = std::fs::read(bench.folder().join("content.webm")).unwrap();
    let file = [&again.head, &spooled[again.head.len()..again.clusters.end as usize], &again.cues].concat();
    assert_eq!(file.len() as u64, again.size());
    let path = bench.root.path().join("snapshot.webm");
    std::fs::write(&path, file).unwrap();
    let scan = scan_file(&path).unwrap();
    assert!(scan.is_none_or(|scan| scan.frames > 0));
}

impl Bench {
    fn times_after_idle_of_nothing(&mut self, seconds: u64) {
        for _ in 0..seconds * 20 {
            let now = self.start;
            self.session.handle_time(now, IDLE_WAIT, &mut |_| ()).unwrap();
        }
    }
}
