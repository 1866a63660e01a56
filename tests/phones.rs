//! The phone gateway as an operator meets it: off until there is a trunk, and what `plenum doctor` says of one. Calls are in `tests/browser`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod support;

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::process::Output;
use std::time::Duration;

use support::{Running, plenum};

/// A trunk that answers OPTIONS with a code, and how often it was asked.
struct Trunk {
    address: SocketAddr,
    thread: std::thread::JoinHandle<usize>,
}

impl Trunk {
    fn answering(code: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(1_500))).unwrap();
        let address = socket.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut asked = 0;
            let mut datagram = [0; 4_096];
            // Ends when nobody has asked for a while.
            while let Ok((length, from)) = socket.recv_from(&mut datagram) {
                asked += 1;
                let request = String::from_utf8_lossy(datagram.get(..length).unwrap()).into_owned();
                let copied = ["via", "from", "to", "call-id", "cseq"];
                let headers = request.lines().filter(|line| {
                    line.split_once(':').is_some_and(|(name, _)| copied.contains(&name.to_ascii_lowercase().as_str()))
                });
                let headers: Vec<&str> = headers.collect();
                let answer = format!("SIP/2.0 {code} So\r\n{}\r\nContent-Length: 0\r\n\r\n", headers.join("\r\n"));
                let _ = socket.send_to(answer.as_bytes(), from);
            }
            asked
        });
        Self { address, thread }
    }
}

fn doctor(host: &str, port: u16) -> (Output, String) {
    doctor_by("udp", host, port)
}

fn doctor_by(transport: &str, host: &str, port: u16) -> (Output, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = plenum(directory.path(), &["doctor", "--listen", "127.0.0.1:0"]);
    command.env("PLENUM__PHONE__TRUNKS__0__TRANSPORT", transport);
    command.env("PLENUM__PHONE__UDP", "127.0.0.1:0").env("PLENUM__PHONE__TRUNKS__0__HOST", host);
    command.env("PLENUM__PHONE__TRUNKS__0__PORT", port.to_string()).env("PLENUM__PHONE__TRUNKS__0__NAME", "lab");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

#[test]
fn doctor_says_that_a_trunk_answers_and_with_what() {
    let trunk = Trunk::answering(200);
    let (output, text) = doctor("127.0.0.1", trunk.address.port());
    assert!(output.status.success(), "{text}");
    assert!(text.contains(&format!("good  trunk lab: {} answers (200)", trunk.address)), "{text}");
    assert!(trunk.thread.join().unwrap() >= 1);
}

#[test]
fn doctor_says_what_is_wrong_with_a_trunk_and_what_to_do() {
    for (code, advice) in [(503, "it takes no calls"), (403, "Tell the provider this machine's address")] {
        let trunk = Trunk::answering(code);
        let (output, text) = doctor("127.0.0.1", trunk.address.port());
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains("BAD   trunk lab") && text.contains(&code.to_string()) && text.contains(advice),
            "{text}"
        );
        trunk.thread.join().unwrap();
    }

    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (output, text) = doctor("127.0.0.1", silent.local_addr().unwrap().port());
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("does not answer by UDP") && text.contains("firewall"), "{text}");

    let (output, text) = doctor("no-such-trunk.invalid", 5060);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no address of \"no-such-trunk.invalid\""), "{text}");
    assert!(!text.contains("cannot connect to us"), "{text}");

    let (_, text) = doctor_by("tcp", "no-such-trunk.invalid", 5060);
    assert!(text.contains("note  trunk lab: phone.tcp is not set, so it cannot connect to us"), "{text}");
}

/// Ports that a process has UDP sockets at, or listens at by TCP, by what the kernel says.
fn ports_of(process: u32) -> HashSet<u16> {
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let targets = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    let inodes: HashSet<String> = targets
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut ports = HashSet::new();
    for (table, listens) in [("udp", "07"), ("udp6", "07"), ("tcp", "0A"), ("tcp6", "0A")] {
        for line in std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default().lines().skip(1)
        {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) = (fields.get(1), fields.get(3), fields.get(9)) else {
                continue;
            };
            if *state == listens && inodes.contains(*inode) {
                let (_, port) = local.rsplit_once(':').unwrap();
                ports.insert(u16::from_str_radix(port, 16).unwrap());
            }
        }
    }
    ports
}

#[test]
fn without_a_trunk_no_port_is_open_for_phones_and_with_one_just_those_that_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), &[], &[]);
    assert_eq!(ports_of(server.id()), HashSet::from([server.port]));
    drop(server);

    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings =
        [("PLENUM__PHONE__UDP", free.to_string()), ("PLENUM__PHONE__TRUNKS__0__HOST", "127.0.0.1".to_owned())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Running::start(directory.path(), &[], &settings);
    assert_eq!(ports_of(server.id()), HashSet::from([server.port, free.port()]), "ports of sound open with calls");
}
