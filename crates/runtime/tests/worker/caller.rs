// SPDX-License-Identifier: Apache-2.0
//! The part of httpd's child: sends requests and takes answers.

use super::supervisor::{Group, KEY};
use model::embedded::ValueKind;
use model::environ::{KEYS, Key};
use model::event::Level;
use model::exchange::ReadError;
use model::wire::{Call, Entry, Failure, HEADER, Header, ToServer, ToWorker};
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{IoSliceMut, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    Complete,
    Failed(Failure),
    NotStarted,
    #[default]
    Closed,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub data: Vec<u8>,
    pub log: Vec<(Level, String)>,
    pub files: usize,
    pub flushes: usize,
    pub end: End,
    /// Whether the process said that it starts no further request.
    pub leaving: bool,
    /// How often something was received.
    pub receptions: usize,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.data).unwrap()
    }
}

/// What a request brings.
#[derive(Debug, Default)]
pub struct Request {
    pub script: String,
    pub application_group: String,
    pub environ: Vec<(String, String)>,
    /// Sent piece by piece, as asked for.
    pub body: Vec<Vec<u8>>,
    /// Instead of the end of the body.
    pub failure: Option<ReadError>,
    /// Instead of the end of the body.
    pub abort: bool,
    /// Whether it is no sign of life.
    pub ignore_activity: bool,
    /// When the script was changed, if not as it is: microseconds since the epoch.
    pub mtime: Option<i64>,
    /// Whether nobody answers when the body is asked for.
    pub silent: bool,
}

impl Request {
    pub fn to(script: &str) -> Self {
        Self { script: script.to_owned(), ..Self::default() }
    }
}

/// A connection to a worker.
#[derive(Debug)]
pub struct Caller {
    pub stream: UnixStream,
    inbox: Vec<u8>,
    descriptors: VecDeque<File>,
    answer: Answer,
    /// Whether a process that takes nothing more is no failure.
    may_be_refused: bool,
}

impl Caller {
    /// Connects and says nothing.
    pub fn silent(group: &Group) -> Self {
        let stream = UnixStream::connect(group.directory.join("socket")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
        Self {
            stream,
            inbox: Vec::new(),
            descriptors: VecDeque::new(),
            answer: Answer::default(),
            may_be_refused: false,
        }
    }

    pub fn new(group: &Group) -> Self {
        let mut caller = Self::silent(group);
        caller.write(&ToWorker::Hello { build_id: model::BUILD_ID.as_bytes(), key: KEY, incarnation: 1 });
        caller
    }

    pub fn write(&mut self, frame: &ToWorker<'_>) {
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        if let Err(error) = self.stream.write_all(&bytes) {
            assert!(self.may_be_refused && error.kind() == std::io::ErrorKind::BrokenPipe, "{error}");
            self.answer.end = End::NotStarted;
        }
    }

    /// Makes a request of a process that may be about to leave: what it certainly did not see counts as not started.
    pub fn attempt(group: &Group, request: Request) -> Answer {
        let mut caller = Self { may_be_refused: true, ..Self::silent(group) };
        caller.write(&ToWorker::Hello { build_id: model::BUILD_ID.as_bytes(), key: KEY, incarnation: 1 });
        caller.send(&request);
        if caller.answer.end == End::NotStarted {
            return std::mem::take(&mut caller.answer);
        }
        caller.finish(request)
    }

    pub fn send(&mut self, request: &Request) {
        let entries: Vec<_> = request.environ.iter().map(|(name, value)| entry(name, value)).collect();
        let mtime = std::fs::metadata(&request.script).map_or(0, |found| {
            use std::os::unix::fs::MetadataExt;
            found.mtime() * 1_000_000 + found.mtime_nsec() / 1000
        });
        self.write(&ToWorker::Call(Call {
            application_group: request.application_group.as_bytes(),
            script: request.script.as_bytes(),
            script_mtime: request.mtime.unwrap_or(mtime),
            callable: b"application",
            resource: request.script.as_bytes(),
            script_reloading: true,
            ignore_activity: request.ignore_activity,
            request_start: 1_700_000_000_000_000,
            queue_start: 1_700_000_001_500_000,
            environ: entries,
            ..Call::default()
        }));
    }

    pub fn call(&mut self, request: Request) -> Answer {
        self.send(&request);
        self.finish(request)
    }

    /// Receives more; `false` is the end.
    fn receive(&mut self) -> bool {
        let mut buffer = vec![0; 256 << 10];
        let mut space = cmsg_space!([RawFd; 4]);
        let mut pieces = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<()>(self.stream.as_raw_fd(), &mut pieces, Some(&mut space), flags);
        let message = match received {
            Ok(message) => message,
            Err(nix::errno::Errno::ECONNRESET) => {
                if self.may_be_refused && self.answer.receptions == 0 {
                    self.answer.end = End::NotStarted;
                }
                return false;
            }
            Err(error) => panic!("{error}: {:?}", self.answer),
        };
        for part in message.cmsgs().unwrap() {
            if let ControlMessageOwned::ScmRights(found) = part {
                assert_eq!(found.len(), 1);
                for descriptor in found {
                    // SAFETY: [KERNEL] just received, and nobody else knows it.
                    self.descriptors.push_back(unsafe { File::from_raw_fd(descriptor) });
                }
            }
        }
        let length = message.bytes;
        self.inbox.extend_from_slice(&buffer[..length]);
        self.answer.receptions += 1;
        length > 0
    }

    /// Takes frames until `enough` or the end.
    pub fn until(&mut self, request: &mut Request, enough: impl Fn(&Answer) -> bool) -> bool {
        loop {
            while let Some((header, payload)) = self.frame() {
                if self.take(request, header, &payload) {
                    return true;
                }
                if enough(&self.answer) {
                    return false;
                }
            }
            if !self.receive() {
                return true;
            }
        }
    }

    pub fn finish(&mut self, mut request: Request) -> Answer {
        self.until(&mut request, |_| false);
        std::mem::take(&mut self.answer)
    }

    fn frame(&mut self) -> Option<(Header, Vec<u8>)> {
        let header = Header::parse(*self.inbox.first_chunk::<HEADER>()?).unwrap();
        let payload = self.inbox.get(HEADER..HEADER + header.length)?.to_vec();
        self.inbox.drain(..HEADER + header.length);
        Some((header, payload))
    }

    fn take(&mut self, request: &mut Request, header: Header, payload: &[u8]) -> bool {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match ToServer::parse(header, payload).unwrap() {
            ToServer::Want(most) => {
                let most = most as usize;
                if request.silent {
                    return false;
                }
                match request.body.first_mut() {
                    Some(piece) if piece.len() > most => {
                        let rest = piece.split_off(most);
                        let part = std::mem::replace(piece, rest);
                        self.write(&ToWorker::Body(&part));
                    }
                    Some(_) => {
                        let piece = request.body.remove(0);
                        self.write(&ToWorker::Body(&piece));
                    }
                    None if request.abort => self.write(&ToWorker::Abort),
                    None => match request.failure {
                        Some(failure) => self.write(&ToWorker::BodyFailed(failure)),
                        None => self.write(&ToWorker::BodyEnd),
                    },
                }
            }
            ToServer::Head { status, reason, headers } => {
                self.answer.status = status;
                self.answer.reason = text(reason);
                self.answer.headers = headers.iter().map(|(name, value)| (text(name), text(value))).collect();
            }
            ToServer::Data(data) => self.answer.data.extend_from_slice(data),
            ToServer::File { offset, length } => {
                let mut file = self.descriptors.pop_front().unwrap();
                assert_eq!(file.stream_position().unwrap(), 0, "it has a position of its own");
                file.seek(SeekFrom::Start(offset)).unwrap();
                file.take(length).read_to_end(&mut self.answer.data).unwrap();
                self.answer.files += 1;
            }
            ToServer::Flush => self.answer.flushes += 1,
            ToServer::Log { level, line } => self.answer.log.push((level, text(line))),
            ToServer::End => self.answer.end = End::Complete,
            ToServer::Failed(failure) => self.answer.end = End::Failed(failure),
            ToServer::NotStarted { leaving } => (self.answer.end, self.answer.leaving) = (End::NotStarted, leaving),
        }
        self.answer.end != End::Closed
    }

    /// Whether the worker closes the connection without a word.
    pub fn is_closed(&mut self) -> bool {
        !self.receive()
    }
}

fn entry<'a>(name: &'a str, value: &'a str) -> Entry<'a> {
    let known = KEYS.iter().position(|key| *key == name).and_then(|number| Key::numbered(number.try_into().unwrap()));
    match known {
        Some(key) => Entry { key, kind: ValueKind::Latin1, name: b"", value: value.as_bytes() },
        None => Entry { key: Key::TEXT, kind: ValueKind::Latin1, name: name.as_bytes(), value: value.as_bytes() },
    }
}
