//! The configuration as an operator meets it: the file in the repository is complete and true, and what is wrong is
//! refused with its key, value, place and reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use std::net::SocketAddr;
use std::time::Duration;

use plenum::config::{Announce, Config, Encrypt, LogFormat, Origin, Recorder, Refused};
use proptest::prelude::*;
use recorder::vault::{S3Credentials, Secret, StoreKind};
use sip::media::Codec;
use sip::media::sdp::Srtp;
use sip::stack::Transport;

const DOCUMENTED: &str = include_str!("../config.toml");

fn parse(text: &str) -> Result<Config, Refused> {
    Config::parse("config.toml", text, [])
}

fn with_environment(text: &str, variables: &[(&str, &str)]) -> Result<Config, Refused> {
    Config::parse("config.toml", text, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn the_documented_file_holds_every_key_once_and_states_the_built_in_defaults() {
    let table: toml::Table = DOCUMENTED.parse().unwrap();
    let mut written: Vec<String> = Vec::new();
    let mut sections: Vec<(String, &toml::Table)> = vec![(String::new(), &table)];
    while let Some((path, section)) = sections.pop() {
        for (key, value) in section {
            match value {
                toml::Value::Table(inner) => sections.push((format!("{path}{key}."), inner)),
                _ => written.push(format!("{path}{key}")),
            }
        }
    }
    let mut known: Vec<String> = Config::keys().into_iter().map(str::to_owned).collect();
    written.sort();
    known.sort();
    assert_eq!(written, known);
    assert_eq!(parse(DOCUMENTED).unwrap(), Config::default());
}

#[test]
fn every_key_of_the_documented_file_is_explained_above_it() {
    let mut explained = false;
    for line in DOCUMENTED.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(explained || line.starts_with("tls_key"), "{line} has no comment above it");
        }
        explained = line.starts_with("# ");
    }
}

#[test]
fn the_defaults_serve_this_machine_alone_and_are_accepted() {
    let config = Config::default();
    assert_eq!(config.server.listen, SocketAddr::from(([127, 0, 0, 1], 8080)));
    assert_eq!(config.check(), Ok(()));
}

#[test]
fn values_arrive_parsed() {
    let config = parse(
        r#"
        [server]
        listen = "[::]:443"
        public_url = "https://meet.example.org"
        behind_proxy = true
        [media]
        announce = ["203.0.113.7", "203.0.113.8:40000", "2001:db8::1", "[2001:db8::2]:5000"]
        [limits]
        connections = 1_000
        [log]
        format = "json"
        level = "debug"
        "#,
    )
    .unwrap();
    assert_eq!(config.server.listen.to_string(), "[::]:443");
    assert_eq!(config.server.public_url.as_ref().map(Origin::as_str), Some("https://meet.example.org"));
    let announced: Vec<SocketAddr> = config.media.announce.iter().map(|entry| entry.with_port(443)).collect();
    let expected = ["203.0.113.7:443", "203.0.113.8:40000", "[2001:db8::1]:443", "[2001:db8::2]:5000"];
    assert_eq!(announced, expected.map(|text| text.parse::<SocketAddr>().unwrap()));
    assert_eq!(config.limits.connections, 1000);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.check(), Ok(()));
}

#[test]
fn the_environment_goes_before_the_file() {
    let config = with_environment(
        "[server]\nlisten = \"127.0.0.1:1\"\ndata = \"from-file\"\n",
        &[
            ("PLENUM__SERVER__LISTEN", "127.0.0.1:2"),
            ("PLENUM__MEDIA__ANNOUNCE", "192.0.2.1, 192.0.2.2:9"),
            ("PLENUM__SERVER__BEHIND_PROXY", "true"),
            ("PLENUM__LIMITS__CONNECTIONS", "500"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.server.data.to_str(), Some("from-file"));
    assert!(config.server.behind_proxy);
    assert_eq!(config.limits.connections, 500);
    assert_eq!(
        config.media.announce,
        [
            Announce { address: "192.0.2.1".parse().unwrap(), port: None },
            Announce { address: "192.0.2.2".parse().unwrap(), port: Some(9) },
        ]
    );
}

#[test]
fn what_is_wrong_is_refused_with_its_place_key_value_and_reason() {
    for (text, place, words) in [
        ("[server]\nlisten = \"8080\"", "config.toml:2", &["server.listen", "\"8080\"", "IP address with a port"][..]),
        ("[server]\n\nlisten = 8080", "config.toml:3", &["server.listen", "8080", "text in quotes"]),
        ("[server]\nlisen = \"x\"", "config.toml:2", &["server.lisen", "not a setting", "Did you mean server.listen?"]),
        ("[server]\ncolour = 1", "config.toml:2", &["server.colour", "[server] knows: ", "public_url"]),
        (
            "[servers]\nx = 1",
            "config.toml:2",
            &[
                "servers.x",
                "no section [servers]",
                "limits, log, media, meetings, metrics, phone, recorder, recorder.store, recordings, server",
            ],
        ),
        ("listen = \"127.0.0.1:1\"", "config.toml:1", &["`listen`", "outside of any section"]),
        ("[server]\nlan = 1", "config.toml:2", &["server.lan", "1", "true or false"]),
        ("[server]\ndata = \"\"", "config.toml:2", &["server.data", "empty"]),
        (
            "[server]\npublic_url = \"meet.example.org\"",
            "config.toml:2",
            &["server.public_url", "meet.example.org", "origin"],
        ),
        ("[server]\npublic_url = \"https://a.example/path\"", "config.toml:2", &["without a path"]),
        ("[server]\npublic_url = \"ftp://a.example\"", "config.toml:2", &["not an origin"]),
        ("[server]\npublic_url = \"https://me@a.example\"", "config.toml:2", &["not an origin"]),
        ("[media]\nannounce = \"203.0.113.7\"", "config.toml:2", &["media.announce", "not a list"]),
        (
            "[media]\nannounce = [\"meet.example.org\"]",
            "config.toml:2",
            &["media.announce", "meet.example.org", "IP address"],
        ),
        ("[media]\nannounce = [\"0.0.0.0\"]", "config.toml:2", &["media.announce", "0.0.0.0", "no address"]),
        ("[limits]\nconnections = 0", "config.toml:2", &["limits.connections", "0", "from 16 to"]),
        ("[limits]\nconnections = -5", "config.toml:2", &["limits.connections", "-5"]),
        ("[log]\nlevel = \"loud\"", "config.toml:2", &["log.level", "\"loud\"", "\"debug\""]),
        ("[log]\nformat = \"xml\"", "config.toml:2", &["log.format", "\"xml\"", "\"json\""]),
        ("[log]\nlevel = \"info", "config.toml:2", &["not valid TOML"]),
        ("[server]\ntls_key = \"k.pem\"", "server.tls_certificate, server.tls_key", &["HTTPS needs both"]),
    ] {
        let Refused(problems) = parse(text).expect_err(text);
        let problem = problems.iter().find(|problem| problem.place == place);
        let problem = problem.unwrap_or_else(|| panic!("{text}: nothing at {place} in {problems:?}"));
        for word in words {
            assert!(problem.text.contains(word), "{text}: {word:?} is missing in {:?}", problem.text);
        }
    }
}

#[test]
fn stores_of_recordings_arrive_parsed_and_their_secrets_by_environment() {
    let config = with_environment(
        r#"
        [recorder]
        reserve_mib = 100
        [recorder.store]
        kind = "azure"
        account = "plenum"
        container = "recordings"
        prefix = "eu/1"
        encrypt = true
        read_plain = true
        [[recorder.tenant_stores]]
        tenant = "acme"
        kind = "s3"
        bucket = "acme-meetings"
        region = "us-east-1"
        endpoint = "https://s3.acme.example:9000"
        access_key_id = "id"
        path_style = true
        [[recorder.tenant_stores]]
        tenant = "Beta"
        kind = "gcs"
        bucket = "beta"
        service_account = "/etc/beta.json"
        "#,
        &[
            ("PLENUM__RECORDER__STORE__ACCESS_KEY", "a2V5"),
            ("PLENUM__RECORDER__TENANT_STORES__0__SECRET_ACCESS_KEY", "s3cret"),
        ],
    )
    .unwrap();
    let Recorder { reserve_mib, store, tenant_stores } = &config.recorder;
    assert_eq!((*reserve_mib, store.prefix.as_str(), store.encrypt), (100, "eu/1", Encrypt::FromNowOn));
    let (account, container) = ("plenum".to_owned(), "recordings".to_owned());
    assert_eq!(store.kind, StoreKind::Azure { account, container, access_key: Secret::new("a2V5"), endpoint: None });
    let tenants: Vec<&str> = tenant_stores.iter().map(|store| store.tenant.as_str()).collect();
    assert_eq!(tenants, ["acme", "Beta"]);
    assert_eq!(
        tenant_stores[0].store.kind,
        StoreKind::S3 {
            bucket: "acme-meetings".to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: Some("https://s3.acme.example:9000".to_owned()),
            credentials: Some(S3Credentials {
                access_key_id: "id".to_owned(),
                secret_access_key: Secret::new("s3cret"),
            }),
            path_style: true,
        }
    );
    let (bucket, service_account) = ("beta".to_owned(), "/etc/beta.json".into());
    assert_eq!(tenant_stores[1].store.kind, StoreKind::Gcs { bucket, service_account });
    assert!(!format!("{config:?}").contains("s3cret") && !format!("{config:?}").contains("a2V5"));
}

#[test]
fn a_store_of_recordings_that_lacks_a_key_or_has_one_of_another_kind_is_refused() {
    let s3 = "[recorder.store]\nkind = \"s3\"\nbucket = \"b\"\nregion = \"r\"\n";
    let tenant = "[[recorder.tenant_stores]]\ntenant = \"a\"\n";
    for (text, place, words) in [
        (
            "[recorder.store]\nkind = \"ftp\"".to_owned(),
            "config.toml:2",
            &["recorder.store.kind", "ftp", "\"azure\""][..],
        ),
        ("[recorder.store]\nkind = \"s3\"".to_owned(), "recorder.store.bucket", &["is missing", "kind = \"s3\""]),
        ("[recorder.store]\nkind = \"azure\"".to_owned(), "recorder.store.access_key", &["is missing"]),
        ("[recorder.store]\nkind = \"gcs\"".to_owned(), "recorder.store.service_account", &["is missing"]),
        ("[recorder.store]\nbucket = \"b\"".to_owned(), "recorder.store.bucket", &["no meaning with kind = \"local\""]),
        (format!("{s3}folder = \"x\""), "recorder.store.folder", &["no meaning with kind = \"s3\"", "\"local\""]),
        (
            format!("{s3}access_key_id = \"x\""),
            "recorder.store.access_key_id, recorder.store.secret_access_key",
            &["one is set and the other is not"],
        ),
        (format!("{s3}endpoint = \"s3.example.org\""), "config.toml:5", &["recorder.store.endpoint", "https://"]),
        (format!("{s3}endpoint = \"https://me:pw@s3.example.org\""), "config.toml:5", &["without password"]),
        (format!("{s3}prefix = \"../up\""), "config.toml:5", &["recorder.store.prefix", "small letters"]),
        (format!("{s3}read_plain = true"), "recorder.store.read_plain", &["encrypt = true"]),
        (format!("{s3}buckt = \"b\""), "config.toml:5", &["Did you mean recorder.store.bucket?"]),
        (format!("{s3}colour = 1"), "config.toml:5", &["[recorder.store] knows: kind, folder"]),
        ("[recorder.storage]\nx = 1".to_owned(), "config.toml:2", &["no section [recorder.storage]", "recorder.store"]),
        ("[[recorder.tenant_stores]]\nkind = \"local\"".to_owned(), "recorder.tenant_stores.tenant", &["is missing"]),
        (format!("{tenant}{tenant}"), "recorder.tenant_stores.tenant", &["\"a\" has two stores"]),
        (format!("{tenant}kind = \"s3\""), "recorder.tenant_stores.bucket", &["is missing"]),
        (format!("{tenant}colour = 1"), "config.toml:3", &["recorder.tenant_stores.colour", "not a setting"]),
        ("[recorder]\ntenant_stores = 5".to_owned(), "config.toml:2", &["recorder.tenant_stores", "not a list"]),
        ("[recorder]\ntenant_stores = [\"a\"]".to_owned(), "config.toml:2", &["no section", "[[...]]"]),
    ] {
        let Refused(problems) = parse(&text).expect_err(&text);
        let problem = problems.iter().find(|problem| problem.place == place);
        let problem = problem.unwrap_or_else(|| panic!("{text}: nothing at {place} in {problems:?}"));
        for word in words {
            assert!(problem.text.contains(word), "{text}: {word:?} is missing in {:?}", problem.text);
        }
    }
}

const TRUNK: &str = "[[phone.trunks]]\nhost = \"sip.example.com\"\n";

#[test]
fn a_phone_gateway_arrives_parsed_with_defaults_for_what_is_not_said_and_its_password_by_environment() {
    let config = with_environment(
        r#"
        [phone]
        udp = "192.0.2.7:5060"
        dial_out_prefixes = ["+49", "+43"]
        [[phone.numbers]]
        number = "+49 (30) 1234-567"
        name = "Berlin"
        [[phone.rules]]
        caller = "+49 170 1"
        conference_id = "123 456 789"
        [[phone.trunks]]
        host = "sip.example.com"
        username = "us"
        sources = ["203.0.113.0/24"]
        codecs = ["pcma", "opus"]
        [[phone.trunks]]
        name = "second"
        transport = "tls"
        host = "198.51.100.1"
        srtp = "required"
        inbound = false
        rank = 2
        "#,
        &[("PLENUM__PHONE__TRUNKS__0__PASSWORD", "s3cret")],
    )
    .unwrap();
    config.check().unwrap();
    let [first, second] = config.phone.trunks.as_slice() else { panic!("{:?}", config.phone.trunks) };
    assert_eq!((first.name.as_str(), first.transport, first.port), ("sip.example.com", Transport::Udp, None));
    assert_eq!(first.codecs, [Codec::Pcma, Codec::Opus]);
    assert_eq!((first.inbound, first.outbound, first.srtp), (true, true, Srtp::Allowed));
    assert_eq!(
        (second.transport, second.srtp, second.inbound, second.rank),
        (Transport::Tls, Srtp::Required, false, 2)
    );
    assert_eq!(
        (first.sessions, first.options_interval, first.register, first.rank),
        (100, Duration::from_secs(60), false, 0)
    );
    assert_eq!((first.sources.len(), second.sources.len(), second.codecs.len()), (1, 0, 0));
    assert!(!format!("{config:?}").contains("s3cret"));

    let gateway = config.phone.gateway(&[]).unwrap();
    assert_eq!(gateway.announced.to_string(), "192.0.2.7", "where SIP is listened, sound is, too");
    assert_eq!(gateway.stack.trunks[1].port, 5061);
    assert_eq!(gateway.lines[0].caller_id.as_deref(), Some("+49301234567"), "the first number, as it is dialled");
    assert_eq!(gateway.rules[0].conference_id, "123456789");
    let rules = config.phone.rules().unwrap();
    assert_eq!((rules.numbers[0].number.as_str(), rules.numbers[0].name.as_str()), ("+49 (30) 1234-567", "Berlin"));
    let out = rules.dial_out.unwrap();
    assert_eq!(out.prefixes, ["+49", "+43"]);
    assert!(out.emergency.iter().any(|number| number == "112"));
}

#[test]
fn nobody_is_called_unless_a_prefix_is_allowed_and_without_a_trunk_there_is_no_gateway() {
    let config = parse(&format!("[phone]\nudp = \"127.0.0.1:5060\"\n{TRUNK}")).unwrap();
    assert_eq!(config.phone.rules().unwrap().dial_out, None);
    let only_in = format!("[phone]\nudp = \"127.0.0.1:5060\"\ndial_out_prefixes = [\"+49\"]\n{TRUNK}outbound = false");
    assert_eq!(parse(&only_in).unwrap().phone.rules().unwrap().dial_out, None);
    assert_eq!(Config::default().phone.rules(), None);
}

#[test]
fn a_phone_gateway_that_could_not_work_is_refused_with_its_reason() {
    for (text, place, words) in [
        ("[phone]\nudp = \"5060\"".to_owned(), "config.toml:2", &["phone.udp", "IP address with a port"][..]),
        ("[phone]\nmedia_ports = \"9\"".to_owned(), "config.toml:2", &["phone.media_ports", "24000-24999"]),
        ("[phone]\ndial_out_prefixes = [\"49\"]".to_owned(), "config.toml:2", &["beginning of a number", "\"+\""]),
        ("[phone]\nemergency_numbers = [\"1x\"]".to_owned(), "config.toml:2", &["\"1x\"", "digits alone"]),
        ("[phone]\ntls_key = \"k\"".to_owned(), "phone.tls_certificate, phone.tls_key", &["one is set"]),
        ("[[phone.numbers]]\nname = \"x\"".to_owned(), "phone.numbers.number", &["is missing"]),
        ("[[phone.numbers]]\nnumber = \"call us\"".to_owned(), "config.toml:2", &["no telephone number"]),
        ("[[phone.rules]]\nconference_id = \"1\"".to_owned(), "phone.rules", &["every call to one meeting"]),
        ("[[phone.rules]]\ncalled = \"+49 30\"".to_owned(), "phone.rules.conference_id", &["is missing"]),
        ("[[phone.trunks]]\nname = \"x\"".to_owned(), "phone.trunks.host", &["is missing"]),
        (format!("{TRUNK}{TRUNK}"), "phone.trunks.name", &["the name of two trunks"]),
        (format!("{TRUNK}username = \"us\""), "phone.trunks.username, phone.trunks.password", &["one is set"]),
        (format!("{TRUNK}register = true"), "phone.trunks.register", &["username and password"]),
        (format!("{TRUNK}transport = \"sctp\""), "config.toml:3", &["\"udp\", \"tcp\" or \"tls\""]),
        (format!("{TRUNK}codecs = [\"g729\"]"), "config.toml:3", &["g729", "\"opus\""]),
        (format!("{TRUNK}sources = [\"sip.example.com\"]"), "config.toml:3", &["203.0.113.0/24"]),
        (format!("{TRUNK}colour = 1"), "config.toml:3", &["phone.trunks.colour", "not a setting"]),
    ] {
        let Refused(problems) = parse(&text).expect_err(&text);
        let problem = problems.iter().find(|problem| problem.place == place);
        let problem = problem.unwrap_or_else(|| panic!("{text}: nothing at {place} in {problems:?}"));
        for word in words {
            assert!(problem.text.contains(word), "{text}: {word:?} is missing in {:?}", problem.text);
        }
    }
    for (text, place, word) in [
        ("[phone]\nudp = \"127.0.0.1:5060\"".to_owned(), "phone.udp, phone.tcp, phone.tls", "there is no trunk"),
        ("[[phone.numbers]]\nnumber = \"+49 30 1\"".to_owned(), "phone.numbers, phone.rules", "there is no trunk"),
        (TRUNK.to_owned(), "phone.udp", "speaks UDP"),
        (format!("[phone]\nudp = \"0.0.0.0:5060\"\n{TRUNK}"), "phone.advertised", "public address"),
        (format!("[phone]\nudp = \"127.0.0.1:5060\"\ncalls = 501\n{TRUNK}"), "phone.media_ports", "500 calls"),
        (format!("[phone]\nudp = \"127.0.0.1:1\"\nlanguage = \"de\"\n{TRUNK}"), "phone.language", "phone.prompts"),
        (format!("[phone]\nudp = \"127.0.0.1:1\"\ntls = \"127.0.0.1:2\"\n{TRUNK}"), "phone.tls", "tls_key"),
    ] {
        let Refused(problems) = parse(&text).unwrap().check().expect_err(&text);
        let problem = problems.iter().find(|problem| problem.place.starts_with(place));
        assert!(problem.is_some_and(|problem| problem.text.contains(word)), "{text}: {problems:?}");
    }
    let config = parse(&format!(
        "[phone]\nprompts = \"/nowhere\"\ntls_certificate = \"/no.pem\"\ntls_key = \"/no.key\"\n{TRUNK}"
    ));
    let Refused(problems) = config.unwrap().phone.gateway(&[]).err().unwrap();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[2].text.contains("/nowhere/en is no folder"), "{problems:?}");
    assert!(problems[0].text.contains("/no.pem cannot be read"), "{problems:?}");
}

#[test]
fn stores_are_opened_in_the_data_directory_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = parse("[recorder.store]\nencrypt = true\n[[recorder.tenant_stores]]\ntenant = \"a\"").unwrap();
    config.server.data = folder.path().to_owned();
    config.vaults().unwrap();
    for made in ["blobs", "keys/recordings"] {
        assert!(folder.path().join(made).exists(), "{made}");
    }
    std::fs::write(folder.path().join("keys/recordings"), "nonsense").unwrap();
    let Refused(problems) = config.vaults().unwrap_err();
    assert_eq!(problems[0].place, "recorder.store");
    assert!(problems[0].text.contains("key file has a mistake in line 1"), "{problems:?}");
    let azure = "[recorder.store]\nkind = \"azure\"\naccount = \"a\"\ncontainer = \"c\"\naccess_key = \"s3cret!\"";
    let refused = parse(azure).unwrap().vaults().unwrap_err().to_string();
    assert!(refused.contains("recorder.store") && !refused.contains("s3cret"), "{refused}");
}

#[test]
fn a_bad_variable_is_refused_by_its_own_name() {
    for (name, value, word) in [
        ("PLENUM__SERVER__LISTEN", "nowhere", "nowhere"),
        ("PLENUM__SERVER__LAN", "yes", "true or false"),
        ("PLENUM__LIMITS__CONNECTIONS", "many", "whole number"),
        ("PLENUM__SERVER__LISEN", "x", "Did you mean server.listen?"),
    ] {
        let refused = with_environment("", &[(name, value)]).expect_err(name).to_string();
        assert!(refused.contains(&format!("environment variable {name}")) && refused.contains(word), "{refused}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let Refused(problems) = parse("[server]\nlan = 3\ndata = 4\n[log]\nlevel = \"loud\"\nshape = 1").unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:?}");
}

#[test]
fn a_secret_is_never_repeated_in_a_message() {
    let refused = parse("[metrics]\ntoken = \"short-s3cret\"").unwrap_err().to_string();
    assert!(refused.contains("metrics.token") && !refused.contains("s3cret"), "{refused}");
    for key in ["access_key", "secret_access_key"] {
        let refused = parse(&format!("[recorder.store]\n{key} = 4711471147")).unwrap_err().to_string();
        assert!(refused.contains(key) && !refused.contains("4711"), "{refused}");
    }
    let config = parse("[metrics]\ntoken = \"0123456789abcdef-s3cret\"").unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn plain_http_beyond_this_machine_needs_a_reason() {
    let listen = |extra: &str| parse(&format!("[server]\nlisten = \"0.0.0.0:8080\"\n{extra}")).unwrap().check();
    let refused = listen("").unwrap_err().to_string();
    for word in ["0.0.0.0:8080", "--lan", "tls_certificate", "behind_proxy"] {
        assert!(refused.contains(word), "{word} is missing in {refused}");
    }
    assert_eq!(listen("behind_proxy = true"), Ok(()));
    assert_eq!(listen("lan = true"), Ok(()));
    assert_eq!(listen("tls_certificate = \"a\"\ntls_key = \"b\""), Ok(()));
    assert_eq!(parse("[server]\nlisten = \"[::1]:8080\"").unwrap().check(), Ok(()));
}

#[test]
fn settings_that_exclude_each_other_are_refused() {
    let check = |text: &str| parse(text).unwrap().check();
    assert!(check("[server]\nlan = true\nbehind_proxy = true").is_err());
    assert!(check("[server]\nbehind_proxy = true\npublic_url = \"http://meet.example.org\"").is_err());
    assert!(check("[server]\nbehind_proxy = true\npublic_url = \"https://meet.example.org\"").is_ok());
}

proptest! {
    #[test]
    fn no_file_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_value_makes_the_reader_panic(value in "\\PC{0,40}", key in 0..20_usize) {
        let keys = Config::keys();
        let key = keys.get(key % keys.len()).unwrap();
        let (section, name) = key.split_once('.').unwrap();
        let quoted = toml::Value::String(value.clone()).to_string();
        let _ = parse(&format!("[{section}]\n{name} = {quoted}"));
        let _ = parse(&format!("[{section}]\n{name} = {value}"));
        let variable = format!("PLENUM__{}", key.to_uppercase().replace('.', "__"));
        let _ = with_environment("", &[(&variable, &value)]);
    }
}

/// A trunk, without which nothing of `[phone]` may be set.
const GATEWAY: &str = "[phone]\nudp = \"127.0.0.1:5060\"\n[[phone.trunks]]\nhost = \"sip.example.com\"\n";

#[test]
fn a_number_may_be_somebodys_own_and_then_no_invitation_names_it() {
    let numbers = "[[phone.numbers]]\nnumber = \"+49 30 5550\"\nuser = \"Ada\"\n\
                   [[phone.numbers]]\nnumber = \"+49 30 5551\"\nuser = \"Bob\"\ntenant = \"other\"\n\
                   [[phone.numbers]]\nnumber = \"+49 30 1234567\"\n";
    let config = parse(&format!("{GATEWAY}{numbers}")).unwrap();
    let rules = config.phone.rules().unwrap();
    let shown: Vec<_> = rules.numbers.iter().map(|number| number.number.as_str()).collect();
    assert_eq!(shown, ["+49 30 1234567"]);
    let own: Vec<_> =
        rules.personal.iter().map(|own| (own.number.as_str(), own.tenant.as_str(), own.user.as_str())).collect();
    assert_eq!(own, [("+49 30 5550", "default", "Ada"), ("+49 30 5551", "other", "Bob")]);
    let gateway = config.phone.gateway(&[]).unwrap();
    assert_eq!(gateway.lines[0].caller_id.as_deref(), Some("+49301234567"), "nobody calls out in Ada's name");
    assert_eq!((gateway.voicemail.rings.as_secs(), gateway.voicemail.longest.as_secs()), (20, 180));
}

#[test]
fn a_number_that_is_two_peoples_or_of_nobody_in_an_organisation_is_refused() {
    for (numbers, word) in [
        (
            "[[phone.numbers]]\nnumber = \"+49 30 1\"\nuser = \"Ada\"\n[[phone.numbers]]\nnumber = \"4930-1\"\n",
            "stands there twice",
        ),
        ("[[phone.numbers]]\nnumber = \"+49 30 1\"\ntenant = \"other\"\n", "needs user"),
    ] {
        let Refused(problems) = parse(&format!("{GATEWAY}{numbers}")).expect_err(numbers);
        assert!(problems.iter().any(|problem| problem.text.contains(word)), "{problems:?}");
    }
}
