//! Sends messages to an LMTP server as Postfix does, and prints how many a second.
//!
//!     lmtp_load /run/store/lmtp.sock [CONNECTIONS [MESSAGES [BYTES [RECIPIENTS]]]]

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// Reads replies up to the last line of each; fails at one that is not positive.
fn replies(reader: &mut BufReader<UnixStream>, count: usize) -> io::Result<()> {
    let mut missing = count;
    let mut line = String::new();
    while missing > 0 {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !matches!(line.as_bytes(), [b'2' | b'3', ..]) {
            return Err(io::Error::other(line));
        }
        if line.as_bytes().get(3) == Some(&b' ') {
            missing -= 1;
        }
    }
    Ok(())
}

fn send(path: &str, messages: usize, content: &[u8], recipients: usize) -> io::Result<()> {
    let mut reader = BufReader::new(UnixStream::connect(path)?);
    replies(&mut reader, 1)?;
    reader.get_mut().write_all(b"LHLO load.test\r\n")?;
    replies(&mut reader, 1)?;
    let size = content.len();
    let envelope = format!(
        "MAIL FROM:<sender@example.org> SIZE={size} BODY=8BITMIME\r\n{}DATA\r\n",
        "RCPT TO:<recipient@example.net> ORCPT=rfc822;recipient@example.net\r\n".repeat(recipients)
    );
    for _ in 0..messages {
        for line in [
            "XFORWARD ADDR=192.0.2.7 PORT=12345\r\n",
            "XFORWARD PROTO=ESMTP HELO=client.test IDENT=4F00D SOURCE=REMOTE\r\n",
        ] {
            reader.get_mut().write_all(line.as_bytes())?;
            replies(&mut reader, 1)?;
        }
        reader.get_mut().write_all(envelope.as_bytes())?;
        replies(&mut reader, recipients + 2)?;
        reader.get_mut().write_all(content)?;
        replies(&mut reader, recipients)?;
    }
    reader.get_mut().write_all(b"QUIT\r\n")
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().map_or("lmtp.sock", String::as_str);
    let number = |at: usize, default: usize| {
        let number = arguments.get(at).and_then(|text| text.parse().ok());
        number.unwrap_or(default)
    };
    let (connections, messages) = (number(1, 4), number(2, 10_000));
    let (bytes, recipients) = (number(3, 2048), number(4, 1));
    let line = format!("{}\r\n", "x".repeat(70));
    let lines = line.repeat(bytes.div_ceil(line.len()));
    let content = format!("Subject: load\r\n\r\n{lines}.\r\n").into_bytes();
    let began = Instant::now();
    let share = messages / connections.max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| send(path, share, &content, recipients)))
            .collect();
        let mut joined = threads.into_iter().map(|thread| {
            let sent = thread.join();
            sent.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        });
        joined.try_for_each(|sent| sent)
    })?;
    let time = began.elapsed();
    let sent = share * connections;
    #[expect(clippy::cast_precision_loss, reason = "printed with few digits")]
    let rate = sent as f64 / time.as_secs_f64();
    println!("{sent} messages of {bytes} bytes in {time:.1?}: {rate:.0} a second");
    Ok(())
}
