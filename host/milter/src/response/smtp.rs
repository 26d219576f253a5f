//! Text of SMTP replies (RFC 5321, section 4.2; RFC 3463).

use waxseal_core::decision::Reply;

/// Most characters in a line: a reply line has 512 bytes with code and line end (RFC
/// 5321, section 4.5.3.1.5), and MTAs add text of their own.
const LONGEST_LINE: usize = 400;

/// Most lines, as in libmilter (`MAXREPLIES`).
const MOST_LINES: usize = 32;

/// The text of a reply in the milter protocol: lines of one code, separated by CRLF,
/// with `%` doubled because MTAs treat it as a format.
///
/// The MTA passes the text to the SMTP client unchanged. So every line is generated
/// here, and a character that is not printable ASCII is replaced by `?`.
pub(super) fn reply_text(reply: &Reply) -> Vec<u8> {
    let code = if (400..600).contains(&reply.code) {
        reply.code
    } else {
        451
    };
    let mut lines: Vec<&str> = reply
        .text
        .lines()
        .flat_map(pieces)
        .take(MOST_LINES)
        .collect();
    if lines.is_empty() {
        lines.push("");
    }
    let last = lines.len() - 1;
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let separator = if number == last { ' ' } else { '-' };
        let line = one_line(line).replace('%', "%%");
        text.push_str(&format!(
            "{code}{separator}{} {line}",
            enhanced(code, &reply.enhanced)
        ));
        if number != last {
            text.push_str("\r\n");
        }
    }
    text.into_bytes()
}

/// Printable ASCII, on one line.
pub(super) fn one_line(text: &str) -> String {
    let printable = |c: char| {
        if c == ' ' || c.is_ascii_graphic() {
            c
        } else {
            '?'
        }
    };
    text.split_ascii_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .map(printable)
        .collect()
}

/// The enhanced status code if its class is that of the code, else the general one of
/// that class: MTAs reject a reply with different classes.
fn enhanced(code: u16, wanted: &str) -> String {
    let class = code / 100;
    let mut parts = wanted.split('.');
    let well_formed = parts.next() == Some(&class.to_string())
        && parts.clone().count() == 2
        && parts.all(|part| {
            (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        });
    if well_formed {
        wanted.to_owned()
    } else {
        format!("{class}.0.0")
    }
}

/// Splits a line into pieces that fit, at spaces where possible.
fn pieces(line: &str) -> Vec<&str> {
    let mut rest = line.trim_end();
    let mut pieces = Vec::new();
    while rest.len() > LONGEST_LINE {
        let limit = rest.floor_char_boundary(LONGEST_LINE);
        let cut = rest[..limit]
            .rfind(' ')
            .filter(|&at| at > 0)
            .unwrap_or(limit);
        pieces.push(&rest[..cut]);
        rest = rest[cut..].trim_start();
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(code: u16, enhanced: &str, text: &str) -> String {
        let reply = Reply {
            code,
            enhanced: enhanced.into(),
            text: text.into(),
        };
        String::from_utf8(reply_text(&reply)).expect("ASCII")
    }

    #[test]
    fn several_lines_share_one_code() {
        assert_eq!(text_of(550, "5.7.1", "no"), "550 5.7.1 no");
        assert_eq!(
            text_of(550, "5.7.1", "one\ntwo"),
            "550-5.7.1 one\r\n550 5.7.1 two"
        );
    }

    #[test]
    fn percent_signs_are_doubled() {
        assert_eq!(text_of(451, "4.7.1", "90 % full"), "451 4.7.1 90 %% full");
    }

    #[test]
    fn nothing_but_lines_of_the_reply_reaches_the_client() {
        let evil = "a\r\n250 ok\rb\0c\u{7f}\u{fc}";
        assert_eq!(
            text_of(550, "5.7.1", evil),
            "550-5.7.1 a\r\n550 5.7.1 250 ok b?c??"
        );
        for line in text_of(554, "5.0.0", &"word ".repeat(300)).split("\r\n") {
            assert!(line.len() < 500 && line.starts_with("554"), "{line}");
        }
        assert_eq!(
            text_of(554, "5.0.0", &"x".repeat(900))
                .split("\r\n")
                .count(),
            3
        );
        assert_eq!(
            text_of(554, "5.0.0", &"x\n".repeat(900))
                .split("\r\n")
                .count(),
            MOST_LINES
        );
    }

    #[test]
    fn codes_that_do_not_fit_are_made_to_fit() {
        assert_eq!(text_of(450, "5.7.1", "x"), "450 4.0.0 x");
        assert_eq!(text_of(250, "2.0.0", ""), "451 4.0.0 ");
        assert_eq!(text_of(550, "5.7", "x"), "550 5.0.0 x");
    }
}
