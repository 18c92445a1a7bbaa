// SPDX-License-Identifier: Apache-2.0
//! Sockets between httpd's children and workers: they have no name, so only who inherited the descriptor reaches them.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, listen,
    recvmsg, send, socket,
};
use nix::sys::stat::{Mode, fchmodat};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
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

fn prepare(path: &str, listener: &OwnedFd, backlog: u32) -> io::Result<OwnedFd> {
    // Whoever has the descriptor may connect, whatever user it is.
    let everybody = Mode::from_bits_truncate(0o666);
    fchmodat(nix::fcntl::AT_FDCWD, path, everybody, nix::sys::stat::FchmodatFlags::FollowSymlink)?;
    let most = i32::try_from(backlog.max(1)).unwrap_or(i32::MAX);
    listen(listener, Backlog::new(most).unwrap_or(Backlog::MAXCONN))?;
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    Ok(std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?.into())
}

fn stream() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

/// Connects to the socket that `address` names. While its queue is full, tries again for as long as `patience`.
pub fn dial(address: &OwnedFd, patience: Duration) -> io::Result<Stream> {
    let name = UnixAddr::new(format!("/proc/self/fd/{}", address.as_raw_fd()).as_str())?;
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        let socket = stream()?;
        match connect(socket.as_raw_fd(), &name) {
            Ok(()) => return Ok(Stream { socket }),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if Instant::now() + pause < deadline => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A connected stream socket, on which everything has a deadline.
#[derive(Debug)]
pub struct Stream {
    socket: OwnedFd,
}

/// What was received.
#[derive(Debug, Default)]
pub struct Received {
    /// How many bytes; 0 is the end of the stream.
    pub length: usize,
    /// The descriptors that came with them.
    pub descriptors: Vec<OwnedFd>,
}

impl Stream {
    /// Sends all of `data`, waiting up to `patience` for room each time.
    pub fn send(&self, mut data: &[u8], patience: Duration) -> io::Result<()> {
        while !data.is_empty() {
            match send(self.socket.as_raw_fd(), data, MsgFlags::MSG_NOSIGNAL) {
                Ok(length) => data = data.get(length..).unwrap_or_default(),
                Err(Errno::EAGAIN) => {
                    if !self.wait(PollFlags::POLLOUT, patience)? {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether there is something to receive within `patience`.
    pub fn is_readable(&self, patience: Duration) -> io::Result<bool> {
        self.wait(PollFlags::POLLIN, patience)
    }

    fn wait(&self, events: PollFlags, patience: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + patience;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let wait = PollTimeout::try_from(rest).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.socket.as_fd(), events)], wait) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives what is there, waiting up to `patience` for it.
    pub fn receive(&self, into: &mut [u8], patience: Duration) -> io::Result<Received> {
        // As many as one message can have: what does not fit would stay open without anybody knowing its number.
        let mut room = nix::cmsg_space!([RawFd; 253]);
        loop {
            let mut pieces = [IoSliceMut::new(into)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
            match recvmsg::<()>(self.socket.as_raw_fd(), &mut pieces, Some(&mut room), flags) {
                Ok(message) => {
                    let cut = message.flags.contains(MsgFlags::MSG_CTRUNC);
                    let descriptors: Vec<_> = message.cmsgs()?.flat_map(received).collect();
                    // A worker sends one with each frame that needs one, and the kernel does not join messages that have any.
                    if cut || descriptors.len() > 1 {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    return Ok(Received { length: message.bytes, descriptors });
                }
                Err(Errno::EAGAIN) => {
                    if !self.wait(PollFlags::POLLIN, patience)? {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether the other side of a socket has closed it, as far as can be told without taking anything out of it.
#[must_use]
pub fn peer_has_closed(socket: std::os::fd::BorrowedFd<'_>) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    match nix::sys::socket::recv(socket.as_raw_fd(), &mut [0], flags) {
        Ok(length) => length == 0,
        Err(Errno::EAGAIN | Errno::EINTR) => false,
        Err(_) => true,
    }
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
        let stream = dial(&address, Duration::from_secs(5)).expect("a connection");
        let (mut other, _) = listener.accept().expect("the connection");
        stream.send(b"to the worker", Duration::from_secs(5)).expect("sent");
        let mut text = [0; 13];
        other.read_exact(&mut text).expect("received");
        assert_eq!(&text, b"to the worker");
        assert!(!stream.is_readable(Duration::ZERO).expect("a poll"));
        other.write_all(b"back").expect("sent");
        let mut into = [0; 100];
        assert_eq!(stream.receive(&mut into, Duration::from_secs(5)).expect("received").length, 4);
        assert!(stream.receive(&mut into, Duration::from_millis(1)).is_err(), "nothing more yet");
        drop(other);
        assert_eq!(stream.receive(&mut into, Duration::from_secs(5)).expect("the end").length, 0);
        drop(listener);
        assert!(dial(&address, Duration::ZERO).is_err(), "nobody listens any more");
        let _ = std::fs::remove_dir_all(&folder);
    }
}
