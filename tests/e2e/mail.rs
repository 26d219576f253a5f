//! Messages to send.

/// A short plain-text message.
pub(crate) fn plain(author: &str, subject: &str) -> Vec<u8> {
    with_fields(author, subject, "")
}

/// One with more header fields; each line ends with CRLF.
pub(crate) fn with_fields(author: &str, subject: &str, fields: &str) -> Vec<u8> {
    format!(
        "From: Alice Example <{author}>\r\nTo: Bob <bob@outside.test>\r\n\
         Subject: {subject}\r\nMessage-ID: <{}@test>\r\n\
         Date: Mon, 02 Mar 2026 09:30:00 +0100\r\n{fields}\r\n\
         Dear Bob,\r\n\r\n.a line with a dot\r\n\r\nYours, Alice\r\n",
        subject.replace(' ', ".")
    )
    .into_bytes()
}

/// A message of this content type and body; LF is written as CRLF.
pub(crate) fn mime(author: &str, content: &str) -> Vec<u8> {
    let message = format!(
        "From: Alice Example <{author}>\nTo: bob@outside.test\nSubject: MIME\n\
         Message-ID: <mime@test>\nDate: Mon, 02 Mar 2026 09:30:00 +0100\nMIME-Version: 1.0\n{content}"
    );
    message.replace('\n', "\r\n").into_bytes()
}

/// Settings of one domain, acme.test, with nothing but these lines.
pub(crate) fn acme(lines: &str) -> String {
    format!("return-path = \"keep\"\n[domain.\"acme.test\"]\n{lines}\n")
}
