//! Holds single threads of another process up, while its other threads go on: what a stall of one room is, seen from
//! outside. By `ptrace`, so the program under test needs no door for it.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "another process is waited for")]

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::libc;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// System calls in which a thread waits for work. One that is held up there holds no lock of the allocator or of anybody
/// else: it is the room that stalls, and not the process.
const WAITING: [libc::c_long; 4] = [libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_futex, libc::SYS_ppoll];
/// How often a thread is caught anew until it waits.
const TRIES: u32 = 2_000;

/// Threads that are held up as long as this lives.
pub struct Frozen {
    pub threads: Vec<String>,
    release: Sender<()>,
    tracer: Option<JoinHandle<()>>,
}

impl Frozen {
    /// Holds up the threads of a child whose name is such.
    pub fn hold(process: u32, such: impl Fn(&str) -> bool + Send + 'static) -> Self {
        let (release, released) = channel::<()>();
        let (caught, threads) = channel();
        // The kernel lets nobody but the thread that began it trace.
        let tracer = std::thread::spawn(move || {
            let held: Vec<_> = threads_of(process).into_iter().filter(|(_, name)| such(name)).collect();
            for (thread, name) in &held {
                catch(process, *thread, name);
            }
            caught.send(held.iter().map(|(_, name)| name.clone()).collect()).unwrap();
            let _ = released.recv();
            for (thread, _) in held {
                // The process may have been killed meanwhile.
                let _ = ptrace::detach(thread, None);
            }
        });
        let threads = threads.recv().expect("threads of a child can be traced (is ptrace forbidden here?)");
        Self { threads, release, tracer: Some(tracer) }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = self.release.send(());
        let _ = self.tracer.take().map(JoinHandle::join);
    }
}

fn threads_of(process: u32) -> Vec<(Pid, String)> {
    let folder = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str().unwrap().parse().unwrap();
    let threads = folder.map_while(Result::ok).map(number);
    threads.map(|thread: i32| (Pid::from_raw(thread), read(process, thread, "comm").trim().to_owned())).collect()
}

fn read(process: u32, thread: i32, what: &str) -> String {
    let file: PathBuf = ["/proc", &process.to_string(), "task", &thread.to_string(), what].iter().collect();
    std::fs::read_to_string(file).unwrap_or_default()
}

/// Stops one thread at a moment at which it waits for work.
fn catch(process: u32, thread: Pid, name: &str) {
    for _ in 0..TRIES {
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        let call = read(process, thread.as_raw(), "syscall");
        let call = call.split(' ').next().and_then(|number| number.parse().ok());
        if call.is_some_and(|number| WAITING.contains(&number)) {
            return;
        }
        ptrace::detach(thread, None).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{name} never waits");
}
