//! The command line: what can be typed, and what it prints.
//!
//! The report goes to standard output, as a table or, with `--json`, as one JSON document; progress and errors go to
//! standard error, so that scripts read one and people see both.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hyper::Uri;
use tokio_util::sync::CancellationToken;

use crate::report::Report;
use crate::scenario::peers::{self as scenario, Entrance, RunError, Scenario};
use crate::target::{self, Reach, TargetError};

/// The run was made and something was wrong.
const EXIT_FAILED: u8 = 1;
/// The command line was refused; the same code that clap uses.
const EXIT_REFUSED: u8 = 2;
const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

const EXAMPLES: &str = "\
Examples:
  plenum-loadtest --user-token \"$(plenum token --user Load)\"
      a meeting of its own: one publisher, one receiver, 20 seconds
  plenum-loadtest --join-url http://127.0.0.1:8080/join/SECRET --publishers 3 --receivers 5 --video-slots 3
      into a meeting that you watch in a browser
  plenum-loadtest --user-token \"$TOKEN\" --receivers 20 --server-pid \"$(pgrep -o -x plenum)\" --json > run.json
      one publisher to twenty receivers, with the server's CPU and memory, for a script

Delays are measured within this process, so they hold the queues of the clients too: --calibrate tells how much that is.
Exit code: 0 everybody got everything; 1 somebody got nothing or lost more than --max-loss; 2 refused.";

/// Behaves like many participants over real UDP and DTLS-SRTP, and measures what arrives.
///
/// Publishers join by POST /v1/join and send Opus and VP8-shaped video by WHIP; receivers join and play by WHEP. Each
/// packet carries its time of sending, so that loss and delay are known packet by packet.
#[derive(Debug, Parser)]
#[command(name = "plenum-loadtest", version, about, after_help = EXAMPLES)]
struct Cli {
    /// The server [default: that of --join-url, or http://127.0.0.1:8080]. Plain HTTP, on this machine.
    #[arg(long, value_name = "URL", value_parser = target::parse)]
    server: Option<Uri>,
    /// Make a meeting as this user (`plenum token --user NAME`) and delete it afterwards.
    #[arg(long, value_name = "JWT", env = "PLENUM_LOADTEST_TOKEN", hide_env_values = true)]
    #[arg(required_unless_present = "join_url", conflicts_with = "join_url")]
    user_token: Option<String>,
    /// Join this meeting, as guests; it is left as it is.
    #[arg(long, value_name = "URL")]
    join_url: Option<String>,
    /// Participants that send a tone and a picture. Publishers and receivers together are at most 50.
    #[arg(long, value_name = "N", default_value_t = 1)]
    publishers: u16,
    /// Participants that receive and measure.
    #[arg(long, value_name = "M", default_value_t = 1)]
    receivers: u16,
    /// Video slots of each receiver: pictures it gets at a time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    video_slots: u8,
    /// Audio slots of each receiver: voices it gets at a time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    audio_slots: u8,
    /// How long to measure once everybody is there.
    #[arg(long, value_name = "S", default_value_t = 20)]
    seconds: u32,
    /// Bit rate of each publisher's video: 600k, 1.2M or 600000.
    #[arg(long, value_name = "RATE", default_value = "600k", value_parser = bit_rate)]
    video_bitrate: u32,
    /// Process of the server on this machine: report its CPU and memory.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// First measure one client straight to another, without the server: what the clients themselves delay.
    #[arg(long)]
    calibrate: bool,
    /// Percent of packets that a receiver may lose, after retransmissions, before the run fails.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.5)]
    max_loss: f64,
    /// Send load to another machine. Only to a server of your own: load is an attack on anybody else's.
    #[arg(long)]
    allow_remote: bool,
    /// Print all figures as one JSON document.
    #[arg(long)]
    json: bool,
}

impl Cli {
    fn scenario(&self) -> Result<Scenario, TargetError> {
        let entrance = match (&self.user_token, &self.join_url) {
            (_, Some(url)) => Entrance::JoinUrl(url.clone()),
            (token, None) => Entrance::UserToken(token.clone().unwrap_or_default()),
        };
        let server = match (&self.server, &entrance) {
            (Some(server), _) => server.clone(),
            (None, Entrance::JoinUrl(url)) => target::parse(url)?,
            (None, Entrance::UserToken(_)) => Uri::from_static(DEFAULT_SERVER),
        };
        Ok(Scenario {
            server,
            reach: if self.allow_remote { Reach::Anywhere } else { Reach::Loopback },
            entrance,
            publishers: self.publishers,
            receivers: self.receivers,
            audio_slots: self.audio_slots,
            video_slots: self.video_slots,
            video_bits_per_second: self.video_bitrate,
            window: Duration::from_secs(self.seconds.into()),
            server_pid: self.server_pid,
            calibrate: self.calibrate,
            max_loss_percent: self.max_loss,
        })
    }
}

/// Does what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let scenario = cli.scenario().map_err(scenario::Refused::from);
    let scenario = match scenario.and_then(|scenario| scenario.check().map(|()| scenario)) {
        Ok(scenario) => scenario,
        Err(refused) => {
            say(&refused.to_string());
            return ExitCode::from(EXIT_REFUSED);
        }
    };
    if scenario.reach == Reach::Anywhere {
        say(
            "WARNING: --allow-remote: load may leave this machine. Go on only if the server is your own; Ctrl-C stops.",
        );
    }
    match made(&scenario) {
        Ok(report) => match print(&report, cli.json) {
            Ok(()) if report.passed() => ExitCode::SUCCESS,
            Ok(()) => ExitCode::from(EXIT_FAILED),
            Err(error) => {
                say(&format!("the report cannot be written: {error}"));
                ExitCode::from(EXIT_FAILED)
            }
        },
        Err(error) => {
            say(&error.to_string());
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn made(scenario: &Scenario) -> Result<Report, RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Runtime)?;
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
        scenario::run(scenario, &say, &stop).await
    })
}

fn print(report: &Report, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)
    } else {
        write!(out, "{}", report.table())
    }
}

fn say(line: &str) {
    // A terminal that went away is no reason to stop measuring.
    let _ = writeln!(std::io::stderr(), "plenum-loadtest: {line}");
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
    use crate::scenario::peers::CLIENTS_MAX;

    fn parse(arguments: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("plenum-loadtest").chain(arguments.split_whitespace()))
    }

    fn refused(arguments: &str) -> String {
        match parse(arguments) {
            Err(error) => error.to_string(),
            Ok(cli) => {
                let scenario = cli.scenario().map_err(scenario::Refused::from);
                scenario.and_then(|scenario| scenario.check()).unwrap_err().to_string()
            }
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        assert!(Cli::command().render_help().to_string().contains(&format!("at most {CLIENTS_MAX}")));
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_reason() {
        for (arguments, reason) in [
            ("", "--user-token"),
            ("--user-token x --join-url http://127.0.0.1/join/y", "cannot be used with"),
            ("--user-token x --receivers 0", "at least one publisher and one receiver"),
            ("--user-token x --publishers 20 --receivers 31", "51 clients are too many"),
            ("--user-token x --server http://192.0.2.1:8080", "--allow-remote"),
            ("--join-url http://192.0.2.1/join/y", "--allow-remote"),
            ("--user-token x --server https://127.0.0.1:8080", "plain HTTP"),
            ("--user-token x --server 127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("--user-token x --video-bitrate fast", "no bit rate"),
            ("--user-token x --video-bitrate 1", "bit/s"),
            ("--user-token x --seconds 0", "seconds"),
            ("--user-token x --max-loss 101", "percentage"),
            ("--user-token x --video-slots 0 --audio-slots 0", "slots"),
        ] {
            let text = refused(arguments);
            assert!(text.contains(reason), "{arguments}: {text}");
        }
    }

    #[test]
    fn the_server_is_that_of_the_link() {
        let cli = parse("--join-url http://127.0.0.1:9090/join/y").unwrap();
        assert_eq!(cli.scenario().unwrap().server.port_u16(), Some(9090));
        let cli = parse("--allow-remote --user-token x --server http://192.0.2.1").unwrap();
        assert_eq!(cli.scenario().unwrap().check(), Ok(()));
    }

    #[test]
    fn bit_rates_are_written_as_people_write_them() {
        for (text, bits) in [("600k", 600_000), ("1.2M", 1_200_000), ("600000", 600_000), ("0k", 0)] {
            assert_eq!(bit_rate(text), Ok(bits));
        }
        for text in ["", "k", "-1k", "1e9", "nan", "inf", "1 M", "9999M", "1.2.3"] {
            assert!(bit_rate(text).is_err(), "{text}");
        }
    }
}
