//! Wrapping of a message that cannot be edited: it becomes the second part of a new `multipart/mixed`, after the
//! disclaimer. Its Content-* fields are moved byte by byte, so that a signature inside still verifies.

use std::collections::HashSet;

use memchr::memmem;

use crate::decision::Disclaimer;
use crate::message::Content;

use super::HeaderEdit;
use super::codec;
use super::header::HeaderPlan;
use super::leaf::plain_form;
use super::thread::fnv1a;
use crate::work;

/// The new body, and the edits of the header that belong to it.
pub(super) fn wrap(content: &Content, disclaimers: &[&Disclaimer]) -> (Vec<u8>, Vec<HeaderEdit>) {
    let boundary = boundary(content.body());
    work::spend(content.bytes().len());
    let moved: Vec<_> = content
        .fields()
        .iter()
        .filter(|field| is_content_field(content.name_of(field)))
        .collect();
    let mut out = Vec::with_capacity(content.body().len() + 4096);
    out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
    write_disclaimer(&mut out, disclaimers);
    out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
    for field in &moved {
        out.extend_from_slice(&content.bytes()[field.whole()]);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(content.body());
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());

    let mut plan = HeaderPlan::new(content);
    for field in &moved {
        // All fields of one name at the first of them; the others are then not found.
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

fn write_disclaimer(out: &mut Vec<u8>, disclaimers: &[&Disclaimer]) {
    let texts: Vec<String> = disclaimers
        .iter()
        .map(|disclaimer| plain_form(disclaimer))
        .collect();
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

/// What all boundaries of ours begin with; sixteen digits follow.
const BOUNDARY: &str = "=_waxseal_";

/// A boundary that is nowhere in the body. The same body gives the same one, so
/// that an edit can be repeated.
fn boundary(body: &[u8]) -> String {
    free_boundary(fnv1a(&[body]), body)
}

/// The first number from `seed` on whose boundary is nowhere in the body. One
/// pass finds all that the body holds, however many its sender foresaw.
fn free_boundary(seed: u64, body: &[u8]) -> String {
    work::spend(body.len());
    let taken: HashSet<u64> = memmem::find_iter(body, BOUNDARY)
        .filter_map(|at| body[at + BOUNDARY.len()..].first_chunk::<16>())
        .filter_map(|digits| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
        .map(|number| number.wrapping_sub(seed))
        .collect();
    let free = (0..).find(|number| !taken.contains(number));
    format!(
        "{BOUNDARY}{:016x}",
        seed.wrapping_add(free.unwrap_or_default())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l13_a_boundary_is_nowhere_in_the_body_and_all_of_the_body_counts() {
        let body = "x".repeat(70_000);
        let (one, other) = (body.clone() + "1", body + "2");
        assert_ne!(boundary(one.as_bytes()), boundary(other.as_bytes()));
        let candidate = |number: u64| format!("=_waxseal_{number:016x}");
        let seed = u64::MAX - 2;
        let taken: String = (0..1000)
            .filter(|&n| n != 700)
            .map(|n| candidate(seed.wrapping_add(n)))
            .collect();
        let body = taken + "=_waxseal_not a number =_waxseal_12";
        let (free, steps) = work::count(|| free_boundary(seed, body.as_bytes()));
        assert_eq!(free, candidate(697));
        assert!(steps <= 2 * body.len() as u64, "{steps}");
    }
}
