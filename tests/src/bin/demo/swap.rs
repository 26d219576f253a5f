//! Changes of the policy while mail flows: invalid settings are rejected, a valid
//! version becomes active, and a command rolls back.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use waxseal_testkit::{Rig, wait_for};

use crate::page::Page;
use crate::story::{Scene, arrival, arrived, counts, is_archive};

pub(crate) fn run(page: &Page, rig: &Rig, scene: &Scene) {
    let path = rig.path("settings.toml");
    let settings = fs::read_to_string(&path).expect("the settings");
    page.entry("watched", "policy, settings and tables");
    invalid(
        page,
        rig,
        &settings.replace("\nsign = true", "\nsgin = true"),
    );
    let changed = settings.replace(
        "relays = [\"northwind\", \"bluebird\"]",
        "relays = [\"quarry\"]",
    );
    page.entry("changed", "acme.test: relays = [\"quarry\"]");
    let active = active_version(&status(rig));
    let (_, took) = write(rig, &changed, |status| active_version(status) > active);
    let about = format!(
        "after {} ms; messages in progress finish with the previous version",
        took.as_millis()
    );
    page.check("active", true, &about);
    sent_again(page, rig, scene);
    page.blank();
    page.entry("command", "waxseal policy rollback");
    let begun = Instant::now();
    rig.waxseal.output(&["policy", "rollback"]);
    let about = format!(
        "after {} ms, including the command",
        begun.elapsed().as_millis()
    );
    page.check("rolled back", true, &about);
    sent_again(page, rig, scene);
    page.blank();
    page.entry("command", "waxseal policy status");
    for line in rig.waxseal.output(&["policy", "status"]).lines() {
        page.text(&format!("  {line}"));
    }
}

/// Sends the message again: the active version determines its relay.
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

/// Invalid settings are reported with their position, and the active version stays
/// active.
fn invalid(page: &Page, rig: &Rig, settings: &str) {
    page.entry("mistyped", "`sgin` instead of `sign` in settings.toml");
    let (status, _) = write(rig, settings, |status| !rejected(status).is_null());
    let problems = rejected(&status)["problems"].as_array();
    for problem in problems.into_iter().flatten().filter_map(Value::as_str) {
        for line in problem.lines() {
            page.entry("problem", line);
        }
    }
    page.check("rejected", true, "the active version stays active");
}

/// The last version that was rejected.
fn rejected(status: &Value) -> &Value {
    &status["rejected"]
}

fn active_version(status: &Value) -> u64 {
    status["versions"][0]["number"].as_u64().unwrap_or(0)
}

fn status(rig: &Rig) -> Value {
    rig.waxseal.json(&["policy", "status"])
}

/// Writes the settings and waits for a status. Returns it and the time it took.
fn write(rig: &Rig, settings: &str, expected: impl Fn(&Value) -> bool) -> (Value, Duration) {
    let begun = Instant::now();
    fs::write(rig.path("settings.toml"), settings).expect("settings");
    let status = wait_for("the settings to be read", || {
        Some(status(rig)).filter(&expected)
    });
    (status, begun.elapsed())
}
