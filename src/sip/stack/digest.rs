//! Digest access authentication, as the one who is asked (RFC 3261 §22, RFC 8760, RFC 7616).
//!
//! A trunk refuses with 401 or 407 and a challenge; the same request goes out again with a proof of the password. A nonce is answered
//! once: who refuses the proof would refuse it again. `qop`, `nc` and `algorithm` stand without quotes (RFC 7616 §3.4); some trunks
//! refuse them in quotes.

use md5::{Digest, Md5};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Sha256, Sha512_256};

use super::message::Message;
use super::uri::split_outside;

/// Challenges answered for one request; a trunk that marks its nonces stale for ever gets no further.
const ATTEMPTS: usize = 3;

/// Who we are at a trunk.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha512_256,
    Sha256,
    Md5,
}

impl Algorithm {
    /// The best one first: a server may send a challenge for each.
    const ALL: [(Self, &str); 3] = [(Self::Sha512_256, "SHA-512-256"), (Self::Sha256, "SHA-256"), (Self::Md5, "MD5")];

    fn hash(self, text: &str) -> String {
        let bytes = match self {
            Self::Md5 => Md5::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha512_256 => Sha512_256::digest(text).to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What has been answered for one request, so that nothing is answered twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    nonces: Vec<String>,
}

impl Answered {
    /// The header that answers the challenge in a 401 or 407, or `None` if it cannot be answered or was in vain before.
    pub(super) fn answer(
        &mut self,
        refusal: &Message,
        method: &str,
        uri: &str,
        credentials: &Credentials,
        cnonce: &str,
    ) -> Option<(&'static str, String)> {
        let (challenge, answer) = match refusal.code()? {
            401 => ("WWW-Authenticate", "Authorization"),
            407 => ("Proxy-Authenticate", "Proxy-Authorization"),
            _ => return None,
        };
        let challenges: Vec<_> = refusal.all(challenge).filter_map(Challenge::parse).collect();
        let best =
            Algorithm::ALL.iter().find_map(|(algorithm, _)| challenges.iter().find(|c| c.algorithm == *algorithm))?;
        if self.nonces.len() == ATTEMPTS
            || self.nonces.contains(&best.nonce)
            || (!self.nonces.is_empty() && !best.stale)
        {
            return None;
        }
        self.nonces.push(best.nonce.clone());
        Some((answer, best.answer(method, uri, credentials, cnonce)))
    }
}

struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// False: a server of RFC 2069, which knows no `qop`.
    qop_auth: bool,
    stale: bool,
}

impl Challenge {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, params) = text.split_once(char::is_whitespace)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let params: Vec<(&str, &str)> = split_outside(params, ',')
            .into_iter()
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
            .collect();
        let get = |name: &str| params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        let algorithm = match get("algorithm") {
            None => Algorithm::Md5,
            Some(name) => Algorithm::ALL.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(a, _)| *a)?,
        };
        let qop = get("qop");
        let qop_auth = qop.is_some_and(|qop| qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")));
        if qop.is_some() && !qop_auth {
            return None;
        }
        Some(Self {
            realm: get("realm")?.to_owned(),
            nonce: get("nonce")?.to_owned(),
            opaque: get("opaque").map(str::to_owned),
            algorithm,
            qop_auth,
            stale: get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    fn answer(&self, method: &str, uri: &str, credentials: &Credentials, cnonce: &str) -> String {
        let Self { realm, nonce, algorithm, .. } = self;
        let Credentials { username, password } = credentials;
        let secret = algorithm.hash(&format!("{username}:{realm}:{}", password.expose_secret()));
        let asked = algorithm.hash(&format!("{method}:{uri}"));
        let name = Algorithm::ALL.iter().find(|(a, _)| a == algorithm).map_or("MD5", |(_, name)| name);
        let mut text = format!("Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\"");
        let response = if self.qop_auth {
            text.push_str(&format!(", qop=auth, nc=00000001, cnonce=\"{cnonce}\""));
            algorithm.hash(&format!("{secret}:{nonce}:00000001:{cnonce}:auth:{asked}"))
        } else {
            algorithm.hash(&format!("{secret}:{nonce}:{asked}"))
        };
        text.push_str(&format!(", response=\"{response}\", algorithm={name}"));
        if let Some(opaque) = &self.opaque {
            text.push_str(&format!(", opaque=\"{opaque}\""));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::message::{Method, Start};

    fn refusal(code: u16, challenges: &[&str]) -> Message {
        let mut message = Message::request(Method::Register, "sip:x".to_owned());
        message.start = Start::Response { code, reason: String::new() };
        let name = if code == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
        challenges.iter().fold(message, |message, challenge| message.with(name, *challenge))
    }

    fn mufasa() -> Credentials {
        Credentials { username: "Mufasa".to_owned(), password: "Circle of Life".to_owned().into() }
    }

    /// The example of RFC 7616 §3.9.1, which is HTTP's but for the method.
    #[test]
    fn the_answers_of_rfc_7616_come_out() {
        const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let challenge = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, nonce=\"{NONCE}\", opaque=\"F\""
            );
            let mut answered = Answered::default();
            let credentials = Credentials { password: "Circle of Life".to_owned().into(), ..mufasa() };
            let (name, text) = answered
                .answer(&refusal(401, &[&challenge]), "GET", "/dir/index.html", &credentials, CNONCE)
                .expect("can be answered");
            assert_eq!(name, "Authorization");
            assert!(text.contains(&format!("response=\"{response}\"")), "{text}");
            assert!(
                text.contains(", qop=auth, nc=00000001,") && text.contains(&format!("algorithm={algorithm}")),
                "{text}"
            );
            assert!(text.contains("opaque=\"F\""));
        }
    }

    #[test]
    fn the_strongest_challenge_is_answered_and_unknown_ones_are_passed_over() {
        let challenges = [
            "Digest realm=r, nonce=1",
            "Basic realm=r",
            "Digest realm=r,nonce=2,algorithm=SHA-256",
            "Digest realm=r,nonce=3,algorithm=X",
        ];
        let (name, text) = Answered::default()
            .answer(&refusal(407, &challenges), "INVITE", "sip:x", &mufasa(), "c")
            .expect("one is known");
        assert_eq!(name, "Proxy-Authorization");
        assert!(text.contains("nonce=\"2\"") && !text.contains("qop"), "{text}");
        assert!(
            Answered::default()
                .answer(&refusal(401, &["Digest realm=r,nonce=1,qop=\"auth-int\""]), "A", "u", &mufasa(), "c")
                .is_none()
        );
    }

    #[test]
    fn a_refused_answer_is_not_given_again_unless_its_nonce_was_stale_and_then_not_for_ever() {
        let mut answered = Answered::default();
        let mut ask =
            |nonce: &str| answered.answer(&refusal(401, &[nonce]), "INVITE", "sip:x", &mufasa(), "c").is_some();
        assert!(ask("Digest realm=r, nonce=1"));
        assert!(!ask("Digest realm=r, nonce=1, stale=true"));
        assert!(!ask("Digest realm=r, nonce=2"));
        assert!(ask("Digest realm=r, nonce=2, stale=TRUE"));
        assert!(ask("Digest realm=r, nonce=3, stale=true"));
        assert!(!ask("Digest realm=r, nonce=4, stale=true"));
    }
}
