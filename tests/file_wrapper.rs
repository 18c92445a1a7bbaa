// SPDX-License-Identifier: Apache-2.0
//! wsgi.file_wrapper: files, parts of files, and things that only look like files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use harness::response::Framing;
use harness::{End, Httpd, Mode, Protocol, Site, event, modes};

modes! {
    files_of_every_size_arrive,
    files_of_every_size_arrive_with_sendfile,
    a_file_is_sent_from_its_position,
    a_content_length_within_the_file_is_kept,
    a_content_length_beyond_the_file_is_visibly_cut,
    a_content_length_beyond_the_file_does_not_kill_behind_a_filter,
    something_without_descriptor_is_read_in_blocks,
    a_pipe_is_read,
    data_written_before_stays_first,
    close_is_called_on_the_file,
    an_exception_in_close_of_the_file_is_swallowed,
    the_position_of_the_file_is_restored,
    the_class_has_its_attributes_and_rules,
    an_unlinked_file_is_sent,
    a_wrapper_may_be_iterated_by_others,
    head_sends_no_file,
    a_file_over_http2_and_http10,
    output_filters_see_the_file,
    a_large_file_arrives,
}

fn site(mode: Mode) -> Site {
    Site::new(mode).mount("/f", "files.py").config("EnableSendfile On")
}

/// The first `size` bytes of the pattern that the application writes.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 4096 * 7 % 251) as u8).collect()
}

const SIZES: [usize; 7] = [0, 1, 4095, 4096, 8192, 65_537, 1_000_003];

fn assert_all_sizes(httpd: &Httpd) {
    let mut connection = httpd.connect();
    for size in SIZES {
        connection.send(&httpd.request("GET", &format!("/f/size/{size}")).bytes());
        let answer = connection.read_response("GET");
        answer.expect(200);
        assert!(answer.body == content(size), "{size}: {} bytes", answer.body.len());
        assert_eq!(answer.header("Content-Length"), Some(size.to_string().as_str()));
    }
}

fn files_of_every_size_arrive(mode: Mode) {
    assert_all_sizes(&site(mode).start());
}

fn files_of_every_size_arrive_with_sendfile(mode: Mode) {
    assert_all_sizes(&site(mode).config("WSGIEnableSendfile On").start());
}

fn a_file_is_sent_from_its_position(mode: Mode) {
    let httpd = site(mode).start();
    let whole = content(65_537);
    httpd.get("/f/offset").expect_body(&whole[60_000..]);
    for path in ["/f/offset-at-end", "/f/offset-beyond"] {
        let answer = httpd.get(path);
        answer.expect_body(b"");
    }
}

fn a_content_length_within_the_file_is_kept(mode: Mode) {
    let httpd = site(mode).start();
    httpd.tolerate(event::LONG_ANSWER);
    let whole = content(65_537);
    let mut connection = httpd.connect();
    for (path, range) in [("/f/length-smaller", 0..1000), ("/f/length-exact", 65_000..65_537)] {
        connection.send(&httpd.request("GET", path).bytes());
        connection.read_response("GET").expect_body(&whole[range]);
    }
}

fn a_content_length_beyond_the_file_is_visibly_cut(mode: Mode) {
    for sendfile in ["On", "Off"] {
        let httpd = site(mode).config(&format!("WSGIEnableSendfile {sendfile}")).start();
        httpd.expect(event::SHORT_ANSWER);
        for path in ["/f/length-larger", "/f/length-much-larger"] {
            let answer = httpd.get(path);
            let cut = answer.end == End::Cut && answer.body == content(1000);
            assert!(cut || answer.status == 500, "{path}: {} {:?} {}", answer.status, answer.end, answer.body.len());
        }
        assert_eq!(httpd.count(event::SHORT_ANSWER), 2);
    }
}

fn a_content_length_beyond_the_file_does_not_kill_behind_a_filter(mode: Mode) {
    let httpd =
        site(mode).with("filter").with("deflate").config("<Location /f>\nSetOutputFilter DEFLATE\n</Location>").start();
    httpd.expect(event::SHORT_ANSWER);
    let answer = httpd.request("GET", "/f/length-much-larger").header("Accept-Encoding", "gzip").send();
    assert!(answer.end == End::Cut || answer.status >= 500, "{answer:?}");
    httpd.get("/f/size/1").expect(200);
}

fn something_without_descriptor_is_read_in_blocks(mode: Mode) {
    let httpd = site(mode).start();
    let answer = httpd.get("/f/memory");
    answer.expect_body(b"0123456789");
    assert_eq!(answer.framing, Framing::Chunked);
    httpd.wait_for_journal("closed file-like");
    assert_eq!(httpd.journal(), ["read 4", "read 4", "read 4", "read 4", "closed file-like"]);
}

fn a_pipe_is_read(mode: Mode) {
    site(mode).start().get("/f/pipe").expect_body(b"from a pipe");
}

fn data_written_before_stays_first(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/f/written-first").expect_body(b"before after");
    let expected = [b"before ".to_vec(), content(4096)].concat();
    httpd.get("/f/regular-after-write").expect_body(&expected);
}

fn close_is_called_on_the_file(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/f/closing").expect_body(&content(4096));
    httpd.wait_for_journal("closed regular file");
    httpd.request("HEAD", "/f/closing").send();
    harness::wait::until_true("the second close", || httpd.journal().len() == 2);
}

fn an_exception_in_close_of_the_file_is_swallowed(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/f/broken").expect_body(b"0123456789");
    httpd.wait_for_journal("closing broken file");
    httpd.get("/f/size/1").expect(200);
}

fn the_position_of_the_file_is_restored(mode: Mode) {
    let httpd = site(mode).start();
    httpd.get("/f/offset-kept").expect_body(&content(4096)[100..]);
    assert_eq!(httpd.wait_for_journal("offset"), "offset 100");
}

fn the_class_has_its_attributes_and_rules(mode: Mode) {
    let httpd = site(mode).start();
    let expected =
        "[True, 4, [b'abcd', b'ef'], 8192, 'ValueError', 'AttributeError', 'TypeError', None, 'ValueError', True]";
    httpd.get("/f/attributes").expect_body(expected.as_bytes());
}

fn an_unlinked_file_is_sent(mode: Mode) {
    site(mode).start().get("/f/unlinked").expect_body(b"still here");
}

fn a_wrapper_may_be_iterated_by_others(mode: Mode) {
    site(mode).start().get("/f/inner").expect_body(b"LOWER");
}

fn head_sends_no_file(mode: Mode) {
    let httpd = site(mode).start();
    let mut connection = httpd.connect();
    for _ in 0..2 {
        connection.send(&httpd.request("HEAD", "/f/size/65537").bytes());
        let answer = connection.read_response("HEAD");
        assert_eq!((answer.status, answer.header("Content-Length")), (200, Some("65537")));
    }
}

fn a_file_over_http2_and_http10(mode: Mode) {
    let httpd = site(mode).with("http2").config("Protocols h2c http/1.1").start();
    for protocol in Protocol::ALL {
        let answer = httpd.request("GET", "/f/size/1000003").over(protocol).send();
        answer.expect(200);
        assert!(answer.body == content(1_000_003), "{protocol:?}");
    }
}

fn output_filters_see_the_file(mode: Mode) {
    let httpd =
        site(mode).with("filter").with("deflate").config("<Location /f>\nSetOutputFilter DEFLATE\n</Location>").start();
    let answer = httpd.request("GET", "/f/size/65537").header("Accept-Encoding", "gzip").send();
    answer.expect(200);
    assert_eq!(answer.header("Content-Encoding"), Some("gzip"));
    assert!(answer.body.len() < 20_000);
}

fn a_large_file_arrives(mode: Mode) {
    let httpd = site(mode).mount("/g", "gated.py").start();
    let answer = httpd.get("/g/big_file");
    assert_eq!((answer.status, &answer.end, answer.body.len()), (200, &End::Complete, 200 * 1024 * 1024));
    assert!(answer.body.iter().all(|byte| *byte == 0));
    httpd.wait_for_journal("closed big file");
}
