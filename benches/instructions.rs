//! Instructions that the packet path takes, counted by valgrind: the same on every run, on a busy machine too, so that a
//! change of a percent shows. They are no time: how long an instruction takes is the machine's affair.
//!
//! ```text
//! cargo bench --bench instructions -- [name ..]
//!
//! this program -> valgrind --tool=callgrind -- this program --case NAME --rounds FEW   ┐
//!              -> valgrind --tool=callgrind -- this program --case NAME --rounds MANY  ┴> difference / (MANY - FEW)
//! ```
//!
//! A case prepares everything that its rounds need before the first one, for MANY in both runs, so that the difference is
//! the rounds' own work. The profile of the second run stays in `target/tmp` for `callgrind_annotate`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a program for the developer's terminal, which may fail loudly"
)]

use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, exit};

use clap::Parser;
use engine::clock::Micros;
use engine::egress::rewrite::{Rewriter, Start};
use engine::endpoint::srtp::{MasterKey, Profile, SrtpOpen, SrtpSeal};
use engine::id::PublicationId;
use engine::ingest::numbers::{Incoming, PictureNumbers};
use engine::path::Path;
use engine::shard::Shard;
use kit::{BrowserPlan, Stage};
use wire::ext::transport_seq;
use wire::rtp::{OutHeader, RtpHeader, is_rtcp, write_header};
use wire::template::{HeaderFields, HeaderShape, HeaderTemplate};
use wire::vp8::Vp8Descriptor;

/// Rounds of the two runs.
const FEW: usize = 20;
const MANY: usize = 220;

/// One round of a case; says how many packets it made.
type Round = Box<dyn FnMut() -> u64>;

/// Its name, what one round is, how to prepare it.
type Case = (&'static str, &'static str, fn() -> Round);

/// Every case.
const CASES: [Case; 13] = [
    ("parse", "read an RTP header and its extensions", parse),
    ("template", "write an RTP header from its template", template),
    ("vp8", "read a VP8 descriptor and write it in a slot's form", vp8),
    ("rewrite", "number a video packet for a slot", rewrite),
    ("seal-gcm", "seal 1,200 octets, AES-128-GCM, out of place", || seal(Profile::Aead128Gcm)),
    ("seal-cm", "the same, AES-128-CM with HMAC-SHA1", || seal(Profile::AesCm128HmacSha1_80)),
    ("open-gcm", "open 1,200 octets, AES-128-GCM", || open(Profile::Aead128Gcm)),
    ("open-cm", "the same, AES-128-CM with HMAC-SHA1", || open(Profile::AesCm128HmacSha1_80)),
    ("turn-1", "a shard's turn: one video packet in, out to 1 receiver", || turn(1, 1)),
    ("turn-10", "the same to 10 receivers", || turn(10, 1)),
    ("turn-100", "the same to 100 receivers", || turn(100, 1)),
    ("frame-100", "a frame of 8 video packets in, out to 100 receivers", || turn(100, 8)),
    ("voice-100", "one audio packet in, out to 100 receivers", voice),
];

/// What to count.
#[derive(Debug, Parser)]
struct Options {
    /// Cases by the beginning of their names; all if none is named.
    names: Vec<String>,
    /// Runs one case, under valgrind: how this program calls itself.
    #[arg(long, hide = true)]
    case: Option<String>,
    /// Rounds of that case.
    #[arg(long, hide = true, default_value_t = 0)]
    rounds: usize,
    /// Given by `cargo bench`; without meaning.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    match &options.case {
        Some(name) => run_case(name, options.rounds),
        None => count(&options.names),
    }
}

/// The case that only says what the processor is able to do, as valgrind shows it.
const PROCESSOR: &str = "processor";

fn run_case(name: &str, rounds: usize) {
    if name == PROCESSOR {
        println!("{}", gcm_implementation());
        return;
    }
    let (_, _, prepare) = CASES.iter().find(|(known, ..)| *known == name).expect("a case of the table");
    let mut round = prepare();
    let packets: u64 = (0..rounds).map(|_| round()).sum();
    println!("{packets}");
}

fn count(names: &[String]) {
    let wanted = |case: &&Case| names.is_empty() || names.iter().any(|name| case.0.starts_with(name));
    let here = gcm_implementation();
    let counted = Counted::take(PROCESSOR, 0).said;
    println!("AES-GCM as counted: {counted}. On this machine without valgrind: {here}.");
    if counted != here {
        println!("They differ, so that the cipher's own share is another in production; everything else is the same.");
    }
    println!("\n| case | one round | instructions | packets | per packet |\n|---|---|---:|---:|---:|");
    for (name, what, _) in CASES.iter().filter(wanted) {
        let (few, many) = (Counted::take(name, FEW), Counted::take(name, MANY));
        let rounds = (MANY - FEW) as f64;
        let instructions = many.instructions.saturating_sub(few.instructions) as f64 / rounds;
        let packets = many.packets().saturating_sub(few.packets()) as f64 / rounds;
        println!("| {name} | {what} | {instructions:.0} | {packets:.0} | {:.0} |", instructions / packets);
    }
}

/// What one run under valgrind yields.
struct Counted {
    instructions: u64,
    said: String,
}

impl Counted {
    fn take(case: &str, rounds: usize) -> Self {
        let profile = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.out.{case}"));
        let output = Command::new("valgrind")
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(std::env::current_exe().expect("this program has a path"))
            .args(["--case", case, "--rounds", &rounds.to_string()])
            .output();
        let output = output.unwrap_or_else(|error| {
            println!(
                "valgrind cannot be started: {error}. It counts the instructions; install it (apt install valgrind)."
            );
            exit(1);
        });
        let log = String::from_utf8_lossy(&output.stderr);
        let collected = log.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
        match collected {
            Some(instructions) if output.status.success() => {
                let said = String::from_utf8_lossy(&output.stdout);
                Self { instructions, said: said.lines().last().unwrap_or_default().to_owned() }
            }
            _ => panic!("case {case} failed under valgrind:\n{log}"),
        }
    }

    fn packets(&self) -> u64 {
        self.said.parse().expect("a case says its packets")
    }
}

/// Which of its implementations aws-lc chooses, by what the processor says that it can do.
#[cfg(target_arch = "x86_64")]
fn gcm_implementation() -> &'static str {
    let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("vaes");
    if wide && is_x86_feature_detected!("vpclmulqdq") && is_x86_feature_detected!("avx512bw") {
        "VAES, VPCLMULQDQ and AVX-512"
    } else if is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq") {
        if is_x86_feature_detected!("avx") { "AES-NI, PCLMULQDQ and AVX" } else { "AES-NI and PCLMULQDQ" }
    } else {
        "without the processor's help"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn gcm_implementation() -> &'static str {
    "as this architecture has it"
}

/// Octets of the packets of `seal` and `open` without what sealing adds.
const BYTES: usize = 1_200;

/// A packet as a camera of Chromium sends it.
fn packet(sequence: u16) -> (Vec<u8>, usize) {
    let header =
        OutHeader { marker: false, payload_type: 96, sequence, timestamp: 90_000, ssrc: 0x1234_5678, csrc: None };
    let mut packet = Vec::new();
    write_header(&mut packet, &header, &[(3, &sequence.to_be_bytes()), (4, b"1"), (2, &[1, 2, 3])]);
    let header_len = packet.len();
    packet.extend_from_slice(&[0x90, 0x80, 0x81, 0x02, 0x01]);
    packet.resize(BYTES, 0x5a);
    (packet, header_len)
}

fn parse() -> Round {
    let (packet, _) = packet(7);
    Box::new(move || {
        let packet = black_box(packet.as_slice());
        let header = RtpHeader::parse(packet).expect("well-formed");
        let found = header.extensions(packet).filter_map(|(id, value)| (id == 3).then(|| transport_seq(value))?);
        black_box((header, found.last()));
        1
    })
}

fn template() -> Round {
    let shape = HeaderShape { ssrc: 0x1234_5678, has_csrc: true, transport_cc: Some(3), audio_level: None, mid: None };
    let template = HeaderTemplate::new(&shape);
    let mut out = Vec::with_capacity(64);
    let mut sequence = 0;
    Box::new(move || {
        out.clear();
        sequence += 1;
        let fields = HeaderFields {
            payload_type: 96,
            sequence,
            transport_sequence: sequence,
            csrc: 9,
            ..HeaderFields::default()
        };
        template.write(&mut out, black_box(&fields));
        black_box(out.as_slice());
        1
    })
}

fn vp8() -> Round {
    let (packet, header_len) = packet(7);
    Box::new(move || {
        let payload = black_box(&packet[header_len..]);
        let descriptor = Vp8Descriptor::parse(payload).expect("well-formed");
        let starts = (descriptor.starts_frame(), descriptor.starts_key_frame(payload));
        black_box((starts, descriptor.normalised(17, 3)));
        1
    })
}

fn rewrite() -> Round {
    let start = Start { sequence: 1, clock_base: 0, picture_id: 1, tl0_pic_idx: 1 };
    let mut rewriter = Rewriter::new(start);
    let source = PublicationId(5);
    let picture = PictureNumbers { picture_id: 40, tl0_pic_idx: 4, ..PictureNumbers::default() };
    let mut incoming = Incoming { sequence: 70_000, timestamp: 1_000, target: 5_000 };
    rewriter.video(source, Some(source), &incoming, picture, true).expect("a key frame takes the slot");
    Box::new(move || {
        incoming.sequence += 1;
        black_box(rewriter.video(source, Some(source), black_box(&incoming), picture, false)).map_or(0, |_| 1)
    })
}

fn key(profile: Profile) -> MasterKey {
    let salt = [7; 14];
    let salt = if profile == Profile::Aead128Gcm { &salt[..12] } else { &salt[..] };
    MasterKey::new(profile, &[1; 16], salt).expect("a key of the right length")
}

fn seal(profile: Profile) -> Round {
    let mut seal = SrtpSeal::new(profile, &key(profile)).expect("a key that the cipher takes");
    let (packet, header_len) = packet(7);
    let mut out = Vec::with_capacity(2 * BYTES);
    let mut index = 0;
    Box::new(move || {
        out.clear();
        out.extend_from_slice(&packet[..header_len]);
        index += 1;
        seal.seal_rtp(&mut out, 0, black_box(&packet[header_len..]), 0, 5, index).expect("it is sealed");
        black_box(out.as_slice());
        1
    })
}

fn open(profile: Profile) -> Round {
    let mut seal = SrtpSeal::new(profile, &key(profile)).expect("a key that the cipher takes");
    let mut open = SrtpOpen::new(profile, &key(profile)).expect("a key that the cipher takes");
    let sealed = (1..=MANY as u16).map(|sequence| {
        let (packet, header_len) = packet(sequence);
        let mut sealed = packet[..header_len].to_vec();
        let index = sequence.into();
        seal.seal_rtp(&mut sealed, 0, &packet[header_len..], 0, 0x1234_5678, index).expect("it is sealed");
        let header = RtpHeader::parse(&sealed).expect("well-formed");
        (sealed, header)
    });
    let mut sealed = sealed.collect::<Vec<_>>().into_iter();
    Box::new(move || {
        let (mut packet, header) = sealed.next().expect("as many as rounds");
        black_box(open.open_rtp(&mut packet, &header).expect("it is authentic"));
        // Freeing is no part of it.
        std::mem::forget(packet);
        1
    })
}

/// Even numbers have the other cipher.
fn odd(number: u32) -> u32 {
    2 * number + 1
}

fn turn(receivers: u32, packets_per_frame: u16) -> Round {
    let silent = BrowserPlan { microphone: false, camera: false, audio_slots: 0, video_slots: 1, packets_per_frame };
    shard(receivers, BrowserPlan { camera: true, video_slots: 0, ..silent }, silent, u64::from(packets_per_frame))
}

fn voice() -> Round {
    let silent = BrowserPlan { microphone: false, camera: false, audio_slots: 1, video_slots: 0, packets_per_frame: 1 };
    shard(100, BrowserPlan { microphone: true, audio_slots: 0, ..silent }, silent, 1)
}

/// A meeting of one publisher and many receivers, in full swing; a round is one frame of the publisher's.
fn shard(receivers: u32, publisher: BrowserPlan, receiver: BrowserPlan, packets: u64) -> Round {
    let mut stage = Stage::new(1);
    stage.join(odd(0), publisher);
    (1..=receivers).for_each(|number| stage.join(odd(number), receiver));
    if publisher.microphone {
        stage.browser_mut(odd(0)).level = Some(30);
    }
    stage.run_ms(1_000);
    let interval = if publisher.microphone { Micros(20_000) } else { Micros(33_334) };
    let (mut now, path) = (stage.now(), stage.browser(odd(0)).path);
    let frames = (0..MANY).map(|_| {
        now = now + interval;
        let mut datagrams = stage.browser_mut(odd(0)).poll(now);
        datagrams.retain(|datagram| matches!(datagram.first(), Some(128..=191)) && !is_rtcp(datagram));
        (now, datagrams)
    });
    let mut frames = frames.collect::<Vec<_>>().into_iter();
    Box::new(move || {
        let (now, mut datagrams) = frames.next().expect("as many as rounds");
        let forwarded = forward(&mut stage.shards[0], now, path, &mut datagrams);
        assert_eq!(forwarded, packets * u64::from(receivers), "every packet goes to every receiver");
        std::mem::forget(datagrams);
        forwarded
    })
}

/// A turn as the engine's thread makes it; how many packets went out.
fn forward(shard: &mut Shard, now: Micros, path: Path, datagrams: &mut [Vec<u8>]) -> u64 {
    let before = shard.counters.packets_forwarded;
    for datagram in datagrams {
        black_box(shard.handle_datagram(now, now, path, datagram));
    }
    loop {
        let more = shard.flush(now);
        black_box(shard.outbox().bytes());
        shard.outbox().clear();
        if !more {
            break;
        }
    }
    shard.counters.packets_forwarded - before
}
