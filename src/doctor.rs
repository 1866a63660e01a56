//! `plenum doctor`: whether what the configuration names is there and answers, before anybody is let in, or when something does not work.
//!
//! ```text
//! Config -> examine: data directory, ports, files, trunks -> Finding, one a line, as it is found
//! ```
//!
//! It may be run beside a running server: it takes no port of its and registers nowhere, since that would take the calls away from it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use sip::stack::{Listen, Stack, StartError, Transport, Trunk, TrunkId};
use tokio::time::timeout;

use crate::config::Config;
use crate::{data, lan};

/// How long a trunk is waited for: it is asked again within that time if a question is lost.
const PATIENCE: Duration = Duration::from_secs(8);

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Good(String),
    /// Something to know.
    Note(String),
    /// Not as it should be; says what to do.
    Bad(String),
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Good(text) => write!(f, "good  {text}"),
            Self::Note(text) => write!(f, "note  {text}"),
            Self::Bad(text) => write!(f, "BAD   {text}"),
        }
    }
}

/// Looks at everything and tells each finding as it comes. Whether all is well.
pub async fn examine(config: &Config, mut tell: impl FnMut(Finding)) -> bool {
    let mut is_well = true;
    let mut tell = |finding: Finding| {
        is_well &= !matches!(finding, Finding::Bad(_));
        tell(finding);
    };
    let runs = data_directory(config, &mut tell);
    if !runs {
        ports(config, &mut tell);
    }
    if config.phone.is_on() {
        phones(config, runs, &mut tell).await;
    } else {
        tell(Finding::Note("the phone gateway is off: there are no [[phone.trunks]]".to_owned()));
    }
    is_well
}

/// Whether a server of this configuration is running.
fn data_directory(config: &Config, tell: &mut impl FnMut(Finding)) -> bool {
    let folder = config.server.data.display();
    if !config.server.data.exists() {
        tell(Finding::Note(format!("the data directory {folder} is made at the first start")));
        return false;
    }
    match data::Lock::take(&config.server.data) {
        Ok(_) => {
            tell(Finding::Good(format!("the data directory {folder} can be used")));
            false
        }
        Err(data::DataError::InUse(_)) => {
            tell(Finding::Note(format!("a server is running on {folder}; its ports are not tried")));
            true
        }
        Err(error) => {
            tell(Finding::Bad(error.to_string()));
            false
        }
    }
}

fn ports(config: &Config, tell: &mut impl FnMut(Finding)) {
    let listen = config.server.listen;
    let phone = &config.phone;
    let on = phone.is_on();
    let streams = [
        ("pages", Some(listen)),
        ("SIP over TCP", phone.tcp.filter(|_| on)),
        ("SIP over TLS", phone.tls.filter(|_| on)),
    ];
    for (what, at) in streams {
        if let Some(at) = at {
            tell(told(what, "TCP", at, std::net::TcpListener::bind(at).map(drop)));
        }
    }
    for (what, at) in
        [("media", Some(SocketAddr::from(([0, 0, 0, 0], listen.port())))), ("SIP", phone.udp.filter(|_| on))]
    {
        if let Some(at) = at {
            tell(told(what, "UDP", at, UdpSocket::bind(at).map(drop)));
        }
    }
}

fn told(what: &str, transport: &str, at: SocketAddr, bound: std::io::Result<()>) -> Finding {
    match bound {
        Ok(()) => Finding::Good(format!("{what}: {transport} {at} is free")),
        Err(error) => Finding::Bad(format!(
            "{what}: {transport} {at} cannot be listened at: {error}. Stop whoever has it, or name another"
        )),
    }
}

async fn phones(config: &Config, runs: bool, tell: &mut impl FnMut(Finding)) {
    let gateway = match config.phone.gateway(&lan::addresses()) {
        Ok(gateway) => gateway,
        Err(refused) => {
            refused
                .0
                .into_iter()
                .for_each(|problem| tell(Finding::Bad(format!("{}: {}", problem.place, problem.text))));
            return;
        }
    };
    tell(Finding::Good("certificates and prompts of the phone gateway can be read".to_owned()));
    tell(Finding::Note(format!(
        "phones are told to send sound to {}, UDP {:?}",
        gateway.announced, gateway.media_ports
    )));
    if !runs
        && let Err(error) =
            sip::exchange::Ports::new(gateway.media_address, gateway.media_ports.clone()).and_then(|ports| ports.open())
    {
        tell(Finding::Bad(format!("no port for sound can be opened: {error}")));
    }
    for trunk in gateway.stack.trunks {
        let name = trunk.name.clone();
        let registers = trunk.register;
        let setting = match trunk.transport {
            Transport::Tcp if config.phone.tcp.is_none() => Some("phone.tcp"),
            Transport::Tls if config.phone.tls.is_none() => Some("phone.tls"),
            _ => None,
        };
        tell(ask(trunk).await);
        if let Some(setting) = setting {
            tell(Finding::Note(format!(
                "trunk {name}: {setting} is not set, so it cannot connect to us. Its calls must come by the connection that we \
                 open, as they do from most providers where one registers"
            )));
        }
        if registers {
            let text = format!(
                "trunk {name}: registering is not tried here, as calls would come here then; the running server logs how it goes"
            );
            tell(Finding::Note(text));
        }
    }
}

/// Asks one trunk whether it is there, by OPTIONS.
async fn ask(trunk: Trunk) -> Finding {
    let name = trunk.name.clone();
    let at = format!("{}:{}", trunk.host, trunk.port);
    let found = tokio::net::lookup_host((trunk.host.trim_matches(['[', ']']), trunk.port)).await;
    let Some(there) = found.ok().and_then(|mut found| found.next()) else {
        return Finding::Bad(format!(
            "trunk {name}: there is no address of {:?}. Check the name, and this machine's DNS",
            trunk.host
        ));
    };
    let Some(own) = own_address(there) else {
        return Finding::Bad(format!("trunk {name}: this machine has no way to {there}. Check its network"));
    };
    let transport = trunk.transport;
    let listen = Listen { udp: (transport == Transport::Udp).then(|| SocketAddr::new(own, 0)), ..Listen::default() };
    let trunk = Trunk { register: false, inbound: false, ..trunk };
    let config = sip::stack::Config { listen, trunks: vec![trunk], ..sip::stack::Config::default() };
    let began = Instant::now();
    let stack = match Stack::start(config).await {
        Ok((stack, _)) => stack,
        Err(error @ (StartError::TrunkTls(..) | StartError::Tls(_))) => {
            return Finding::Bad(format!("trunk {name}: {error}. Check its tls_ and our phone.tls_ settings"));
        }
        Err(error) => return Finding::Bad(format!("trunk {name}: {error}")),
    };
    let Some(mut state) = stack.trunk(TrunkId(0)) else { return Finding::Bad(format!("trunk {name}: not known")) };
    let answered = timeout(PATIENCE, state.wait_for(|state| state.answered.is_some())).await;
    let code = answered.ok().and_then(|state| state.ok().and_then(|state| state.answered));
    let took = began.elapsed().as_millis();
    stack.leave(Duration::from_secs(1)).await;
    match code {
        Some(code @ (408 | 503)) => {
            Finding::Bad(format!("trunk {name}: {at} answers {code}: it takes no calls at the moment"))
        }
        Some(403) => Finding::Bad(format!(
            "trunk {name}: {at} forbids us to ask (403). Tell the provider this machine's address"
        )),
        Some(code) => Finding::Good(format!("trunk {name}: {at} answers ({code}) after {took} ms")),
        None => Finding::Bad(format!(
            "trunk {name}: {at} does not answer by {} within {} s. Check host, port and transport, that the provider knows this \
             machine's address, and that no firewall is between; with TLS also its certificate (see the log above)",
            by(transport),
            PATIENCE.as_secs()
        )),
    }
}

const fn by(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    }
}

/// The address of this machine on the way to another. Nothing is sent.
fn own_address(there: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if there.is_ipv4() { [0, 0, 0, 0].into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(there).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
