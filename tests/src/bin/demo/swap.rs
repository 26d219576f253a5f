//! A policy changes while mail flows: a mistake is refused, a good version goes
//! in service by itself, and one command goes back.

use std::fs;
use std::time::{Duration, Instant};

use waxseal_testkit::{Rig, wait_for};

use crate::page::Page;
use crate::story::{Scene, arrival, arrived, counts, is_archive};

pub(crate) fn tell(page: &Page, rig: &Rig, scene: &Scene) {
    let path = rig.path("settings.toml");
    let settings = fs::read_to_string(&path).expect("the settings");
    page.entry(
        "watched",
        "policy, settings and tables: nobody tells the host",
    );
    mistaken(
        page,
        rig,
        &settings.replace("\nsign = true", "\nsgin = true"),
    );
    let changed = settings.replace(
        "relays = [\"northwind\", \"bluebird\"]",
        "relays = [\"quarry\"]",
    );
    page.entry("changed", "acme.test: relays = [\"quarry\"]");
    let (_, took) = put(rig, &changed, "version activated: files changed");
    let about = format!(
        "after {} ms; messages in flight end as they began",
        took.as_millis()
    );
    page.check("activated", true, &about);
    sent_again(page, rig, scene);
    page.blank();
    page.entry("regretted", "waxseal policy rollback");
    let begun = Instant::now();
    rig.waxseal.output(&["policy", "rollback"]);
    let about = format!(
        "after {} ms, the command included",
        begun.elapsed().as_millis()
    );
    page.check("gone back", true, &about);
    sent_again(page, rig, scene);
    page.blank();
    page.entry("asked", "waxseal policy status");
    for line in rig.waxseal.output(&["policy", "status"]).lines() {
        page.text(&format!("  {line}"));
    }
}

/// The same message once more: it goes where the version in service says.
fn sent_again(page: &Page, rig: &Rig, scene: &Scene) {
    let message = scene.message.replace('\n', "\r\n").into_bytes();
    let before = counts(rig);
    rig.send_as(scene.author, scene.recipients, &message);
    for (at, delivery) in arrived(rig, &before) {
        if !is_archive(&delivery) {
            arrival(page, rig, at, &delivery, scene.author);
        }
    }
}

/// A slip of the pen is told with its place, and the old settings stay.
fn mistaken(page: &Page, rig: &Rig, settings: &str) {
    page.entry("mistyped", "sign as sgin in settings.toml");
    let (log, _) = put(rig, settings, " rejected: ");
    let told = log
        .lines()
        .filter_map(|line| line.split_once("settings.toml:"));
    for (_, problem) in told {
        page.entry("told", &format!("settings.toml:{problem}"));
    }
    page.check("rejected", true, "the active version stays active");
}

/// Writes the settings and waits until the log says what came of them. Gives
/// what was logged meanwhile, and how long it took.
fn put(rig: &Rig, settings: &str, said: &str) -> (String, Duration) {
    let before = rig.waxseal.log().len();
    let begun = Instant::now();
    fs::write(rig.path("settings.toml"), settings).expect("settings");
    let log = wait_for("the settings to be read", || {
        let log = rig.waxseal.log();
        let new = log.get(before..)?.to_owned();
        new.contains(said).then_some(new)
    });
    (log, begun.elapsed())
}
