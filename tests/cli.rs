//! The `plenum` program as an operator uses it: real processes, real ports, real files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::{Running, plenum};

fn run(directory: &Path, arguments: &[&str]) -> Output {
    plenum(directory, arguments).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A run that must fail with `code`, and its words.
fn refusal(directory: &Path, arguments: &[&str], code: i32) -> String {
    let output = run(directory, arguments);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words}");
    assert!(output.stdout.is_empty(), "nothing for programs to read by mistake");
    words
}

#[test]
fn help_teaches_by_examples() {
    let directory = tempfile::tempdir().unwrap();
    let help = text(&run(directory.path(), &["--help"]).stdout);
    for word in ["Examples:", "plenum --lan", "plenum link", "plenum token --user", "PLENUM__SERVER__LISTEN", "--data"]
    {
        assert!(help.contains(word), "{word:?} is missing in\n{help}");
    }
    assert!(text(&run(directory.path(), &["token", "--help"]).stdout).contains("Authorization: Bearer"));
}

#[test]
fn a_recording_that_is_not_there_is_not_verified_and_its_name_must_be_one() {
    let directory = tempfile::tempdir().unwrap();
    let words = refusal(directory.path(), &["verify", "rec_0193a000000070008000000000000004"], 1);
    assert!(words.contains("cannot be verified"), "{words}");
    let words = refusal(directory.path(), &["verify", "../../etc/passwd"], 2);
    assert!(words.contains("32 hex digits"), "{words}");
    let help = text(&run(directory.path(), &["verify", "--help"]).stdout);
    assert!(help.contains("Example"), "{help}");
}

#[test]
fn a_token_is_printed_alone_and_is_good_at_the_running_server() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[], &[]);
    let output = run(directory.path(), &["token", "--user", "Ada"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let token = printed.strip_suffix('\n').expect("one line");
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    let base64url = |part: &&str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    assert!(parts.iter().all(base64url), "{token}");

    let me = server.http("GET", "/v1/me", &[("Authorization", &format!("Bearer {token}"))], "");
    assert_eq!(me.status, 200, "{me:?}");
    assert_eq!(me.json().get("displayName").and_then(|name| name.as_str()), Some("Ada"));
}

#[test]
fn a_link_leads_to_the_running_server_and_works_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[], &[]);
    let link = text(&run(directory.path(), &["link"]).stdout);
    let prefix = format!("http://127.0.0.1:{}/#key=", server.port);
    let key = link.trim_end().strip_prefix(&prefix).unwrap_or_else(|| panic!("{link} does not begin with {prefix}"));
    let body = serde_json::json!({ "key": key }).to_string();
    let sign_in = || server.http("POST", "/v1/session", &[("Content-Type", "application/json")], &body);
    let first = sign_in();
    assert_eq!(first.status, 204, "{first:?}");
    assert!(first.header("Set-Cookie").is_some_and(|cookie| cookie.contains("HttpOnly")), "{first:?}");
    let second = sign_in();
    assert!((400..500).contains(&second.status), "{second:?}");
}

#[test]
fn plain_http_beyond_this_machine_is_refused_with_the_ways_out() {
    let directory = tempfile::tempdir().unwrap();
    let words = refusal(directory.path(), &["--listen", "0.0.0.0:0"], 2);
    for word in ["0.0.0.0:0", "plain HTTP", "--lan", "behind_proxy"] {
        assert!(words.contains(word), "{word:?} is missing in {words}");
    }
    assert!(!directory.path().join("data").exists(), "a refused start leaves nothing behind");
}

#[test]
fn a_bad_file_is_refused_with_line_key_value_and_reason() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("config.toml"), "[log]\nlevel = \"loud\"\n").unwrap();
    let words = refusal(directory.path(), &[], 2);
    for word in ["config.toml:2", "log.level", "\"loud\"", "\"info\""] {
        assert!(words.contains(word), "{word:?} is missing in {words}");
    }
    let words = refusal(directory.path(), &["--config", "elsewhere.toml"], 2);
    assert!(words.contains("elsewhere.toml"), "{words}");
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_the_first_serves_on() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[], &[]);
    let words = refusal(directory.path(), &["--listen", "127.0.0.1:0"], 1);
    assert!(words.contains("running") && words.contains("--data"), "{words}");
    assert_eq!(server.http("GET", "/healthz", &[], "").status, 200);
}

#[test]
fn a_taken_port_is_refused_by_number() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = refusal(directory.path(), &["--listen", &address], 1);
    assert!(words.contains(&address) && words.contains("taken"), "{words}");
}

#[test]
fn a_start_takes_less_than_two_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let first = Running::start(directory.path(), &[], &[]).took;
    let second = Running::start(directory.path(), &[], &[]).took;
    assert!(first.max(second) < Duration::from_secs(2), "first {first:?}, second {second:?}");
}

#[test]
fn being_asked_to_stop_ends_the_server_quickly_and_well() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Running::start(directory.path(), &[], &[]);
        let begun = Instant::now();
        server.signal(signal);
        let (status, printed) = server.wait();
        assert_eq!(status.code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(printed, "", "links are printed to terminals only");
    }
}

#[test]
fn a_killed_server_leaves_its_data_free_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Running::start(directory.path(), &[], &[]);
    let token = text(&run(directory.path(), &["token", "--user", "Ada"]).stdout);
    server.signal(Signal::KILL);
    server.wait();
    let again = Running::start(directory.path(), &[], &[]);
    let me = again.http("GET", "/v1/me", &[("Authorization", &format!("Bearer {}", token.trim()))], "");
    assert_eq!(me.status, 200, "the signing key survives: {me:?}");
}

#[test]
fn lan_redirects_plain_http_and_keeps_its_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &["--lan"], &[]);
    let answer = server.http("GET", "/join/abc", &[], "");
    assert_eq!(answer.status, 308, "{answer:?}");
    let expected = format!("https://127.0.0.1:{}/join/abc", server.port);
    assert_eq!(answer.header("Location"), Some(expected.as_str()));
    let link = text(&run(directory.path(), &["link"]).stdout);
    assert!(link.starts_with("https://"), "{link}");

    let certificate = directory.path().join("data/tls/lan.crt");
    let first = std::fs::read(&certificate).unwrap();
    drop(server);
    let _again = Running::start(directory.path(), &["--lan"], &[]);
    assert_eq!(std::fs::read(&certificate).unwrap(), first, "a certificate that people accepted stays");
}

#[test]
fn metrics_are_there_for_this_machine_and_say_which_version_runs() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[], &[]);
    let answer = server.http("GET", "/metrics", &[], "");
    assert_eq!(answer.status, 200, "{answer:?}");
    for metric in ["plenum_build_info{version=", "process_resident_memory_bytes", "plenum_uptime_seconds"] {
        assert!(answer.body.contains(metric), "{metric} is missing in\n{}", answer.body);
    }
    let proxied = server.http("GET", "/metrics", &[("X-Forwarded-For", "192.0.2.1")], "");
    assert_eq!(proxied.status, 403, "{proxied:?}");
}

#[test]
fn check_config_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &["check-config", "--listen", "127.0.0.1:9"]);
    assert!(output.status.success() && text(&output.stdout).contains("127.0.0.1:9"));
    assert!(!directory.path().join("data").exists());
}
