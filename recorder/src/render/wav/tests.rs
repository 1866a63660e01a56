//! Samples lie where they belong, in files that end where they must.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use std::process::Command;

use super::*;
use crate::render::testing::{opus_packets, sound_file};

const WORK: &str = "PLENUM_TEST_WAV_WORK";

/// A rising tone: it fits onto itself at no other place.
fn chirp(samples: usize) -> Vec<i16> {
    let sample = |at: usize| {
        let t = at as f64 / 48_000.0;
        (8_000.0 * (std::f64::consts::TAU * (300.0 * t + 400.0 * t * t)).sin()) as i16
    };
    (0..samples).map(sample).collect()
}

/// By how many samples `heard` is later than `signal`, which begins at `from` in it.
fn lag(heard: &[i16], signal: &[i16], from: usize) -> i64 {
    let fit = |lag: i64| {
        let start = (from as i64 + lag) as usize;
        let pairs = heard[start..].iter().zip(signal);
        pairs.map(|(a, b)| i64::from(*a) * i64::from(*b)).sum::<i64>()
    };
    (-900..900).max_by_key(|lag| fit(*lag)).unwrap()
}

fn samples(file: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(file).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 48_000, 16));
    reader.samples().map(Result::unwrap).collect()
}

fn made(content: &[u8], limit: u64) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("content.webm");
    fs::write(&file, content).unwrap();
    let files = wav(&file, &folder.path().join("work"), limit, &|_| {}, &AtomicBool::new(false)).unwrap();
    (folder, files)
}

/// Two seconds of chirp from 1.2 s on, silence for 3.7 s, two seconds of it again.
fn with_a_hole() -> Vec<u8> {
    let packets = opus_packets(&chirp(96_000));
    let first = packets.iter().enumerate().map(|(number, data)| (1_200 + number as u64 * 20, data.clone()));
    let again = packets.iter().enumerate().map(|(number, data)| (6_900 + number as u64 * 20, data.clone()));
    sound_file(&first.chain(again).collect::<Vec<_>>())
}

#[test]
fn a_tone_lies_at_its_time_to_the_sample_and_a_hole_is_silence_of_its_length() {
    let (_folder, files) = made(&with_a_hole(), MAX_FILE_BYTES);
    assert_eq!(files.iter().map(|file| file.file_name().unwrap()).collect::<Vec<_>>(), ["mix-1.wav"]);
    let heard = samples(&files[0]);
    assert_eq!(heard.len(), (6_900 + 2_000) * 48 - 312);
    // The encoder of a call has no delay to cut but its own: its first sample is heard at the time of its block.
    let signal = &chirp(96_000)[4_800..90_000];
    assert_eq!(lag(&heard, signal, 1_200 * 48 + 4_800), 0);
    assert_eq!(lag(&heard, signal, 6_900 * 48 + 4_800), 0);
    assert!(heard[..1_199 * 48].iter().all(|sample| *sample == 0), "nothing before");
    assert!(heard[3_200 * 48..6_893 * 48].iter().all(|sample| *sample == 0), "nothing between");
}

#[test]
fn a_full_file_is_followed_by_the_next_with_the_next_sample() {
    let content = with_a_hole();
    let (_one, whole) = made(&content, MAX_FILE_BYTES);
    let limit = 300_000;
    let (_many, files) = made(&content, limit);
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["mix-1.wav", "mix-2.wav", "mix-3.wav"]);
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= limit);
    }
    assert!(fs::metadata(&files[0]).unwrap().len() > limit - 200, "files are filled");
    let joined: Vec<i16> = files.iter().flat_map(|file| samples(file)).collect();
    assert!(joined == samples(&whole[0]), "nothing lost, nothing doubled");
}

#[test]
fn a_packet_that_is_no_opus_is_a_hole() {
    let mut packets: Vec<_> =
        opus_packets(&chirp(48_000)).into_iter().enumerate().map(|(number, data)| (number as u64 * 20, data)).collect();
    packets[10].1 = vec![0xFF];
    let (_folder, files) = made(&sound_file(&packets), MAX_FILE_BYTES);
    let heard = samples(&files[0]);
    assert_eq!(heard.len(), 48_000 - 312);
    let hole = 10 * 960 - 312;
    assert!(heard[hole..hole + 960].iter().all(|sample| *sample == 0));
    assert_eq!(lag(&heard, &chirp(48_000)[24_000..40_000], 24_000), 0, "what follows lies where it lay");
}

#[test]
fn a_cancelled_one_ends_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("content.webm");
    fs::write(&file, with_a_hole()).unwrap();
    let cancelled = AtomicBool::new(false);
    let progress = |percent| cancelled.store(percent > 30, Ordering::Relaxed);
    let made = wav(&file, folder.path(), MAX_FILE_BYTES, &progress, &cancelled);
    assert!(matches!(made, Err(RenderError::Cancelled)), "{made:?}");
}

#[test]
fn a_recording_in_which_nobody_was_heard_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("content.webm");
    fs::write(&file, sound_file(&[])).unwrap();
    let made = wav(&file, folder.path(), MAX_FILE_BYTES, &|_| {}, &AtomicBool::new(false));
    assert!(matches!(made, Err(RenderError::Nothing(_))), "{made:?}");
}

/// Peak of the process's memory, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Run by the next test in a process of its own, whose memory nobody else uses.
#[test]
fn child_that_makes_twenty_minutes() {
    let Some(work) = std::env::var_os(WORK) else { return };
    let work = Path::new(&work);
    let before = peak_kib();
    let files = wav(&work.join("content.webm"), work, MAX_FILE_BYTES, &|_| {}, &AtomicBool::new(false)).unwrap();
    assert_eq!(fs::metadata(&files[0]).unwrap().len() / 96_000, 1_199);
    let grown = peak_kib() - before;
    println!("twenty minutes took {grown} KiB");
    assert!(grown < 4 << 10, "{grown} KiB for a file of 115 MB");
}

#[test]
fn twenty_minutes_take_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let second = opus_packets(&chirp(48_000));
    let packets: Vec<_> =
        (0..60_000).map(|number: usize| (number as u64 * 20, second[number % second.len()].clone())).collect();
    fs::write(folder.path().join("content.webm"), sound_file(&packets)).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "render::wav::tests::child_that_makes_twenty_minutes"])
        .env(WORK, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("twenty minutes took"), "{said}");
}
