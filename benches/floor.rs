//! The floor of this machine: processor time for each packet that the kernel alone, and kernel and cipher together, take
//! for a frame's packets to many receivers. `docs/capacity.md` explains the figures and holds those of one machine.
//!
//! ```text
//! cargo bench --bench floor -- [--receivers 200] [--segments 1,2,4,8,16] [--size 1200] [--seconds 1] ..
//!
//! loadtest::floor (one sending thread) --loopback--> N plain sockets <- one draining thread
//! ```
//!
//! All figures of a table are taken in turns, round after round, so that what else the machine does falls on all of them
//! alike. Shown are the middle round and, in brackets, the least and the greatest: where these lie far apart, the machine
//! was busy with something else. Only ratios within a table mean anything elsewhere.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a program for the developer's terminal, which may fail loudly"
)]

use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use loadtest::floor::{Cipher, Flow, Measured, Plan, TrainHistogram, run};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::net::{RecvFlags, recv};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::nanosleep;

/// One of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Table {
    /// By length of trains.
    Lengths,
    /// By number of receivers.
    Receivers,
    /// By number of sending threads.
    Threads,
}

/// What to measure.
#[derive(Debug, Parser)]
struct Options {
    /// Receivers, each with a socket and a key of its own.
    #[arg(long, default_value_t = 200)]
    receivers: usize,
    /// Lengths of trains, in datagrams.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16")]
    segments: Vec<usize>,
    /// Octets of UDP payload of each datagram.
    #[arg(long, default_value_t = 1_200)]
    size: usize,
    /// Of one measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How often each measurement is taken.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Frames a second; each is one train to each receiver.
    #[arg(long, default_value_t = 30.0)]
    frames: f64,
    /// Numbers of receivers to compare at the two lengths of `--growth-segments`.
    #[arg(long, value_delimiter = ',', default_value = "50,200,1000")]
    growth: Vec<usize>,
    /// See `--growth`.
    #[arg(long, value_delimiter = ',', default_value = "8,1")]
    growth_segments: Vec<usize>,
    /// Numbers of sending threads to compare.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Milliseconds between two looks at all sockets. 0: the receivers sleep until the kernel wakes them, for which the
    /// sender pays.
    #[arg(long, default_value_t = 1)]
    sweep: u64,
    /// Only this table.
    #[arg(long)]
    only: Option<Table>,
    /// Given by `cargo bench`; without meaning.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    allow_many_sockets();
    print_machine();
    let most = options.growth.iter().copied().chain([options.receivers]).max().unwrap_or(1);
    let receivers = Receivers::open(most, Duration::from_millis(options.sweep));
    let bench = Bench { options: &options, addresses: &receivers.addresses };
    let wanted = |table| options.only.is_none_or(|only| only == table);
    if wanted(Table::Lengths) {
        bench.by_train_length();
    }
    if wanted(Table::Receivers) {
        bench.by_receivers();
    }
    if wanted(Table::Threads) {
        bench.by_threads();
    }
    receivers.report();
}

/// One measurement: what is varied.
#[derive(Clone, Copy, Debug)]
struct Case {
    receivers: usize,
    segments: usize,
    cipher: Cipher,
    threads: usize,
}

/// The rounds of a case.
#[derive(Clone, Debug, Default)]
struct Figure {
    /// Microseconds for each packet, ascending, of the rounds that count.
    micros: Vec<f64>,
    packets_per_second: f64,
    /// Rounds in which the machine could not keep up with the plan, or the kernel did not take every packet.
    failed: usize,
}

impl Figure {
    fn middle(&self) -> f64 {
        self.micros.get(self.micros.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn add(&mut self, measured: &Measured, patience: Duration) {
        if measured.refused > 0 || measured.behind > patience {
            self.failed += 1;
            return;
        }
        self.micros.extend(measured.micros_per_packet());
        self.micros.sort_by(f64::total_cmp);
        self.packets_per_second = measured.packets as f64 / measured.wall.as_secs_f64();
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ends = self.micros.first().zip(self.micros.last());
        let Some((least, greatest)) = ends else { return f.write_str("too slow") };
        write!(f, "{:.2} ({least:.2}-{greatest:.2})", self.middle())
    }
}

struct Bench<'a> {
    options: &'a Options,
    addresses: &'a [SocketAddr],
}

impl Bench<'_> {
    fn by_train_length(&self) {
        let cases = self.options.segments.iter().flat_map(|&segments| {
            [Cipher::None, Cipher::Aes128Gcm].map(|cipher| self.case(self.options.receivers, segments, cipher))
        });
        let cases: Vec<Case> = cases.collect();
        let figures = self.measure(&cases);
        println!("\n{} receivers, {} octets, by length of trains\n", self.options.receivers, self.options.size);
        println!(
            "| datagrams in a train | kernel, us/packet | kernel and cipher, us/packet | packets per CPU-second | sent/s |"
        );
        println!("|---:|---:|---:|---:|---:|");
        for (cases, figures) in cases.chunks(2).zip(figures.chunks(2)) {
            let [plain, sealed] = figures else { return };
            let (segments, rate, capacity) = (cases[0].segments, sealed.packets_per_second, 1e6 / sealed.middle());
            println!("| {segments} | {plain} | {sealed} | {capacity:.0} | {rate:.0} |");
        }
    }

    fn by_receivers(&self) {
        let options = self.options;
        let cases = options.growth_segments.iter().flat_map(|&segments| {
            options.growth.iter().map(move |&receivers| self.case(receivers, segments, Cipher::Aes128Gcm))
        });
        let cases: Vec<Case> = cases.collect();
        let figures = self.measure(&cases);
        println!("\n{} octets, by number of receivers and keys\n", options.size);
        println!("| datagrams in a train | receivers | kernel and cipher, us/packet | growth | sent/s |");
        println!("|---:|---:|---:|---:|---:|");
        for (row, (case, figure)) in cases.iter().zip(&figures).enumerate() {
            let first = figures[row - row % options.growth.len()].middle();
            let (growth, rate) = (figure.middle() / first, figure.packets_per_second);
            println!("| {} | {} | {figure} | {growth:.2} | {rate:.0} |", case.segments, case.receivers);
        }
    }

    fn by_threads(&self) {
        let options = self.options;
        let case = |&threads: &usize| Case { threads, ..self.case(options.receivers, 8, Cipher::Aes128Gcm) };
        let cases: Vec<Case> = options.threads.iter().map(case).collect();
        let figures = self.measure(&cases);
        println!("\n{} receivers, {} octets, trains of 8, by sending threads\n", options.receivers, options.size);
        println!("| threads | kernel and cipher, us/packet, all threads | ratio |");
        println!("|---:|---:|---:|");
        for (case, figure) in cases.iter().zip(&figures) {
            println!("| {} | {figure} | {:.2} |", case.threads, figure.middle() / figures[0].middle());
        }
    }

    fn case(&self, receivers: usize, segments: usize, cipher: Cipher) -> Case {
        Case { receivers, segments, cipher, threads: 1 }
    }

    /// All cases in turns, as many rounds as are asked for and once more for each that failed, up to twice as many.
    fn measure(&self, cases: &[Case]) -> Vec<Figure> {
        let mut figures = vec![Figure::default(); cases.len()];
        let wanted = self.options.rounds.max(1);
        for _ in 0..2 * wanted {
            for (case, figure) in cases.iter().zip(&mut figures).filter(|(_, figure)| figure.micros.len() < wanted) {
                figure.add(&self.take(*case), Duration::from_secs_f64(1.0 / self.options.frames));
            }
        }
        for (case, figure) in cases.iter().zip(&figures).filter(|(_, figure)| figure.failed > 0) {
            println!("\n{} of the rounds failed: the machine could not keep up. {case:?}", figure.failed);
        }
        figures
    }

    fn take(&self, case: Case) -> Measured {
        let flow = Flow {
            frames_per_second: self.options.frames,
            jitter: 0.2,
            trains_per_frame: 1.0,
            trains: TrainHistogram::of(case.segments),
            segment_bytes: self.options.size,
            last_bytes: self.options.size,
            receivers: (0..case.receivers).collect(),
        };
        let plan = Plan {
            destinations: self.addresses[..case.receivers].to_vec(),
            flows: vec![flow],
            cipher: case.cipher,
            threads: NonZeroUsize::new(case.threads).expect("--threads is 1 or more"),
        };
        run(&plan, Duration::from_secs_f64(self.options.seconds)).unwrap_or_else(|error| fail(&error))
    }
}

fn fail(error: &dyn std::error::Error) -> ! {
    println!("{error}");
    std::process::exit(1);
}

/// Sockets as other people's browsers have them, without UDP_GRO, and the thread that empties them.
struct Receivers {
    addresses: Vec<SocketAddr>,
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    began: Instant,
}

impl Receivers {
    fn open(count: usize, pause: Duration) -> Self {
        let open = |_| UdpSocket::bind("127.0.0.1:0").expect("a socket for each receiver; see `ulimit -n`");
        let sockets: Vec<UdpSocket> = (0..count).map(open).collect();
        let addresses = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let (received, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (received, stop) = (Arc::clone(&received), Arc::clone(&stop));
            move || {
                if pause.is_zero() {
                    drain_when_woken(&sockets, &received, &stop);
                } else {
                    sweep(&sockets, pause, &received, &stop);
                }
            }
        });
        Self { addresses, received, stop, thread, began: Instant::now() }
    }

    /// Stops, and says what came in all.
    fn report(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let (received, seconds) = (self.received.load(Ordering::Relaxed), self.began.elapsed().as_secs());
        println!("\nAll sockets together received {received} datagrams in {seconds} s.");
    }
}

fn drain_when_woken(sockets: &[UdpSocket], received: &AtomicU64, stop: &AtomicBool) {
    let all = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    for (at, socket) in sockets.iter().enumerate() {
        epoll::add(&all, socket, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN).unwrap();
    }
    let patience = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let mut events = Vec::with_capacity(256);
    while !stop.load(Ordering::Relaxed) {
        events.clear();
        // An interrupted wait is no error.
        let _ = epoll::wait(&all, spare_capacity(&mut events), Some(&patience));
        for event in &events {
            empty(&sockets[event.data.u64() as usize], received);
        }
    }
}

fn sweep(sockets: &[UdpSocket], pause: Duration, received: &AtomicU64, stop: &AtomicBool) {
    let pause = Timespec { tv_sec: 0, tv_nsec: pause.as_nanos() as i64 };
    while !stop.load(Ordering::Relaxed) {
        sockets.iter().for_each(|socket| empty(socket, received));
        // Waking early does no harm.
        let _ = nanosleep(&pause);
    }
}

fn empty(socket: &UdpSocket, received: &AtomicU64) {
    let mut buffer = [0; 2_048];
    while recv(socket, &mut buffer, RecvFlags::DONTWAIT).is_ok() {
        received.fetch_add(1, Ordering::Relaxed);
    }
}

/// The usual limit of 1,024 is too low for as many receivers.
fn allow_many_sockets() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Without it, opening the sockets says what is missing.
    let _ = setrlimit(Resource::Nofile, raised);
}

fn print_machine() {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let model =
        processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(0, NonZeroUsize::get);
    println!(
        "{}, {cores} cores, Linux {}",
        model.unwrap_or("unknown processor"),
        read("/proc/sys/kernel/osrelease").trim()
    );
}
