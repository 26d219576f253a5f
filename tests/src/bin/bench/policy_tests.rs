//! `waxseal test`: a thousand cases, the policy compiled beforehand.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::bail;
use waxseal_daemon::testing::{Options, Suite, TestEnvironment};

use crate::mails::mail;
use crate::settings::settings;
use crate::table::Table;
use crate::units::quantile;

/// How many cases.
const CASES: usize = 1000;

/// Longest time of all of them, in seconds.
const TARGET: f64 = 2.0;

/// Measures policy tests.
pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    table.section("Policy tests: waxseal test, once the policy is compiled");
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("settings.toml"), settings(200))?;
    fs::write(
        folder.path().join("mail.eml"),
        mail(10 << 10, 0, true).bytes(),
    )?;
    fs::write(folder.path().join("cases.toml"), cases())?;
    let suite = read(folder.path().join("cases.toml"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut environment = TestEnvironment::new(PathBuf::new());
    let options = Options::default();
    let mut times = Vec::new();
    // The first run compiles the policy, and is not counted.
    for round in 0..4 {
        let report = runtime.block_on(suite.run(&mut environment, &options));
        let report = match report {
            Ok(report) => report,
            Err(problems) => bail!("{}", waxseal_daemon::problems::render(&problems, false)),
        };
        if !report.passed() {
            bail!("{}", report.text());
        }
        if round > 0 {
            times.push(report.time.as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    let what = format!(
        "{CASES} cases on {} cores: decided, edited, signed, checked",
        options.parallel
    );
    table.below(&what, quantile(&times, 0.5), TARGET, " s");
    Ok(())
}

fn read(file: PathBuf) -> anyhow::Result<Suite> {
    Suite::read(&[file]).map_err(|problems| {
        let problems = waxseal_daemon::problems::render(&problems, false);
        anyhow::anyhow!("{problems}")
    })
}

fn cases() -> String {
    let policy = waxseal_testkit::waxseal::policy("waxseal_standard");
    let mut text = format!("policy = {:?}\n", policy.display());
    text.push_str(
        "settings = \"settings.toml\"\n[relay.northwind]\n[relay.bluebird]\n[relay.quarry]\n",
    );
    for number in 0..CASES {
        let _ = write!(
            text,
            "[[case]]\nname = \"case {number}\"\nmessage = \"mail.eml\"\n\
             header = {{ Subject = \"Number {number}\" }}\n\
             [case.expect]\nverdict = \"accept\"\nsignatures = [\"acme.test\"]\n\
             header = {{ Subject = \"Number {number}\" }}\nreturn-path = \"b-*@bounce.acme.test\"\n"
        );
    }
    text
}
