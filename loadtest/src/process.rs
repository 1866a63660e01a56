//! What a process costs, read from `/proc`: processor time and memory of the server under load, datagrams that the
//! kernel dropped before somebody read them. And how many files we may open ourselves.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// Ticks a second in `/proc/PID/stat`. The kernel scales them to this figure on every architecture that we run on,
/// whatever its own clock is.
const TICKS_PER_SECOND: u64 = 100;

/// Why a process cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It is gone, or somebody else's, or this is not Linux.
    #[error(
        "process {0} cannot be measured: {1}. Check --server-pid; it works on Linux, for processes on this machine."
    )]
    Unreadable(u32, std::io::Error),
    /// The kernel's answer is not understood.
    #[error("the kernel's figures of process {0} are not understood")]
    Unknown(u32),
}

/// Figures of a process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Processor time since its start, user and system.
    #[serde(skip)]
    pub cpu: Duration,
    /// Memory in use (resident set).
    pub rss_bytes: u64,
}

impl Usage {
    /// Reads the present figures.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> Result<Self, ProcessError> {
        let read = |name: &str| {
            let path: PathBuf = ["/proc", &pid.to_string(), name].iter().collect();
            std::fs::read_to_string(path).map_err(|error| ProcessError::Unreadable(pid, error))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        parse(&stat, &status).ok_or(ProcessError::Unknown(pid))
    }
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The second field is the program's name in brackets, which may itself hold blanks and brackets.
    let (_, after_name) = stat.rsplit_once(')')?;
    // Fields 14 and 15 of the line; state, the first here, is field 3.
    let mut times = after_name.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()?.checked_add(times.next()?.ok()?)?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = rss.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Usage {
        cpu: Duration::from_millis(ticks.checked_mul(1000 / TICKS_PER_SECOND)?),
        rss_bytes: kibibytes.checked_mul(1024)?,
    })
}

/// Datagrams that the kernel dropped because the sockets of these ports were full, since they were opened. `None` where
/// the kernel does not tell.
pub(crate) fn udp_drops(ports: &HashSet<u16>) -> Option<u64> {
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(std::fs::read_to_string);
    let readable = tables.iter().flatten().map(|table| parse_drops(table, ports));
    readable.reduce(|one, other| one + other)
}

fn parse_drops(table: &str, ports: &HashSet<u16>) -> u64 {
    let rows = table.lines().skip(1).filter_map(|row| {
        let mut fields = row.split_ascii_whitespace();
        let (_, port) = fields.nth(1)?.rsplit_once(':')?;
        let drops: u64 = fields.next_back()?.parse().ok()?;
        Some((u16::from_str_radix(port, 16).ok()?, drops))
    });
    rows.filter(|(port, _)| ports.contains(port)).map(|(_, drops)| drops).sum()
}

/// Asks for as many open files as the system lets us have: each client holds two. Returns how many that is.
pub(crate) fn raise_open_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Refused only where the hard limit changed meanwhile; then the old one holds.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current
}

/// How many files a process may open (the soft limit), as the kernel writes it.
pub(crate) fn open_files_of(pid: u32) -> Option<String> {
    let path: PathBuf = ["/proc", &pid.to_string(), "limits"].iter().collect();
    let limits = std::fs::read_to_string(path).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_and_memory_are_found_behind_an_odd_name() {
        let stat = "4711 (a) (b 1 2) S 1 4711 4711 0 -1 4194560 100 0 0 0 250 50 7 8 20 0 5 0 100 1000 10 1";
        let usage = parse(stat, "Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t  2048 kB\n").unwrap();
        assert_eq!(usage, Usage { cpu: Duration::from_secs(3), rss_bytes: 2 << 20 });
    }

    #[test]
    fn this_process_can_be_measured_and_a_missing_one_not() {
        assert!(Usage::of(std::process::id()).unwrap().rss_bytes > 1 << 20);
        assert!(matches!(Usage::of(u32::MAX), Err(ProcessError::Unreadable(..))));
    }

    #[test]
    fn this_process_may_open_files() {
        let files = open_files_of(std::process::id()).unwrap();
        assert!(files == "unlimited" || files.parse::<u64>().unwrap() > 0, "{files}");
        assert_eq!(open_files_of(u32::MAX), None);
    }

    #[test]
    fn drops_of_our_ports_are_added_up() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            100: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 16 2 0000000000000000 12\n\
            101: 0100007F:1F91 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 17 2 0000000000000000 5\n\
            102: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 18 2 0000000000000000 99\n";
        assert_eq!(parse_drops(table, &HashSet::from([8_080, 8_081])), 17);
        assert_eq!(parse_drops(table, &HashSet::new()), 0);
    }

    #[test]
    fn a_full_socket_is_seen() {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = receiver.local_addr().unwrap().port();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(udp_drops(&HashSet::from([port])), Some(0));
        for _ in 0..5_000 {
            sender.send_to(&[0; 1_400], receiver.local_addr().unwrap()).unwrap();
        }
        assert!(udp_drops(&HashSet::from([port])).unwrap() > 0);
    }

    proptest! {
        #[test]
        fn arbitrary_tables_never_panic(table in "[ -~\n]{0,200}|( [0-9A-F:]{1,14}){0,14}") {
            let _ = parse_drops(&table, &HashSet::from([53]));
        }

        #[test]
        fn arbitrary_text_never_panics(stat in "[ -~]{0,80}|1 \\(x\\)( [0-9]{1,20}){0,20}", rss in "VmRSS:[ -~]{0,30}") {
            let _ = parse(&stat, &rss);
        }
    }
}
