//! The phone gateway: `[phone]`, its `[[phone.trunks]]`, `[[phone.numbers]]` and `[[phone.rules]]`.
//!
//! Without a trunk there is no gateway and no port is opened, whatever else is set: what is set then is refused, since it would be
//! believed to be in use.
//!
//! ```text
//! keys --one rule a key--> Phone ──gateway()──> sip::gateway::Config   (files are read, addresses are chosen)
//!                            └──── rules() ───> signaling::PhoneRules  (what people are shown and may call)
//! ```

mod parse;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use recorder::vault::Secret;
use sip::media::Codec;
use sip::media::sdp::{Capabilities, Srtp};
use sip::stack::{Source, Transport};

use super::settings::Settings;
use super::{Problem, Refused, TlsFiles};

/// `[phone]`
#[derive(Clone, Debug, PartialEq)]
pub struct Phone {
    /// Where SIP comes in as datagrams.
    pub udp: Option<SocketAddr>,
    /// Where it comes in as a stream.
    pub tcp: Option<SocketAddr>,
    /// Where it comes in as a stream in TLS.
    pub tls: Option<SocketAddr>,
    /// Our certificate, for that and for trunks that ask for one.
    pub certificate: Option<TlsFiles>,
    /// Who must have signed the certificates of those who connect to us.
    pub client_ca: Option<PathBuf>,
    /// Host that trunks reach us at, where it is not the address that is listened at.
    pub advertised: Option<String>,
    /// The address that phones are told to send sound to.
    pub media_announce: Option<IpAddr>,
    /// UDP ports of sound: two for each call.
    pub media_ports: RangeInclusive<u16>,
    /// Calls at a time, of all trunks.
    pub calls: usize,
    /// Which language is spoken.
    pub language: String,
    /// Folder of prompts that take the place of ours.
    pub prompts: Option<PathBuf>,
    /// How numbers may begin that are called from meetings.
    pub dial_out_prefixes: Vec<String>,
    /// Calls out of one meeting at a time.
    pub dial_out_per_meeting: usize,
    /// Calls out of all meetings of one organisation at a time.
    pub dial_out_per_organization: usize,
    /// Calls of one number within an hour out of all meetings of one organisation.
    pub dial_out_per_number: u32,
    /// Numbers that are never called, beside those that are known to be emergency numbers.
    pub emergency_numbers: Vec<String>,
    /// Seconds for which a phone rings.
    pub ring: Duration,
    /// Seconds for which it rings at somebody's own number.
    pub voicemail_ring: Duration,
    /// Seconds of the longest message that is left there.
    pub voicemail: Duration,
    /// Seconds for which a phone may be alone in a meeting; none: for ever.
    pub alone_max: Option<Duration>,
    /// Numbers that people can call.
    pub numbers: Vec<Number>,
    /// Calls that come to their meeting without being asked.
    pub rules: Vec<Rule>,
    /// Telephone providers.
    pub trunks: Vec<PhoneTrunk>,
}

/// `[[phone.numbers]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// As people are shown it.
    pub number: String,
    /// Where it is: "Berlin", "toll-free".
    pub name: String,
    /// Whose own it is; none: everybody's, who dials in by it.
    pub owner: Option<Owner>,
}

/// Who has a number of their own: the names that `plenum token` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Their organisation.
    pub tenant: String,
    /// Their name in it.
    pub user: String,
}

/// `[[phone.rules]]`: a call that fits goes to this meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The number that was called; none: any.
    pub called: Option<String>,
    /// The number that calls; none: any.
    pub caller: Option<String>,
    /// The conference id.
    pub conference_id: String,
}

/// `[[phone.trunks]]`
#[derive(Clone, Debug, PartialEq)]
pub struct PhoneTrunk {
    /// How it is called in logs and metrics.
    pub name: String,
    /// How messages travel.
    pub transport: Transport,
    /// Where it is.
    pub host: String,
    /// Its port; none: that of the transport.
    pub port: Option<u16>,
    /// Who may send in its name; empty: its host.
    pub sources: Vec<Source>,
    /// Who we are there.
    pub credentials: Option<(String, Secret)>,
    /// Whether we register there.
    pub register: bool,
    /// Our host in From and Contact.
    pub domain: Option<String>,
    /// The user part of our Contact.
    pub contact: Option<String>,
    /// Our number on calls out; none: the first of `numbers` that is nobody's own.
    pub caller_id: Option<String>,
    /// Who must have signed its certificate; none: whom the system trusts.
    pub ca: Option<PathBuf>,
    /// The name in its certificate; none: its host.
    pub server_name: Option<String>,
    /// Encryption of sound.
    pub srtp: Srtp,
    /// What sound may be; empty: all that we can.
    pub codecs: Vec<Codec>,
    /// Calls at a time.
    pub sessions: usize,
    /// Pause between OPTIONS.
    pub options_interval: Duration,
    /// Whether calls may come in.
    pub inbound: bool,
    /// Whether calls may go out.
    pub outbound: bool,
    /// Order among trunks for calls out: the least first, equal ones share.
    pub rank: u32,
}

const TRUNKS: &str = "phone.trunks";
const NUMBERS: &str = "phone.numbers";
const RULES: &str = "phone.rules";

/// What the prompts in the binary speak.
const OWN_LANGUAGE: &str = "en";

/// Ports of sound, unless told otherwise: five hundred calls.
const MEDIA_PORTS: RangeInclusive<u16> = 24_000..=24_999;

/// Reads all of it.
pub(super) fn read(settings: &mut Settings) -> Phone {
    let certificate = settings.text("phone.tls_certificate", None, parse::path);
    let key = settings.text("phone.tls_key", None, parse::path);
    let certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        _ => {
            settings.conflict(
                "phone.tls_certificate, phone.tls_key",
                "one is set and the other is not. TLS needs both the certificate and its key",
            );
            None
        }
    };
    let number = |settings: &mut Settings, key, default, range| settings.number(key, default, range);
    let seconds =
        |settings: &mut Settings, key, default, range| Duration::from_secs(settings.number(key, default, range) as u64);
    Phone {
        udp: settings.text("phone.udp", None, parse::listen),
        tcp: settings.text("phone.tcp", None, parse::listen),
        tls: settings.text("phone.tls", None, parse::listen),
        certificate,
        client_ca: settings.text("phone.tls_client_ca", None, parse::path),
        advertised: settings.text("phone.advertised", None, parse::host),
        media_announce: settings.text("phone.media_announce", None, parse::announce),
        media_ports: settings.text("phone.media_ports", MEDIA_PORTS, parse::ports),
        calls: number(settings, "phone.calls", 200, 1..=10_000),
        language: settings.text("phone.language", OWN_LANGUAGE.to_owned(), parse::language),
        prompts: settings.text("phone.prompts", None, parse::path),
        dial_out_prefixes: settings.list("phone.dial_out_prefixes", parse::prefix),
        dial_out_per_meeting: number(settings, "phone.dial_out_per_meeting", 10, 1..=1_000),
        dial_out_per_organization: number(settings, "phone.dial_out_per_organization", 50, 1..=10_000),
        dial_out_per_number: number(settings, "phone.dial_out_per_number", 20, 1..=1_000) as u32,
        emergency_numbers: settings.list("phone.emergency_numbers", parse::digits),
        ring: seconds(settings, "phone.ring_seconds", 60, 5..=180),
        voicemail_ring: seconds(settings, "phone.voicemail_ring_seconds", 20, 5..=120),
        voicemail: seconds(settings, "phone.voicemail_seconds", 180, 10..=600),
        alone_max: match settings.number("phone.alone_seconds", 900, 0..=86_400) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds as u64)),
        },
        numbers: read_numbers(settings),
        rules: read_rules(settings),
        trunks: read_trunks(settings),
    }
}

fn read_numbers(settings: &mut Settings) -> Vec<Number> {
    let mut numbers = Vec::new();
    for mut section in settings.sections(NUMBERS) {
        let number = section.text("phone.numbers.number", None, parse::number);
        let name = section.text("phone.numbers.name", String::new(), parse::name);
        let user = section.text("phone.numbers.user", None, parse::text);
        let tenant = section.text("phone.numbers.tenant", None, parse::text);
        if tenant.is_some() && user.is_none() {
            section.conflict("phone.numbers.tenant", "needs user: it says whose user of that name the number is");
        }
        let tenant = tenant.unwrap_or_else(|| signaling::auth::DEFAULT_TENANT.to_owned());
        let owner = user.map(|user| Owner { tenant, user });
        let digits = |number: &str| parse::dialled(number).trim_start_matches('+').to_owned();
        match number {
            None => section.conflict("phone.numbers.number", "is missing. Write the number as people dial it"),
            Some(number) if numbers.iter().any(|other: &Number| digits(&other.number) == digits(&number)) => {
                section
                    .conflict("phone.numbers.number", "stands there twice. A number is everybody's, or one person's");
            }
            Some(number) => numbers.push(Number { number, name, owner }),
        }
        settings.finish_section(section);
    }
    numbers
}

fn read_rules(settings: &mut Settings) -> Vec<Rule> {
    let mut rules = Vec::new();
    for mut section in settings.sections(RULES) {
        let called = section.text("phone.rules.called", None, parse::number);
        let caller = section.text("phone.rules.caller", None, parse::number);
        let conference_id = section.text("phone.rules.conference_id", String::new(), parse::conference_id);
        if called.is_none() && caller.is_none() {
            section.conflict(
                RULES,
                "a rule without called and caller would send every call to one meeting. Set one of them",
            );
        } else if conference_id.is_empty() {
            section.conflict("phone.rules.conference_id", "is missing. It stands in the meeting's invitation");
        } else {
            rules.push(Rule { called, caller, conference_id });
        }
        settings.finish_section(section);
    }
    rules
}

fn read_trunks(settings: &mut Settings) -> Vec<PhoneTrunk> {
    let mut trunks: Vec<PhoneTrunk> = Vec::new();
    for mut section in settings.sections(TRUNKS) {
        let trunk = read_trunk(&mut section);
        if trunk.host.is_empty() {
            section.conflict("phone.trunks.host", "is missing. Name the provider's SIP server");
        } else if trunks.iter().any(|other| other.name == trunk.name) {
            let text = format!("{:?} is the name of two trunks. Give each its own", trunk.name);
            section.conflict("phone.trunks.name", &text);
        } else {
            trunks.push(trunk);
        }
        settings.finish_section(section);
    }
    trunks
}

fn read_trunk(section: &mut Settings) -> PhoneTrunk {
    let host = section.text("phone.trunks.host", None, parse::host).unwrap_or_default();
    let username = section.text("phone.trunks.username", None, parse::text);
    let password = section.secret("phone.trunks.password", None, parse::text);
    let credentials = match (username, password) {
        (Some(username), Some(password)) => Some((username, Secret::new(password))),
        (None, None) => None,
        _ => {
            section.conflict(
                "phone.trunks.username, phone.trunks.password",
                "one is set and the other is not. Set both, or none where the provider knows us by our address",
            );
            None
        }
    };
    let register = section.flag("phone.trunks.register", false);
    if register && credentials.is_none() {
        section.conflict("phone.trunks.register", "needs username and password");
    }
    let port = section.number("phone.trunks.port", 0, 0..=65_535) as u16;
    let seconds = section.number("phone.trunks.options_seconds", 60, 5..=86_400) as u64;
    PhoneTrunk {
        name: section.text("phone.trunks.name", host.clone(), parse::word),
        transport: section.text("phone.trunks.transport", Transport::Udp, parse::transport),
        host,
        port: (port != 0).then_some(port),
        sources: section.list("phone.trunks.sources", parse::source),
        credentials,
        register,
        domain: section.text("phone.trunks.domain", None, parse::host),
        contact: section.text("phone.trunks.contact", None, parse::contact),
        caller_id: section.text("phone.trunks.caller_id", None, parse::number),
        ca: section.text("phone.trunks.tls_ca", None, parse::path),
        server_name: section.text("phone.trunks.tls_server_name", None, parse::host),
        srtp: section.text("phone.trunks.srtp", Srtp::Allowed, parse::srtp),
        codecs: section.list("phone.trunks.codecs", parse::codec),
        sessions: section.number("phone.trunks.sessions", 100, 1..=100_000),
        options_interval: Duration::from_secs(seconds),
        inbound: section.flag("phone.trunks.inbound", true),
        outbound: section.flag("phone.trunks.outbound", true),
        rank: section.number("phone.trunks.rank", 0, 0..=1_000) as u32,
    }
}

impl Phone {
    /// Whether there is a gateway.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.trunks.is_empty()
    }

    /// Rules across keys.
    pub(super) fn check(&self, broken: &mut dyn FnMut(&str, String)) {
        if !self.is_on() {
            if self.udp.is_some() || self.tcp.is_some() || self.tls.is_some() {
                let text = "is set, but there is no trunk, so nothing would be listened at. Add [[phone.trunks]], or leave it out";
                broken("phone.udp, phone.tcp, phone.tls", text.to_owned());
            }
            if !self.numbers.is_empty() || !self.rules.is_empty() || !self.dial_out_prefixes.is_empty() {
                let text = "are set, but there is no trunk that calls could come or go by. Add [[phone.trunks]], or leave them out";
                broken("phone.numbers, phone.rules, phone.dial_out_prefixes", text.to_owned());
            }
            return;
        }
        for trunk in &self.trunks {
            if trunk.transport == Transport::Udp && self.udp.is_none() {
                let text = format!(
                    "trunk {:?} speaks UDP; set phone.udp = \"0.0.0.0:5060\", where its answers come in",
                    trunk.name
                );
                broken("phone.udp", text);
            }
        }
        if self.tls.is_some() && self.certificate.is_none() {
            broken("phone.tls", "needs phone.tls_certificate and phone.tls_key".to_owned());
        }
        if self.prompts.is_none() && self.language != OWN_LANGUAGE {
            let text = format!(
                "we speak {OWN_LANGUAGE:?} alone; prompts in {:?} are yours to give, by phone.prompts",
                self.language
            );
            broken("phone.language", text);
        }
        let anywhere = [self.udp, self.tcp, self.tls].into_iter().flatten().any(|at| at.ip().is_unspecified());
        if anywhere && self.advertised.is_none() {
            broken(
                "phone.advertised",
                "is missing: listening at all addresses, we do not know which one trunks reach. Name this machine's public address or \
                 host name, or listen at one address"
                    .to_owned(),
            );
        }
        let ports = usize::from(self.media_ports.end() - self.media_ports.start()) + 1;
        if ports / 2 < self.calls {
            let text = format!(
                "{ports} ports are enough for {} calls, and phone.calls is {}. Widen the range",
                ports / 2,
                self.calls
            );
            broken("phone.media_ports", text);
        }
    }

    /// How the gateway is set up. Reads files and prompts: blocking. `own` are the addresses of this machine.
    ///
    /// # Errors
    /// [`Refused`] with each file that cannot be used.
    pub fn gateway(&self, own: &[IpAddr]) -> Result<sip::gateway::Config, Refused> {
        let mut problems = Vec::new();
        let mut read = |key: &str, file: &Path| {
            std::fs::read(file).unwrap_or_else(|error| {
                problems.push(Problem {
                    place: key.to_owned(),
                    text: format!("{} cannot be read: {error}", file.display()),
                });
                Vec::new()
            })
        };
        let identity = self.certificate.as_ref().map(|files| sip::stack::Identity {
            chain: read("phone.tls_certificate", &files.certificate),
            key: read("phone.tls_key", &files.key).into(),
        });
        let client_ca = self.client_ca.as_ref().map(|file| read("phone.tls_client_ca", file));
        let mut trunks = Vec::new();
        for trunk in &self.trunks {
            let ca = trunk.ca.as_ref().map(|file| read("phone.trunks.tls_ca", file));
            trunks.push(trunk.for_stack(ca, identity.clone()));
        }
        let tls = self.tls.zip(identity);
        let tls = tls.map(|(at, identity)| (at, sip::stack::ServerTls { identity, client_ca }));
        let listen = sip::stack::Listen { udp: self.udp, tcp: self.tcp, tls, advertised: self.advertised.clone() };
        let theirs = self.prompts.as_ref().map(|folder| folder.join(&self.language));
        if let Some(folder) = theirs.filter(|folder| !folder.is_dir()) {
            let text = format!("{} is no folder. Make it, with the prompts of that language", folder.display());
            problems.push(Problem { place: "phone.prompts, phone.language".to_owned(), text });
        }
        let prompts = sip::prompts::Prompts::read(self.prompts.as_deref(), &self.language);
        let prompts = prompts.map_err(|error| {
            problems.push(Problem { place: "phone.prompts".to_owned(), text: error.to_string() });
        });
        let Ok(prompts) = prompts else { return Err(Refused(problems)) };
        if !problems.is_empty() {
            return Err(Refused(problems));
        }
        let announced = self.announced(own);
        Ok(sip::gateway::Config {
            stack: sip::stack::Config { listen, trunks, ..sip::stack::Config::default() },
            lines: self.trunks.iter().map(|trunk| trunk.for_gateway(self.shared_numbers().next())).collect(),
            media_address: if announced.is_loopback() { announced } else { unspecified(announced) },
            announced,
            media_ports: self.media_ports.clone(),
            calls: self.calls,
            rules: self.rules.iter().map(Rule::for_gateway).collect(),
            ring: self.ring,
            voicemail: sip::gateway::Voicemail { rings: self.voicemail_ring, longest: self.voicemail },
            alone_max: self.alone_max,
            prompts,
        })
    }

    /// Numbers that are nobody's own.
    fn shared_numbers(&self) -> impl Iterator<Item = &Number> {
        self.numbers.iter().filter(|number| number.owner.is_none())
    }

    /// What phones are told to send sound to: what the operator says, else the address that trunks reach us at, else one of ours.
    fn announced(&self, own: &[IpAddr]) -> IpAddr {
        let listening = [self.udp, self.tcp, self.tls].into_iter().flatten().map(|at| at.ip());
        let one = |address: &IpAddr| !address.is_unspecified();
        self.media_announce
            .or_else(|| self.advertised.as_deref().and_then(|host| host.parse().ok()))
            .or_else(|| listening.into_iter().find(one))
            .or_else(|| crate::lan::best_address(own))
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// What people are shown of it, and may call.
    #[must_use]
    pub fn rules(&self) -> Option<signaling::PhoneRules> {
        let calls_out = !self.dial_out_prefixes.is_empty() && self.trunks.iter().any(|trunk| trunk.outbound);
        self.is_on().then(|| signaling::PhoneRules {
            numbers: self.shared_numbers().map(Number::for_signaling).collect(),
            personal: self.numbers.iter().filter_map(Number::personal).collect(),
            dial_out: calls_out.then(|| signaling::DialOutRules {
                prefixes: self.dial_out_prefixes.clone(),
                emergency: EMERGENCY
                    .iter()
                    .map(|&number| number.to_owned())
                    .chain(self.emergency_numbers.clone())
                    .collect(),
                calls_per_meeting: self.dial_out_per_meeting,
                calls_per_organization: self.dial_out_per_organization,
                calls_per_number: self.dial_out_per_number,
            }),
        })
    }
}

/// Emergency numbers of the world, as far as they are more than a few countries' own. An operator adds those of theirs.
const EMERGENCY: [&str; 14] =
    ["000", "066", "08", "100", "108", "110", "111", "112", "115", "117", "118", "119", "911", "999"];

impl Number {
    fn for_signaling(&self) -> signaling::DialInNumber {
        signaling::DialInNumber { number: self.number.clone(), name: self.name.clone() }
    }

    fn personal(&self) -> Option<signaling::PersonalNumber> {
        let Owner { tenant, user } = self.owner.clone()?;
        Some(signaling::PersonalNumber { number: self.number.clone(), tenant, user })
    }
}

impl Rule {
    fn for_gateway(&self) -> sip::gateway::Rule {
        let Self { called, caller, conference_id } = self.clone();
        sip::gateway::Rule { called, caller, conference_id }
    }
}

impl PhoneTrunk {
    fn for_stack(&self, ca: Option<Vec<u8>>, identity: Option<sip::stack::Identity>) -> sip::stack::Trunk {
        let port = self.port.unwrap_or_else(|| self.transport.default_port());
        let mut trunk = sip::stack::Trunk::new(&self.name, self.transport, &self.host, port);
        trunk.sources.clone_from(&self.sources);
        trunk.credentials = self.credentials.as_ref().map(|(username, password)| sip::stack::Credentials {
            username: username.clone(),
            password: password.expose().to_owned().into(),
        });
        trunk.register = self.register;
        trunk.domain.clone_from(&self.domain);
        if let Some(contact) = self.contact.clone().or_else(|| self.credentials.as_ref().map(|(user, _)| user.clone()))
        {
            trunk.contact = contact;
        }
        trunk.tls = sip::stack::TrunkTls { server_name: self.server_name.clone(), ca, identity };
        trunk.sessions = self.sessions;
        trunk.options_interval = self.options_interval;
        trunk.inbound = self.inbound;
        trunk
    }

    fn for_gateway(&self, first: Option<&Number>) -> sip::gateway::Line {
        let mut capabilities = Capabilities { srtp: self.srtp, ..Capabilities::default() };
        if !self.codecs.is_empty() {
            capabilities.codecs.clone_from(&self.codecs);
        }
        let caller_id = self.caller_id.clone().or_else(|| first.map(|number| number.number.clone()));
        sip::gateway::Line {
            name: self.name.clone(),
            capabilities,
            outbound: self.outbound,
            rank: self.rank,
            caller_id: caller_id.map(|number| parse::dialled(&number)),
        }
    }
}

/// All addresses of the same family.
const fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}
