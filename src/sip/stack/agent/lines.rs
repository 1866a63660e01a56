//! Trunks as they stand: address, health, registration, calls at a time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::again::prove;
use super::{Agent, Output, Owner, Reachable};
use crate::stack::digest::Answered;
use crate::stack::health::Health;
use crate::stack::message::{ACCEPT, Message, Method};
use crate::stack::news::TrunkState;
use crate::stack::path::{Hop, Path, Transport, TrunkId};
use crate::stack::register::{Registrar, Registration};
use crate::stack::trunk::Trunk;
use crate::stack::uri::{NameAddr, Uri};

/// A trunk and how it stands.
pub(super) struct Line {
    pub(super) trunk: Trunk,
    /// Where it is, as last looked up.
    pub(super) address: Option<SocketAddr>,
    pub(super) sessions: usize,
    health: Health,
    /// The code of the last answer to our OPTIONS.
    options_code: Option<u16>,
    registrar: Option<Registrar>,
    answered: Answered,
    /// Call-ID, tag and number of our registrations: the same all the time (RFC 3261 §10.2).
    register_id: String,
    register_seq: u32,
}

impl Line {
    pub(super) fn new(trunk: Trunk, now: Instant) -> Self {
        let registrar = (trunk.register && trunk.credentials.is_some()).then(|| Registrar::new(now));
        let health = Health::new(interval(&trunk), now);
        Self {
            trunk,
            address: None,
            sessions: 0,
            health,
            options_code: None,
            registrar,
            answered: Answered::default(),
            register_id: String::new(),
            register_seq: 0,
        }
    }

    /// How a new request gets there; `None`: its address is not known yet.
    pub(super) fn path_of(&self, trunk: TrunkId) -> Option<Path> {
        let hop = match self.trunk.transport {
            Transport::Udp => Hop::Datagram(self.address?),
            Transport::Tcp | Transport::Tls => Hop::Trunk,
        };
        Some(Path { trunk, hop })
    }

    pub(super) fn state(&self) -> TrunkState {
        TrunkState {
            healthy: self.health.is_healthy(),
            answered: self.options_code,
            registration: self.registrar.as_ref().map_or(Registration::None, |registrar| registrar.state),
            sessions: self.sessions,
            limit: self.trunk.sessions,
        }
    }

    /// Our host in From: where we have an account, that of its address.
    pub(super) fn domain(&self, reachable: &Reachable) -> String {
        let account = || self.registrar.as_ref().map(|_| bracketed(&self.trunk.host));
        self.trunk.domain.clone().or_else(account).unwrap_or_else(|| self.own_host(reachable))
    }

    fn own_host(&self, reachable: &Reachable) -> String {
        let at = reachable.at(self.trunk.transport);
        at.rsplit_once(':').map_or(at, |(host, _)| host).to_owned()
    }

    pub(super) fn contact(&self, reachable: &Reachable) -> String {
        let at = reachable.at(self.trunk.transport);
        let port = at.rsplit_once(':').map_or("", |(_, port)| port);
        let port = if port.parse::<u16>().is_ok() { format!(":{port}") } else { String::new() };
        // The domain of an account is the trunk's: what is sent there would not come to us.
        let host = self.trunk.domain.clone().filter(|_| self.registrar.is_none());
        let host = host.unwrap_or_else(|| self.own_host(reachable));
        let (user, transport) = (&self.trunk.contact, self.uri_transport());
        format!("<{}:{user}@{host}{port}{transport}>", self.scheme())
    }

    /// The user part under which calls find us there, where we register.
    pub(super) fn registered_as(&self) -> Option<&str> {
        self.registrar.as_ref().map(|_| self.trunk.contact.as_str())
    }

    /// `sip` throughout: `sips` promises TLS behind the trunk as well, which nobody keeps.
    pub(super) fn scheme(&self) -> &'static str {
        "sip"
    }

    pub(super) fn uri_transport(&self) -> &'static str {
        match self.trunk.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        }
    }

    pub(super) fn host_port(&self) -> String {
        let Trunk { host, port, .. } = &self.trunk;
        let host = bracketed(host);
        if *port == self.trunk.transport.default_port() { host } else { format!("{host}:{port}") }
    }

    fn due(&self) -> Option<Instant> {
        let registrar = self.registrar.as_ref().and_then(Registrar::due);
        [Some(self.health.due()), registrar].into_iter().flatten().min()
    }
}

impl Agent {
    /// A trunk's address, as looked up; it may change.
    pub(in crate::stack) fn resolved(&mut self, now: Instant, trunk: TrunkId, address: SocketAddr) {
        let Some(line) = self.lines.get_mut(trunk.0) else { return };
        let first = line.address.replace(address).is_none();
        if first && line.trunk.transport == Transport::Udp {
            // Nothing could be sent before.
            line.health = Health::new(interval(&line.trunk), now);
            if let Some(registrar) = line.registrar.as_mut() {
                *registrar = Registrar::new(now);
            }
            self.line_timers.set(trunk, Some(now));
        }
    }

    /// How a trunk stands.
    pub(in crate::stack) fn state(&self, trunk: TrunkId) -> Option<TrunkState> {
        self.lines.get(trunk.0).map(Line::state)
    }

    pub(super) fn sessions_changed(&mut self, trunk: TrunkId) {
        let sessions = self.calls.values().filter(|call| call.trunk == trunk).count();
        if let Some(line) = self.lines.get_mut(trunk.0) {
            line.sessions = sessions;
        }
        self.tell_state(trunk);
    }

    fn tell_state(&mut self, trunk: TrunkId) {
        if let Some(state) = self.state(trunk) {
            self.out.push_back(Output::Trunk(trunk, state));
        }
    }

    /// A sign of life.
    pub(super) fn heard(&mut self, now: Instant, trunk: TrunkId) {
        if let Some(line) = self.lines.get_mut(trunk.0)
            && line.health.heard(now)
        {
            if let Some(registrar) = line.registrar.as_mut().filter(|_| !self.leaving) {
                registrar.revived(now);
            }
            self.tell_state(trunk);
        }
        self.arm_line(trunk);
    }

    pub(super) fn line_due(&mut self, now: Instant, trunk: TrunkId) {
        let Some(line) = self.lines.get_mut(trunk.0) else { return };
        let (ask, lost) = line.health.poll(now);
        let register = line.registrar.as_mut().is_some_and(|registrar| registrar.poll(now));
        if let Some(path) = line.path_of(trunk) {
            if ask && !self.leaving {
                self.send_options(now, path);
            }
            if register {
                self.send_register(now, path, None);
            }
        } else if register && let Some(registrar) = line.registrar.as_mut() {
            registrar.refused(503, now);
        }
        if lost {
            self.tell_state(trunk);
        }
        self.arm_line(trunk);
    }

    fn arm_line(&mut self, trunk: TrunkId) {
        let due = self.lines.get(trunk.0).and_then(Line::due);
        self.line_timers.set(trunk, due);
    }

    /// No connection is left: what calls were to come by, where we registered.
    pub(super) fn cut(&mut self, now: Instant, trunk: TrunkId) {
        let registrar = self.lines.get_mut(trunk.0).and_then(|line| line.registrar.as_mut());
        if let Some(registrar) = registrar.filter(|_| !self.leaving) {
            registrar.cut(now);
        }
        self.arm_line(trunk);
    }

    fn send_options(&mut self, now: Instant, path: Path) {
        let (tag, call_id) = (self.token(), self.token());
        let Some(line) = self.lines.get(path.trunk.0) else { return };
        let (here, there) = (line.domain(&self.reachable), line.host_port());
        let user = &line.trunk.contact;
        let options = Message::request(Method::Options, format!("sip:{there}{}", line.uri_transport()))
            .with("From", format!("<sip:{user}@{here}>;tag={tag}"))
            .with("To", format!("<sip:{there}>"))
            .with("Call-ID", format!("{call_id}@{here}"))
            .with("CSeq", "1 OPTIONS")
            .with("Accept", ACCEPT);
        self.send(now, options, path, Owner::Options(path.trunk));
    }

    /// Any answer shows that somebody is there, but for one that says that nobody is (RFC 3261 §21.4.9, §21.5).
    pub(super) fn options_answered(&mut self, now: Instant, trunk: TrunkId, response: &Message) {
        let Some(code) = response.code().filter(|code| *code >= 200) else { return };
        if let Some(line) = self.lines.get_mut(trunk.0)
            && line.options_code.replace(code) != Some(code)
        {
            self.tell_state(trunk);
        }
        if code != 408 && code != 503 {
            self.heard(now, trunk);
        }
    }

    /// `expires`: `None`: what the registrar wants; 0: take it back.
    fn send_register(&mut self, now: Instant, path: Path, expires: Option<u32>) {
        let fresh = self.token();
        let Some(line) = self.lines.get_mut(path.trunk.0) else { return };
        let (Some(registrar), Some(credentials)) = (&line.registrar, &line.trunk.credentials) else { return };
        if line.register_id.is_empty() {
            line.register_id = fresh;
        }
        line.register_seq += 1;
        line.answered = Answered::default();
        let (user, domain) = (&credentials.username, line.domain(&self.reachable));
        let there = line.trunk.domain.clone().unwrap_or_else(|| line.host_port());
        let id = &line.register_id;
        let register = Message::request(Method::Register, format!("sip:{there}{}", line.uri_transport()))
            .with("From", format!("<sip:{user}@{domain}>;tag={id}"))
            .with("To", format!("<sip:{user}@{domain}>"))
            .with("Call-ID", id.clone())
            .with("CSeq", format!("{} REGISTER", line.register_seq))
            .with("Expires", expires.unwrap_or(registrar.expires).to_string());
        self.send(now, register, path, Owner::Register(path.trunk));
    }

    pub(super) fn register_answered(&mut self, now: Instant, trunk: TrunkId, sent: &Message, response: &Message) {
        let cnonce = self.token();
        let Some(line) = self.lines.get_mut(trunk.0) else { return };
        let Some(registrar) = line.registrar.as_mut() else { return };
        match response.code().unwrap_or_default() {
            ..200 => return,
            200..300 => registrar.granted(granted(sent, response, line.trunk.transport), now),
            401 | 407 => {
                let mut again = sent.clone();
                let credentials = line.trunk.credentials.as_ref();
                let proven =
                    credentials.is_some_and(|known| prove(&mut again, response, &mut line.answered, known, &cnonce));
                if proven {
                    line.register_seq += 1;
                    if let Some(path) = line.path_of(trunk) {
                        self.send(now, again, path, Owner::Register(trunk));
                    }
                    return;
                }
                registrar.refused(response.code().unwrap_or(401), now);
            }
            423 => registrar.too_brief(response.seconds("Min-Expires").unwrap_or_default(), now),
            code => registrar.refused(code, now),
        }
        if self.leaving {
            registrar.stop();
        }
        self.tell_state(trunk);
        self.arm_line(trunk);
    }

    pub(super) fn register_failed(&mut self, now: Instant, trunk: TrunkId, code: u16) {
        if let Some(registrar) = self.lines.get_mut(trunk.0).and_then(|line| line.registrar.as_mut()) {
            registrar.refused(code, now);
            if self.leaving {
                registrar.stop();
            }
        }
        self.tell_state(trunk);
        self.arm_line(trunk);
    }

    pub(super) fn unregister(&mut self, now: Instant) {
        for index in 0..self.lines.len() {
            let trunk = TrunkId(index);
            let Some(line) = self.lines.get_mut(index) else { continue };
            let Some(registrar) = line.registrar.as_mut() else { continue };
            registrar.stop();
            if registrar.state == Registration::Registered
                && let Some(path) = line.path_of(trunk)
            {
                self.send_register(now, path, Some(0));
            }
        }
    }
}

/// An IPv6 address as URIs have it.
fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

/// The pause between OPTIONS, within reason: none at all would send without end.
fn interval(trunk: &Trunk) -> Duration {
    trunk.options_interval.clamp(Duration::from_secs(5), Duration::from_secs(86_400))
}

/// The time that a 200 grants. It names all contacts of the account, also those of others; where ours is not told apart (a trunk may
/// have put there what it sees), the shortest time of any counts.
fn granted(sent: &Message, response: &Message, transport: Transport) -> u32 {
    let ours = sent.contact();
    let port = |uri: &Uri| uri.port.unwrap_or(transport.default_port());
    let is_ours = |uri: &Uri| {
        ours.as_ref().is_some_and(|ours| (&ours.user, &ours.host, port(ours)) == (&uri.user, &uri.host, port(uri)))
    };
    let times = || {
        response.list("Contact").filter_map(|contact| {
            let address = NameAddr::parse(contact).ok()?;
            let seconds = address.params.value("expires")?.parse::<u32>().ok()?;
            Some((is_ours(&address.uri), seconds))
        })
    };
    let contact = times().find(|(is_ours, _)| *is_ours).or_else(|| times().min_by_key(|(_, seconds)| *seconds));
    contact.map(|(_, seconds)| seconds).or_else(|| response.seconds("Expires")).unwrap_or(3600)
}
