//! The command line: what can be typed, and what it prints.
//!
//! The report goes to standard output, as a table or, with `--json`, as one JSON object; progress and errors go to
//! standard error, so that scripts read one and people see both.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hyper::Uri;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::progress::Progress;
use crate::scenario::audio::Audio;
use crate::scenario::chat;
use crate::scenario::churn::Churn;
use crate::scenario::idle::Idle;
use crate::scenario::meeting::Meeting;
use crate::scenario::peers;
use crate::scenario::sockets;
use crate::scenario::stream::Stream;
use crate::scenario::{self, Common, Entrance, Play, Scenario};
use crate::target::{self, Reach, TargetError};

/// The run was made and something was wrong.
const EXIT_FAILED: u8 = 1;
/// The command line was refused; the same code that clap uses.
const EXIT_REFUSED: u8 = 2;
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";
/// Threads for HTTP and WebSocket; media has two of its own.
const WORKERS: usize = 2;

const EXAMPLES: &str = "\
Examples:
  plenum-loadtest stream --user-token \"$(plenum token --user Load)\" --receivers 200 --video-bitrate 2.5M
      one speaker to two hundred listeners
  plenum-loadtest meeting --user-token \"$TOKEN\" --participants 20 --server-pid \"$(pgrep -o -x plenum)\" --json > run.json
      twenty who see nine of each other, with the server's costs, for a script
  plenum-loadtest audio --user-token \"$TOKEN\" --speakers 3 --receivers 1000 --mix --server-pid \"$(pgrep -o -x plenum)\"
      three who talk by turns, and a thousand who hear them as one voice; how long the server's mixer worked for that
  plenum-loadtest churn --user-token \"$TOKEN\" --joins-per-second 50 --joins 1000
      people who come and go
  plenum-loadtest stream --client webrtc --join-url http://127.0.0.1:8080/join/SECRET --receivers 5
      whole peer connections into a meeting that you watch in a browser

Exit code: 0 everybody got everything; 1 somebody did not, lost more than --max-loss, or this program was the limit;
2 refused.";

/// Behaves like many browsers over real UDP and DTLS-SRTP, and measures what arrives.
///
/// Each packet carries its time of sending, so that delay is known packet by packet. A sample of the clients opens what
/// it receives; the others count clear headers and send feedback all the same.
#[derive(Debug, Parser)]
#[command(name = "plenum-loadtest", version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Few to many: a lecture, with audio.
    Stream(StreamArguments),
    /// Everybody to everybody, by slots, in one meeting or in several at once.
    Meeting(MeetingArguments),
    /// Some talk, by turns or all at once, many listen, to voices or to a mix of them.
    Audio(AudioArguments),
    /// Joins and leaves at a rate; nobody sends.
    Churn(ChurnArguments),
    /// Connected and silent: what a participant costs who does nothing.
    Idle(IdleArguments),
    /// People who write to each other, without media: what the store takes, and how soon others hear of it.
    Chat(ChatArguments),
    /// WebSockets that are open and hear nothing: what each costs the server's memory.
    Sockets(SocketsArguments),
}

/// What every scenario takes.
#[derive(Debug, Args)]
struct CommonArguments {
    /// The server [default: that of --join-url, or http://127.0.0.1:8080]. Plain HTTP, on this machine.
    #[arg(long, value_name = "URL", value_parser = target::parse)]
    server: Option<Uri>,
    /// Make meetings as this user (`plenum token --user NAME`) and delete them afterwards.
    #[arg(long, value_name = "JWT", env = "PLENUM_LOADTEST_TOKEN", hide_env_values = true)]
    #[arg(required_unless_present = "join_url", conflicts_with = "join_url")]
    user_token: Option<String>,
    /// Join this meeting, as guests; it is left as it is.
    #[arg(long, value_name = "URL")]
    join_url: Option<String>,
    /// How long to measure once everybody is there.
    #[arg(long, value_name = "S", default_value_t = 20)]
    seconds: u32,
    /// Process of the server on this machine: report its CPU and memory.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Clients that open everything and measure; the others count.
    #[arg(long, value_name = "N", default_value_t = 8)]
    sample: usize,
    /// Clients that join at the same time.
    #[arg(long, value_name = "N", default_value_t = 8)]
    joining: usize,
    /// Simulcast layers of each camera, for servers that take them.
    #[arg(long, value_name = "N", default_value_t = 1)]
    layers: u8,
    /// Percent of packets that may be lost before the run fails.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.5)]
    max_loss: f64,
    /// Afterwards send the same traffic without a server, from so many threads (one for each shard of the server), and tell
    /// how many times that the server costs.
    #[arg(long, value_name = "THREADS")]
    floor: Option<NonZeroUsize>,
    /// Meanwhile send so many datagrams of strangers each second, which the server must refuse without anybody feeling it.
    #[arg(long, value_name = "RATE")]
    garbage: Option<u32>,
    /// Send load to another machine. Only to a server of your own: load is an attack on anybody else's.
    #[arg(long)]
    allow_remote: bool,
    /// Print all figures as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Which clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Client {
    /// Thousands in two threads, by /v1/live.
    Lean,
    /// A whole peer connection each, up to 50, by WHIP and WHEP.
    Webrtc,
}

#[derive(Debug, Args)]
struct StreamArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Which clients; webrtc are at most 50.
    #[arg(long, value_enum, default_value_t = Client::Lean)]
    client: Client,
    /// Participants that send.
    #[arg(long, value_name = "N", default_value_t = 1)]
    publishers: u16,
    /// Participants that receive.
    #[arg(long, value_name = "N", default_value_t = 1)]
    receivers: u16,
    /// Bit rate of each camera: 600k, 1.2M, 600000, or a range 150k-600k.
    #[arg(long, value_name = "RATE", default_value = "2.5M", value_parser = bit_rates)]
    video_bitrate: (u32, u32),
    #[command(flatten)]
    slots: OneSlot,
    /// With --client webrtc: first measure one client straight to another, to know what the clients themselves delay.
    #[arg(long)]
    calibrate: bool,
}

#[derive(Debug, Args)]
struct OneSlot {
    /// Voices that a receiver gets at a time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    audio_slots: u8,
    /// Pictures that a receiver gets at a time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    video_slots: u8,
}

#[derive(Debug, Args)]
struct PageSlots {
    /// Voices that a client gets at a time.
    #[arg(long, value_name = "N", default_value_t = 3)]
    audio_slots: u8,
    /// Pictures that a client gets at a time.
    #[arg(long, value_name = "N", default_value_t = 9)]
    video_slots: u8,
}

#[derive(Debug, Args)]
struct MeetingArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// In each meeting.
    #[arg(long, value_name = "N", default_value_t = 6)]
    participants: u16,
    /// At once.
    #[arg(long, value_name = "M", default_value_t = 1)]
    meetings: u16,
    /// Bit rates of the cameras, from the slowest to the fastest.
    #[arg(long, value_name = "RATE", default_value = "150k-600k", value_parser = bit_rates)]
    video_bitrate: (u32, u32),
    #[command(flatten)]
    slots: PageSlots,
}

#[derive(Debug, Args)]
struct AudioArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Who talks, in each meeting; by turns, unless --together.
    #[arg(long, value_name = "N", default_value_t = 10)]
    speakers: u16,
    /// Who only listens, in each meeting.
    #[arg(long, value_name = "N", default_value_t = 100)]
    receivers: u16,
    /// At once.
    #[arg(long, value_name = "M", default_value_t = 1)]
    meetings: u16,
    /// Voices that a client gets at a time.
    #[arg(long, value_name = "N", default_value_t = 3)]
    audio_slots: u8,
    /// Everybody wishes to hear all voices as one, which comes in the first slot. What is said is speech then, and not a
    /// tone; delay is not measured, since a mix carries nobody's stamp.
    #[arg(long)]
    mix: bool,
    /// All speakers talk all the time.
    #[arg(long)]
    together: bool,
}

#[derive(Debug, Args)]
struct ChurnArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// Joins a second.
    #[arg(long, value_name = "N", default_value_t = 50)]
    joins_per_second: u32,
    /// Joins in all.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    joins: u16,
    /// Seconds that each stays.
    #[arg(long, value_name = "S", default_value_t = 10)]
    stay: u32,
    /// People in one meeting at most.
    #[arg(long, value_name = "N", default_value_t = 10)]
    meeting_size: u16,
    #[command(flatten)]
    slots: PageSlots,
}

#[derive(Debug, Args)]
struct IdleArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// In all.
    #[arg(long, value_name = "N", default_value_t = 100)]
    participants: u16,
    /// People in one meeting at most.
    #[arg(long, value_name = "N", default_value_t = 10)]
    meeting_size: u16,
    #[command(flatten)]
    slots: PageSlots,
}

#[derive(Debug, Args)]
struct ChatArguments {
    /// The server. Plain HTTP, on this machine.
    #[arg(long, value_name = "URL", value_parser = target::parse, default_value = DEFAULT_SERVER)]
    server: Uri,
    /// File with a token a line, each of somebody else (`plenum token --user NAME --count N`).
    #[arg(long, value_name = "FILE")]
    tokens: PathBuf,
    /// Chats.
    #[arg(long, value_name = "N", default_value_t = 1)]
    chats: usize,
    /// Members of each; they listen when there is a --rate.
    #[arg(long, value_name = "N", default_value_t = 1)]
    members: usize,
    /// Connections that write.
    #[arg(long, value_name = "N", default_value_t = 256)]
    senders: usize,
    /// Messages a second of all senders together [default: each writes as soon as its last message is durable].
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Bytes of a message's text.
    #[arg(long, value_name = "N", default_value_t = 100)]
    bytes: usize,
    /// How long to measure.
    #[arg(long, value_name = "S", default_value_t = 20)]
    seconds: u32,
    /// Process of the server on this machine: report its CPU.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// The server's data directory: report what disk it is on and what its fdatasync takes.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Send load to another machine. Only to a server of your own: load is an attack on anybody else's.
    #[arg(long)]
    allow_remote: bool,
    /// Print all figures as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct SocketsArguments {
    /// The server. Plain HTTP, on this machine.
    #[arg(long, value_name = "URL", value_parser = target::parse, default_value = DEFAULT_SERVER)]
    server: Uri,
    /// File with a token a line, each of somebody else (`plenum token --user NAME --count N`); a person has up to 32.
    #[arg(long, value_name = "FILE")]
    tokens: PathBuf,
    /// WebSockets.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    connections: usize,
    /// Participants of meetings of that size, without media [default: feeds of signed-in people].
    #[arg(long, value_name = "N")]
    meeting_size: Option<usize>,
    /// How long they are silent before memory is read.
    #[arg(long, value_name = "S", default_value_t = 20)]
    seconds: u32,
    /// Process of the server on this machine.
    #[arg(long, value_name = "PID")]
    server_pid: u32,
    /// KiB that one may cost before the run fails.
    #[arg(long, value_name = "KIB", default_value_t = 32.0)]
    max_kib: f64,
    /// Print all figures as one JSON object.
    #[arg(long)]
    json: bool,
}

impl SocketsArguments {
    fn scenario(&self) -> Result<sockets::Scenario, String> {
        Ok(sockets::Scenario {
            server: self.server.clone(),
            // The process is here, so the server is.
            reach: Reach::Loopback,
            tokens: tokens(&self.tokens)?,
            connections: self.connections,
            meeting_size: self.meeting_size,
            silence: Duration::from_secs(self.seconds.into()),
            server_pid: self.server_pid,
            max_kibibytes: self.max_kib,
        })
    }
}

/// Tokens, one a line.
fn tokens(file: &std::path::Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("the tokens cannot be read: {error}. Make them with `plenum token --count N`."))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

impl ChatArguments {
    fn scenario(&self) -> Result<chat::Scenario, String> {
        Ok(chat::Scenario {
            server: self.server.clone(),
            reach: if self.allow_remote { Reach::Anywhere } else { Reach::Loopback },
            tokens: tokens(&self.tokens)?,
            chats: self.chats,
            members: self.members,
            senders: self.senders,
            rate: self.rate,
            bytes: self.bytes,
            window: Duration::from_secs(self.seconds.into()),
            server_pid: self.server_pid,
            data: self.data.clone(),
        })
    }
}

/// What is run.
#[derive(Debug, PartialEq)]
enum Run {
    Lean(Scenario),
    Peers(peers::Scenario),
    Chat(Box<chat::Scenario>),
    Sockets(Box<sockets::Scenario>),
}

impl CommonArguments {
    fn common(&self) -> Result<Common, TargetError> {
        let entrance = match (&self.user_token, &self.join_url) {
            (_, Some(url)) => Entrance::JoinUrl(url.clone()),
            (token, None) => Entrance::UserToken(token.clone().unwrap_or_default()),
        };
        let server = match (&self.server, &entrance) {
            (Some(server), _) => server.clone(),
            (None, Entrance::JoinUrl(url)) => target::parse(url)?,
            (None, Entrance::UserToken(_)) => Uri::from_static(DEFAULT_SERVER),
        };
        Ok(Common {
            server,
            reach: if self.allow_remote { Reach::Anywhere } else { Reach::Loopback },
            entrance,
            window: Duration::from_secs(self.seconds.into()),
            server_pid: self.server_pid,
            sample: self.sample,
            joining: self.joining,
            layers: self.layers,
            max_loss_percent: self.max_loss,
            floor: self.floor,
            garbage: self.garbage,
        })
    }
}

impl Command {
    /// What scenarios with media have in common.
    fn common(&self) -> Option<&CommonArguments> {
        match self {
            Self::Stream(stream) => Some(&stream.common),
            Self::Meeting(meeting) => Some(&meeting.common),
            Self::Audio(audio) => Some(&audio.common),
            Self::Churn(churn) => Some(&churn.common),
            Self::Idle(idle) => Some(&idle.common),
            Self::Chat(_) | Self::Sockets(_) => None,
        }
    }

    fn allow_remote(&self) -> bool {
        match self {
            Self::Chat(chat) => chat.allow_remote,
            media => media.common().is_some_and(|common| common.allow_remote),
        }
    }

    fn json(&self) -> bool {
        match self {
            Self::Chat(chat) => chat.json,
            Self::Sockets(sockets) => sockets.json,
            media => media.common().is_some_and(|common| common.json),
        }
    }

    fn run(&self) -> Result<Run, String> {
        let common = |arguments: &CommonArguments| arguments.common().map_err(|refused| refused.to_string());
        let play = match self {
            Self::Chat(chat) => return Ok(Run::Chat(Box::new(chat.scenario()?))),
            Self::Sockets(sockets) => return Ok(Run::Sockets(Box::new(sockets.scenario()?))),
            Self::Stream(stream) if stream.client == Client::Webrtc => {
                return Ok(Run::Peers(stream.peers(common(&stream.common)?)));
            }
            Self::Stream(stream) => Play::Stream(Stream {
                publishers: stream.publishers.into(),
                receivers: stream.receivers.into(),
                bits_per_second: stream.video_bitrate,
                audio_slots: stream.slots.audio_slots,
                video_slots: stream.slots.video_slots,
            }),
            Self::Meeting(meeting) => Play::Meeting(Meeting {
                participants: meeting.participants.into(),
                meetings: meeting.meetings.into(),
                bits_per_second: meeting.video_bitrate,
                audio_slots: meeting.slots.audio_slots,
                video_slots: meeting.slots.video_slots,
            }),
            Self::Audio(audio) => Play::Audio(Audio {
                speakers: audio.speakers.into(),
                receivers: audio.receivers.into(),
                meetings: audio.meetings.into(),
                audio_slots: audio.audio_slots,
                mix: audio.mix,
                together: audio.together,
            }),
            Self::Churn(churn) => Play::Churn(Churn {
                joins_per_second: churn.joins_per_second,
                joins: churn.joins.into(),
                stay: Duration::from_secs(churn.stay.into()),
                meeting_size: churn.meeting_size.into(),
                audio_slots: churn.slots.audio_slots,
                video_slots: churn.slots.video_slots,
            }),
            Self::Idle(idle) => Play::Idle(Idle {
                participants: idle.participants.into(),
                meeting_size: idle.meeting_size.into(),
                audio_slots: idle.slots.audio_slots,
                video_slots: idle.slots.video_slots,
            }),
        };
        let common = self.common().map(common).transpose()?.ok_or("this scenario has no media")?;
        Ok(Run::Lean(Scenario { common, play }))
    }
}

impl StreamArguments {
    fn peers(&self, common: Common) -> peers::Scenario {
        peers::Scenario {
            server: common.server,
            reach: common.reach,
            entrance: common.entrance,
            publishers: self.publishers,
            receivers: self.receivers,
            audio_slots: self.slots.audio_slots,
            video_slots: self.slots.video_slots,
            video_bits_per_second: self.video_bitrate.1,
            window: common.window,
            server_pid: common.server_pid,
            calibrate: self.calibrate,
            max_loss_percent: common.max_loss_percent,
        }
    }
}

impl Run {
    /// Refuses what makes no sense, with the reason.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Lean(scenario) => scenario.check().map_err(|refused| refused.to_string()),
            Self::Peers(scenario) => scenario.check().map_err(|refused| refused.to_string()),
            Self::Chat(scenario) => scenario.check().map_err(|refused| refused.to_string()),
            Self::Sockets(scenario) => scenario.check().map_err(|refused| refused.to_string()),
        }
    }

    /// Makes the run and prints its report; whether everybody got everything.
    async fn make(&self, json: bool, stop: &CancellationToken) -> Result<bool, String> {
        let progress = Progress::on_stderr();
        match self {
            Self::Lean(scenario) => {
                let report = scenario::run(scenario, &progress, stop).await.map_err(|error| error.to_string())?;
                print(&report, || report.table(), json)?;
                Ok(report.passed())
            }
            Self::Chat(scenario) => {
                let report = chat::run(scenario, &progress, stop).await.map_err(|error| error.to_string())?;
                print(&report, || report.table(), json)?;
                Ok(report.passed())
            }
            Self::Sockets(scenario) => {
                let report = sockets::run(scenario, &progress, stop).await.map_err(|error| error.to_string())?;
                print(&report, || report.table(), json)?;
                Ok(report.passed())
            }
            Self::Peers(scenario) => {
                let say = |line: &str| progress.step(line);
                let report = peers::run(scenario, &say, stop).await.map_err(|error| error.to_string())?;
                print(&report, || report.table(), json)?;
                Ok(report.passed())
            }
        }
    }
}

/// Does what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let Cli { command } = Cli::parse();
    let run = command.run();
    let run = match run.and_then(|run| run.check().map(|()| run)) {
        Ok(run) => run,
        Err(refused) => {
            say(&refused);
            return ExitCode::from(EXIT_REFUSED);
        }
    };
    if command.allow_remote() {
        say(
            "WARNING: --allow-remote: load may leave this machine. Go on only if the server is your own; Ctrl-C stops.",
        );
    }
    match made(&run, command.json()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            say(&error);
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn made(run: &Run, json: bool) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(|error| format!("the runtime could not be started: {error}"))?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let on_signal = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                say("stopping; once more ends at once");
                on_signal.cancel();
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(EXIT_FAILED.into());
            }
        });
        run.make(json, &stop).await
    })
}

fn print<T: Serialize>(report: &T, table: impl Fn() -> String, json: bool) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    let written = if json {
        serde_json::to_writer_pretty(&mut out, report).map_err(std::io::Error::from).and_then(|()| writeln!(out))
    } else {
        write!(out, "{}", table())
    };
    written.map_err(|error| format!("the report cannot be written: {error}"))
}

fn say(line: &str) {
    // A terminal that went away is no reason to stop measuring.
    let _ = writeln!(std::io::stderr(), "plenum-loadtest: {line}");
}

/// One bit rate, or the least and the most.
fn bit_rates(text: &str) -> Result<(u32, u32), String> {
    match text.split_once('-').filter(|(least, _)| !least.is_empty()) {
        Some((least, most)) => Ok((bit_rate(least)?, bit_rate(most)?)),
        None => bit_rate(text).map(|rate| (rate, rate)),
    }
}

fn bit_rate(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no bit rate. Write 600k, 1.2M or 600000.");
    let (number, unit) = match text.as_bytes().last() {
        Some(b'k') => (text.trim_end_matches('k'), 1e3),
        Some(b'M') => (text.trim_end_matches('M'), 1e6),
        _ => (text, 1.0),
    };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    let bits = number * unit;
    (bits <= f64::from(u32::MAX)).then_some(bits as u32).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("plenum-loadtest").chain(arguments.split_whitespace()))
    }

    fn run(arguments: &str) -> Result<Run, String> {
        let cli = parse(arguments).map_err(|error| error.to_string())?;
        let run = cli.command.run()?;
        run.check().map(|()| run)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let help = Cli::command().render_help().to_string();
        for scenario in ["stream", "meeting", "audio", "churn", "idle"] {
            assert!(help.contains(scenario), "{help}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_reason() {
        for (arguments, reason) in [
            ("", "stream"),
            ("stream", "--user-token"),
            ("stream --user-token x --join-url http://127.0.0.1/join/y", "cannot be used with"),
            ("stream --user-token x --receivers 0", "somebody who sends and somebody who receives"),
            ("stream --client webrtc --user-token x --publishers 20 --receivers 31", "51 clients are too many"),
            ("stream --user-token x --server http://192.0.2.1:8080", "--allow-remote"),
            ("stream --join-url http://192.0.2.1/join/y", "--allow-remote"),
            ("stream --user-token x --server https://127.0.0.1:8080", "plain HTTP"),
            ("stream --user-token x --server 127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("stream --user-token x --video-bitrate fast", "no bit rate"),
            ("stream --user-token x --video-bitrate 1", "bit/s"),
            ("stream --user-token x --seconds 0", "seconds"),
            ("stream --user-token x --max-loss 101", "percentage"),
            ("stream --user-token x --video-slots 0 --audio-slots 0", "slots"),
            ("stream --user-token x --layers 4", "layers"),
            ("meeting --user-token x --participants 1", "somebody"),
            ("meeting --join-url http://127.0.0.1/join/y --meetings 2", "one meeting"),
            ("audio --join-url http://127.0.0.1/join/y --meetings 2", "one meeting"),
            ("audio --user-token x --meetings 0", "somebody"),
            ("audio --user-token x --mix --audio-slots 0", "slots"),
            ("audio --user-token x --meetings 2000 --mix", "clients are too many"),
            ("churn --user-token x --joins-per-second 0", "a second"),
            ("churn --user-token x --floor 1", "--floor goes with a measured window"),
            ("churn --user-token x --garbage 10", "--garbage goes with a measured window"),
            ("stream --user-token x --garbage 0", "--garbage"),
            ("idle --user-token x --participants 0", "somebody"),
        ] {
            let text = run(arguments).unwrap_err();
            assert!(text.contains(reason), "{arguments}: {text}");
        }
    }

    #[test]
    fn usual_runs_are_understood() {
        for arguments in [
            "stream --user-token x --receivers 1000 --video-bitrate 2.5M --json",
            "stream --user-token x --client webrtc --publishers 2 --receivers 3 --calibrate",
            "meeting --user-token x --participants 20 --video-bitrate 150k",
            "meeting --user-token x --participants 6 --meetings 5 --sample 30",
            "audio --user-token x --speakers 10 --receivers 500",
            "audio --user-token x --meetings 38 --speakers 4 --receivers 0 --together --mix",
            "churn --user-token x --joins-per-second 50 --joins 1000 --stay 5 --meeting-size 20",
            "idle --user-token x --participants 1000 --meeting-size 1000",
        ] {
            assert!(run(arguments).is_ok(), "{arguments}: {:?}", run(arguments));
        }
    }

    #[test]
    fn the_server_is_that_of_the_link() {
        let Ok(Run::Lean(here)) = run("stream --join-url http://127.0.0.1:9090/join/y") else { unreachable!() };
        assert_eq!(here.common.server.port_u16(), Some(9090));
        assert!(run("stream --allow-remote --user-token x --server http://192.0.2.1").is_ok());
    }

    #[test]
    fn bit_rates_are_written_as_people_write_them() {
        for (text, bits) in [("600k", 600_000), ("1.2M", 1_200_000), ("600000", 600_000), ("0k", 0)] {
            assert_eq!(bit_rates(text), Ok((bits, bits)));
        }
        assert_eq!(bit_rates("150k-0.6M"), Ok((150_000, 600_000)));
        for text in ["", "k", "-1k", "1e9", "nan", "inf", "1 M", "9999M", "1.2.3", "1k-", "1k-2k-3k"] {
            assert!(bit_rates(text).is_err(), "{text}");
        }
    }
}
