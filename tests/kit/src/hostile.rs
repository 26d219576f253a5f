//! Hostile messages of any size: each is a worst case of some loop over a message's bytes.
//!
//! A generator creates a message of about the given number of bytes, of the same kind for every size, so that growth can be
//! measured. All messages have one author at [`DOMAIN`], so that they can be signed for it. Nothing here depends on the host: it
//! is the input of tests, end-to-end tests and `make bench`.

/// A generator: size in bytes to message.
pub type Generator = fn(usize) -> Vec<u8>;

/// Domain of the author, and `d=` of [`forged_signatures`].
pub const DOMAIN: &str = "acme.test";

/// Selector in [`forged_signatures`].
pub const SELECTOR: &str = "s1";

/// `bh=` of an empty body (RFC 6376, section 3.4.4: SHA-256 of nothing).
const EMPTY_BODY_HASH: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

macro_rules! generators {
    ($($name:ident),+ $(,)?) => {
        /// All generators with their names.
        pub fn all() -> Vec<(&'static str, Generator)> {
            vec![$((stringify!($name), $name as Generator)),+]
        }
    };
}

generators![
    quoted_printable_blanks,
    quoted_printable_blank_lines,
    quoted_printable_equals,
    base64_short_lines,
    route_fields,
    short_fields,
    distinct_fields,
    distinct_content_fields,
    folded_field,
    forged_signatures,
    long_signature_tags,
    arc_sets,
    from_list,
    from_fields,
    to_list,
    groups,
    open_groups,
    encoded_words,
    open_encoded_words,
    comments,
    open_quotes,
    references,
    repeated_content_types,
    parameters,
    continuations,
    file_names,
    nested_multiparts_with_long_boundaries,
    small_multiparts,
    delimiter_lines,
    long_delimiter_lines,
    open_headers,
    tiny_parts,
    alternative_texts,
    related_parts,
    digest_parts,
    attachments,
    html_nesting,
    html_attributes,
    html_entities,
    html_comments,
    html_open_tags,
    charset_escapes,
    utf16_text,
    lone_line_ends,
    empty_lines,
    blank_lines_of_spaces,
    long_line,
    eight_bit_lines,
    quote_marks,
    armor_lines,
    wrap_boundary_candidates,
];

/// One run of blanks in quoted-printable text, ended by a letter.
pub fn quoted_printable_blanks(size: usize) -> Vec<u8> {
    text(
        "text/plain",
        "quoted-printable",
        &filled(size, "", " ", "x\r\n"),
    )
}

/// Quoted-printable lines of 900 blanks.
pub fn quoted_printable_blank_lines(size: usize) -> Vec<u8> {
    let line = " ".repeat(900) + "x\r\n";
    text(
        "text/plain",
        "quoted-printable",
        &filled(size, "", &line, ""),
    )
}

/// Quoted-printable text of `=` that begin no escape, each with blanks behind it.
pub fn quoted_printable_equals(size: usize) -> Vec<u8> {
    text(
        "text/plain",
        "quoted-printable",
        &filled(size, "", "=   ", "x\r\n"),
    )
}

/// Base64 text with one character in each line.
pub fn base64_short_lines(size: usize) -> Vec<u8> {
    text(
        "text/plain",
        "base64",
        &filled(size, "", "Q\r\nU\r\nJ\r\nD\r\n", ""),
    )
}

/// Copies of the field that tells the MTA the route.
pub fn route_fields(size: usize) -> Vec<u8> {
    header(&filled(size, "", "X-Waxseal-Route:\r\n", ""))
}

/// Fields of four bytes.
pub fn short_fields(size: usize) -> Vec<u8> {
    header(&filled(size, "", "A:\r\n", ""))
}

/// Fields of which no two have the same name.
pub fn distinct_fields(size: usize) -> Vec<u8> {
    header(&numbered(size, |n| format!("X-{n}:\r\n")))
}

/// Different fields that describe the body, with a body that cannot be edited: all of them move when it is wrapped.
pub fn distinct_content_fields(size: usize) -> Vec<u8> {
    let fields = numbered(size, |n| format!("Content-X{n}: y\r\n"));
    closed(&fields, "none\r\n")
}

/// One field of folded lines.
pub fn folded_field(size: usize) -> Vec<u8> {
    header(&filled(size, "Subject: x\r\n", " x\r\n", ""))
}

/// Signatures in the author's name with a right body hash, and a long list of
/// names each that are not there, over short fields.
pub fn forged_signatures(size: usize) -> Vec<u8> {
    let mut fields = filled(size / 2, AUTHOR, "A:\r\n", "");
    let names = numbered((size / 8).min(60_000), |n| format!(":b{n}"));
    for _ in 0..4 {
        fields.push_str(&format!(
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={DOMAIN}; s={SELECTOR};\r\n \
             bh={EMPTY_BODY_HASH};\r\n h=From{names};\r\n b=AAAA\r\n"
        ));
    }
    message(&fields, "Content-Type: text/plain\r\n", "")
}

/// Signatures of nothing but tags.
pub fn long_signature_tags(size: usize) -> Vec<u8> {
    header(&filled(size, "DKIM-Signature: v=1", "; x=y", "\r\n"))
}

/// Many sets of ARC fields.
pub fn arc_sets(size: usize) -> Vec<u8> {
    header(&numbered(size, |n| {
        let n = n % 50 + 1;
        format!(
            "ARC-Seal: i={n}; a=rsa-sha256; cv=none; d=a.test; s=s; b=AAAA\r\n\
             ARC-Message-Signature: i={n}; a=rsa-sha256; d=a.test; s=s; h=From; bh=AAAA; b=AAAA\r\n\
             ARC-Authentication-Results: i={n}; a.test; none\r\n"
        )
    }))
}

/// One `From` field with many mailboxes.
pub fn from_list(size: usize) -> Vec<u8> {
    let list = filled(size, "From: a@acme.test", ", b <b@acme.test>", "\r\n");
    with_author(&list)
}

/// Many `From` fields.
pub fn from_fields(size: usize) -> Vec<u8> {
    with_author(&filled(size, "", "From: a@acme.test\r\n", ""))
}

/// Recipients of which no two are the same.
pub fn to_list(size: usize) -> Vec<u8> {
    let list = numbered(size, |n| format!("\r\n u{n}@b.test,"));
    header(&format!("To:{list} a@b.test\r\n"))
}

/// Groups of one mailbox each.
pub fn groups(size: usize) -> Vec<u8> {
    let list = filled(size, "From: a@acme.test", ", g: b@acme.test;", "\r\n");
    with_author(&list)
}

/// Groups that are opened and never closed.
pub fn open_groups(size: usize) -> Vec<u8> {
    with_author(&filled(size, "From: a@acme.test, ", "g:", "\r\n"))
}

/// A display name and a subject of encoded words.
pub fn encoded_words(size: usize) -> Vec<u8> {
    let words = filled(size / 2, "", " =?utf-8?q?=C3=A9?=", "");
    with_author(&format!(
        "From:{words} <a@acme.test>\r\nSubject:{words}\r\n"
    ))
}

/// Encoded words that have no end.
pub fn open_encoded_words(size: usize) -> Vec<u8> {
    let words = filled(size / 2, "", "=?utf-8?q?", "");
    with_author(&format!(
        "From: {words} <a@acme.test>\r\nSubject: {words}\r\n"
    ))
}

/// Comments in comments, in fields that allow them.
pub fn comments(size: usize) -> Vec<u8> {
    let open = filled(size / 3, "", "(", "");
    let fields = format!("From: {open} a@acme.test\r\nAuto-Submitted: no {open}\r\n");
    message(
        &format!("From: a@acme.test\r\n{fields}"),
        &format!("Content-Type: text/plain {open}\r\n"),
        "x\r\n",
    )
}

/// Quoted strings that are opened and escaped, never closed.
pub fn open_quotes(size: usize) -> Vec<u8> {
    let open = filled(size / 2, "", "\"\\\" ", "");
    message(
        &format!("From: a@acme.test, {open}\r\n"),
        &format!("Content-Type: text/plain; x={open}\r\n"),
        "x\r\n",
    )
}

/// A reply to very many messages.
pub fn references(size: usize) -> Vec<u8> {
    header(&filled(size, "References:", "\r\n <a@b.test>", "\r\n"))
}

/// Content types of which any may be the right one.
pub fn repeated_content_types(size: usize) -> Vec<u8> {
    let fields = filled(
        size,
        "",
        "Content-Type: text/plain; charset=\"utf-8\"\r\n",
        "",
    );
    message(AUTHOR, &fields, "x\r\n")
}

/// A content type with many parameters.
pub fn parameters(size: usize) -> Vec<u8> {
    let value = numbered(size, |n| format!("; a{n}=b"));
    message(
        AUTHOR,
        &format!("Content-Type: text/plain{value}\r\n"),
        "x\r\n",
    )
}

/// A parameter in many continuations (RFC 2231), in any order.
pub fn continuations(size: usize) -> Vec<u8> {
    let half = size / 2;
    let up = numbered(half, |n| format!("; name*{n}*=%41"));
    let count = up.matches(';').count();
    let down: String = (0..count)
        .rev()
        .map(|n| format!("; charset*{n}=x"))
        .collect();
    message(
        AUTHOR,
        &format!("Content-Type: text/plain{up}{down}\r\n"),
        "x\r\n",
    )
}

/// A file name repeated in every form.
pub fn file_names(size: usize) -> Vec<u8> {
    let value = filled(
        size,
        "",
        "; filename=a; filename*=utf-8''b; filename*0=c",
        "",
    );
    message(
        AUTHOR,
        &format!("Content-Type: text/plain\r\nContent-Disposition: attachment{value}\r\n"),
        "x\r\n",
    )
}

/// Sixty multiparts in one another whose boundaries take half of the message,
/// and as many small ones as fit inside.
pub fn nested_multiparts_with_long_boundaries(size: usize) -> Vec<u8> {
    const DEPTH: usize = 60;
    let long = "x".repeat(size / 4 / DEPTH);
    let mut body = String::new();
    for level in 1..DEPTH {
        let above = level - 1;
        body.push_str(&format!(
            "--{long}{above}\r\nContent-Type: multipart/mixed; boundary={long}{level}\r\n\r\n"
        ));
    }
    body.push_str(&format!(
        "--{long}{}\r\nContent-Type: multipart/mixed; boundary=s\r\n\r\n",
        DEPTH - 1
    ));
    let small = "--s\r\nContent-Type: multipart/mixed; boundary=t\r\n\r\n";
    let room = size.saturating_sub(body.len());
    body.push_str(&filled(room, "", small, ""));
    multipart("mixed", &format!("{long}0"), &body)
}

/// Multiparts of one part each, side by side.
pub fn small_multiparts(size: usize) -> Vec<u8> {
    let body = numbered(size, |n| {
        format!(
            "--b\r\nContent-Type: multipart/mixed; boundary=c{n}\r\n\r\n--c{n}\r\n\r\nx\r\n--c{n}--\r\n"
        )
    });
    multipart("mixed", "b", &(body + "--b--\r\n"))
}

/// Lines that begin like a delimiter, in sixty open multiparts.
pub fn delimiter_lines(size: usize) -> Vec<u8> {
    nested(60, &filled(size, "", "--\r\n", ""))
}

/// Lines that begin with the delimiter and go on, in sixty open multiparts whose
/// boundaries are prefixes of one another.
pub fn long_delimiter_lines(size: usize) -> Vec<u8> {
    let mut body = String::new();
    for level in 1..60 {
        let (above, inner) = ("b".repeat(level), "b".repeat(level + 1));
        body.push_str(&format!(
            "--{above}\r\nContent-Type: multipart/mixed; boundary={inner}\r\n\r\n"
        ));
    }
    let line = format!("--{}x\r\n", "b".repeat(60));
    body.push_str(&filled(size, "", &line, ""));
    multipart("mixed", "b", &body)
}

/// Parts whose headers nothing ends, with lines that readers disagree on.
pub fn open_headers(size: usize) -> Vec<u8> {
    multipart(
        "mixed",
        "b",
        &filled(size, "", "--b\r\nA: b\r\nC D: e\r\n--x: y\r\n", "--b--\r\n"),
    )
}

/// Parts of one byte.
pub fn tiny_parts(size: usize) -> Vec<u8> {
    multipart(
        "mixed",
        "b",
        &filled(size, "", "--b\r\n\r\nx\r\n", "--b--\r\n"),
    )
}

/// Alternatives, each of which is the text.
pub fn alternative_texts(size: usize) -> Vec<u8> {
    multipart(
        "alternative",
        "b",
        &filled(size, "", "--b\r\n\r\nx\r\n", "--b--\r\n"),
    )
}

/// Related parts of which none, after comparing all, is the root.
pub fn related_parts(size: usize) -> Vec<u8> {
    let part = "--b\r\nContent-ID: <0000000000000001>\r\n\r\nx\r\n";
    let body = filled(size, "", part, "--b--\r\n");
    multipart("related; start=\"<0000000000000002>\"", "b", &body)
}

/// A digest of messages without a header.
pub fn digest_parts(size: usize) -> Vec<u8> {
    multipart(
        "digest",
        "b",
        &filled(size, "", "--b\r\n\r\nSubject: x\r\n\r\ny\r\n", "--b--\r\n"),
    )
}

/// Many files, each with a name.
pub fn attachments(size: usize) -> Vec<u8> {
    let part = "--b\r\nContent-Type: image/png; name=\"a.png\"\r\n\
                Content-Disposition: attachment; filename=\"a.png\"\r\n\r\nx\r\n";
    multipart(
        "mixed",
        "b",
        &filled(size, "--b\r\n\r\ntext\r\n", part, "--b--\r\n"),
    )
}

/// Elements in one another.
pub fn html_nesting(size: usize) -> Vec<u8> {
    text("text/html", "7bit", &filled(size, "", "<div>\r\n", "x\r\n"))
}

/// One tag with many attributes.
pub fn html_attributes(size: usize) -> Vec<u8> {
    let attributes = numbered(size, |n| format!(" a{n}=b\r\n"));
    text("text/html", "7bit", &format!("<p{attributes}>x</p>\r\n"))
}

/// References to characters, known and not, closed and not.
pub fn html_entities(size: usize) -> Vec<u8> {
    text(
        "text/html",
        "7bit",
        &filled(size, "", "&amp;&ampx&unknown;&#65&#x41;&\r\n", ""),
    )
}

/// Comments that seem to end.
pub fn html_comments(size: usize) -> Vec<u8> {
    text(
        "text/html",
        "7bit",
        &filled(size, "", "<!--a--!b<!--\r\n", "-->x\r\n"),
    )
}

/// Tags, comments and scripts that are opened and never closed.
pub fn html_open_tags(size: usize) -> Vec<u8> {
    text(
        "text/html",
        "7bit",
        &filled(size, "", "<script></scrip<!--<a b='\r\n", ""),
    )
}

/// ISO-2022-JP text that changes its set at each character.
pub fn charset_escapes(size: usize) -> Vec<u8> {
    let body = filled(size, "", "\x1B$B<R\x1B(B<\r\n", "");
    text("text/plain; charset=iso-2022-jp", "7bit", &body)
}

/// UTF-16 text.
pub fn utf16_text(size: usize) -> Vec<u8> {
    text(
        "text/plain; charset=utf-16le",
        "8bit",
        &filled(size, "", "a\0 \0>\0\n\0", ""),
    )
}

/// Line feeds and carriage returns alone.
pub fn lone_line_ends(size: usize) -> Vec<u8> {
    text("text/plain", "7bit", &filled(size, "", "a\nb\r", "\r\n"))
}

/// Empty lines, ended by one that is not.
pub fn empty_lines(size: usize) -> Vec<u8> {
    text("text/plain", "7bit", &filled(size, "", "\r\n", "x\r\n"))
}

/// Lines of white space in flowed text.
pub fn blank_lines_of_spaces(size: usize) -> Vec<u8> {
    text(
        "text/plain; format=flowed; delsp=yes",
        "7bit",
        &filled(size, "", "  \t \r\n", "x \r\n"),
    )
}

/// One line.
pub fn long_line(size: usize) -> Vec<u8> {
    text("text/plain", "7bit", &filled(size, "", "word ", "\r\n"))
}

/// Lines over 998 bytes that are not ASCII.
pub fn eight_bit_lines(size: usize) -> Vec<u8> {
    let line = "\u{e9}".repeat(600) + "\r\n";
    text(
        "text/plain; charset=utf-8",
        "8bit",
        &filled(size, "", &line, ""),
    )
}

/// Lines that are quoted, and lines that divide.
pub fn quote_marks(size: usize) -> Vec<u8> {
    text(
        "text/plain",
        "7bit",
        &filled(size, "On Monday:\r\n", "> >\r\n------\r\n", ">\r\n"),
    )
}

/// Lines that are nearly the begin of PGP armor.
pub fn armor_lines(size: usize) -> Vec<u8> {
    let line = "x-----BEGIN PGP MESSAGE-----\r\n-----BEGIN PGP MESSAGE----\r\n";
    text("text/plain", "7bit", &filled(size, "", line, ""))
}

/// A body that cannot be edited and contains boundaries as a wrapped message gets, in the order in which they would be tried if
/// they depended on its first 64 KiB only.
pub fn wrap_boundary_candidates(size: usize) -> Vec<u8> {
    let begin = "x".repeat(62) + "\r\n";
    let begin = begin.repeat(1024);
    let seed = begin.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let candidates = numbered(size.saturating_sub(begin.len()), |n| {
        format!("=_waxseal_{:016x}\r\n", seed.wrapping_add(n as u64))
    });
    closed("", &(begin + &candidates))
}

const AUTHOR: &str = "From: a@acme.test\r\n";

fn header(fields: &str) -> Vec<u8> {
    message(&format!("{AUTHOR}{fields}"), "", "x\r\n")
}

/// Fields that name an author themselves.
fn with_author(fields: &str) -> Vec<u8> {
    message(fields, "", "x\r\n")
}

fn message(fields: &str, content_type: &str, body: &str) -> Vec<u8> {
    format!("{fields}Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@acme.test>\r\nMIME-Version: 1.0\r\n{content_type}\r\n{body}").into_bytes()
}

fn text(media_type: &str, encoding: &str, body: &str) -> Vec<u8> {
    let content_type =
        format!("Content-Type: {media_type}\r\nContent-Transfer-Encoding: {encoding}\r\n");
    message(AUTHOR, &content_type, body)
}

/// An encrypted message, which gets no disclaimer in its text.
fn closed(fields: &str, body: &str) -> Vec<u8> {
    let kind = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n";
    message(&format!("{AUTHOR}{fields}"), kind, body)
}

fn multipart(subtype: &str, boundary: &str, body: &str) -> Vec<u8> {
    let content_type = format!("Content-Type: multipart/{subtype}; boundary={boundary}\r\n");
    message(AUTHOR, &content_type, body)
}

/// Multiparts in one another, and lines in the innermost.
fn nested(depth: usize, lines: &str) -> Vec<u8> {
    let mut body = String::new();
    for level in 1..depth {
        body.push_str(&format!(
            "--level{}\r\nContent-Type: multipart/mixed; boundary=level{level}\r\n\r\n",
            level - 1
        ));
    }
    body.push_str(lines);
    multipart("mixed", "level0", &body)
}

/// `part`, as often as fits into `size` bytes, between `begin` and `end`.
fn filled(size: usize, begin: &str, part: &str, end: &str) -> String {
    let times = size.saturating_sub(begin.len() + end.len()) / part.len();
    [begin, &part.repeat(times), end].concat()
}

/// Parts by number, as many as fit into `size` bytes.
fn numbered(size: usize, part: impl Fn(usize) -> String) -> String {
    let mut all = String::with_capacity(size);
    for n in 0.. {
        let next = part(n);
        if all.len() + next.len() > size {
            break;
        }
        all.push_str(&next);
    }
    all
}
