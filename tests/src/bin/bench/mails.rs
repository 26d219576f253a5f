//! The messages: of given sizes, as mail programs make them.

use waxseal_testkit::milter::Mail;

/// Different messages of each size, so that no cache sees one twice in a row.
pub(crate) const VARIANTS: usize = 5;

/// Messages of about `size` bytes. Bulk mail gets no disclaimer by the settings,
/// individual mail does.
pub(crate) fn mails(size: usize, bulk: bool) -> Vec<Mail> {
    (0..VARIANTS)
        .map(|variant| mail(size, variant, bulk))
        .collect()
}

/// One of them.
pub(crate) fn mail(size: usize, variant: usize, bulk: bool) -> Mail {
    let boundary = format!("=_bench_{variant}");
    let mut fields = vec![
        ("Received", " from client.test (client.test [192.0.2.7])\r\n\tby mail.acme.test with ESMTPSA; Mon, 1 Jun 2026 09:00:00 +0000".to_owned()),
        ("From", " Alice Example <alice@acme.test>".to_owned()),
        ("To", " Bob Example <bob@example.net>".to_owned()),
        ("Subject", format!(" Report number {variant}, with the figures\r\n\tof the last quarter")),
        ("Date", " Mon, 1 Jun 2026 09:00:00 +0000".to_owned()),
        ("Message-ID", format!(" <bench.{variant}.{size}@acme.test>")),
        ("MIME-Version", " 1.0".to_owned()),
        ("User-Agent", " Bench/1.0".to_owned()),
        ("Content-Type", format!(" multipart/alternative; boundary=\"{boundary}\"")),
    ];
    if bulk {
        fields.push(("X-Mail-Type", " bulk".to_owned()));
    }
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .collect();
    let header: usize = fields
        .iter()
        .map(|(name, value)| name.len() + value.len() + 3)
        .sum();
    // The body takes what the header leaves, half of it in each form.
    let room = size.saturating_sub(header + 300) / 2;
    let body = format!(
        "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n--{boundary}\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n{}</body></html>\r\n\r\n--{boundary}--\r\n",
        lines(room, variant, "", "\r\n"),
        lines(room, variant, "<p class=\"line\">", "</p>\r\n"),
    );
    Mail {
        sender: "alice@acme.test".to_owned(),
        recipients: vec!["bob@example.net".to_owned()],
        fields,
        body: body.into_bytes(),
    }
}

/// Lines of prose, as many as there is room for.
fn lines(room: usize, variant: usize, before: &str, after: &str) -> String {
    let mut text = String::with_capacity(room + 100);
    for number in 0.. {
        let line = format!(
            "{before}Line {number} of variant {variant}: the quick brown fox jumps over the lazy dog.{after}"
        );
        if text.len() + line.len() > room {
            break;
        }
        text.push_str(&line);
    }
    text
}
