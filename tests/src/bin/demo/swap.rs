//! New settings are put in service while mail flows, and refused where they
//! have a mistake.

use std::fs;

use waxseal_tests::{Rig, wait_for};

use crate::page::Page;
use crate::story::{Scene, arrival, arrived, counts, is_archive};

pub(crate) fn tell(page: &Page, rig: &Rig, scene: &Scene) {
    let path = rig.path("settings.toml");
    let settings = fs::read_to_string(&path).expect("the settings");
    mistaken(
        page,
        rig,
        &settings.replace("\nsign = true", "\nsgin = true"),
    );
    let changed = settings.replace(
        "relays = [\"northwind\", \"bluebird\"]",
        "relays = [\"quarry\"]",
    );
    page.entry(
        "changed",
        "acme.test: relays = [\"quarry\"], and kill -HUP again",
    );
    put(rig, &changed, "reloaded: ");
    page.check("in service", true, "what was in flight ended as it began");
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
    page.entry("mistyped", "sign as sgin in settings.toml, then kill -HUP");
    let log = put(rig, settings, "not reloaded: ");
    let told = log
        .lines()
        .filter_map(|line| line.split_once("settings.toml:"));
    for (_, problem) in told {
        page.entry("told", &format!("settings.toml:{problem}"));
    }
    page.check("refused", true, "the settings in service stay in service");
}

/// Writes the settings, has them read, and waits until the log says so. Gives
/// what was logged meanwhile.
fn put(rig: &Rig, settings: &str, said: &str) -> String {
    let before = rig.waxseal.log().len();
    fs::write(rig.path("settings.toml"), settings).expect("settings");
    rig.waxseal.reload();
    wait_for("the settings to be read", || {
        let log = rig.waxseal.log();
        let new = log.get(before..)?.to_owned();
        new.contains(said).then_some(new)
    })
}
