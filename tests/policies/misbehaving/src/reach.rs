//! Reaching for what is outside: the environment, files, the network, the
//! clock, randomness, handles, the message before.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use waxseal_policy::Decision;

mod clock {
    wit_bindgen::generate!({
        inline: "
            package waxseal:misbehaving;
            world reach { import wasi:clocks/monotonic-clock@0.2.0; }
            package wasi:io@0.2.0 {
                interface poll { resource pollable; }
            }
            package wasi:clocks@0.2.0 {
                interface monotonic-clock {
                    use wasi:io/poll@0.2.0.{pollable};
                    type duration = u64;
                    subscribe-duration: func(when: duration) -> pollable;
                }
            }
        ",
        generate_all,
    });
}

/// Messages that this instance has seen.
static SEEN: AtomicU32 = AtomicU32::new(0);

/// Does what the subject names; none where it names nothing of this module.
pub(crate) fn commit(subject: &str) -> Option<Result<Decision, String>> {
    let found = match subject {
        "count" => (SEEN.fetch_add(1, Ordering::Relaxed) + 1).to_string(),
        "look around" => look_around(),
        "connect" => match TcpStream::connect("192.0.2.1:25") {
            Ok(_) => "connected".into(),
            Err(error) => error.to_string(),
        },
        "clock" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let started = Instant::now();
            format!("{:?} {:?}", now.map(|now| now.as_secs()), started.elapsed())
        }
        "random" => RandomState::new().build_hasher().finish().to_string(),
        "handles" => {
            let hoard: Vec<_> = (0..100_000)
                .map(clock::wasi::clocks::monotonic_clock::subscribe_duration)
                .collect();
            hoard.len().to_string()
        }
        _ => return None,
    };
    Some(Ok(Decision::accept().reason(&found)))
}

fn look_around() -> String {
    let file = match fs::read("/etc/hostname") {
        Ok(_) => "read",
        Err(_) => "denied",
    };
    let folder = match fs::read_dir("/") {
        Ok(_) => "read",
        Err(_) => "denied",
    };
    let written = match fs::write("waxseal", "was here") {
        Ok(()) => "written",
        Err(_) => "denied",
    };
    format!(
        "{} variables, {} arguments, file {file}, folder {folder}, new file {written}",
        env::vars_os().count(),
        env::args_os().count(),
    )
}
