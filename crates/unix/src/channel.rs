// SPDX-License-Identifier: Apache-2.0
//! Sockets between httpd's children and workers: they have no name, so only who inherited the descriptor reaches them.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, listen,
    recvmsg, send, setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, fchmodat};
use nix::sys::time::{TimeVal, TimeValLike};
use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A listening socket, and the descriptor through which it is reached.
#[derive(Debug)]
pub struct Listening {
    /// Accepts connections; does not block.
    pub listener: OwnedFd,
    /// Names the socket for [`dial`], in this process and in those that inherit it.
    pub address: OwnedFd,
}

/// Listens on a stream socket that has the name `name` in `directory` only until this function returns.
pub fn listen_in(directory: &Path, name: &str, backlog: u32) -> io::Result<Listening> {
    let folder = crate::descriptor::open_directory(directory)?;
    // Through the descriptor, because the name of a socket may only have about a hundred bytes.
    let path = format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
    let listener = stream()?;
    bind(listener.as_raw_fd(), &UnixAddr::new(path.as_str())?)?;
    let address = prepare(&path, &listener, backlog);
    std::fs::remove_file(&path)?;
    Ok(Listening { address: address?, listener })
}

/// Lets so many connections wait for a listener.
pub fn lengthen(listener: &OwnedFd, backlog: u32) -> io::Result<()> {
    let most = i32::try_from(backlog.max(1)).unwrap_or(i32::MAX);
    Ok(listen(listener, Backlog::new(most).unwrap_or(Backlog::MAXCONN))?)
}

fn prepare(path: &str, listener: &OwnedFd, backlog: u32) -> io::Result<OwnedFd> {
    // Whoever has the descriptor may connect, whatever user it is.
    let everybody = Mode::from_bits_truncate(0o666);
    fchmodat(nix::fcntl::AT_FDCWD, path, everybody, nix::sys::stat::FchmodatFlags::FollowSymlink)?;
    lengthen(listener, backlog)?;
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    Ok(std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?.into())
}

fn stream() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

/// How a connection waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a place in the listener's queue.
    pub connect: Duration,
    /// For room to send.
    pub send: Duration,
    /// For something to receive.
    pub receive: Duration,
    /// The kernel's buffer for what is sent; 0 is its own choice.
    pub buffer: usize,
}

/// Connects to the socket that `address` names. While its queue is full, tries again.
pub fn dial(address: &OwnedFd, patience: Patience) -> io::Result<Stream> {
    let name = UnixAddr::new(format!("/proc/self/fd/{}", address.as_raw_fd()).as_str())?;
    let deadline = Instant::now() + patience.connect;
    let mut pause = Duration::from_millis(1);
    loop {
        let socket = stream()?;
        match connect(socket.as_raw_fd(), &name) {
            Ok(()) => return Stream::new(socket, patience),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if Instant::now() + pause < deadline => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A connected stream socket.
#[derive(Debug)]
pub struct Stream {
    socket: OwnedFd,
}

/// What could not be sent.
#[derive(Debug)]
pub struct Unsent {
    /// Bytes that were sent before.
    pub sent: usize,
    /// Why no more: [`io::ErrorKind::WouldBlock`] if it took too long.
    pub error: io::Error,
}

impl Stream {
    fn new(socket: OwnedFd, patience: Patience) -> io::Result<Self> {
        let time = |time: Duration| TimeVal::milliseconds(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        setsockopt(&socket, sockopt::SendTimeout, &time(patience.send))?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &time(patience.receive))?;
        if patience.buffer > 0 {
            setsockopt(&socket, sockopt::SndBuf, &patience.buffer)?;
        }
        let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
        fcntl(&socket, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
        Ok(Self { socket })
    }

    /// Sends all of `data`, for as long as each part may take.
    pub fn send(&self, data: &[u8]) -> Result<(), Unsent> {
        let mut sent = 0;
        while let Some(rest) = data.get(sent..).filter(|rest| !rest.is_empty()) {
            match send(self.socket.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
                Ok(length) => sent += length,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(Unsent { sent, error: error.into() }),
            }
        }
        Ok(())
    }

    /// Whether there is something to receive, or its end, within `patience`.
    #[must_use]
    pub fn hears_within(&self, patience: Duration) -> bool {
        let mut watched = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let wait = PollTimeout::try_from(patience + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        // Whoever receives finds out what went wrong.
        poll(&mut watched, wait) != Ok(0)
    }

    /// Receives what is there and the descriptors that come with it; 0 is the end, and [`io::ErrorKind::WouldBlock`] says that
    /// nothing came in time.
    pub fn receive(&self, into: &mut [u8], descriptors: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
        // As many as one message can have: what does not fit would stay open without anybody knowing its number.
        let mut room = nix::cmsg_space!([RawFd; 253]);
        loop {
            let mut pieces = [IoSliceMut::new(into)];
            match recvmsg::<()>(self.socket.as_raw_fd(), &mut pieces, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC) {
                Ok(message) => {
                    let cut = message.flags.contains(MsgFlags::MSG_CTRUNC);
                    let came: Vec<_> = message.cmsgs()?.flat_map(received).collect();
                    // A worker sends one with each frame that needs one, and the kernel does not join messages that have any.
                    if cut || came.len() > 1 {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    descriptors.extend(came);
                    return Ok(message.bytes);
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether the other side of a socket has closed it, as far as can be told without taking anything out of it.
#[must_use]
pub fn peer_has_closed(socket: BorrowedFd<'_>) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    match nix::sys::socket::recv(socket.as_raw_fd(), &mut [0], flags) {
        Ok(length) => length == 0,
        Err(Errno::EAGAIN | Errno::EINTR) => false,
        Err(_) => true,
    }
}

/// Whether the other side of a socket makes room for what is sent to it.
#[must_use]
pub fn takes_more(socket: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::new(socket, PollFlags::POLLOUT)];
    // Whatever else it says, sending finds out more.
    poll(&mut watched, PollTimeout::ZERO) != Ok(0)
}

fn received(message: ControlMessageOwned) -> Vec<OwnedFd> {
    let ControlMessageOwned::ScmRights(numbers) = message else { return Vec::new() };
    // SAFETY: [KERNEL] just received, and nobody else knows them.
    numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_is_reached_by_descriptor_only() {
        let folder = std::env::temp_dir().join(format!("mwrs-channel-{}-{}", std::process::id(), "x".repeat(120)));
        std::fs::create_dir_all(&folder).expect("a folder");
        let Listening { listener, address } = listen_in(&folder, "group", 5).expect("a listener");
        assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 0, "it has no name");
        let listener = UnixListener::from(listener);
        let soon = Duration::from_millis(10);
        let patience = Patience { connect: soon, send: soon, receive: soon, buffer: 4096 };
        let stream = dial(&address, patience).expect("a connection");
        let (mut other, _) = listener.accept().expect("the connection");
        stream.send(b"to the worker").expect("sent");
        let mut text = [0; 13];
        other.read_exact(&mut text).expect("received");
        assert_eq!(&text, b"to the worker");
        let (mut into, mut none) = ([0; 100], VecDeque::new());
        let quiet = stream.receive(&mut into, &mut none).expect_err("nothing yet");
        assert_eq!(quiet.kind(), io::ErrorKind::WouldBlock);
        other.write_all(b"back").expect("sent");
        assert_eq!(stream.receive(&mut into, &mut none).expect("received"), 4);
        let unsent = stream.send(&vec![0; 1 << 20]).expect_err("nobody takes so much");
        assert!(unsent.sent > 0 && unsent.error.kind() == io::ErrorKind::WouldBlock);
        drop(other);
        let end = stream.receive(&mut into, &mut none).expect_err("what was sent is lost");
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(stream.receive(&mut into, &mut none).expect("the end"), 0);
        drop(listener);
        assert!(dial(&address, patience).is_err(), "nobody listens any more");
        let _ = std::fs::remove_dir_all(&folder);
    }
}
