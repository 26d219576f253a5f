//! An authentication server for Postfix that speaks Dovecot's protocol.
//!
//! With it clients log in at Postfix without a SASL package. A user's password is its name after `password-of-`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use data_encoding::BASE64;

/// The password of a user.
pub fn password_of(user: &str) -> String {
    format!("password-of-{user}")
}

/// Serves at `socket` until the process ends.
///
/// # Panics
///
/// If the socket cannot be created.
pub fn serve(socket: &Path) {
    let listener = UnixListener::bind(socket).expect("socket of the authentication server");
    let everybody = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(socket, everybody).expect("permissions of the socket");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                // Each conversation ends when the client disconnects.
                let _ = converse(stream);
            });
        }
    });
}

fn converse(stream: UnixStream) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    writer.write_all(
        b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\n\
          COOKIE\t00112233445566778899aabbccddeeff\nDONE\n",
    )?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let mut words = line.split('\t');
        if words.next() != Some("AUTH") {
            continue;
        }
        let id = words.next().unwrap_or_default();
        let response = words.find_map(|word| word.strip_prefix("resp="));
        let answer = match response.and_then(user_of) {
            Some(user) => format!("OK\t{id}\tuser={user}\n"),
            None => format!("FAIL\t{id}\n"),
        };
        writer.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// The user of a PLAIN response (RFC 4616), if the password is right.
fn user_of(response: &str) -> Option<String> {
    let decoded = BASE64.decode(response.as_bytes()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let mut parts = text.split('\0').skip(1);
    let (user, password) = (parts.next()?, parts.next()?);
    (password == password_of(user)).then(|| user.to_owned())
}
