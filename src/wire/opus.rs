//! How long an Opus packet plays, from its first octets alone: an audio slot places the next
//! packet at the end of the last one, and nothing in RTP says where that is.

/// RFC 6716 §3.1: a packet holds at most 120 ms.
const LONGEST: u32 = 5_760;

/// The duration in samples of the 48 kHz RTP clock, whatever rate the codec runs at inside
/// (RFC 7587 §4.1). `None` when the packet is empty, announces no frame or more than 120 ms.
#[must_use]
pub fn packet_duration(payload: &[u8]) -> Option<u32> {
    let toc = payload.first()?;
    // RFC 6716 §3.2: the low two bits are the frame count code; code 3 has it in the next octet.
    let frames = match toc & 0x03 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(payload.get(1)? & 0x3f),
    };
    let duration = frames * frame_duration(toc >> 3);
    (1..=LONGEST).contains(&duration).then_some(duration)
}

/// RFC 6716 §3.1, table 2: the frame size of each configuration.
fn frame_duration(config: u8) -> u32 {
    match config {
        // SILK: 10, 20, 40, 60 ms.
        0..=11 => match config % 4 {
            0 => 480,
            1 => 960,
            2 => 1_920,
            _ => 2_880,
        },
        // Hybrid: 10, 20 ms.
        12..=15 => 480 << (config % 2),
        // CELT: 2.5, 5, 10, 20 ms.
        _ => 120 << (config % 4),
    }
}
