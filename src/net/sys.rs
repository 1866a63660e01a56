#![allow(unsafe_code, reason = "the one module that makes system calls by pointer; everything above it is safe")]
//! The system calls: `recvmmsg`, `sendmmsg`, `sendmsg`, socket options. Every `unsafe` block of the packet path is here.
//!
//! The functions are safe because each of them writes all pointers afresh, from borrows that live as long as the call:
//! the kernel never sees a pointer of an earlier call, and the batches may be moved in between.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use crate::abi::{Control, Name};

/// The message headers of one call, kept so that they are allocated once.
pub(crate) struct Frames {
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
}

// SAFETY: the raw pointers within are written and used within one call of `receive` or `send`, which holds the frames
// exclusively; between calls they are dead, so another thread may have them.
unsafe impl Send for Frames {}
// SAFETY: as above; a shared borrow can only read the numbers that `Frames::outcome` returns.
unsafe impl Sync for Frames {}

impl Frames {
    pub(crate) fn new(count: usize) -> Self {
        let vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        // SAFETY: mmsghdr is integers and pointers, for which zeros are valid (a literal is not portable: some C
        // libraries have private padding within).
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self { headers: vec![header; count], vectors: vec![vector; count] }
    }

    /// What the kernel said of message `index` of the last [`receive`].
    pub(crate) fn outcome(&self, index: usize) -> Option<Outcome> {
        let header = self.headers.get(index)?;
        Some(Outcome {
            len: header.msg_len as usize,
            name_len: header.msg_hdr.msg_namelen as usize,
            #[allow(clippy::unnecessary_cast, reason = "its type depends on the C library")]
            control_len: header.msg_hdr.msg_controllen as usize,
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        })
    }
}

/// The lengths of a received message.
pub(crate) struct Outcome {
    pub(crate) len: usize,
    pub(crate) name_len: usize,
    pub(crate) control_len: usize,
    /// It was longer than its buffer; the end is lost.
    pub(crate) truncated: bool,
}

/// Where the kernel writes what it knows of a received buffer.
#[derive(Clone, Copy)]
pub(crate) struct Inbound {
    pub(crate) name: Name,
    pub(crate) control: Control,
}

/// One message to send: a range of the caller's bytes with its address and control messages.
#[derive(Clone, Copy)]
pub(crate) struct Outbound {
    pub(crate) name: Name,
    pub(crate) name_len: usize,
    pub(crate) control: Control,
    pub(crate) control_len: usize,
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// Receives into the parts of `pool` that are `stride` long, one message each, without waiting. Returns how many.
pub(crate) fn receive(
    fd: BorrowedFd<'_>,
    frames: &mut Frames,
    messages: &mut [Inbound],
    pool: &mut [u8],
    stride: usize,
) -> io::Result<usize> {
    let mut count: u32 = 0;
    let places = messages.iter_mut().zip(pool.chunks_exact_mut(stride));
    for ((header, vector), (message, buffer)) in frames.headers.iter_mut().zip(&mut frames.vectors).zip(places) {
        *vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let header = &mut header.msg_hdr;
        header.msg_name = message.name.bytes.as_mut_ptr().cast();
        header.msg_namelen = size_of_val(&message.name.bytes) as _;
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        header.msg_control = message.control.bytes.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&message.control.bytes) as _;
        header.msg_flags = 0;
        count += 1;
    }
    // SAFETY: the first `count` headers were written just now; their pointers and lengths come from exclusive borrows of
    // disjoint parts of `messages`, `pool` and `frames.vectors`, none of which is touched before the call returns.
    let received = unsafe {
        libc::recvmmsg(fd.as_raw_fd(), frames.headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _, ptr::null_mut())
    };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// Sends `messages`, whose ranges are those of `bytes`, without waiting. Returns how many the kernel took: if fewer than
/// there are, the next has an error, which the next call tells.
pub(crate) fn send<'a>(
    fd: BorrowedFd<'_>,
    frames: &mut Frames,
    messages: impl Iterator<Item = &'a mut Outbound>,
    bytes: &[u8],
) -> io::Result<usize> {
    let mut count: u32 = 0;
    for ((header, vector), message) in frames.headers.iter_mut().zip(&mut frames.vectors).zip(messages) {
        write_header(&mut header.msg_hdr, vector, message, bytes)?;
        count += 1;
    }
    // SAFETY: the first `count` headers were written just now; their pointers and lengths come from `'a` borrows of the
    // messages and from borrows of `bytes` and `frames.vectors`, all of which outlive the call. The kernel only reads what they point to.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), frames.headers.as_mut_ptr(), count, flags() as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Sends one message without a batch.
pub(crate) fn send_one(fd: BorrowedFd<'_>, message: &mut Outbound, bytes: &[u8]) -> io::Result<()> {
    let mut vector = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
    // SAFETY: msghdr is integers and pointers, for which zeros are valid.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    write_header(&mut header, &mut vector, message, bytes)?;
    // SAFETY: the header was written just now from borrows that outlive the call; the kernel only reads.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, flags()) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A UDP socket cannot break a pipe, but the flag costs nothing and a signal would end the process.
const fn flags() -> i32 {
    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL
}

fn write_header(
    header: &mut libc::msghdr,
    vector: &mut libc::iovec,
    message: &mut Outbound,
    bytes: &[u8],
) -> io::Result<()> {
    let end = message.start.checked_add(message.len);
    let Some(payload) = end.and_then(|end| bytes.get(message.start..end)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // The kernel does not write through this pointer; the C type has no const form.
    *vector = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    header.msg_name = message.name.bytes.as_mut_ptr().cast();
    header.msg_namelen = message.name_len.min(size_of_val(&message.name.bytes)) as _;
    header.msg_iov = vector;
    header.msg_iovlen = 1;
    header.msg_controllen = message.control_len.min(size_of_val(&message.control.bytes)) as _;
    header.msg_control =
        if message.control_len == 0 { ptr::null_mut() } else { message.control.bytes.as_mut_ptr().cast() };
    header.msg_flags = 0;
    Ok(())
}

/// Sets a socket option that is a number.
pub(crate) fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of `value`, which outlives the call.
    let outcome = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), size_of_val(&value) as libc::socklen_t)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many datagrams the kernel has dropped at this socket (modulo 2^32).
pub(crate) fn drops(fd: BorrowedFd<'_>) -> io::Result<u32> {
    /// Place of the drops within `SO_MEMINFO`: its ninth and last word.
    const DROPS: usize = 8;
    let mut info = [0u32; DROPS + 1];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `info`, to which the kernel writes at most `len` bytes.
    let outcome = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, info.as_mut_ptr().cast(), &raw mut len)
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    if (len as usize) < size_of_val(&info) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(info[DROPS])
}
