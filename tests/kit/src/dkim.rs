//! Verification of DKIM signatures by dkimpy and OpenDKIM.
//!
//! They share no code with each other, nor with the library that Waxseal signs with. Both get DNS records from a file; neither
//! queries a server.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::sink::support;

/// A TXT record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `SELECTOR._domainkey.DOMAIN`, without a dot at its end.
    pub name: String,
    /// Its text, strings joined.
    pub text: String,
}

/// A signature and the result of its verification.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Signature {
    /// `d=`.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// `a=`.
    pub algorithm: String,
    /// Whether it verifies.
    pub valid: bool,
    /// The error.
    pub reason: Option<String>,
}

/// The results of both verifiers for a message, in order of algorithm.
///
/// # Panics
///
/// If a verifier does not run, or the two do not agree.
pub fn verify(message: &[u8], records: &[Record]) -> Vec<Signature> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let dns: String = records
        .iter()
        .map(|record| format!("{} {}\n", record.name, record.text))
        .collect();
    std::fs::write(path("dns"), dns).expect("records");
    std::fs::write(path("message.eml"), message).expect("message");
    let mut judged = dkimpy(&path("message.eml"), &path("dns"));
    judged.sort_by(|a, b| a.algorithm.cmp(&b.algorithm));
    let seen = opendkim(folder.path());
    for signature in &judged {
        let agreed = seen.iter().any(|other| {
            other.domain == signature.domain
                && other.selector == signature.selector
                && other.valid == signature.valid
        });
        assert!(agreed, "dkimpy: {signature:?}\nOpenDKIM: {seen:?}");
    }
    assert_eq!(
        judged.len(),
        seen.len(),
        "dkimpy: {judged:?}\nOpenDKIM: {seen:?}"
    );
    judged
}

fn dkimpy(message: &Path, records: &Path) -> Vec<Signature> {
    let output = Command::new("/usr/bin/python3")
        .arg(support("dkimpy.py"))
        .args([message, records])
        .output()
        .expect("/usr/bin/python3");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "dkimpy: {error}\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// Runs OpenDKIM's verifier over a file, in its test mode: no milter, no
/// daemon. It prints the Authentication-Results (RFC 8601) that it would add.
fn opendkim(folder: &Path) -> Vec<Signature> {
    let config = format!(
        "Mode v\nTestDNSData file:{}\nSyslog no\nUserID root\n",
        folder.join("dns").display()
    );
    std::fs::write(folder.join("opendkim.conf"), config).expect("opendkim.conf");
    let output = Command::new("/usr/sbin/opendkim")
        .arg("-x")
        .arg(folder.join("opendkim.conf"))
        .arg("-t")
        .arg(folder.join("message.eml"))
        .arg("-vvv")
        .stdin(Stdio::null())
        .output()
        .expect("opendkim");
    results(&String::from_utf8_lossy(&output.stdout))
}

fn results(output: &str) -> Vec<Signature> {
    output
        .split("dkim=")
        .skip(1)
        .filter_map(|result| {
            let tag = |name: &str| {
                let start = result.find(name)? + name.len();
                let value = result[start..]
                    .split(|c: char| c.is_whitespace() || c == ';')
                    .next()?;
                Some(value.to_owned())
            };
            Some(Signature {
                domain: tag("header.d=")?,
                selector: tag("header.s=")?,
                algorithm: tag("header.a=")?,
                valid: result.starts_with("pass"),
                reason: Some(result.lines().next().unwrap_or_default().to_owned()),
            })
        })
        .collect()
}
