//! A message whose text is closed becomes the second part of a new
//! `multipart/mixed`, behind the notice. Its Content-* fields go with it byte by
//! byte, so that a signature inside still verifies.

use memchr::memmem;

use crate::decision::Disclaimer;
use crate::message::Content;

use super::HeaderEdit;
use super::codec;
use super::header::HeaderPlan;
use super::leaf::plain_form;
use super::thread::fnv1a;

/// The new body, and the edits of the header that go with it.
pub(super) fn wrap(content: &Content, notices: &[&Disclaimer]) -> (Vec<u8>, Vec<HeaderEdit>) {
    let boundary = boundary(content.body());
    let moved: Vec<_> = content
        .fields()
        .iter()
        .filter(|field| is_content_field(content.name_of(field)))
        .collect();
    let mut out = Vec::with_capacity(content.body().len() + 4096);
    out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
    write_notice(&mut out, notices);
    out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
    for field in &moved {
        out.extend_from_slice(&content.bytes()[field.whole()]);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(content.body());
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());

    let mut plan = HeaderPlan::new(content);
    for field in &moved {
        // All of one name at the first of it; the others then find none.
        plan.remove_all(&String::from_utf8_lossy(content.name_of(field)));
    }
    plan.remove_all("Content-Length");
    plan.remove_all("Content-MD5");
    if content.count_named("MIME-Version") == 0 {
        plan.append("MIME-Version", b" 1.0".to_vec());
    }
    plan.append(
        "Content-Type",
        format!(" multipart/mixed; boundary=\"{boundary}\"").into_bytes(),
    );
    if !content.body().is_ascii() {
        plan.append("Content-Transfer-Encoding", b" 8bit".to_vec());
    }
    (out, plan.into_edits())
}

/// Whether a field describes the body and moves with it.
pub(super) fn is_content_field(name: &[u8]) -> bool {
    let describes = name
        .get(..8)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"Content-"));
    describes
        && !name.eq_ignore_ascii_case(b"Content-Length")
        && !name.eq_ignore_ascii_case(b"Content-MD5")
}

fn write_notice(out: &mut Vec<u8>, notices: &[&Disclaimer]) {
    let texts: Vec<String> = notices.iter().map(|notice| plain_form(notice)).collect();
    let text = texts
        .join("\n\n")
        .replace("\r\n", "\n")
        .replace('\n', "\r\n")
        + "\r\n";
    let plain = text.is_ascii() && text.lines().all(|line| line.len() < 900);
    let (charset, encoding) = match plain {
        true => ("us-ascii", "7bit"),
        false => ("utf-8", "quoted-printable"),
    };
    let header = format!(
        "Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\
         Content-Disposition: inline\r\n\r\n"
    );
    out.extend_from_slice(header.as_bytes());
    match plain {
        true => out.extend_from_slice(text.as_bytes()),
        false => out.extend_from_slice(&codec::qp_encode(text.as_bytes(), false)),
    }
}

/// A boundary that is nowhere in the body. The same body gives the same one, so
/// that an edit can be repeated.
fn boundary(body: &[u8]) -> String {
    let seed = fnv1a(&[&body[..body.len().min(65_536)]]);
    let candidates = (0u64..).map(|n| format!("=_waxseal_{:016x}", seed.wrapping_add(n)));
    let unused = |boundary: &String| memmem::find(body, boundary.as_bytes()).is_none();
    candidates.into_iter().find(unused).unwrap_or_default()
}
