//! `make demo`: mail passes a real Postfix and is relayed, signed, copied and
//! gets disclaimers.
//!
//! The settings are those of `examples/acme`. All servers are private, on
//! loopback, and stopped when the demo ends or is interrupted.

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
        eprintln!("only root can start Postfix: run `make demo`, which uses sudo");
        std::process::exit(2);
    }
    let page = Page::new();
    let began = Instant::now();
    page.title("Waxseal: a mail policy for Postfix");
    page.text("Starting Postfix, three relays and Waxseal on loopback, in a temporary folder.");
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
        "northwind, bluebird, quarry: SMTP servers that store what they receive",
    );
    story::run(&page, &mut rig);
    drop(rig);
    page.title(&format!(
        "Done in {} s; all servers are stopped",
        began.elapsed().as_secs().max(1)
    ));
    page.text("Next: change a line in examples/acme/*.toml and run this again. Or show the");
    page.text("decision for one message without any server:");
    page.blank();
    page.text("  target/debug/waxseal try --config examples/acme/waxseal.toml tests/samples/newsletter.eml");
    page.blank();
}

fn rig() -> Rig {
    let settings = repository("examples/acme/settings.toml");
    let settings = std::fs::read_to_string(settings).expect("examples/acme/settings.toml");
    // The listed network is one of this machine.
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
