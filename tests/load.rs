// SPDX-License-Identifier: Apache-2.0
//! Many requests and large bodies: nothing is lost, no child exits, memory stays flat.
//!
//! The long versions are ignored by default: `cargo test --test load -- --ignored`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code"
)]

use harness::{Connection, Httpd, Mode, Mpm, Site, census, embedded, modes, stress};
use std::thread;

modes! {
    ten_thousand_requests_at_a_time_of_fifty,
    every_kind_of_answer_under_load,
    requests_for_many_interpreters_at_a_time,
    #[ignore = "takes a minute"]
    memory_is_flat_over_two_hundred_thousand_requests,
}

embedded! {
    a_large_chunked_upload_is_read_in_pieces,
    memory_is_flat_over_many_requests,
    #[ignore = "takes a minute"]
    a_gigabyte_of_chunks_is_read_in_pieces,
}

fn hello_site(mode: Mode) -> Site {
    Site::new(mode).mount("/a", "answers.py").mount("/s", "state.py").workers(2, 25)
}

fn is_hello(answer: &harness::Response) -> bool {
    answer.status == 200 && answer.end == harness::End::Complete && answer.body == b"Hello, world\n"
}

fn ten_thousand_requests_at_a_time_of_fifty(mode: Mode) {
    for mpm in Mpm::ALL {
        let site = hello_site(mode).mpm(mpm);
        let httpd = if mpm == Mpm::Prefork { site.workers(50, 1) } else { site }.start();
        let before = httpd.children();
        let wrong = stress::hammer(httpd.port(), "/a/hello", 10_000, 50, is_hello);
        assert!(wrong.is_empty(), "{mpm:?}: {} of 10,000, first {:?}", wrong.len(), wrong.first());
        if mpm != Mpm::Prefork {
            assert_eq!(httpd.children(), before, "{mpm:?}: the same children");
        }
    }
}

fn every_kind_of_answer_under_load(mode: Mode) {
    let httpd = hello_site(mode).start();
    httpd.tolerate(harness::event::APPLICATION_FAILED).tolerate(harness::event::SHORT_ANSWER);
    let before = httpd.children();
    let paths =
        ["generator", "writes", "raises", "fail-generator", "short-generator", "recursion", "exits", "empty", "many"];
    thread::scope(|scope| {
        for path in paths {
            let port = httpd.port();
            scope.spawn(move || stress::hammer(port, &format!("/a/{path}"), 200, 4, |answer| answer.status != 0));
        }
    });
    assert_eq!(httpd.children(), before, "the same children");
    httpd.get("/a/hello").expect(200);
}

fn requests_for_many_interpreters_at_a_time(mode: Mode) {
    let aliases: String = (0..8).map(|number| format!("WSGIScriptAlias /i{number} \"@APPS@/state.py\"\n")).collect();
    let httpd = hello_site(mode).config(&aliases).start();
    let before = httpd.children();
    thread::scope(|scope| {
        for number in 0..8 {
            let port = httpd.port();
            scope.spawn(move || {
                let group = format!("|/i{number}\n");
                let right = |answer: &harness::Response| answer.status == 200 && answer.text().contains(&group);
                let wrong = stress::hammer(port, &format!("/i{number}"), 300, 4, right);
                assert!(wrong.is_empty(), "{:?}", wrong.first());
            });
        }
    });
    assert_eq!(httpd.children(), before, "the same children");
}

/// Uploads `mebibytes` in chunks to an application that reads pieces, and gives the growth of the child in KiB.
fn upload(mode: Mode, mebibytes: usize) -> i64 {
    let httpd = Site::new(mode)
        .app("body.py")
        .config("WSGIScriptAlias /count \"@APPS@/body.py\" callable-object=counting\nWSGIChunkedRequest On")
        .start();
    httpd.request("POST", "/count").chunks([vec![b'x'; 1 << 20]]).send().expect(200);
    let child = httpd.children()[0];
    let before = census::private_memory(child).unwrap();
    let mut connection = Connection::open(httpd.port());
    connection.send(b"POST /count?65536 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut piece = b"100000\r\n".to_vec();
    piece.extend(std::iter::repeat_n(b'y', 1 << 20));
    piece.extend_from_slice(b"\r\n");
    for _ in 0..mebibytes {
        connection.send(&piece);
    }
    connection.send(b"0\r\n\r\n");
    let answer = connection.read_response("POST");
    answer.expect(200);
    assert!(answer.text().starts_with(&format!("{} ", mebibytes << 20)), "{}", answer.text());
    assert_eq!(httpd.children(), [child]);
    growth(child, before)
}

fn growth(child: u32, before: u64) -> i64 {
    i64::try_from(census::private_memory(child).unwrap()).unwrap() - i64::try_from(before).unwrap()
}

fn a_large_chunked_upload_is_read_in_pieces(mode: Mode) {
    let growth = upload(mode, 64);
    assert!(growth < 8 * 1024, "{growth} KiB for 64 MiB");
}

fn a_gigabyte_of_chunks_is_read_in_pieces(mode: Mode) {
    let growth = upload(mode, 1024);
    assert!(growth < 8 * 1024, "{growth} KiB for 1 GiB");
}

/// Sends `count` requests of several kinds, round after round, until a round leaves the child less than `bound` KiB
/// larger than it found it, and gives the growth of each round. The first rounds may fill free lists and the allocator's
/// arenas, of which each thread has its own; a leak goes on.
fn growth_by_round(mode: Mode, count: usize, bound: i64) -> Vec<i64> {
    let httpd = Site::new(mode).mount("/a", "answers.py").mount("/b", "body.py").mount("/f", "files.py").start();
    httpd.tolerate(harness::event::APPLICATION_FAILED);
    let port = httpd.port();
    let paths = ["/a/hello", "/a/generator", "/a/writes", "/b?i.read(10)", "/f/size/4096", "/a/raises"];
    let round = |count: usize| {
        for path in paths {
            // Failures write a traceback each; fewer of them.
            let share = if path == "/a/raises" { count / 100 } else { count / paths.len() };
            let wrong = stress::hammer(port, path, share, 8, |answer| answer.status != 0);
            assert!(wrong.is_empty(), "{:?}", wrong.first());
        }
    };
    round(6000);
    let child = httpd.children()[0];
    let mut grown = Vec::new();
    for _ in 0..4 {
        let before = census::private_memory(child).unwrap();
        round(count);
        assert_eq!(httpd.children(), [child]);
        grown.push(growth(child, before));
        if grown.last().is_some_and(|last| *last < bound) {
            break;
        }
    }
    println!("private memory grew by {grown:?} KiB, {count} requests each");
    grown
}

fn assert_flat(mode: Mode, count: usize, bound: i64) {
    let grown = growth_by_round(mode, count, bound);
    assert!(grown.last().is_some_and(|last| *last < bound), "{grown:?} KiB");
}

fn memory_is_flat_over_many_requests(mode: Mode) {
    // A hundred bytes for each request would be 1200 KiB.
    assert_flat(mode, 12_000, 512);
}

fn memory_is_flat_over_two_hundred_thousand_requests(mode: Mode) {
    // Five bytes for each request would be 1000 KiB.
    assert_flat(mode, 200_000, 1000);
}

#[test]
fn the_descriptors_of_a_child_do_not_grow() {
    let httpd: Httpd = hello_site(Mode::Embedded).mount("/f", "files.py").workers(1, 8).start();
    let settle = || {
        stress::hammer(httpd.port(), "/a/hello", 400, 8, |_| true);
        stress::hammer(httpd.port(), "/f/size/8192", 400, 8, |_| true);
        harness::wait::until_true("the connections to end", || census::connections(httpd.children()[0]) == 0);
        harness::Census::of(httpd.children()[0])
    };
    let before = settle();
    let after = settle();
    assert_eq!(before.descriptors, after.descriptors);
    assert_eq!(before.threads, after.threads);
}
