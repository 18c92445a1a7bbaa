# SPDX-License-Identifier: Apache-2.0
"""Compare embedded mode with mod_wsgi 6.1.1 and a C handler, daemon mode with mod_wsgi 6.1.1, uWSGI and granian.

Every scenario is measured in rounds; in each round all contenders follow one
another, in changing order, so that what else the machine does falls on all. A
ratio is taken within a round, and its median, least and greatest over the
rounds are reported. CPU time is that of all processes of a server (children of httpd,
supervisor, workers, what is behind a proxy), user and system, divided by the
requests that were answered: it is the figure to trust on a busy machine. Of
daemon mode the memory of a process and of the whole server after some requests is shown, too. Needs
wrk. Standard library only, Python 3.9.
"""

import argparse
import http.client
import json
import os
import platform
import re
import resource
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import daemons
from callgrind import Client
from contenders import C, HERE, OURS, REFERENCE, ROOT, THREADS, Contenders, Python, found_pythons, note
from daemons import GRANIAN, UWSGI, Daemons
from report import disturbance, memory_table, show, spread, summary

from httpd import HttpdError, User, output, program, temp_root

SCENARIOS = {
    # name: (title, path, connections, size of the request body, expected size of the answer)
    "hello": ("hello, 12 bytes", "/hello", 16, 0, 12),
    "json": ("JSON, 1 KB, 10 headers", "/json", 16, 0, 1024),
    "body64k": ("body of 64 KB", "/body64k", 16, 0, 65536),
    "stream": ("stream, 100 x 1 KB", "/stream", 16, 0, 102400),
    "file": ("file, 10 MB, file_wrapper", "/file", 4, 0, 10 << 20),
    "upload": ("upload, 1 MB", "/upload", 4, 1 << 20, 8),
    "django": ("Django page", "/django/", 16, 0, None),
}


def check(server, path, body, size):
    """One request by hand: a contender that answers something else is not compared."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST" if body else "GET", path, b"x" * body if body else None)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    if response.status != 200 or (size is not None and len(data) != size) or not data:
        raise HttpdError(f"{path} answered {response.status} with {len(data)} bytes\n{server.log_tail()}")


def command(wrk, server, path, connections, body, seconds):
    return [
        wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(HERE / "report.lua"),
        f"http://127.0.0.1:{server.port}{path}", "--", str(body),
    ]  # fmt: skip


def measure(line, server):
    processes, before, all_before, own_before = server.pids(), server.cpu_seconds(), machine_seconds(), client_seconds()
    text = output(*line)
    cpu = server.cpu_seconds() - before
    others = machine_seconds() - all_before - cpu - (client_seconds() - own_before)
    if server.pids() != processes:
        raise HttpdError(f"a process was replaced, so its CPU time is lost: {shlex.join(line)}\n{server.log_tail()}")
    match = re.search(r"RESULT requests=(\d+) us=(\d+) p50=(\d+) p99=(\d+) bytes=(\d+) errors=(\d+)", text)
    requests, us, p50, p99, _, errors = map(int, match.groups())
    if not requests:
        raise HttpdError(f"not one request was answered: {shlex.join(line)}\n{server.log_tail()}")
    return {
        "requests": requests,
        "per_second": requests / (us / 1e6),
        "p50_us": p50,
        "p99_us": p99,
        "cpu_us": cpu * 1e6 / requests,
        "errors": errors,
        "others": max(0.0, others) / (us / 1e6 * os.cpu_count()),
    }


def machine_seconds():
    """What all processes have run, and what the machine below took from this one, which is as bad."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(int(fields[column]) for column in (1, 2, 3, 8)) / os.sysconf("SC_CLK_TCK")


def client_seconds():
    """What wrk has run, and this program."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(one.ru_utime + one.ru_stime for one in usages)


def run_scenario(name, wrk, contenders, rounds, seconds):
    title, path, connections, body, size = SCENARIOS[name]
    servers = {who: one for who, one in contenders.servers.items() if not (name == "django" and who == C)}
    for who, server in servers.items():
        check(server, path, body, size)
        line = command(wrk, server, path, connections, body, seconds)
        print(f"    {who}: {shlex.join(line)}", flush=True)
        measure(command(wrk, server, path, connections, body, 1), server)  # warms up, not counted
    measured = []
    for number in range(rounds):
        order = list(servers) if number % 2 == 0 else list(reversed(servers))
        measured.append(
            {who: measure(command(wrk, servers[who], path, connections, body, seconds), servers[who]) for who in order}
        )
    keys = ("per_second", "p50_us", "p99_us", "cpu_us")
    figures = {
        who: {
            **{key: spread([one[who][key] for one in measured]) for key in keys},
            "errors": sum(one[who]["errors"] for one in measured),
        }
        for who in servers
    }
    return {
        "python": contenders.python.version,
        "mode": contenders.mode,
        "scenario": name,
        "title": title,
        "connections": connections,
        "rounds": measured,
        "contenders": figures,
    }


def embedded(root, python, arguments, run):
    with Contenders(root, python, arguments.module, only=arguments.contender) as contenders:
        return [run(name, contenders) for name in arguments.scenario]


def daemon(root, python, arguments, run, wrk):
    """The results, and the memory of a process of each contender."""
    names = [name for name in arguments.scenario if name != "django"]

    def speed(server):
        check(server, "/hello", 0, 12)
        measure(command(wrk, server, "/hello", 16, 0, 1), server)
        return measure(command(wrk, server, "/hello", 16, 0, 1), server)["per_second"]

    with Daemons(root, python, arguments.module, only=arguments.contender) as contenders:
        contenders.check_processes()
        contenders.settle(speed)
        results = [run(name, contenders) for name in names]
    memory = {}
    for name in contenders.servers:
        # One after the other, so that none shares pages with another.
        alone = Daemons(root, python, arguments.module, only=[name], processes=1, purpose=f"-{name.split()[0]}")
        with alone:
            memory[name] = idle_memory(next(iter(alone.servers.values())))
    return results, memory


def idle_memory(server, requests=100):
    """KiB of the process that runs the application, and of all processes of the server, after so many requests; of what
    processes share each counts its share."""
    client = Client(server.port, "/hello")
    for _ in range(requests):
        client.fetch()
    client.aim("/process")
    pid = int(client.fetch())
    client.socket.close()
    try:
        return share(pid), sum(share(one) for one in server.pids())
    except OSError as error:
        note(f"the memory of a process cannot be read: {error}")
        return None


def share(pid):
    return int(re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE).group(1))


def machine():
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout.strip()
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "commit": commit,
        "cpu": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "httpd": output(program("apache2", "httpd"), "-v").splitlines()[0].partition(": ")[2],
        "load": os.getloadavg(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def arguments_of_command_line():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True, type=lambda text: Path(text).resolve(), help="mod_wsgi_rs.so")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--this-python-only", action="store_true", help="do not look for a Python 3.13 beside it")
    parser.add_argument("--mode", choices=["embedded", "daemon"], help="only this one; daemon is for one Python")
    parser.add_argument("--quick", action="store_true", help="three rounds of one second")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="only this one; can be repeated")
    everyone = [OURS, REFERENCE, C, UWSGI, GRANIAN]
    parser.add_argument("--contender", action="append", choices=everyone, help="only this one; can be repeated")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (3 if arguments.quick else 5)
    arguments.seconds = arguments.seconds or (1 if arguments.quick else 4)
    arguments.scenario = arguments.scenario or list(SCENARIOS)
    return arguments


def introduce(facts, arguments):
    print(f"{facts['cpu']}, {facts['cores']} cores; Linux {facts['kernel']}; {facts['httpd']}; commit {facts['commit']}")
    print(f"event MPM, one child, {THREADS} threads, keep-alive, AllowOverride None")
    print(f"daemon mode: {daemons.PROCESSES} processes of {daemons.THREADS} threads")
    print(f"{arguments.rounds} rounds of {arguments.seconds} s; load {facts['load'][0]:.1f}", flush=True)


def keep(facts, arguments, results, memory, text):
    state = ROOT / "target/bench"
    state.mkdir(parents=True, exist_ok=True)
    file = state / time.strftime("bench-%Y%m%d-%H%M%S.json", time.gmtime())
    run = {"machine": facts, "rounds": arguments.rounds, "seconds": arguments.seconds}
    file.write_text(json.dumps({**run, "results": results, "memory_kib": memory}, indent=1))
    (state / "bench.md").write_text(text + "\n")
    print(f"\nAll figures: {file}")


def main():
    arguments = arguments_of_command_line()
    os.umask(0o022)
    root = temp_root("bench")
    results, memory = [], {}
    facts = machine()
    try:
        wrk = program("wrk")

        def run(name, contenders):
            print(f"Python {contenders.python.version}, {contenders.mode} mode, {SCENARIOS[name][0]}", flush=True)
            return run_scenario(name, wrk, contenders, arguments.rounds, arguments.seconds)

        introduce(facts, arguments)
        first = Python(arguments.python, root, User())
        if arguments.mode != "daemon":
            others = [] if arguments.this_python_only else list(found_pythons(arguments.python))[1:]
            for python in (first, *(Python(executable, root, User()) for executable in others)):
                results += embedded(root, python, arguments, run)
        if arguments.mode != "embedded":
            found, memory = daemon(root, first, arguments, run, wrk)
            results += found
        text = summary(results) + memory_table(memory) + disturbance(results)
        print("\n" + text)
        keep(facts, arguments, results, memory, text)
    except HttpdError as error:
        note(f"make bench: {error}")
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
