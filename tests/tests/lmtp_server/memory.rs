//! Memory of a server that gets a large message, measured in a process of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use waxseal_testkit::{Client, wait_for};

use crate::given::{Mta, Serving, all_delivered};

/// Names the socket to the process that serves.
const SOCKET: &str = "LMTP_SERVER_SOCKET";

const SIZE: usize = 38 << 20;

/// A value of `/proc/PID/status` in KiB.
fn status(pid: u32, key: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("running");
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let value = line.and_then(|line| line.split_whitespace().next());
    value
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

#[test]
#[ignore = "the process that serves for the test below"]
fn serves() {
    let Ok(socket) = std::env::var(SOCKET) else {
        return;
    };
    let mut serving = Serving::start(Path::new(&socket), all_delivered);
    loop {
        assert!(serving.delivery().content.len() < 2 * SIZE);
    }
}

#[test]
fn a_message_of_38_mb_is_in_memory_once() {
    let mta = Mta::start("lmtp-memory", "");
    let mut server = Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "memory::serves"])
        .env(SOCKET, &mta.socket)
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    let pid = server.id();
    wait_for("the socket", || mta.socket.exists().then_some(()));
    let send = |message: &[u8]| {
        let sent = Client::connect(mta.postfix.mx())
            .and_then(|mut client| client.send("", &["a@x.test"], message));
        assert_eq!(sent.expect("sent").code, 250);
        wait_for("an empty queue", || {
            (mta.postfix.queued() == 0).then_some(())
        });
    };
    send(b"Subject: x\r\n\r\nx\r\n");
    let before = status(pid, "VmHWM:");
    let line = [b"x".repeat(76).as_slice(), b"\r\n"].concat();
    let message = [b"Subject: x\r\n\r\n".to_vec(), line.repeat(SIZE / 78)].concat();
    for _ in 0..3 {
        send(&message);
    }
    let (peak, after) = (status(pid, "VmHWM:"), status(pid, "VmRSS:"));
    server.kill().expect("running");
    server.wait().expect("ended");
    let size = message.len() >> 10;
    println!("message {size} KiB; before {before}, peak {peak}, after {after} KiB");
    assert!(peak - before < size * 13 / 10, "peak {peak} KiB");
}
