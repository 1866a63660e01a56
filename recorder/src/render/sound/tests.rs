//! Hostile and torn sound files.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::render::testing::sound_file;

fn read(bytes: &[u8]) -> Result<Vec<Packet>, RenderError> {
    let mut reader = SoundReader::new(Cursor::new(bytes));
    std::iter::from_fn(|| reader.next_packet().transpose()).collect()
}

fn file() -> (Vec<u8>, Vec<Packet>) {
    let packets: Vec<_> = (0..120u64).map(|number| (400 + number * 20, vec![number as u8; 30])).collect();
    let expected = packets.iter().map(|(ms, data)| Packet { at: *ms as i64 * 48 - 312, data: data.clone() });
    (sound_file(&packets), expected.collect())
}

#[test]
fn packets_come_with_their_times_and_the_picture_is_passed_over() {
    let (bytes, expected) = file();
    assert_eq!(read(&bytes).unwrap(), expected);
}

#[test]
fn a_torn_file_is_read_up_to_the_tear() {
    let (bytes, expected) = file();
    let head = sound_file(&[]).len();
    for cut in (head..bytes.len()).step_by(7) {
        let found = read(&bytes[..cut]).unwrap();
        assert_eq!(found, expected[..found.len()], "cut at {cut}");
        assert!(expected.len() - found.len() <= (bytes.len() - cut) / 30 + 1, "cut at {cut}");
    }
}

#[test]
fn a_file_without_sound_and_a_file_that_is_none_are_told_apart() {
    let mut silent = Vec::new();
    ebml::put_master(&mut silent, id::TRACKS, |out| {
        ebml::put_master(out, id::TRACK_ENTRY, |out| ebml::put_element(out, id::CODEC_ID, b"V_VP8"));
    });
    assert!(matches!(read(&silent), Err(RenderError::Nothing(_))));
    assert!(matches!(read(&[]), Err(RenderError::Nothing(_))));
    assert!(matches!(read(&[0; 40]), Err(RenderError::Damaged(_))));
}

#[test]
fn a_time_behind_all_recordings_is_refused() {
    let (mut bytes, _) = file();
    ebml::put_master(&mut bytes, id::CLUSTER, |out| {
        ebml::put_uint(out, id::TIMESTAMP, MAX_DURATION_MS + 1);
        ebml::put_element(out, id::SIMPLE_BLOCK, &[0x82, 0, 0, 0x80, 1]);
    });
    assert!(matches!(read(&bytes), Err(RenderError::Damaged(_))));
}

proptest! {
    #[test]
    fn damaged_files_never_panic_and_hold_no_more_than_they_are(
        at in 0usize..1500,
        value: u8,
        more in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let (mut bytes, _) = file();
        bytes[at] = value;
        bytes.extend(more);
        if let Ok(packets) = read(&bytes) {
            prop_assert!(packets.iter().map(|packet| packet.data.len()).sum::<usize>() <= bytes.len());
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
        let (head, _) = file();
        let _ = read(&[&head[..200], &bytes].concat());
    }
}
