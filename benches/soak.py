# SPDX-License-Identifier: Apache-2.0
"""Answer 200,000 requests of all kinds and show the memory of httpd's children meanwhile.

Turns of all kinds follow one another. The first three are the warm-up, in which
every thread meets everything; what is resident after them is compared with what
is resident at the end, 200,000 requests and seven turns later at the least. Needs wrk. Standard library only, Python 3.9.
"""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

from bench import SCENARIOS, command
from contenders import C, OURS, REFERENCE, Contenders, Python, note

from httpd import HttpdError, User, output, program, temp_root

WARM_UP = 3
# One second of each in every turn.
KINDS = ("hello", "json", "body64k", "stream", "upload", "django", "file")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True, type=lambda text: Path(text).resolve(), help="mod_wsgi_rs.so")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--contender", choices=[OURS, REFERENCE, C], default=OURS)
    parser.add_argument("--growth", type=int, default=10, help="the growth in percent that is accepted")
    arguments = parser.parse_args()

    os.umask(0o022)
    root = temp_root("soak")
    try:
        wrk = program("wrk")
        python = Python(arguments.python, root, User())
        with Contenders(root, python, arguments.module, only=[arguments.contender]) as contenders:
            server = contenders.servers[arguments.contender]
            done = errors = warm = 0
            samples, children = [], None
            print("| requests | resident memory of the children, KiB |\n|---|---|")
            while len(samples) < WARM_UP + 7 or done - warm < arguments.requests:
                for kind in KINDS:
                    if kind == "django" and arguments.contender == C:
                        continue
                    _, path, connections, body, _ = SCENARIOS[kind]
                    text = output(*command(wrk, server, path, connections, body, 1))
                    match = re.search(r"RESULT requests=(\d+) .* errors=(\d+)", text)
                    done += int(match.group(1))
                    errors += int(match.group(2))
                samples.append((done, server.resident_kib()))
                print("| {:,} | {:,} |".format(*samples[-1]), flush=True)
                if len(samples) == WARM_UP:
                    warm, children = done, set(server.pids()) - {server.process.pid}
            if set(server.pids()) - {server.process.pid} != children:
                raise HttpdError(f"a child was replaced:\n{server.log_tail()}")
        before, after = samples[WARM_UP - 1][1], samples[-1][1]
        growth = (after - before) * 100 / before
        print(
            f"\nPython {python.version}, {arguments.contender}: {done - warm:,} requests after {warm:,}, {errors} errors, "
            f"from {before:,} to {after:,} KiB: {growth:+.1f} %"
        )
        if growth > arguments.growth or errors:
            return 1
    except HttpdError as error:
        note(f"make soak: {error}")
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
