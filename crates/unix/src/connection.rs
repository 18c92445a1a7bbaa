// SPDX-License-Identifier: Apache-2.0
//! Connections of a worker: stream sockets, and waiting for them.

use crate::callback::{Private, keep_private, out_of_the_way};
use crate::readiness::{Interest, wait_until};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::sockopt::{PeerCredentials, ReceiveTimeout, SendTimeout, SndBuf};
use nix::sys::socket::{self, ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockFlag};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Whether a call may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// As long as the socket's timeout allows.
    Allowed,
    /// Not at all.
    Never,
}

impl Wait {
    fn flags(self) -> MsgFlags {
        if self == Self::Never { MsgFlags::MSG_DONTWAIT } else { MsgFlags::empty() }
    }
}

fn again<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}

/// The next connection, closed on exec; [`io::ErrorKind::WouldBlock`] if there is none.
pub fn accept(listener: &impl AsRawFd) -> io::Result<Private> {
    let descriptor = again(|| socket::accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC))?;
    // SAFETY: [KERNEL] just opened, and nobody else knows it.
    Ok(Private::new(out_of_the_way(unsafe { OwnedFd::from_raw_fd(descriptor) })))
}

/// The user whose process made the connection.
pub fn user_of_peer(socket: &impl AsFd) -> io::Result<u32> {
    Ok(socket::getsockopt(socket, PeerCredentials)?.uid())
}

/// Limits how long sending and receiving may wait, in milliseconds; 0 is for ever.
pub fn set_timeout(socket: &impl AsFd, milliseconds: u64) -> io::Result<()> {
    let time = TimeVal::milliseconds(i64::try_from(milliseconds).unwrap_or(0));
    socket::setsockopt(socket, ReceiveTimeout, &time)?;
    Ok(socket::setsockopt(socket, SendTimeout, &time)?)
}

/// Sets the kernel's buffer for what is sent, in bytes; 0 leaves it.
pub fn set_send_buffer(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    if bytes == 0 { Ok(()) } else { Ok(socket::setsockopt(socket, SndBuf, &bytes)?) }
}

/// Receives bytes; 0 is the end.
pub fn receive(socket: &impl AsRawFd, into: &mut [u8], wait: Wait) -> io::Result<usize> {
    again(|| socket::recv(socket.as_raw_fd(), into, wait.flags()))
}

/// Looks at the next bytes without taking or waiting for them; 0 is the end.
pub fn peek(socket: &impl AsRawFd, into: &mut [u8]) -> io::Result<usize> {
    again(|| socket::recv(socket.as_raw_fd(), into, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT))
}

/// Sends bytes, perhaps not all. No signal comes if nobody can receive them.
pub fn send(socket: &impl AsRawFd, data: &[u8], wait: Wait) -> io::Result<usize> {
    again(|| socket::send(socket.as_raw_fd(), data, wait.flags() | MsgFlags::MSG_NOSIGNAL))
}

/// Sends bytes with a descriptor, which comes with the first of them.
pub fn send_with(socket: &impl AsRawFd, data: &[u8], descriptor: RawFd) -> io::Result<usize> {
    let pieces = [IoSlice::new(data)];
    let rights = [descriptor];
    let messages = [ControlMessage::ScmRights(&rights)];
    again(|| socket::sendmsg::<()>(socket.as_raw_fd(), &pieces, &messages, MsgFlags::MSG_NOSIGNAL, None))
}

/// Receives a message and at most two descriptors that come with it, closed on exec.
pub fn receive_with(socket: &impl AsRawFd, into: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = cmsg_space!([RawFd; 2]);
    let mut pieces = [IoSliceMut::new(into)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = socket::recvmsg::<()>(socket.as_raw_fd(), &mut pieces, Some(&mut space), flags)?;
    let mut found = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = part {
            for descriptor in descriptors {
                // SAFETY: [KERNEL] just received, and nobody else knows it.
                found.push(unsafe { OwnedFd::from_raw_fd(descriptor) });
            }
        }
    }
    Ok((message.bytes, found))
}

/// Ends a connection for everybody who has a descriptor of it.
pub fn shut_down(socket: &impl AsRawFd) {
    let _nobody_was_there = socket::shutdown(socket.as_raw_fd(), Shutdown::Both);
}

/// Refuses what the other side sends from now on; what it has sent can still be received.
pub fn stop_receiving(socket: &impl AsRawFd) {
    let _nobody_was_there = socket::shutdown(socket.as_raw_fd(), Shutdown::Read);
}

/// Makes a descriptor private to this process: closed on exec and, once [`crate::callback`] was asked, in forked ones.
pub fn adopt(descriptor: RawFd) -> io::Result<Private> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    // SAFETY: [KERNEL] open, and handed to this process for whoever calls this.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    fcntl(&owned, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(Private::new(owned))
}

/// Lets calls on a descriptor never wait.
pub fn set_nonblocking(descriptor: &impl AsFd) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Something that happens once and wakes everybody who waits for it.
#[derive(Debug)]
pub struct Once(EventFd);

impl Once {
    /// It has not happened.
    pub fn new() -> io::Result<Self> {
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        keep_private(&event.as_fd());
        Ok(Self(event))
    }

    /// It happens.
    pub fn happen(&self) {
        let _it_has_happened_before = self.0.write(1);
    }
}

impl AsFd for Once {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What wakes one who waits, again and again.
#[derive(Debug)]
pub struct Bell(EventFd);

impl Bell {
    /// It does not ring.
    pub fn new() -> io::Result<Self> {
        Once::new().map(|once| Self(once.0))
    }

    /// It rings until it is stopped.
    pub fn ring(&self) {
        let _it_rings_already = self.0.write(1);
    }

    /// It rings no more.
    pub fn stop(&self) {
        let _it_did_not_ring = self.0.read();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What threads wait for together; each event is for one of them.
#[derive(Debug)]
pub struct Watched(Epoll);

impl Watched {
    /// Nothing yet.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        keep_private(&epoll.0);
        Ok(Self(epoll))
    }

    /// Adds a listener that other processes wait for, too: a connection wakes one of them.
    pub fn add_listener(&self, listener: &impl AsFd, name: u64) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        Ok(self.0.add(listener, EpollEvent::new(flags, name))?)
    }

    /// Adds something that stays readable.
    pub fn add(&self, descriptor: &impl AsFd, name: u64) -> io::Result<()> {
        Ok(self.0.add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, name))?)
    }

    /// Waits once for a connection, which may or may not have been waited for before.
    pub fn wait_once_for(&self, connection: &impl AsFd, name: u64, known: bool) -> io::Result<()> {
        let mut event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLONESHOT, name);
        if known {
            return Ok(self.0.modify(connection, &mut event)?);
        }
        Ok(self.0.add(connection, event)?)
    }

    /// The name of one that is ready; `None` if there is none after so many milliseconds, or for another reason.
    #[must_use]
    pub fn wait(&self, milliseconds: Option<u16>) -> Option<u64> {
        let mut events = [EpollEvent::empty()];
        let timeout = milliseconds.map_or(EpollTimeout::NONE, EpollTimeout::from);
        let count = self.0.wait(&mut events, timeout).ok()?;
        events.first().filter(|_| count > 0).map(EpollEvent::data)
    }
}

/// Waits for descriptors to become readable, at most for `patience`; answers which are.
pub fn wait_for<const N: usize>(descriptors: [&dyn AsFd; N], patience: Option<Duration>) -> [bool; N] {
    let watched = descriptors.map(|descriptor| (descriptor.as_fd(), Interest::Read));
    let found = wait_until(&watched, patience.map(|patience| Instant::now() + patience)).unwrap_or_default();
    std::array::from_fn(|number| found.get(number).copied().unwrap_or(false))
}
