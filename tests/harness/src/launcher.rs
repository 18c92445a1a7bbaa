// SPDX-License-Identifier: Apache-2.0
//! Ways to start httpd in surroundings that this machine does not have: an older kernel, a container.

use crate::python::Python;
use crate::site::Site;

/// Becomes the program after the first argument, for which some system calls do nothing but return an error number, or 0.
const FILTER: &str = "import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
steps = [(0x20, 0, 0, 0)]
for denied in sys.argv[1].split(','):
    call, error = map(int, denied.split(':'))
    steps += [(0x15, 0, 1, call), (0x06, 0, 0, 0x00050000 | error)]
steps.append((0x06, 0, 0, 0x7fff0000))
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps))
class Program(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('code', ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(code))
if os.getuid() != 0:
    libc.prctl(38, 1, 0, 0, 0)
if libc.prctl(22, 2, ctypes.byref(program), 0, 0) != 0:
    sys.exit('no filter')
os.execv(sys.argv[2], sys.argv[2:])
";

/// Runs a program as the first process of a namespace of its own, passes signals on to it, and ends as it does.
const FIRST: &str = "import ctypes, os, signal, subprocess, sys
libc = ctypes.CDLL(None)
if libc.unshare(0x20000000 | 0x00020000) != 0:
    sys.exit('no namespace')
child = os.fork()
if child == 0:
    os.setsid()
    subprocess.check_call(['mount', '--make-rprivate', '/'])
    subprocess.check_call(['mount', '-t', 'proc', 'proc', '/proc'])
    os.execv(sys.argv[1], sys.argv[1:])
for number in signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP:
    signal.signal(number, lambda number, frame: os.kill(child, number))
status = os.waitpid(child, 0)[1]
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
";

fn python() -> String {
    let python = Python::usual().expect("a Python");
    python.prefix.join(format!("bin/python3.{}", python.minor)).display().to_string()
}

impl Site {
    /// Starts httpd where each of these system calls returns its error number, or 0, and does nothing.
    pub fn without_calls(self, calls: &[(u32, u32)]) -> Self {
        let denied: Vec<_> = calls.iter().map(|(call, error)| format!("{call}:{error}")).collect();
        self.through(&[&python(), "-c", FILTER, &denied.join(",")])
    }

    /// Starts httpd as the first process of a container: the process that tests know is its only one outside.
    pub fn as_first_process(self) -> Self {
        self.through(&[&python(), "-c", FIRST])
    }
}
