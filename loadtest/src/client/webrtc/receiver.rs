//! A receiver: joins, offers receive lines by WHEP (each is a slot), and measures what comes in each.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::StatsSelector;

use super::peer::{self, Peer, PeerError};
use crate::client::join::{Door, Meeting, Session, Way};
use crate::client::stream::{StreamFigures, StreamMeter};
use crate::client::{Epoch, Kind};
use crate::report::peers::Received;

/// Meters of a receiver, shared with the tasks that feed them. A lock is held for one packet and never over a wait.
type Meters = Arc<Mutex<Vec<Arc<Mutex<StreamMeter>>>>>;

/// The streams of a connection and the tasks that measure them.
pub(crate) struct Listeners {
    meters: Meters,
    tasks: JoinSet<()>,
}

impl Listeners {
    /// Measures what opens on that connection, which was asked for at `asked`.
    pub(crate) fn on(peer: &mut Peer, asked: u64, epoch: Epoch) -> Self {
        let meters = Meters::default();
        let (_, none) = mpsc::channel(1);
        let streams = std::mem::replace(&mut peer.streams, none);
        let mut tasks = JoinSet::new();
        tasks.spawn(meet(streams, Arc::clone(&meters), asked, epoch));
        Self { meters, tasks }
    }

    fn each<T>(&self, read: impl Fn(&StreamMeter) -> T) -> impl Iterator<Item = T> {
        let meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner).clone();
        meters.into_iter().map(move |meter| read(&meter.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Everything that arrived so far, duplicates too.
    fn arrivals(&self) -> u64 {
        self.each(|meter| meter.arrivals()).sum()
    }

    /// The figures; the sources stopped sending at `end`.
    pub(crate) async fn finish(mut self, end: u64) -> Vec<StreamFigures> {
        self.tasks.shutdown().await;
        let meters = std::mem::take(&mut *self.meters.lock().unwrap_or_else(PoisonError::into_inner));
        let finish = |meter: &Mutex<StreamMeter>| {
            let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
            let empty = StreamMeter::new(meter.kind(), end);
            std::mem::replace(&mut *meter, empty).finish(end)
        };
        let mut streams: Vec<_> = meters.iter().map(|meter| finish(meter)).collect();
        streams.sort_by_key(|stream| stream.kind);
        streams
    }
}

/// A receiver that measures.
pub(crate) struct Receiver {
    pub(crate) number: u16,
    /// From the offer to the finished handshake.
    connect_micros: u64,
    listeners: Listeners,
    door: Door,
    session: Session,
    peer: Peer,
}

impl Receiver {
    /// Joins and begins to measure.
    pub(crate) async fn start(
        number: u16,
        door: &Door,
        meeting: &Meeting,
        local: IpAddr,
        slots: &[(Kind, u8)],
        epoch: Epoch,
    ) -> Result<Self, PeerError> {
        let seat = door.join(meeting, &format!("Receiver {number}")).await?;
        let mut peer = Peer::new(local).await?;
        for (kind, count) in slots {
            for _ in 0..*count {
                let init = RTCRtpTransceiverInit {
                    direction: RTCRtpTransceiverDirection::Recvonly,
                    ..RTCRtpTransceiverInit::default()
                };
                peer.connection.add_transceiver_from_kind(peer::codec_kind(*kind), Some(init)).await?;
            }
        }
        let asked = epoch.micros();
        let listeners = Listeners::on(&mut peer, asked, epoch);
        let session = match peer.connect(door, &seat, Way::Play).await {
            Ok(session) => session,
            Err(error) => {
                peer.close().await;
                return Err(error);
            }
        };
        let connect_micros = epoch.micros() - asked;
        Ok(Self { number, connect_micros, listeners, door: door.clone(), session, peer })
    }

    /// Streams of that kind that have begun.
    pub(crate) fn streams(&self, kind: Kind) -> usize {
        self.listeners.each(|meter| meter.kind() == kind && meter.packets() > 0).filter(|begun| *begun).count()
    }

    /// Packets so far.
    pub(crate) fn packets(&self) -> u64 {
        self.listeners.each(|meter| meter.packets()).sum()
    }

    /// Leaves; the sources stopped sending at `end`.
    pub(crate) async fn leave(self, end: u64) -> (Received, Result<(), PeerError>) {
        let of_stack = self.received_by_stack().await;
        let left = self.door.end(&self.session).await;
        self.peer.close().await;
        let dropped_here = of_stack.saturating_sub(self.listeners.arrivals());
        let streams = self.listeners.finish(end).await;
        let received = Received { number: self.number, connect_micros: self.connect_micros, streams, dropped_here };
        (received, left.map_err(PeerError::from))
    }

    /// What the stack took from the network and meant for us. It drops what its queue to us cannot hold.
    async fn received_by_stack(&self) -> u64 {
        let report = self.peer.connection.get_stats(Instant::now(), StatsSelector::None).await;
        report.inbound_rtp_streams().map(|stream| stream.received_rtp_stream_stats.packets_received).sum()
    }
}

/// Gives each new stream a meter and a task that feeds it.
async fn meet(mut streams: mpsc::Receiver<Arc<dyn TrackRemote>>, meters: Meters, asked: u64, epoch: Epoch) {
    // Dropped with this task, and its tasks with it.
    let mut tasks = JoinSet::new();
    while let Some(track) = streams.recv().await {
        let kind = if track.kind().await == RtpCodecKind::Audio { Kind::Audio } else { Kind::Video };
        let meter = Arc::new(Mutex::new(StreamMeter::new(kind, asked)));
        meters.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&meter));
        tasks.spawn(measure(track, meter, epoch));
    }
}

async fn measure(track: Arc<dyn TrackRemote>, meter: Arc<Mutex<StreamMeter>>, epoch: Epoch) {
    while let Some(event) = track.poll().await {
        if let TrackRemoteEvent::OnRtpPacket(packet) = event {
            meter.lock().unwrap_or_else(PoisonError::into_inner).packet(&packet, epoch.micros());
        }
    }
}
