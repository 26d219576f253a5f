//! A small SMTP client that shows every reply.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};

use data_encoding::BASE64;
use socket2::{Domain, Socket, Type};

use crate::auth::password_of;
use crate::wait::DEADLINE;

/// A reply (RFC 5321, section 4.2), lines joined by LF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its three digits.
    pub code: u16,
    /// Its text.
    pub text: String,
}

impl Reply {
    /// 2yz or 3yz.
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// 4yz.
    pub fn is_temporary(&self) -> bool {
        (400..500).contains(&self.code)
    }
}

/// A connection to an SMTP server.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects and greets.
    ///
    /// # Errors
    ///
    /// If there is no connection; a server that rejects it with its greeting is an error of kind `ConnectionRefused`.
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        Self::connect_from(IpAddr::from([127, 0, 0, 1]), server)
    }

    /// As [`Client::connect`], from a given source address.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub fn connect_from(source: IpAddr, server: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect_timeout(&server.into(), DEADLINE)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_tcp_nodelay(true)?;
        let mut client = Self {
            reader: BufReader::new(socket.into()),
        };
        let greeting = client.reply()?;
        if !greeting.is_positive() {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                greeting.text,
            ));
        }
        client.command("EHLO client.test")?;
        Ok(client)
    }

    /// Logs in with PLAIN (RFC 4954).
    ///
    /// # Errors
    ///
    /// If the connection breaks or the login is rejected.
    pub fn login(&mut self, user: &str) -> io::Result<()> {
        let response = BASE64.encode(format!("\0{user}\0{}", password_of(user)).as_bytes());
        let reply = self.command(&format!("AUTH PLAIN {response}"))?;
        if reply.code == 235 {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, reply.text))
        }
    }

    /// Sends a command and returns its reply.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    pub fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.write(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Runs a complete transaction; returns the reply to the message, or the first negative one.
    ///
    /// # Errors
    ///
    /// If the connection breaks: it is then unknown whether the message was accepted.
    pub fn send(&mut self, sender: &str, recipients: &[&str], message: &[u8]) -> io::Result<Reply> {
        let mut commands = vec![format!("MAIL FROM:<{sender}> BODY=8BITMIME")];
        commands.extend(
            recipients
                .iter()
                .map(|recipient| format!("RCPT TO:<{recipient}>")),
        );
        commands.push("DATA".into());
        for command in commands {
            let reply = self.command(&command)?;
            if !reply.is_positive() {
                let _ = self.command("RSET");
                return Ok(reply);
            }
        }
        self.write(&stuffed(message))?;
        self.reply()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let Some(code) = code else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, line));
            };
            text.push_str(line.get(4..).unwrap_or_default());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text });
            }
            text.push('\n');
        }
    }
}

/// A message in the form of DATA: dots doubled, terminated by a line with one dot.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            bytes.push(b'.');
        }
        bytes.extend_from_slice(line);
    }
    if !bytes.ends_with(b"\r\n") {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b".\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::stuffed;

    #[test]
    fn dots_at_the_beginning_of_lines_are_doubled() {
        assert_eq!(stuffed(b".a\r\nb.\r\n..\r\n"), b"..a\r\nb.\r\n...\r\n.\r\n");
        assert_eq!(stuffed(b"a"), b"a\r\n.\r\n");
    }
}
