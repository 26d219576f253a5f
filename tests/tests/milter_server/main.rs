//! The milter server over real sockets, asked by a client that shares no code
//! with it.

mod example;
mod given;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use waxseal_milter::{BindError, Endpoint, Limits, ReplyStatus, Server};
use waxseal_testkit::milter::{Client, Mail, MtaProfile, Reply};

use given::{Running, TIMEOUT, accepted, listener, text_of, unix};

fn limits(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

#[test]
fn messages_come_through_byte_for_byte_over_tcp_and_unix_from_every_mta() {
    let server = Running::start(Limits::default());
    let large: Vec<u8> = (0..300_000u32)
        .map(|n| b"abcdefgh\r\n"[n as usize % 10])
        .collect();
    let mails = [
        Mail::with_body("short\r\n"),
        Mail::with_body(large),
        Mail::with_body(""),
    ];
    let all_profiles = [
        MtaProfile::postfix(),
        MtaProfile::postfix_local(),
        MtaProfile::sendmail(),
        MtaProfile::version(2),
        MtaProfile::version(3),
        MtaProfile::version(4),
        // Chunks cut between CR and LF.
        MtaProfile {
            chunk: 9,
            ..MtaProfile::postfix()
        },
    ];
    for profile in all_profiles {
        for mut client in [server.tcp(profile.clone()), server.unix(profile.clone())] {
            for mail in &mails {
                assert_eq!(
                    client.send(mail).expect("answered"),
                    accepted(),
                    "{profile:?}"
                );
                let seen = server.seen().pop().expect("one message");
                assert!(seen.content.bytes() == mail.bytes(), "{profile:?}");
                assert_eq!(seen.queue_id, "4F00D");
                assert_eq!(server.receipt(), ReplyStatus::Written);
                client.put(b'A', b"");
            }
        }
    }
}

#[test]
fn only_offered_options_are_negotiated() {
    let server = Running::start(Limits::default());
    for version in 2..=6 {
        let profile = if version == 6 {
            MtaProfile::sendmail()
        } else {
            MtaProfile::version(version)
        };
        let [agreed, actions, protocol_flags] = server.tcp(profile.clone()).agreed();
        assert_eq!(agreed, version);
        assert_eq!(
            (
                actions & !profile.actions,
                protocol_flags & !profile.protocol_flags
            ),
            (0, 0)
        );
    }
}

#[test]
fn a_message_that_passes_does_not_reach_the_filter() {
    let server = Running::start(Limits::default());
    let mail = Mail {
        sender: "pass@example.org".into(),
        ..Mail::with_body("edit")
    };
    for profile in [MtaProfile::postfix(), MtaProfile::version(2)] {
        let mut client = server.unix(profile);
        assert_eq!(client.send(&mail).expect("answered"), accepted());
        assert!(server.seen().is_empty());
        assert_eq!(
            client.send(&Mail::with_body("x")).expect("answered"),
            accepted()
        );
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn edits_come_with_the_final_reply_and_body_chunks_follow_each_other() {
    let server = Running::start(Limits::default());
    let replies = server
        .tcp(MtaProfile::postfix())
        .send(&Mail::with_body("edit"))
        .expect("answered");
    let names: Vec<u8> = replies.iter().map(|reply| reply.name).collect();
    assert_eq!(names, *b"ibba");
    assert_eq!(replies[1].data.len() + replies[2].data.len(), 100_000);
}

#[test]
fn edits_that_the_mta_does_not_permit_defer_the_message() {
    let server = Running::start(Limits::default());
    let mut client = server.tcp(MtaProfile::version(2));
    let replies = client
        .send(&Mail::with_body("null sender"))
        .expect("answered");
    assert!(text_of(&replies).starts_with("451 4.7.1 "), "{replies:?}");
    assert_eq!(
        (replies.len(), server.receipt()),
        (1, ReplyStatus::NotWritten)
    );
}

#[test]
fn a_panic_defers_one_message_and_affects_no_other() {
    let server = Running::start(Limits::default());
    let mut other = server.tcp(MtaProfile::postfix());
    other.envelope(&Mail::with_body("")).expect("sent");
    let mut client = server.tcp(MtaProfile::postfix());
    let replies = client.send(&Mail::with_body("panic")).expect("answered");
    assert!(text_of(&replies).starts_with("451 4.7.1 "), "{replies:?}");
    assert_eq!(
        client.send(&Mail::with_body("x")).expect("answered"),
        accepted()
    );
    // Where there is no message to answer yet, the connection pays.
    let early = Mail {
        sender: "panic@example.org".into(),
        ..Mail::with_body("")
    };
    assert!(client.send(&early).is_err());
    other.content(&Mail::with_body("x")).expect("sent");
    assert_eq!(other.end_of_message().expect("answered"), accepted());
}

#[test]
fn invalid_frames_close_their_connection_and_affect_no_other() {
    let server = Running::start(Limits::default());
    let mut other = server.unix(MtaProfile::postfix());
    other.envelope(&Mail::with_body("")).expect("sent");
    let broken: [(u8, &[u8]); 4] = [
        (b'E', b""),
        (b'C', b"no address"),
        (b'z', b""),
        (b'O', b"twice, and too short"),
    ];
    for (command, data) in broken {
        let mut client = server.unix(MtaProfile::postfix());
        client.put(command, data);
        assert!(client.closed().expect("closed"), "{}", char::from(command));
    }
    other.content(&Mail::with_body("x")).expect("sent");
    assert_eq!(other.end_of_message().expect("answered"), accepted());
}

#[test]
fn a_message_over_the_limit_is_refused_and_the_next_one_is_not() {
    let mut limits = Limits::default();
    limits.message.size = 100_000;
    let server = Running::start(limits);
    for profile in [MtaProfile::postfix(), MtaProfile::version(2)] {
        let mut client = server.tcp(profile);
        let replies = client
            .send(&Mail::with_body(vec![b'x'; 1_000_000]))
            .expect("answered");
        assert!(text_of(&replies).starts_with("552 5.3.4 "), "{replies:?}");
        assert_eq!(
            client.send(&Mail::with_body("x")).expect("answered"),
            accepted()
        );
    }
}

#[test]
fn a_message_over_the_memory_budget_is_deferred() {
    let limits = limits(|limits| {
        // A message of the large kind takes five times its bytes while it is
        // processed.
        limits.memory = 16_000_000;
        limits.memory_wait = Duration::from_millis(1);
    });
    let server = Running::start(limits);
    let big = Mail::with_body([b"wait".as_slice(), &[b'x'; 2_000_000]].concat());
    // One holds most of the room, one overdraws it; a third finds none.
    let mut holding: Vec<Client> = (0..2).map(|_| server.tcp(MtaProfile::postfix())).collect();
    for client in &mut holding {
        client.envelope(&big).expect("sent");
        client.content(&big).expect("sent");
        client.command_without_reply(b'E').expect("sent");
        server.processing.recv_timeout(TIMEOUT).expect("at work");
    }
    let mut third = server.tcp(MtaProfile::postfix());
    let replies = third
        .send(&Mail::with_body(vec![b'x'; 2_000_000]))
        .expect("answered");
    assert!(text_of(&replies).starts_with("451 4.7.1 "), "{replies:?}");
    // Small messages have room of their own.
    let small = third.send(&Mail::with_body("x")).expect("answered");
    assert_eq!(small, accepted());
    server.filter.resume.notify_waiters();
    for client in &mut holding {
        assert_eq!(client.reply().expect("answered"), Reply::bare(b'a'));
    }
    // What was held is given back.
    let after = third
        .send(&Mail::with_body(vec![b'x'; 2_000_000]))
        .expect("answered");
    assert_eq!(after, accepted());
}

#[test]
fn progress_is_sent_while_a_message_is_processed() {
    let limits = limits(|limits| {
        limits.progress_interval = Duration::from_millis(5);
    });
    let server = Running::start(limits);
    let mut client = server.tcp(MtaProfile::postfix());
    let mail = Mail::with_body("wait");
    client.envelope(&mail).expect("sent");
    client.content(&mail).expect("sent");
    client.command_without_reply(b'E').expect("sent");
    assert_eq!(client.reply().expect("a sign of life"), Reply::bare(b'p'));
    assert_eq!(client.reply().expect("another"), Reply::bare(b'p'));
    server.filter.resume.notify_waiters();
    let last = std::iter::repeat_with(|| client.reply().expect("a reply"))
        .find(|reply| reply.name != b'p');
    assert_eq!(last, Some(Reply::bare(b'a')));
}

#[test]
fn a_message_past_its_processing_timeout_is_deferred() {
    let server = Running::start(limits(|limits| {
        limits.processing_timeout = Duration::from_millis(5);
    }));
    let replies = server
        .tcp(MtaProfile::postfix())
        .send(&Mail::with_body("wait"))
        .expect("answered");
    assert!(text_of(&replies).starts_with("451 4.7.1 "), "{replies:?}");
}

#[test]
fn a_reply_that_was_not_written_is_reported() {
    let server = Running::start(Limits::default());
    for aborts in [true, false] {
        let mut client = server.unix(MtaProfile::postfix());
        let mail = Mail::with_body("wait");
        client.envelope(&mail).expect("sent");
        client.content(&mail).expect("sent");
        client.command_without_reply(b'E').expect("sent");
        server.processing.recv_timeout(TIMEOUT).expect("at work");
        if aborts {
            // The MTA lost its patience but not the connection.
            client.put(b'A', b"");
            client.flush().expect("sent");
        } else {
            drop(client);
        }
        server.filter.resume.notify_waiters();
        assert_eq!(server.receipt(), ReplyStatus::NotWritten);
    }
}

#[test]
fn idle_connections_are_closed() {
    let server = Running::start(limits(|limits| {
        limits.idle_timeout = Duration::from_millis(5);
    }));
    let Endpoint::Tcp(address) = server.endpoints[0] else {
        panic!("TCP comes first")
    };
    let mut client = Client::tcp(address, MtaProfile::postfix()).expect("negotiated");
    assert!(client.closed().expect("closed"));
}

#[test]
fn m2_a_connection_without_a_command_is_closed_soon() {
    let server = Running::start(limits(|limits| {
        limits.first_command_timeout = Duration::from_millis(5);
    }));
    let Endpoint::Tcp(address) = server.endpoints[0] else {
        panic!("TCP comes first")
    };
    let mut silent = std::net::TcpStream::connect(address).expect("a connection");
    silent.set_read_timeout(Some(TIMEOUT)).expect("set");
    let closed = std::io::Read::read(&mut silent, &mut [0]).expect("closed in order");
    assert_eq!(closed, 0);
}

#[test]
fn h1_an_aborted_message_does_not_delay_the_next_one() {
    let server = Running::start(Limits::default());
    let mut client = server.unix(MtaProfile::postfix());
    let mail = Mail::with_body("wait");
    client.envelope(&mail).expect("sent");
    client.content(&mail).expect("sent");
    client.command_without_reply(b'E').expect("sent");
    server.processing.recv_timeout(TIMEOUT).expect("at work");
    client.put(b'A', b"");
    client.flush().expect("sent");
    // The connection is served again before the filter is done with the message.
    let next = client.send(&Mail::with_body("x"));
    assert_eq!(next.expect("answered"), accepted());
    assert_eq!(server.receipt(), ReplyStatus::Written);
    server.filter.resume.notify_waiters();
    assert_eq!(server.receipt(), ReplyStatus::NotWritten);
}

#[test]
fn a_connection_over_the_limit_waits() {
    let server = Running::start(limits(|limits| {
        limits.connections = 2;
    }));
    // Each of the two listeners has one slot. Once a command was served, even one
    // that came in one piece with the message, a connection is not closed for others.
    let mut first = server.unix(MtaProfile::postfix());
    let mail = Mail::with_body("x");
    assert_eq!(first.send(&mail).expect("answered"), accepted());
    let (sender, second) = mpsc::channel();
    let socket = server.socket.clone();
    std::thread::spawn(move || {
        let client = Client::unix(&socket, MtaProfile::postfix());
        let _ = sender.send(client);
    });
    assert_eq!(first.send(&mail).expect("answered"), accepted());
    assert!(second.try_recv().is_err(), "the slot is taken");
    drop(first);
    let second = second.recv_timeout(TIMEOUT).expect("a slot");
    let mut second = second.expect("negotiated");
    second.greet().expect("greeted");
    assert_eq!(
        second.send(&Mail::with_body("x")).expect("answered"),
        accepted()
    );
}

#[test]
fn a_stop_lets_messages_finish_and_closes_idle_connections() {
    let mut server = Running::start(Limits::default());
    let mut idle = server.unix(MtaProfile::postfix());
    let mut busy = server.unix(MtaProfile::postfix());
    // Each step is answered, so the server is known to have seen it.
    let mut begun = server.tcp(MtaProfile::version(4));
    let mail = Mail::with_body("wait");
    begun.envelope(&Mail::with_body("x")).expect("answered");
    busy.envelope(&mail).expect("sent");
    busy.content(&mail).expect("sent");
    busy.command_without_reply(b'E').expect("sent");
    server.processing.recv_timeout(TIMEOUT).expect("at work");
    server.stop();
    assert!(idle.closed().expect("closed"));
    assert!(Client::unix(&server.socket, MtaProfile::postfix()).is_err());
    server.filter.resume.notify_waiters();
    assert_eq!(busy.reply().expect("answered"), Reply::bare(b'a'));
    assert!(busy.closed().expect("closed"));
    begun.content(&Mail::with_body("x")).expect("sent");
    assert_eq!(begun.end_of_message().expect("answered"), accepted());
    server.stopped.recv_timeout(TIMEOUT).expect("stopped");
    assert!(!server.socket.exists());
}

#[test]
fn a_shutdown_ends_at_its_timeout() {
    let mut server = Running::start(limits(|limits| {
        limits.shutdown_timeout = Duration::from_millis(5);
    }));
    let mut busy = server.unix(MtaProfile::postfix());
    let mail = Mail::with_body("wait");
    busy.envelope(&mail).expect("sent");
    busy.content(&mail).expect("sent");
    busy.command_without_reply(b'E').expect("sent");
    server.processing.recv_timeout(TIMEOUT).expect("at work");
    server.stop();
    server.stopped.recv_timeout(TIMEOUT).expect("stopped");
    assert!(busy.closed().expect("closed"));
}

#[test]
fn socket_files_have_their_mode_and_stale_ones_are_replaced() {
    let server = Running::start(Limits::default());
    let mode = std::fs::metadata(&server.socket)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let _guard = runtime.as_ref().expect("a runtime").enter();
    let bind = |path: &Path| {
        let filter = Arc::clone(&server.filter);
        Server::bind(&[listener("again", unix(path))], Limits::default(), filter).map(drop)
    };
    assert!(matches!(bind(&server.socket), Err(BindError::InUse { .. })));
    let other = server.socket.with_extension("other");
    std::fs::write(&other, "precious").expect("written");
    assert!(matches!(bind(&other), Err(BindError::NotASocket { .. })));
    assert_eq!(std::fs::read(&other).expect("still there"), b"precious");
    // A daemon that was killed leaves its file behind.
    std::fs::remove_file(&other).expect("removed");
    drop(std::os::unix::net::UnixListener::bind(&other).expect("bound"));
    assert!(other.exists());
    bind(&other).expect("stale");
    assert!(!other.exists(), "taken away at the end");
}
