//! A tiny reader of WebM, written without a look at the writer: it knows EBML's lengths and four ids.

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1F43_B675;
const TIMESTAMP: u32 = 0xE7;
const SIMPLE_BLOCK: u32 = 0xA3;

/// Times of all blocks in whole clusters, in file order.
pub(crate) fn block_times(mut file: &[u8]) -> Vec<i64> {
    let mut times = Vec::new();
    while let Some((id, size, body)) = element(file) {
        if id == SEGMENT {
            file = body; // its children follow, whatever its size
            continue;
        }
        let Some(size) = size.filter(|size| *size <= body.len()) else { break };
        if id == CLUSTER {
            times.extend(cluster_times(&body[..size]));
        }
        file = &body[size..];
    }
    times
}

fn cluster_times(mut cluster: &[u8]) -> Vec<i64> {
    let (mut base, mut times) = (0, Vec::new());
    while let Some((id, size, body)) = element(cluster) {
        let (content, rest) = body.split_at(size.unwrap());
        match id {
            TIMESTAMP => base = content.iter().fold(0, |value, byte| value << 8 | i64::from(*byte)),
            SIMPLE_BLOCK => times.push(base + i64::from(i16::from_be_bytes([content[1], content[2]]))),
            _ => {}
        }
        cluster = rest;
    }
    times
}

fn element(bytes: &[u8]) -> Option<(u32, Option<usize>, &[u8])> {
    let id_length = bytes.first()?.leading_zeros() as usize + 1;
    let id = bytes.get(..id_length)?.iter().fold(0u32, |id, byte| id << 8 | u32::from(*byte));
    let rest = &bytes[id_length..];
    let size_length = rest.first()?.leading_zeros() as usize + 1;
    let raw = rest.get(..size_length)?.iter().fold(0u64, |size, byte| size << 8 | u64::from(*byte));
    let all = 1u64 << (7 * size_length);
    let size = (raw & (all - 1) != all - 1).then_some((raw & (all - 1)) as usize);
    Some((id, size, &rest[size_length..]))
}
