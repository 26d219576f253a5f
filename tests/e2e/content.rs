//! R22 and R23: disclaimers in the text, and copies nobody sees.

use mail_parser::MessageParser;
use waxseal_testkit::{Delivery, Rig};

use crate::mail::{acme, mime, plain};

const DISCLAIMER: &str = "[disclaimer.legal]\ntext = \"Acme Ltd – Geschäftsführerin: Ada\"\nhtml = \"<p>Acme <b>Ltd</b> – Geschäftsführerin: Ada</p>\"\n";

fn with_disclaimer(name: &str, content: &str) -> Delivery {
    let settings = acme("relays = [\"northwind\"]\ndisclaimers = [\"legal\"]") + DISCLAIMER;
    let rig = Rig::builder(name)
        .relay("northwind", "")
        .settings(&settings)
        .start();
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &mime("alice@acme.test", content),
    );
    rig.only("northwind")
}

struct Read {
    text: String,
    html: String,
    attachments: Vec<(Option<String>, Vec<u8>)>,
}

/// As a mail program reads it.
fn read(delivery: &Delivery) -> Read {
    let message = MessageParser::default()
        .parse(&delivery.bytes)
        .expect("a message");
    Read {
        text: message.body_text(0).unwrap_or_default().into_owned(),
        html: message.body_html(0).unwrap_or_default().into_owned(),
        attachments: message
            .attachments()
            .map(|part| {
                (
                    part.attachment_name().map(str::to_owned),
                    part.decoded().into_owned(),
                )
            })
            .collect(),
    }
}

const TEXT: &str = "Acme Ltd – Geschäftsführerin: Ada";

#[test]
fn r22_a_single_part_in_8bit() {
    let read = read(&with_disclaimer(
        "r22-8bit",
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße aus Köln\n",
    ));
    assert!(
        read.text.starts_with("Grüße aus Köln") && read.text.contains(TEXT),
        "{}",
        read.text
    );
}

#[test]
fn r22_a_single_part_in_quoted_printable_latin_1() {
    let read = read(&with_disclaimer(
        "r22-qp",
        "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe aus K=F6ln\n",
    ));
    assert!(read.text.starts_with("Grüße aus Köln"), "{}", read.text);
    assert!(
        read.text.contains("Geschäftsführerin: Ada"),
        "{}",
        read.text
    );
}

#[test]
fn r22_a_single_part_in_base64() {
    let read = read(&with_disclaimer(
        "r22-base64",
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nR3LDvMOfZSBhdXMgS8O2bG4K\n",
    ));
    assert!(
        read.text.starts_with("Grüße aus Köln") && read.text.contains(TEXT),
        "{}",
        read.text
    );
}

#[test]
fn r22_japanese_business_mail_stays_in_iso_2022_jp() {
    let content = "Content-Type: text/plain; charset=ISO-2022-JP\nContent-Transfer-Encoding: 7bit\n\n\x1b$B$3$s$K$A$O\x1b(B\n";
    let settings = acme("relays = [\"northwind\"]\ndisclaimers = [\"legal\"]")
        + "[disclaimer.legal]\ntext = \"株式会社アクメ\"\n";
    let rig = Rig::builder("r22-jp")
        .relay("northwind", "")
        .settings(&settings)
        .start();
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &mime("alice@acme.test", content),
    );
    let delivery = rig.only("northwind");
    let read = read(&delivery);
    assert!(
        read.text.starts_with("こんにちは") && read.text.contains("株式会社アクメ"),
        "{}",
        read.text
    );
    let charset = delivery.header("Content-Type").concat().to_lowercase();
    assert!(charset.contains("iso-2022-jp"), "{charset}");
}

#[test]
fn r22_both_forms_of_an_alternative() {
    let read = read(&with_disclaimer(
        "r22-alternative",
        "Content-Type: multipart/alternative; boundary=\"b\"\n\n--b\nContent-Type: text/plain; charset=utf-8\n\nHello\n\n\
         --b\nContent-Type: text/html; charset=utf-8\n\n<html><body><p>Hello</p></body></html>\n\n--b--\n",
    ));
    assert!(
        read.text.starts_with("Hello") && read.text.contains(TEXT),
        "{}",
        read.text
    );
    assert!(read.html.contains("<b>Ltd</b>"), "{}", read.html);
    let (disclaimer, end) = (read.html.find("<b>Ltd</b>"), read.html.find("</body>"));
    assert!(
        disclaimer < end,
        "the disclaimer stands behind the end of the body: {}",
        read.html
    );
}

#[test]
fn r22_an_attachment_stays_as_it_is() {
    let read = read(&with_disclaimer(
        "r22-mixed",
        "Content-Type: multipart/mixed; boundary=\"b\"\n\n--b\nContent-Type: text/plain; charset=utf-8\n\nSee the file.\n\n\
         --b\nContent-Type: text/plain; charset=utf-8; name=\"a.txt\"\nContent-Disposition: attachment; filename=\"a.txt\"\n\
         Content-Transfer-Encoding: base64\n\nQXR0YWNoZWQK\n--b--\n",
    ));
    assert!(
        read.text.starts_with("See the file.") && read.text.contains(TEXT),
        "{}",
        read.text
    );
    assert_eq!(
        read.attachments,
        [(Some("a.txt".to_owned()), b"Attached\n".to_vec())]
    );
}

#[test]
fn r22_html_with_a_picture_of_its_own() {
    let read = read(&with_disclaimer(
        "r22-related",
        "Content-Type: multipart/related; boundary=\"b\"\n\n--b\nContent-Type: text/html; charset=utf-8\n\n\
         <p>Look: <img src=\"cid:p@test\"></p>\n\n--b\nContent-Type: image/gif\nContent-ID: <p@test>\n\
         Content-Transfer-Encoding: base64\n\nR0lGODlhAQABAAAAACw=\n--b--\n",
    ));
    assert!(
        read.html.contains("cid:p@test") && read.html.contains("<b>Ltd</b>"),
        "{}",
        read.html
    );
}

#[test]
fn r22_signed_mail_is_not_broken() {
    let content = "Content-Type: multipart/signed; protocol=\"application/pgp-signature\"; micalg=pgp-sha256; boundary=\"b\"\n\n\
        --b\nContent-Type: text/plain\n\nSigned text\n\n--b\nContent-Type: application/pgp-signature\n\nnot a real one\n--b--\n";
    let delivery = with_disclaimer("r22-signed", content);
    let message = mime("alice@acme.test", content);
    assert!(
        delivery.bytes.ends_with(&message),
        "{}",
        String::from_utf8_lossy(&delivery.bytes)
    );
}

#[test]
fn r23_an_archive_gets_each_message_and_the_recipients_do_not_see_it() {
    let rig = Rig::builder("r23")
        .relay("northwind", "")
        .settings(&acme(
            "relays = [\"northwind\"]\narchive = [\"archive@vault.test\"]",
        ))
        .start();
    rig.send_as(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "r23"),
    );
    rig.settle();
    let deliveries = rig.sink("northwind").deliveries();
    let mut recipients: Vec<_> = deliveries
        .iter()
        .flat_map(|delivery| &delivery.recipients)
        .collect();
    recipients.sort();
    assert_eq!(recipients, ["archive@vault.test", "bob@outside.test"]);
    for delivery in &deliveries {
        let text = String::from_utf8_lossy(&delivery.bytes);
        // `for <…>` in Received would tell the recipients of a message with one.
        assert!(!text.contains("vault.test"), "{text}");
    }
}
