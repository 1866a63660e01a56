//! Grids of made-up people, judged by their pixels.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use std::cell::Cell;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

mod codecs;

use super::*;
use crate::render::SpokeSpan;
use crate::render::testing::{Colour, Frame, camera, coloured, ffmpeg, have_ffmpeg, heard, picture, probe};

const WORK: &str = "PLENUM_TEST_GRID_WORK";

fn made(material: &Material, layout: Layout, work: &Path) -> PathBuf {
    let last = Cell::new(0);
    let progress = |percent| {
        assert!(percent >= last.get() && percent <= 100, "{} then {percent}", last.get());
        last.set(percent);
    };
    let file = grid(material, layout, work, &progress, &AtomicBool::new(false)).unwrap();
    assert_eq!(last.get(), 100);
    file
}

/// With a run of ffmpeg for each segment.
fn made_piecewise(material: &Material, layout: Layout, folder: &Path) -> PathBuf {
    let (tools, patience) = (Tools::installed().unwrap(), Patience::default());
    let (progress, cancelled) = (&|_| {}, &AtomicBool::new(false));
    Work { tools, patience, stretch_ms: 0, material, folder, progress, cancelled }.grid(layout).unwrap()
}

/// Ada, red, is there throughout; Bob, blue, from 2 s to 10 s, without a picture from 4.5 s to 7.5 s.
fn two(folder: &Path) -> Material {
    let mut material = coloured(folder, &[("red", 0, 12_000), ("blue", 2_000, 10_000)]);
    material.tracks[1].holes = vec![(4_500, 7_500)];
    material
}

#[test]
fn tiles_follow_who_has_a_picture() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = made(&two(folder.path()), Layout::Tiles, &folder.path().join("work"));
    let (width, height, frames, length_ms) = probe(&file);
    assert_eq!((width, height, frames), (1280, 720, 300));
    assert!(length_ms.abs_diff(12_000) <= 100, "{length_ms}");
    let with_bob = [2_080, 4_400, 7_600, 9_900];
    let times = [80, 1_900, 2_080, 4_400, 4_600, 7_400, 7_600, 9_900, 10_100, 11_900];
    for (at_ms, frame) in times.iter().zip(Frame::all(&file, &times)) {
        // Side by side, or one in the middle.
        let seen = [(320, 300), (960, 300), (640, 4)].map(|(x, y)| frame.at(x, y));
        let [red, blue, dark] = [Colour::Red, Colour::Blue, Colour::Dark];
        assert_eq!(seen, if with_bob.contains(at_ms) { [red, blue, dark] } else { [red; 3] }, "at {at_ms}");
    }
}

#[test]
fn the_speaker_layout_shows_the_speaker_large() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut material = coloured(folder.path(), &[("red", 0, 6_000), ("blue", 0, 6_000), ("lime", 0, 6_000)]);
    let spoke = |participant, from_ms, to_ms| SpokeSpan { participant, from_ms, to_ms };
    material.speakers = vec![spoke(1, 0, 2_500), spoke(2, 3_000, 6_000)];
    let file = made(&material, Layout::Speaker, &folder.path().join("work"));
    let seen = |frame: &Frame| [(512, 360), (1150, 60), (1150, 200)].map(|(x, y)| frame.at(x, y));
    let frames = Frame::all(&file, &[1_000, 4_500]);
    assert_eq!(seen(&frames[0]), [Colour::Blue, Colour::Red, Colour::Green]);
    assert_eq!(seen(&frames[1]), [Colour::Green, Colour::Red, Colour::Blue]);
    assert!(probe(&file).3.abs_diff(6_000) <= 100);
}

#[test]
fn a_still_screen_is_seen_from_the_first_frame_of_each_segment() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut material = coloured(folder.path(), &[("red", 3_000, 6_000)]);
    // A screen that does not move: one frame in ten seconds.
    let screen = picture(folder.path(), "screen.webm", "color=c=lime:s=640x360:r=1/10:d=10", 0);
    material.tracks.push(MaterialTrack { kind: Kind::Screen, ..camera(screen, 0, 0, 6_000) });
    let whole = made(&material, Layout::Tiles, &folder.path().join("work"));
    let pieces = made_piecewise(&material, Layout::Tiles, &folder.path().join("pieces"));
    for file in [whole, pieces] {
        let times = [40, 2_960, 3_000, 3_040, 5_900];
        let frames = Frame::all(&file, &times);
        for (at_ms, frame) in times.iter().zip(&frames) {
            assert_eq!(frame.at(320, 300), Colour::Green, "at {at_ms}");
        }
        assert_eq!(frames[4].at(960, 300), Colour::Red);
    }
}

#[test]
fn what_was_seen_before_a_hole_is_not_seen_after_it() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Red until 3 s; the mute ends at 6 s, but the first new frame, blue and no key frame, comes at 7 s.
    let source =
        "color=c=red:s=320x180:r=30:d=3[a];color=c=blue:s=320x180:r=30:d=5,setpts=PTS+7/TB[b];[a][b]interleave";
    let path = picture(folder.path(), "0.webm", source, 0);
    let mut material = Material { duration_ms: 12_000, participants: vec!["Ada".to_owned()], ..Material::default() };
    material.tracks = vec![MaterialTrack { holes: vec![(3_000, 6_000)], ..camera(path, 0, 0, 12_000) }];
    let whole = made(&material, Layout::Tiles, &folder.path().join("work"));
    let pieces = made_piecewise(&material, Layout::Tiles, &folder.path().join("pieces"));
    for file in [whole, pieces] {
        let frames = Frame::all(&file, &[2_900, 3_500, 6_200, 6_800, 7_200]);
        let seen: Vec<_> = frames.iter().map(|frame| frame.at(640, 300)).collect();
        assert_eq!(seen, [Colour::Red, Colour::Dark, Colour::Dark, Colour::Dark, Colour::Blue]);
    }
}

#[test]
fn a_sender_that_changes_its_resolution_stays_in_its_tile() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    picture(folder.path(), "a.webm", "color=c=red:s=640x360:r=30:d=3", 0);
    picture(folder.path(), "b.webm", "color=c=lime:s=180x320:r=30:d=3", 0);
    fs::write(at("list.txt"), "file a.webm\nduration 3\nfile b.webm\nduration 3\n").unwrap();
    let (list, both) = (at("list.txt"), at("both.webm"));
    let arguments = ["-f", "concat", "-i", list.to_str().unwrap(), "-c", "copy", both.to_str().unwrap()];
    ffmpeg(arguments);
    let mut material = coloured(folder.path(), &[("blue", 0, 6_000)]);
    material.tracks.push(camera(both, 1, 0, 6_000));
    material.participants.push("Bob".to_owned());
    let file = made(&material, Layout::Tiles, &at("work"));
    assert_eq!(probe(&file).2, 150);
    let frames = Frame::all(&file, &[2_800, 3_300]);
    let row = |frame: &Frame| [320, 660, 700, 960, 1240].map(|x| frame.at(x, 300));
    assert_eq!(row(&frames[0]), [Colour::Blue, Colour::Red, Colour::Red, Colour::Red, Colour::Red]);
    // Upright now, and in the middle.
    assert_eq!(row(&frames[1]), [Colour::Blue, Colour::Dark, Colour::Dark, Colour::Green, Colour::Dark]);
}

#[test]
fn no_name_stops_the_drawing_and_each_is_seen() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names = ["O'Neil: 100% \\ [out];", "two\nlines,%{pts}", &"long ".repeat(60), "\u{202E}\0", "-f=:'"];
    let mut material = coloured(folder.path(), &[("blue", 0, 2_000)]);
    let camera = material.tracks[0].clone();
    material.participants = names.map(str::to_owned).to_vec();
    material.tracks = (0..names.len()).map(|participant| MaterialTrack { participant, ..camera.clone() }).collect();
    let work = folder.path().join("work");
    let file = made(&material, Layout::Tiles, &work);
    assert_eq!(probe(&file).2, 50);
    let plan = plan(&material, Layout::Tiles);
    let frame = Frame::of(&file, 1_000);
    for tile in &plan[0].tiles {
        let place = tile.place;
        let bottom = (place.y + place.height - 40) as usize..(place.y + place.height - 8) as usize;
        let across = (place.x + 8) as usize..(place.x + place.width - 2) as usize;
        let letters = bottom.flat_map(|y| across.clone().map(move |x| (x, y)));
        let white = letters.filter(|(x, y)| frame.rgb(*x, *y)[0] > 150).count();
        // Only the fourth has nothing that can be seen.
        assert_eq!(white > 20, tile.participant != 3, "{}: {white}", tile.participant);
    }
}

#[test]
fn who_speaks_without_a_picture_has_a_field_with_their_name() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut material = coloured(folder.path(), &[("red", 0, 3_000)]);
    material.participants.push("Bob".to_owned());
    material.speakers = vec![SpokeSpan { participant: 1, from_ms: 1_000, to_ms: 2_000 }];
    let file = made(&material, Layout::Tiles, &folder.path().join("work"));
    let frame = Frame::of(&file, 1_500);
    assert_eq!(frame.at(320, 300), Colour::Red);
    assert!(frame.rgb(700, 100).iter().all(|value| (50..80).contains(value)), "{:?}", frame.rgb(700, 100));
    let white = (900..1_020).flat_map(|x| (340..380).map(move |y| (x, y))).filter(|(x, y)| frame.rgb(*x, *y)[0] > 180);
    assert!(white.count() > 20, "a name in the middle");
}

/// When a tone begins, in milliseconds.
fn onset(samples: &[i16]) -> usize {
    samples.iter().position(|sample| sample.abs() > 3_000).unwrap() / 48
}

#[test]
fn the_composed_sound_is_copied_and_lies_where_it_lay() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut material = coloured(folder.path(), &[("red", 0, 6_000)]);
    let content = folder.path().join("content.webm");
    // Begins at 1 s, with a tone from 2.5 s on.
    let tone = "aevalsrc='if(gte(t,1.5),0.5*sin(2*PI*500*t),0)':s=48000:d=4";
    let arguments = ["-f", "lavfi", "-i", tone, "-c:a", "libopus", "-output_ts_offset", "1", content.to_str().unwrap()];
    ffmpeg(arguments);
    material.content = Some(content);
    let file = made(&material, Layout::Tiles, &folder.path().join("work"));
    let at = onset(&heard(&file));
    // ffmpeg 5.1 takes the encoder's delay, 6.5 ms, off once more whenever it copies: here when it made the content,
    // too.
    assert!(at.abs_diff(2_500) <= 20, "{at}");
    assert_eq!(probe(&file).2, 150);
}

#[test]
fn without_a_composed_file_everybody_is_mixed_at_their_time() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut material = coloured(folder.path(), &[("red", 0, 6_000), ("blue", 0, 6_000)]);
    for (participant, offset_ms) in [(0, 3_000), (1, 1_000)] {
        let path = folder.path().join(format!("voice-{participant}.webm"));
        let offset = format!("{offset_ms}ms");
        let tone = "sine=frequency=500:sample_rate=48000:duration=0.5,volume=4";
        let arguments =
            ["-f", "lavfi", "-i", tone, "-c:a", "libopus", "-output_ts_offset", &offset, path.to_str().unwrap()];
        ffmpeg(arguments);
        material.tracks.push(MaterialTrack { kind: Kind::Microphone, ..camera(path, participant, offset_ms, 500) });
    }
    let samples = heard(&made(&material, Layout::Tiles, &folder.path().join("work")));
    let at = [onset(&samples), 2_000 + onset(&samples[96_000..])];
    assert!(at[0].abs_diff(1_000) <= 15 && at[1].abs_diff(3_000) <= 15, "{at:?}");
}

#[test]
fn an_interrupted_grid_goes_on_where_it_was_and_is_the_same() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let material = two(folder.path());
    let (work, other) = (folder.path().join("work"), folder.path().join("other"));
    let (never, cancelled) = (AtomicBool::new(false), AtomicBool::new(false));
    // A run for each segment.
    let tools = Tools::installed().unwrap();
    let (patience, stretch_ms, material) = (Patience::default(), 0, &material);
    let all = Work { tools, patience, stretch_ms, material, folder: &other, progress: &|_| {}, cancelled: &never };
    let whole = fs::read(all.grid(Layout::Tiles).unwrap()).unwrap();

    let first = work.join("stretch-00000.webm");
    let stop_in_the_second = |_| cancelled.store(first.exists(), Ordering::Relaxed);
    let cut = Work { folder: &work, progress: &stop_in_the_second, cancelled: &cancelled, ..all };
    let stopped = cut.grid(Layout::Tiles);
    assert!(matches!(stopped, Err(RenderError::Cancelled)), "{stopped:?}");
    assert!(!work.join("stretch-00001.webm").exists(), "nothing half-made has a name");
    let before = fs::metadata(&first).unwrap();

    let again = Work { folder: &work, ..all }.grid(Layout::Tiles).unwrap();
    let frames = Frame::all(&again, &[2_080, 4_600, 7_600, 10_100]);
    let seen: Vec<_> = frames.iter().map(|frame| frame.at(960, 300)).collect();
    assert_eq!(seen, [Colour::Blue, Colour::Red, Colour::Blue, Colour::Red], "joined where they belong");
    let again = fs::read(again).unwrap();
    let after = fs::metadata(&first).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()), "made once");
    assert!(again == whole);
    let parts = fs::read_dir(&work)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("part-"));
    assert_eq!(parts.count(), 0);
}

#[test]
fn a_track_that_is_shorter_than_its_manifest_says_leaves_its_tile_empty() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut material = coloured(folder.path(), &[("red", 0, 6_000), ("blue", 0, 1_000), ("lime", 3_000, 6_000)]);
    material.tracks[1].duration_ms = 6_000;
    let file = made(&material, Layout::Tiles, &folder.path().join("work"));
    assert_eq!(probe(&file).2, 150);
    let frame = Frame::of(&file, 5_000);
    assert_eq!([(200, 200), (500, 500)].map(|(x, y)| frame.at(x, y)), [Colour::Red, Colour::Green]);
}

#[test]
fn another_layout_in_the_same_folder_begins_anew() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let mut material = coloured(folder.path(), &[("red", 0, 3_000), ("blue", 0, 3_000)]);
    made(&material, Layout::Tiles, &work);
    material.speakers = vec![SpokeSpan { participant: 1, from_ms: 0, to_ms: 3_000 }];
    let file = made(&material, Layout::Speaker, &work);
    assert_eq!(Frame::of(&file, 1_000).at(512, 360), Colour::Blue);
    assert!(!work.join("grid-tiles.webm").exists());
}

/// Run by the next test, which kills it.
#[test]
fn child_that_is_killed_while_it_draws() {
    let Some(work) = std::env::var_os(WORK) else { return };
    let folder = Path::new(&work);
    let path = folder.join("0.webm");
    let mut material = Material { duration_ms: 900_000, participants: vec!["Ada".to_owned()], ..Material::default() };
    material.tracks = vec![camera(path, 0, 0, 900_000)];
    let _ = grid(&material, Layout::Tiles, &folder.join("work"), &|_| {}, &AtomicBool::new(false));
}

/// Waits for what must come.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn child_of(parent: u32) -> Option<PathBuf> {
    let stat = |process: &Path| fs::read_to_string(process.join("stat")).ok();
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let mut drawing = processes.filter(|process| {
        let parent_of = |stat: String| stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok();
        let words = fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        stat(process).and_then(parent_of) == Some(parent) && words.contains("stretch-00000")
    });
    drawing.next()
}

#[test]
fn when_the_server_is_killed_ffmpeg_dies_with_it() {
    if !have_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    coloured(folder.path(), &[("red", 0, 1_000)]);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "render::grid::tests::child_that_is_killed_while_it_draws"])
        .env(WORK, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let drawing = until("ffmpeg draws", || child_of(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    until("ffmpeg is gone", || {
        (!fs::read_to_string(drawing.join("cmdline")).unwrap_or_default().contains("stretch-")).then_some(())
    });
}

/// Four cameras of 640x360 at 30 frames a second that send one key frame each, at the beginning.
fn cost_of(what: &str, layout: Layout, speakers: Vec<SpokeSpan>) {
    let folder = tempfile::tempdir().unwrap();
    let mut material = Material { duration_ms: BENCH_SECONDS * 1000, speakers, ..Material::default() };
    for number in 0..4 {
        let source = format!("testsrc2=s=640x360:r=30:d={BENCH_SECONDS},hue=h={},noise=alls=8:allf=t", number * 80);
        let path = picture(folder.path(), &format!("{number}.webm"), &source, 0);
        material.tracks.push(camera(path, number, 0, BENCH_SECONDS * 1000));
        material.participants.push(format!("Person {number}"));
    }
    let before = children_cpu();
    let file = made(&material, layout, &folder.path().join("work"));
    let spent = (children_cpu() - before) / BENCH_SECONDS as f64;
    assert_eq!(probe(&file).2, BENCH_SECONDS * 25);
    println!("{what}: {spent:.3} CPU-seconds a recorded second");
    assert!(spent < 0.5);
}

const BENCH_SECONDS: u64 = 60;

/// `cargo test -p recorder --lib -- --ignored --nocapture --test-threads 1 cost_of`: the work is ffmpeg's, whatever
/// the profile.
#[test]
#[ignore = "a measurement"]
fn cost_of_four_tiles() {
    cost_of("tiles", Layout::Tiles, Vec::new());
}

#[test]
#[ignore = "a measurement"]
fn cost_of_a_speaker_every_four_seconds() {
    let turn = |number: u64| SpokeSpan {
        participant: number as usize % 4,
        from_ms: number * 4_000,
        to_ms: number * 4_000 + 3_500,
    };
    cost_of("speaker", Layout::Speaker, (0..BENCH_SECONDS / 4).map(turn).collect());
}

/// Of ended children, user and system, in seconds (`proc_pid_stat(5)`: cutime, cstime, in hundredths).
fn children_cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[13].parse::<f64>().unwrap() + fields[14].parse::<f64>().unwrap()) / 100.0
}
