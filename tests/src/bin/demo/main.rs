//! `make demo`: mail goes through a real Postfix, and comes out relayed,
//! rewritten, signed and with its disclaimer.
//!
//! The settings are those of `examples/acme`. All servers are private, on
//! loopback, and gone when the demo ends, also when it is interrupted.

#![allow(clippy::print_stdout)]

mod page;
mod story;
mod swap;

use std::time::Instant;

use waxseal_testkit::Rig;
use waxseal_testkit::waxseal::repository;

use page::Page;

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("Postfix is started by root alone: run this by `make demo`, which uses sudo.");
        std::process::exit(2);
    }
    let page = Page::new();
    let began = Instant::now();
    page.title("Waxseal: a mail policy beside a real Postfix");
    page.text(
        "Starting Postfix, three relays and Waxseal. All on loopback, in a folder of their own.",
    );
    let mut rig = rig();
    page.blank();
    page.entry("Postfix", &format!("on {}", rig.postfix.mx()));
    page.entry(
        "policy",
        "target/policies/waxseal_standard.wasm, a WebAssembly component",
    );
    page.entry("settings", "examples/acme/settings.toml");
    page.entry(
        "relays",
        "northwind, bluebird, quarry: SMTP servers that keep what they get",
    );
    story::tell(&page, &mut rig);
    drop(rig);
    page.title(&format!(
        "Done in {} s; nothing is left running",
        began.elapsed().as_secs().max(1)
    ));
    page.text("Next: read examples/acme/*.toml, change a line, and run this again. Or see what");
    page.text("becomes of one message, with no server at all:");
    page.blank();
    page.text("  target/debug/waxseal try --config examples/acme/waxseal.toml tests/samples/newsletter.eml");
    page.blank();
}

fn rig() -> Rig {
    let settings = repository("examples/acme/settings.toml");
    let settings = std::fs::read_to_string(settings).expect("examples/acme/settings.toml");
    // The servers of the sending suite are on this machine.
    let settings = settings.replace("192.0.2.0/24", &waxseal_testkit::LISTED.to_string());
    Rig::builder("demo")
        .relay("northwind", "daily-maximum = 2000")
        .relay("bluebird", "daily-maximum = 500")
        .relay("quarry", "")
        .settings(&settings)
        .config("[dkim]\ngenerate = true")
        .local_domain("acme.test")
        .split()
        .start()
}
