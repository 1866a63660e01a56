//! The command line: what can be typed, and what it prints.
//!
//! Printing belongs here and nowhere else. What a program reads (a token, a link) goes to standard output alone;
//! what a person reads goes to the terminal; logs go to standard error.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Refused};
use crate::{Server, StartError, data, observe, signals};
use signaling::{Scope, Scopes};

/// The configuration or the command line was refused; the same code that clap uses.
const EXIT_REFUSED: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  plenum                        start on http://127.0.0.1:8080, for this computer alone
  plenum --lan                  start for everybody in this network, by HTTPS
  plenum --listen 0.0.0.0:443   with server.tls_certificate and server.tls_key in config.toml
  plenum doctor                 try what the configuration names: data, ports, telephone trunks
  plenum link                   print a new link that makes whoever opens it an organiser
  plenum token --user Ada       print a token for programs: curl -H \"Authorization: Bearer $(plenum token --user Ada)\" ...

Every key of config.toml can be set by environment too: PLENUM__SERVER__LISTEN=127.0.0.1:9000 plenum
Command line goes before environment, environment before file.";

/// A meeting server: audio, video, chat and recordings from one program.
#[derive(Debug, Parser)]
#[command(name = "plenum", version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server (also what happens without a command).
    Serve(Serve),
    /// Print a new one-time link for an organiser; works while the server runs.
    #[command(
        after_help = "The link works once and for a limited time. Whoever opens it can create meetings, so hand \
                            it over as you would a key.\n\nExample:\n  plenum link --data /var/lib/plenum"
    )]
    Link(Common),
    /// Print a token for programs, and nothing else; works while the server runs.
    #[command(after_help = "Send it as `Authorization: Bearer TOKEN`.\n\nExample:\n  \
                            TOKEN=$(plenum token --user Ada)\n  \
                            curl -H \"Authorization: Bearer $TOKEN\" -d '{\"subject\": \"Stand-up\"}' \
                            -H 'Content-Type: application/json' http://127.0.0.1:8080/v1/onlineMeetings")]
    Token(Token),
    /// Hold a stored recording against its manifest: every object, byte by byte; works while the server runs.
    #[command(
        after_help = "Ends with 0 when all is as the manifest says, with 1 when anything is missing or differs.\n\n\
                            Example:\n  plenum verify rec_0193a000000070008000000000000004"
    )]
    Verify(Verify),
    /// Look after the keys that tokens are signed with.
    #[command(subcommand)]
    Keys(Keys),
    /// Check the configuration and say what would be started, without starting it.
    CheckConfig(Serve),
    /// Try what the configuration names: data directory, ports, telephone trunks; works while the server runs.
    #[command(
        after_help = "Ends with 0 when all is well, with 1 when anything is not; each line that begins with BAD says what to do.\n\n\
                            Example:\n  plenum doctor --config /etc/plenum.toml"
    )]
    Doctor(Serve),
}

#[derive(Clone, Debug, Args)]
struct Common {
    /// Configuration file [default: ./config.toml if there is one].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of meetings, chats, recordings and keys [default: ./data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
struct Serve {
    #[command(flatten)]
    common: Common,
    /// Where to listen: TCP for pages, the same UDP number for media [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Serve this network by HTTPS, with a certificate made at first start (browsers warn about it once).
    #[arg(long)]
    lan: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum Keys {
    /// Sign by a new key from now on; a running server takes it into use within a second.
    #[command(after_help = "Tokens that were signed before stay good, unless --revoke is given.\n\nExamples:\n  \
                            plenum keys rotate\n  \
                            plenum keys rotate --revoke    a key, or a backup of it, fell into wrong hands")]
    Rotate(Rotate),
}

#[derive(Clone, Debug, Args)]
struct Rotate {
    #[command(flatten)]
    common: Common,
    /// Delete the keys of before: every token that they have signed is refused from then on, programs need new ones, and
    /// whoever is in a meeting joins anew when their connection ends. Sign-in by link and cookie is not touched.
    #[arg(long)]
    revoke: bool,
}

#[derive(Clone, Debug, Args)]
struct Token {
    #[command(flatten)]
    common: Common,
    /// Who the token stands for; the name that others see.
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Organisation of the user.
    #[arg(long, value_name = "T", default_value = "default")]
    tenant: String,
    /// May administer: sees and ends every meeting of the tenant.
    #[arg(long)]
    admin: bool,
    /// What the token is for; several by commas or by naming the option again [default: everything that the user may do].
    ///
    /// Scopes: account, meetings, calls (joining), chats, recordings, people; each with .read or .write, which includes it.
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    scope: Vec<Scope>,
    /// Tokens of so many people, one a line: NAME 1, NAME 2, ... For load tests.
    #[arg(long, value_name = "N")]
    count: Option<u32>,
}

#[derive(Clone, Debug, Args)]
struct Verify {
    #[command(flatten)]
    common: Common,
    /// Which, as its link says: rec_ and 32 hex digits.
    #[arg(value_name = "RECORDING")]
    recording: recorder::RecordingId,
    /// Organisation of the meeting.
    #[arg(long, value_name = "T", default_value = "default")]
    tenant: String,
}

impl Common {
    fn load(&self) -> Result<Config, Refused> {
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut config = Config::load(self.config.as_deref(), environment)?;
        if let Some(data) = &self.data {
            config.server.data.clone_from(data);
        }
        Ok(config)
    }
}

impl Serve {
    fn load(&self) -> Result<Config, Refused> {
        let mut config = self.common.load()?;
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        config.server.lan |= self.lan;
        config.check()?;
        Ok(config)
    }
}

/// Does what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(serve) => serve.load().map_err(Failure::Refused).and_then(|config| serve_until_told(&config)),
        Command::CheckConfig(serve) => serve.load().map_err(Failure::Refused).and_then(|config| describe(&config)),
        Command::Doctor(serve) => serve.load().map_err(Failure::Refused).and_then(|config| examine(&config)),
        Command::Link(common) => common.load().map_err(Failure::Refused).and_then(|config| print_link(&config)),
        Command::Keys(Keys::Rotate(rotate)) => rotate.common.load().map_err(Failure::Refused).and_then(|config| {
            crate::rotate_keys(&config, rotate.revoke)?;
            print_line(if rotate.revoke {
                "A new key signs; those of before are revoked."
            } else {
                "A new key signs from now on."
            })
        }),
        Command::Verify(verify) => verify
            .common
            .load()
            .map_err(Failure::Refused)
            .and_then(|config| verify_recording(&config, &verify.tenant, verify.recording)),
        Command::Token(token) => {
            token.common.load().map_err(Failure::Refused).and_then(|config| print_token(&config, &token))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "plenum: {failure}");
            failure.exit_code()
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the runtime could not be started: {0}")]
    Runtime(std::io::Error),
    #[error("standard output could not be written: {0}")]
    Output(std::io::Error),
    #[error("the recording cannot be verified: {0}")]
    Verify(recorder::RecorderError),
    #[error("the recording is not what its manifest says")]
    Unsound,
    #[error("not all is well, see above")]
    Unwell,
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused(_) => ExitCode::from(EXIT_REFUSED),
            _ => ExitCode::FAILURE,
        }
    }
}

fn block_on<T>(future: impl Future<Output = Result<T, StartError>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("plenum-control")
        .build()
        .map_err(Failure::Runtime)?;
    let result = runtime.block_on(future);
    // Blocking work that hangs (a dead disk) must not hold up the end of the process.
    runtime.shutdown_background();
    Ok(result?)
}

fn serve_until_told(config: &Config) -> Result<(), Failure> {
    observe::start_logging(&config.log);
    block_on(async {
        // Before anything else, so that an early Ctrl-C ends the start and not only the finished server.
        let stop = signals::Stop::listen().map_err(StartError::Signals)?;
        let server = Server::start(config).await?;
        if std::io::stdout().is_terminal() {
            let link = server.organiser_link().await?;
            // A terminal that went away is no reason not to serve.
            let _ = write!(std::io::stdout(), "{}", banner(config, &server, &link));
        }
        server.run(stop).await
    })
}

fn banner(config: &Config, server: &Server, link: &str) -> String {
    let origin = server.origin();
    let data = config.server.data.display();
    let warning = if config.server.lan && config.server.tls.is_none() {
        "\n  The browser will warn about the certificate, since it was made here: choose \"Advanced\", then go on.\n"
    } else {
        ""
    };
    let hint = if config.server.listen.ip().is_loopback() && !config.server.lan && !config.server.behind_proxy {
        "\n  For others in your network: plenum --lan\n"
    } else {
        ""
    };
    format!(
        "\n  Plenum {version} is ready at {origin}\n\n  Open this link to begin. It works once and makes you an organiser:\n\n    \
         {link}\n{warning}\n  Lost it?  plenum link --data {data}\n  Data in   {data}\n  Stop      Ctrl-C\n{hint}\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

fn describe(config: &Config) -> Result<(), Failure> {
    let https = if config.speaks_https() { "HTTPS" } else { "HTTP" };
    let listen = config.server.listen;
    let data = config.server.data.display();
    let port = listen.port();
    print_line(&format!("The configuration is fine: {https} on {listen}, media on UDP port {port}, data in {data}."))
}

fn examine(config: &Config) -> Result<(), Failure> {
    observe::start_logging(&crate::config::Log { level: tracing::Level::WARN, ..config.log.clone() });
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::Runtime)?;
    let is_well = runtime.block_on(crate::doctor::examine(config, |finding| {
        // That nobody reads it changes nothing about what is found.
        let _ = print_line(&finding.to_string());
    }));
    if is_well { Ok(()) } else { Err(Failure::Unwell) }
}

fn print_link(config: &Config) -> Result<(), Failure> {
    let link = block_on(async {
        let origin = data::running_origin(&config.server.data).unwrap_or_else(|| crate::origin(config));
        crate::new_organiser_link(config, &origin).await
    })?;
    print_line(&link)
}

fn verify_recording(config: &Config, tenant: &str, recording: recorder::RecordingId) -> Result<(), Failure> {
    let vaults = config.vaults().map_err(Failure::Refused)?;
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::Runtime)?;
    let work = tempfile::tempdir().map_err(Failure::Runtime)?;
    let print = |check: &recorder::Check| {
        let (mark, text) = match &check.outcome {
            Ok(text) => ("good", text),
            Err(text) => ("BAD ", text),
        };
        // That nobody reads it changes nothing about the recording.
        let _ = print_line(&format!("{mark}  {}: {text}", check.object));
    };
    let found = runtime.block_on(recorder::verify(&vaults, tenant, recording, work.path(), print));
    let found = found.map_err(Failure::Verify)?;
    for note in &found.notes {
        print_line(&format!("note  {note}"))?;
    }
    if !found.is_sound() {
        return Err(Failure::Unsound);
    }
    print_line(&format!("{} objects, all as the manifest says.", found.checks.len()))
}

fn print_token(config: &Config, token: &Token) -> Result<(), Failure> {
    let names = match token.count {
        Some(count) => (1..=count).map(|number| format!("{} {number}", token.user)).collect(),
        None => vec![token.user.clone()],
    };
    let scopes = if token.scope.is_empty() { Scopes::ALL } else { token.scope.iter().copied().collect() };
    let tokens = block_on(crate::new_user_tokens(config, &names, &token.tenant, token.admin, scopes))?;
    print_line(&tokens.join("\n"))
}

fn print_line(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}").map_err(Failure::Output)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
