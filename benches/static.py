# SPDX-License-Identifier: Apache-2.0
"""What a module costs requests that are not its own: CPU per static file without one, with ours, with mod_wsgi 6.1.1.

Each module is measured with one script alias and with 2,000, none of which
matches. Servers follow one another in every round, in changing order, and each
is compared with httpd alone in the same round. A second httpd alone shows how
far apart two equal servers are: that is the noise. The least figures of two
servers are those that the rest of the machine disturbed least. With
--instructions user-space instructions are counted instead, which hardly depend
on what else the machine does. Needs wrk, or valgrind. Standard library only,
Python 3.9.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from bench import check, command, machine, measure, show, spread
from callgrind import instructions
from contenders import HERE, OURS, REFERENCE, ROOT, THREADS, Python, frame, note

from httpd import Httpd, HttpdError, User, free_port, program, temp_root

ALONE, AGAIN = "httpd alone", "httpd alone, again"
MANY = 2000
FILE, SIZE = "/site.css", 1024
APPLICATION = "/customers/area0/site0/hello"


def aliases(script, count):
    return [f'WSGIScriptAlias /customers/area{one // 40}/site{one % 40} "{script}"' for one in range(count)]


def contenders(root, python, module, threads=THREADS):
    documents = root / "documents"
    shutil.copytree(HERE / "apps", documents)
    (documents / FILE[1:]).write_bytes(b"x" * SIZE)
    subprocess.run(["chmod", "-R", "a+rX", str(documents)], check=True)
    reference = python.reference(ROOT / "target/reference")
    home = [] if python.home == Path("/usr") else [f'WSGIPythonHome "{python.home}"']
    servers = {}
    for name, library, count in (
        (ALONE, None, 0),
        (f"{OURS}, 1 alias", module, 1),
        (f"{OURS}, {MANY} aliases", module, MANY),
        (f"{REFERENCE}, 1 alias", reference, 1),
        (f"{REFERENCE}, {MANY} aliases", reference, MANY),
        (AGAIN, None, 0),
    ):
        lines = frame(documents, threads)
        if library:
            script = documents / "bench.wsgi"
            lines += [f'LoadModule wsgi_module "{library}"', *home, "WSGIApplicationGroup %{GLOBAL}", *aliases(script, count)]
        servers[name] = Httpd(root / f"server{len(servers)}", free_port(), lines, user=User())
    return servers


def run(servers, rounds, seconds):
    """The CPU microseconds of a request: for each round, by server."""
    wrk = program("wrk")
    for name, server in servers.items():
        if name not in (ALONE, AGAIN):
            check(server, APPLICATION, 0, 12)
        check(server, FILE, 0, SIZE)
        measure(command(wrk, server, FILE, 16, 0, 1), server)  # warms up, not counted
    measured = []
    for number in range(rounds):
        order = list(servers) if number % 2 == 0 else list(reversed(servers))
        figures = {name: measure(command(wrk, servers[name], FILE, 16, 0, seconds), servers[name]) for name in order}
        if any(one["errors"] for one in figures.values()):
            raise HttpdError(f"errors: {figures}")
        measured.append({name: figures[name]["cpu_us"] for name in servers})
    return measured


def table(measured):
    lines = ["| server | CPU us/request | divided by httpd alone | least by least |", "|---|---|---|---|"]
    least = {name: min(one[name] for one in measured) for name in measured[0]}
    for name in measured[0]:
        ratio = spread([one[name] / one[ALONE] for one in measured])
        cpu = spread([one[name] for one in measured])
        lines.append(f"| {name} | {show(cpu, 2)} | {show(ratio, 3)} | {least[name] / least[ALONE]:.3f} |")
    return "\n".join(lines)


def verdict(measured, name):
    """Whether what our module costs in the middle of the rounds is less than what two equal servers mostly differ by."""
    noise = statistics.quantiles([abs(one[AGAIN] / one[ALONE] - 1) for one in measured], n=4)[2]
    cost = statistics.median(one[name] / one[ALONE] for one in measured) - 1
    within = cost <= noise
    return within, f"{name}: {cost:+.1%}, {'within' if within else 'ABOVE'} the noise of {noise:.1%}"


def timed(servers, rounds, seconds):
    print(f"event MPM, static file of {SIZE} bytes, keep-alive, 16 connections; {rounds} rounds of {seconds} s", flush=True)
    for server in servers.values():
        server.start()
    measured = run(servers, rounds, seconds)
    print("\nMedian (least-greatest) over the rounds\n\n" + table(measured) + "\n")
    verdicts = [verdict(measured, name) for name in measured[0] if name.startswith(f"{OURS},")]
    print("\n".join(sentence for _, sentence in verdicts))
    return all(within for within, _ in verdicts)


def counted(servers, few=200, many=3200):
    """Instructions of a request: what `many` need more than `few`, divided by how many more they are."""
    print("\n| server | instructions/request | more than httpd alone |\n|---|---|---|", flush=True)
    alone = None
    for name, server in servers.items():
        result = server.root / "callgrind/callgrind.out"
        # Python is started before anything is counted: the application answers first.
        first = None if name in (ALONE, AGAIN) else APPLICATION
        totals = [instructions(server, FILE, requests, result, first)[0] for requests in (few, many)]
        each = (totals[1] - totals[0]) / (many - few)
        alone = alone or each
        print(f"| {name} | {each:,.0f} | {each - alone:+,.0f} ({each / alone - 1:+.2%}) |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True, type=lambda text: Path(text).resolve(), help="mod_wsgi_rs.so")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--quick", action="store_true", help="five rounds")
    parser.add_argument("--instructions", action="store_true", help="count instructions with callgrind instead")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    arguments = parser.parse_args()
    rounds = arguments.rounds or (5 if arguments.quick else 21)
    seconds = arguments.seconds or 1

    os.umask(0o022)
    root = temp_root("static")
    servers = {}
    try:
        facts = machine()
        print(f"{facts['cpu']}, {facts['cores']} cores; {facts['httpd']}; commit {facts['commit']}; load {facts['load'][0]:.1f}")
        python = Python(arguments.python, root, User())
        servers = contenders(root, python, arguments.module, 4 if arguments.instructions else THREADS)
        if arguments.instructions:
            counted(servers)
        elif not timed(servers, rounds, seconds):
            return 1
    except (HttpdError, OSError, subprocess.TimeoutExpired) as error:
        note(f"make bench-static: {error}")
        return 1
    finally:
        for server in servers.values():
            server.stop()
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
