//! What a browser sends: voice, pictures, what is asked for again, and what no browser would.

use std::collections::BTreeMap;

use engine::clock::Micros;
use engine::id::Codec;
use wire::red::{block_head, primary_head};
use wire::rtp::{OutHeader, write_header};

use super::lines::{OPUS, RED, payload_type};
use super::{Browser, LAYER_SHIFT};
use crate::paint::Part;

/// One outgoing stream.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) ssrc: u32,
    pub(super) payload_type: u8,
    pub(super) sequence: u64,
    pub(super) timestamp: u32,
    pub(super) next: Micros,
    pub(super) counter: u32,
    /// Recent packets for NACK: marker, payload type, RTP time and payload by sequence.
    pub(super) sent: BTreeMap<u64, (bool, u8, u32, Vec<u8>)>,
}

/// A layer of the camera.
#[derive(Debug)]
pub(super) struct Camera {
    pub(super) stream: Outgoing,
    /// The next frame is to be one.
    pub(super) key_frame: bool,
    pub(super) picture_id: u16,
}

/// RFC 6464: as good as nothing.
pub(super) const SILENCE: u8 = 127;

/// Frames between two packets of silence.
pub(super) const DTX_INTERVAL: u32 = 20;

pub(super) enum Line {
    Microphone,
    Camera(usize),
}

/// How long so many microseconds of a clock take that is so many millionths faster.
pub(super) const fn takes(micros: u64, ppm: i64) -> Micros {
    Micros(micros.saturating_add_signed(-(micros.cast_signed() * ppm / 1_000_000)))
}

impl Browser {
    pub(super) fn speak(&mut self, now: Micros, out: &mut Vec<Vec<u8>>) {
        while self.microphone.next <= now {
            self.microphone.next = self.microphone.next + takes(20_000, self.clock_ppm + self.voice_ppm);
            self.microphone.timestamp = self.microphone.timestamp.wrapping_add(960);
            let Some(level) = self.level else { continue };
            if self.dtx && level == SILENCE && !self.microphone.counter.is_multiple_of(DTX_INTERVAL) {
                self.microphone.counter += 1;
                continue;
            }
            let mut payload = vec![0x78]; // CELT, 20 ms, mono (RFC 6716 §3.1).
            payload.extend_from_slice(&self.content(self.microphone.counter));
            self.microphone.counter += 1;
            let payload = if self.redundancy { self.with_the_last(payload) } else { payload };
            let packet = self.packet(Line::Microphone, false, &payload, Some(level), None);
            out.push(packet);
        }
    }

    /// As libwebrtc sends it by default: the packet before this one, then this one.
    pub(super) fn with_the_last(&mut self, payload: Vec<u8>) -> Vec<u8> {
        self.microphone.payload_type = RED;
        let mut redundant = Vec::new();
        let last = self.spoken.replace(payload.clone());
        if let Some(last) = &last {
            redundant.extend(block_head(OPUS, 960, last.len()).expect("short"));
        }
        redundant.push(primary_head(OPUS));
        redundant.extend(last.into_iter().flatten());
        redundant.extend(payload);
        redundant
    }

    pub(super) fn film(&mut self, now: Micros, out: &mut Vec<Vec<u8>>) {
        while self.cameras[0].stream.next <= now {
            for layer in 0..self.cameras.len() {
                self.film_layer(layer, out);
            }
        }
    }

    pub(super) fn film_layer(&mut self, layer: usize, out: &mut Vec<Vec<u8>>) {
        let is_on = self.camera_on && layer < self.layers_on;
        let frame = takes(33_333, self.clock_ppm);
        let camera = &mut self.cameras[layer];
        camera.stream.next = camera.stream.next + frame;
        camera.stream.timestamp = camera.stream.timestamp.wrapping_add(3_000);
        if !is_on {
            // A layer that was off begins with a key frame, as encoders do.
            camera.key_frame |= self.camera_on;
            return;
        }
        let payload_type = payload_type(self.camera_codec);
        let is_recoded = std::mem::replace(&mut camera.stream.payload_type, payload_type) != payload_type;
        let key_frame = std::mem::take(&mut camera.key_frame) || is_recoded;
        camera.picture_id = (camera.picture_id + 1) & 0x7fff;
        camera.stream.counter += 1;
        let (picture_id, counter) = (camera.picture_id, camera.stream.counter);
        // Lower layers are smaller: by 3 and 8, as 360 and 180 lines are to 720.
        let above = self.cameras.len() - 1 - layer;
        let packets = (self.plan.packets_per_frame / [1, 3, 8][above]).max(1);
        let size = if above == 2 { 600 } else { 1_000 };
        let has_layers = matches!(self.camera_codec, Codec::Vp9 | Codec::Av1);
        let spatial_layers = if has_layers { self.spatial_layers } else { 1 };
        let encoded = match counter {
            _ if key_frame || !self.leaves_out_layers => spatial_layers,
            counter if counter % 5 == 0 => 1,
            counter if counter % 7 == 0 => spatial_layers - 1,
            _ => spatial_layers,
        };
        for spatial in 0..encoded {
            // So are spatial layers.
            let packets = if spatial_layers > 1 { 1 + u16::from(spatial) } else { packets };
            let packets = packets * if key_frame { 4 } else { 1 };
            let painted = counter | (layer as u32 | u32::from(spatial)) << LAYER_SHIFT;
            for at in 0..packets {
                let part = Part { key_frame, at, packets, picture_id, counter, spatial: (spatial, spatial_layers) };
                let mut payload = part.head(self.camera_codec);
                payload.extend_from_slice(&self.content(painted));
                if part.is_filled(self.camera_codec) {
                    payload.resize(size, 0xaa);
                }
                let marker = at + 1 == packets && spatial + 1 == spatial_layers;
                let dependencies = part.dependencies(self.camera_codec);
                let packet = self.packet(Line::Camera(layer), marker, &payload, None, dependencies.as_deref());
                out.push(packet);
            }
        }
    }

    pub(super) fn content(&self, counter: u32) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.number.to_be_bytes());
        bytes[4..].copy_from_slice(&counter.to_be_bytes());
        bytes
    }

    pub(super) fn packet(
        &mut self,
        line: Line,
        marker: bool,
        payload: &[u8],
        level: Option<u8>,
        dependencies: Option<&[u8]>,
    ) -> Vec<u8> {
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let transport = self.transport_sequence.to_be_bytes();
        let level = level.map(|level| [level]);
        let mut extensions: Vec<(u8, &[u8])> = vec![(3, &transport)];
        match (&line, &level) {
            (Line::Microphone, Some(level)) => extensions.push((1, level)),
            (Line::Camera(layer), _) => {
                extensions.push((4, b"1"));
                extensions.extend(self.rids().nth(*layer).map(|rid| (10, rid.as_bytes())));
            }
            (Line::Microphone, None) => {}
        }
        extensions.extend(dependencies.map(|element| (12, element)));
        let stream = match line {
            Line::Microphone => &mut self.microphone,
            Line::Camera(layer) => &mut self.cameras[layer].stream,
        };
        stream.sequence += 1;
        let header = OutHeader {
            marker,
            payload_type: stream.payload_type,
            sequence: stream.sequence as u16,
            timestamp: stream.timestamp,
            ssrc: stream.ssrc,
            csrc: None,
        };
        let mut plain = Vec::new();
        write_header(&mut plain, &header, &extensions);
        let header_len = plain.len();
        plain.extend_from_slice(payload);
        stream.sent.insert(stream.sequence, (marker, stream.payload_type, stream.timestamp, payload.to_vec()));
        if stream.sent.len() > 500 {
            stream.sent.pop_first();
        }
        // Sequences begin just below 2^16: the receiver's roll-over counter begins at 0 there.
        let (index, ssrc) = (stream.sequence, stream.ssrc);
        self.seal_rtp(&plain, header_len, index, ssrc)
    }

    pub(super) fn resend(&mut self, layer: usize, wire_sequence: u16) -> Option<Vec<u8>> {
        let stream = &self.cameras[layer].stream;
        let (&sequence, (marker, payload_type, timestamp, original)) =
            stream.sent.iter().find(|(sequence, _)| **sequence as u16 == wire_sequence)?;
        // The kit's numbers for retransmissions follow those of media.
        let (marker, payload_type, timestamp) = (*marker, *payload_type + 1, *timestamp);
        let payload = [&(sequence as u16).to_be_bytes()[..], original].concat();
        self.rtx_sequence += 1;
        let (index, ssrc) = (self.rtx_sequence, stream.ssrc + 1);
        let header =
            OutHeader { marker, payload_type, sequence: self.rtx_sequence as u16, timestamp, ssrc, csrc: None };
        let mut extensions: Vec<(u8, &[u8])> = vec![(4, b"1")];
        extensions.extend(self.rids().nth(layer).map(|rid| (11, rid.as_bytes())));
        let mut plain = Vec::new();
        write_header(&mut plain, &header, &extensions);
        let header_len = plain.len();
        plain.extend_from_slice(&payload);
        Some(self.seal_rtp(&plain, header_len, index, ssrc))
    }

    /// A packet on a stream of its own making: authentic, and otherwise whatever the test makes of it.
    pub fn utter(&mut self, header: &OutHeader, extensions: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        write_header(&mut plain, header, extensions);
        let header_len = plain.len();
        plain.extend_from_slice(payload);
        self.seal_rtp(&plain, header_len, header.sequence.into(), header.ssrc)
    }

    /// The same with a header of any octets, of which the first twelve are a valid one.
    pub fn utter_raw(&mut self, header: &[u8], payload: &[u8], ssrc: u32, sequence: u16) -> Vec<u8> {
        if ssrc != self.microphone.ssrc && self.layer_of(ssrc).is_none() {
            self.made_up.entry(ssrc).or_default();
        }
        let plain = [header, payload].concat();
        self.seal_rtp(&plain, header.len(), sequence.into(), ssrc)
    }

    /// So many packets of a layer of its camera are lost for good.
    pub fn skip(&mut self, layer: usize, packets: u64) {
        self.cameras[layer].stream.sequence += packets;
    }
}
