//! One client from its first request to its goodbye, as a browser's page would do it.
//!
//! ```text
//! POST /v1/join -> /v1/live: hello, welcome -> offer, answer (-> mix) -> media threads: ICE, DTLS, media -> leave
//! ```

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::random;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::connection::{MediaError, Setup};
use super::ice::Credentials;
use super::inbound::Depth;
use super::live::{Gossip, Heard, Live, LiveError};
use super::mailbox::ThreadGone;
use super::media::Handle;
use super::publisher::{Plan, Published};
use super::receiving::Ended;
use super::sdp::{self, AnswerError, Lines, Sent};
use super::socket;
use super::talk::Pattern;
use crate::client::Micros;
use crate::client::join::{Door, JoinError, Meeting};
use crate::client::voice::Sound;
use crate::target::Reach;

/// How long a join may take altogether.
const JOIN_LIMIT: Duration = Duration::from_secs(45);

/// Why a client is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrowserError {
    /// The door stayed shut.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Signalling.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The answer.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// No address of the answer may be used.
    #[error(
        "the server announces no media address within reach of this client; on this machine it must announce 127.0.0.1 \
         (PLENUM__MEDIA__ANNOUNCE=127.0.0.1)"
    )]
    NoCandidate,
    /// Lines were refused.
    #[error("the server refused {0} media lines of the offer")]
    Lines(usize),
    /// No socket.
    #[error("no UDP socket: {0}. A thousand clients need thousands of file descriptors; see ulimit -n.")]
    Socket(#[from] io::Error),
    /// Media.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Our own threads.
    #[error(transparent)]
    Thread(#[from] ThreadGone),
    /// Altogether.
    #[error("the join took longer than {} s", JOIN_LIMIT.as_secs())]
    Slow,
}

/// What a client does.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Unique in the run.
    pub(crate) number: u32,
    pub(crate) name: String,
    /// Offers a microphone.
    pub(crate) microphone: bool,
    /// Offers a camera of so many layers; 0: none.
    pub(crate) layers: u8,
    /// Sends into them; otherwise they are like those of a muted page.
    pub(crate) publishes: Option<Publishes>,
    pub(crate) audio_slots: u8,
    pub(crate) video_slots: u8,
    /// Wishes to hear all voices as one.
    pub(crate) mix: bool,
    pub(crate) depth: Depth,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Publishes {
    pub(crate) bits_per_second: u32,
    pub(crate) pattern: Pattern,
    pub(crate) sound: Sound,
}

/// What all clients of a run share.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) door: Door,
    pub(crate) media: Handle,
    pub(crate) gossip: Arc<Gossip>,
    /// The address to send from.
    pub(crate) local: IpAddr,
}

/// A client that is there.
pub(crate) struct Browser {
    pub(crate) number: u32,
    /// From its first request until media could flow.
    pub(crate) join_micros: Micros,
    pub(crate) port: u16,
    /// Of the server's media.
    pub(crate) server_port: u16,
    world: World,
    leave: CancellationToken,
    live: JoinHandle<(Heard, Result<(), LiveError>)>,
}

/// What is left of a client.
#[derive(Debug)]
pub(crate) struct Gone {
    pub(crate) number: u32,
    pub(crate) join_micros: Micros,
    pub(crate) ended: Ended,
    pub(crate) published: Option<Published>,
    pub(crate) heard: Heard,
    /// Why it ended early, if it did.
    pub(crate) lost: Option<LiveError>,
}

impl Part {
    fn lines(&self) -> Lines {
        let camera = (0..self.layers).map(|_| Sent { ssrc: random(), rtx_ssrc: Some(random()) }).collect();
        let microphone = self.microphone.then(|| Sent { ssrc: random(), rtx_ssrc: None });
        Lines { microphone, camera, audio_slots: self.audio_slots, video_slots: self.video_slots }
    }

    fn plan(&self, lines: &Lines) -> Option<Plan> {
        let Publishes { bits_per_second, pattern, sound } = self.publishes.clone()?;
        // Stamps have room for 65,536 publishers, which is more than a run has.
        let number = self.number as u16;
        Some(Plan {
            number,
            microphone: lines.microphone,
            camera: lines.camera.clone(),
            bits_per_second,
            pattern,
            sound,
        })
    }
}

impl Browser {
    /// Joins.
    pub(crate) async fn join(world: &World, meeting: &Meeting, part: &Part) -> Result<Self, BrowserError> {
        let joining = Self::join_in_time(world, meeting, part);
        tokio::time::timeout(JOIN_LIMIT, joining).await.map_err(|_| BrowserError::Slow)?
    }

    async fn join_in_time(world: &World, meeting: &Meeting, part: &Part) -> Result<Self, BrowserError> {
        let asked = world.media.epoch.micros();
        let seat = world.door.join(meeting, &part.name).await?;
        let mut live = Live::open(&seat.signal_url, world.door.reach(), &seat.token, Arc::clone(&world.gossip)).await?;
        let (lines, ours) = (part.lines(), Credentials::random());
        let offer = sdp::offer(&lines, &ours, world.media.fingerprint(), random());
        let answer = sdp::read(&live.offer(&offer).await?)?;
        if answer.refused > 0 {
            return Err(BrowserError::Lines(answer.refused));
        }
        if part.mix {
            live.wish_mix().await?;
        }
        let remote = choose(&answer.candidates, world.local, world.door.reach()).ok_or(BrowserError::NoCandidate)?;
        let socket = socket::connect(SocketAddr::new(world.local, 0), remote)?;
        let port = socket.local_addr()?.port();
        let (connected, media) = oneshot::channel();
        let setup = Setup {
            remote,
            ours,
            theirs: answer.ice,
            fingerprint: answer.fingerprint,
            slots: answer.slots,
            depth: part.depth,
            mix: part.mix,
            asked,
            plan: part.plan(&lines),
            connected,
        };
        world.media.connect(part.number, socket, setup)?;
        // From here on the server's pings are answered while media connects.
        let leave = CancellationToken::new();
        let live = tokio::spawn(live.serve(leave.clone()));
        let browser = Self {
            number: part.number,
            join_micros: 0,
            port,
            server_port: remote.port(),
            world: world.clone(),
            leave,
            live,
        };
        match media.await.map_err(|_| ThreadGone)? {
            Ok(at) => Ok(Self { join_micros: at.saturating_sub(asked), ..browser }),
            Err(error) => {
                // The place is given back; why it was of no use matters more than whether that worked.
                let _ = browser.leave(0).await;
                Err(error.into())
            }
        }
    }

    /// Leaves; the sources stopped sending at `end`.
    pub(crate) async fn leave(self, end: Micros) -> Result<Gone, ThreadGone> {
        let (ended, published) = self.world.media.leave(self.number, end).await?;
        self.leave.cancel();
        let (heard, left) = self.live.await.map_err(|_| ThreadGone)?;
        Ok(Gone { number: self.number, join_micros: self.join_micros, ended, published, heard, lost: left.err() })
    }
}

/// The first address that may be used from `local`.
fn choose(candidates: &[SocketAddr], local: IpAddr, reach: Reach) -> Option<SocketAddr> {
    let here_only = reach == Reach::Loopback || local.is_loopback();
    let usable = |candidate: &&SocketAddr| {
        candidate.is_ipv4() == local.is_ipv4() && (!here_only || candidate.ip().is_loopback())
    };
    candidates.iter().find(usable).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_stays_on_this_machine_whatever_the_answer_names() {
        let candidates: Vec<SocketAddr> = ["192.0.2.1:1", "[::1]:2", "127.0.0.1:3", "127.0.0.1:4"]
            .into_iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        let here = IpAddr::from([127, 0, 0, 1]);
        let anywhere = IpAddr::from([0, 0, 0, 0]);
        let port = |local, reach| choose(&candidates, local, reach).map(|address| address.port());
        assert_eq!(port(here, Reach::Loopback), Some(3));
        assert_eq!(port(here, Reach::Anywhere), Some(3));
        assert_eq!(port(anywhere, Reach::Loopback), Some(3));
        assert_eq!(port(anywhere, Reach::Anywhere), Some(1));
        let elsewhere: Vec<SocketAddr> = candidates.iter().take(1).copied().collect();
        assert_eq!(choose(&elsewhere, here, Reach::Anywhere), None);
    }
}
