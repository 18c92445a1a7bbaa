// SPDX-License-Identifier: Apache-2.0
//! Sockets that keep messages apart, and descriptors as part of messages.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, recv, sendmsg, setsockopt, socketpair,
    sockopt,
};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What a socket had for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// A message of so many bytes; more than the buffer has if it was cut.
    Message(usize),
    /// Nothing yet.
    Nothing,
    /// The other side is gone.
    End,
}

/// Two ends that say messages of up to `longest` bytes to each other, closed on exec.
pub fn pair(longest: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    for end in [&ours, &theirs] {
        // The kernel counts its own bookkeeping, too; the forced size is refused without privilege.
        let size = longest + (64 << 10);
        if setsockopt(end, sockopt::SndBufForce, &size).is_err() {
            setsockopt(end, sockopt::SndBuf, &size)?;
        }
    }
    Ok((ours, theirs))
}

/// Sends one message without waiting, with copies of descriptors.
pub fn send(socket: impl AsFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let numbers: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = if numbers.is_empty() { None } else { Some(ControlMessage::ScmRights(&numbers)) };
    let rights: Vec<_> = rights.into_iter().collect();
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<UnixAddr>(socket.as_fd().as_raw_fd(), &[IoSlice::new(message)], &rights, flags, None)?;
    Ok(())
}

/// Receives one message without waiting. Descriptors that come with it are closed.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
    match recv(socket.as_fd().as_raw_fd(), buffer, flags) {
        Ok(0) | Err(Errno::ECONNRESET) => Ok(Received::End),
        Ok(length) => Ok(Received::Message(length)),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(Received::Nothing),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_apart_up_to_the_longest() {
        let (one, other) = pair(192 << 10).unwrap();
        let mut buffer = vec![0; 192 << 10];
        assert_eq!(receive(&other, &mut buffer).unwrap(), Received::Nothing);
        send(&one, &vec![7; 192 << 10], &[]).unwrap();
        send(&one, b"x", &[one.as_fd()]).unwrap();
        assert_eq!(receive(&other, &mut buffer).unwrap(), Received::Message(192 << 10));
        assert_eq!(receive(&other, &mut buffer).unwrap(), Received::Message(1));
        assert_eq!(buffer.first(), Some(&b'x'));
        drop(one);
        assert_eq!(receive(&other, &mut buffer).unwrap(), Received::End);
    }
}
