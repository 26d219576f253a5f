//! One command line to a command (RFC 2033, 4; RFC 5321, 4.1).

use super::error::CommandError;
use crate::envelope::{
    self, Address, Attribute, InvalidPath, MailParameters, RcptParameters, attributes,
    mail_parameters, rcpt_parameters,
};

/// Longest name of a client (RFC 5321, 4.5.3.1.2: a domain has 255 octets).
const LONGEST_NAME: usize = 255;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Lhlo(String),
    Mail(Option<Address>, MailParameters),
    Rcpt(Address, RcptParameters),
    Data,
    Rset,
    Noop,
    Vrfy,
    Quit,
    XForward(Vec<Attribute>),
}

/// Reads a line, without its CRLF. One pass, whatever the line.
pub(crate) fn parse(line: &[u8]) -> Result<Command, CommandError> {
    if line.iter().any(u8::is_ascii_control) {
        return Err(CommandError::InvalidLine);
    }
    // RFC 5321, 4.1.1: trailing white space is tolerated.
    let end = line.iter().rposition(|&byte| byte != b' ');
    let line = &line[..end.map_or(0, |end| end + 1)];
    let end = memchr::memchr(b' ', line).unwrap_or(line.len());
    let (verb, arguments) = line.split_at(end);
    match verb.to_ascii_uppercase().as_slice() {
        b"LHLO" => lhlo(arguments),
        b"MAIL" => mail(arguments),
        b"RCPT" => rcpt(arguments),
        b"DATA" => alone(arguments, Command::Data, "DATA"),
        b"RSET" => alone(arguments, Command::Rset, "RSET"),
        b"QUIT" => alone(arguments, Command::Quit, "QUIT"),
        b"NOOP" => Ok(Command::Noop),
        b"VRFY" if !arguments.is_empty() => Ok(Command::Vrfy),
        b"VRFY" => Err(CommandError::Arguments("VRFY string")),
        b"XFORWARD" => attributes(arguments)
            .map(Command::XForward)
            .ok_or(CommandError::Attribute),
        b"EXPN" | b"HELP" | b"AUTH" | b"STARTTLS" | b"BDAT" | b"ETRN" => {
            Err(CommandError::NotImplemented)
        }
        // HELO and EHLO among them.
        _ => Err(CommandError::Unrecognized),
    }
}

fn alone(
    arguments: &[u8],
    command: Command,
    syntax: &'static str,
) -> Result<Command, CommandError> {
    if arguments.is_empty() {
        Ok(command)
    } else {
        Err(CommandError::Arguments(syntax))
    }
}

fn lhlo(arguments: &[u8]) -> Result<Command, CommandError> {
    let name = arguments.strip_prefix(b" ").unwrap_or_default();
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| (1..=LONGEST_NAME).contains(&name.len()) && !name.contains(' '));
    name.map(|name| Command::Lhlo(name.to_owned()))
        .ok_or(CommandError::Arguments("LHLO domain"))
}

fn mail(arguments: &[u8]) -> Result<Command, CommandError> {
    let path = after(arguments, b" FROM:").ok_or(CommandError::Arguments("MAIL FROM:<address>"))?;
    let (sender, rest) = envelope::path(path).map_err(CommandError::Sender)?;
    let parameters = mail_parameters(rest).map_err(CommandError::Parameter)?;
    Ok(Command::Mail(sender, parameters))
}

fn rcpt(arguments: &[u8]) -> Result<Command, CommandError> {
    let path = after(arguments, b" TO:").ok_or(CommandError::Arguments("RCPT TO:<address>"))?;
    let (recipient, rest) = envelope::path(path).map_err(CommandError::Recipient)?;
    let recipient = recipient.ok_or(CommandError::Recipient(InvalidPath::Empty))?;
    let parameters = rcpt_parameters(rest).map_err(CommandError::Parameter)?;
    Ok(Command::Rcpt(recipient, parameters))
}

fn after<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_in_any_case_and_with_trailing_spaces() {
        for (line, expected) in [
            ("LHLO mx.test", Command::Lhlo("mx.test".into())),
            ("lhlo [192.0.2.1]", Command::Lhlo("[192.0.2.1]".into())),
            ("DATA", Command::Data),
            ("data  ", Command::Data),
            ("Rset", Command::Rset),
            ("NOOP", Command::Noop),
            ("NOOP something else", Command::Noop),
            ("VRFY bob", Command::Vrfy),
            ("QUIT", Command::Quit),
            (
                "mail from:<>",
                Command::Mail(None, MailParameters::default()),
            ),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(expected), "{line}");
        }
        let Ok(Command::Rcpt(recipient, _)) = parse(b"rcpt to:<\"a b\"@c> NOTIFY=NEVER") else {
            panic!("a recipient");
        };
        assert_eq!(recipient.as_str(), "\"a b\"@c");
    }

    #[test]
    fn everything_else_has_its_code() {
        for (line, code, enhanced) in [
            ("", 500, "5.5.2"),
            (" NOOP", 500, "5.5.2"),
            ("HELO a", 500, "5.5.2"),
            ("EHLO a", 500, "5.5.2"),
            ("XYZ", 500, "5.5.2"),
            ("NOOP\ta", 500, "5.5.2"),
            ("NOOP \r", 500, "5.5.2"),
            ("NO\0P", 500, "5.5.2"),
            ("BDAT 1 LAST", 502, "5.5.1"),
            ("STARTTLS", 502, "5.5.1"),
            ("LHLO", 501, "5.5.4"),
            ("LHLO a b", 501, "5.5.4"),
            ("DATA x", 501, "5.5.4"),
            ("VRFY", 501, "5.5.4"),
            ("MAIL", 501, "5.5.4"),
            ("MAIL <a@b>", 501, "5.5.4"),
            ("MAIL FROM: <a@b>", 501, "5.1.7"),
            ("MAIL FROM:a@b", 501, "5.1.7"),
            ("MAIL FROM:<a@b> AUTH=<>", 555, "5.5.4"),
            ("MAIL FROM:<a@b>SIZE=1", 501, "5.5.4"),
            ("RCPT TO:<>", 501, "5.1.3"),
            ("RCPT TO:<@a:b@c>", 501, "5.1.3"),
            ("RCPT TO:<a@b> NOTIFY=A", 501, "5.5.4"),
            ("XFORWARD", 501, "5.5.4"),
            ("XFORWARD A=b", 501, "5.5.4"),
        ] {
            let error = parse(line.as_bytes()).expect_err(line);
            let mut out = Vec::new();
            error.reply().encode(false, &mut out);
            let start = format!("{code} {enhanced} ");
            let reply = String::from_utf8_lossy(&out);
            assert!(reply.starts_with(&start), "{line}: {reply}");
        }
    }
}
