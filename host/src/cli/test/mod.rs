//! `waxseal test`: policy tests.

mod junit;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Status, runtime, show_problems, terminal};
use crate::config::{self, Problem};
use crate::printable::{Text, one_line};
use crate::runtime::{CODE_FOLDER, CodeCache, Compiler};
use crate::store::Secret;
use crate::testing::{Blessed, Options, Progress, Report, Suite, TestEnvironment};

/// Run policy tests: sample mail, and what is expected to become of it.
///
/// Test files are TOML; docs/testing-policies.md describes them. Nothing is
/// sent, asked or charged, and no MTA is needed. Exit code 1: a case failed; 2:
/// the tests could not be run.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Test files, or folders of them; by default those that the configuration
    /// names (`policy.tests`), or else the folder `tests` beside it.
    #[arg(value_name = "FILE or FOLDER")]
    paths: Vec<PathBuf>,
    /// Run only the cases in whose name or file's path this stands.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Write what came of the cases to this file, for build servers.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the messages that came to the files that are to hold them, of cases
    /// that fail in nothing else.
    #[arg(long)]
    bless: bool,
    /// Run again whenever a test, a message, the configuration, the policy or
    /// its settings change.
    #[arg(long)]
    watch: bool,
    /// Tell of every case what it took.
    #[arg(long)]
    costs: bool,
}

pub(super) fn run(arguments: &Arguments, config: &Path, json: bool) -> anyhow::Result<Status> {
    super::quiet_log();
    let environment =
        TestEnvironment::new(config.to_owned()).compiling_with(Compiler::this_program());
    let mut tests = Tests {
        arguments,
        json,
        paths: paths(arguments, config),
        environment: match code_cache() {
            Some(cache) => environment.keeping_code(cache),
            None => environment,
        },
    };
    if arguments.watch {
        return watch::watch(&mut tests);
    }
    tests.once().map(|(status, _)| status)
}

/// Compiled code of the user who runs tests, in `XDG_CACHE_HOME` or `~/.cache`,
/// sealed with a secret of its own. None where there is no such place: tests run
/// without it as well.
fn code_cache() -> Option<CodeCache> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    let folder = caches.join("waxseal");
    let secret = Secret::open_for_cache(&folder).ok()?;
    CodeCache::open(&folder.join(CODE_FOLDER), &secret).ok()
}

fn paths(arguments: &Arguments, config: &Path) -> Vec<PathBuf> {
    if !arguments.paths.is_empty() {
        return arguments.paths.clone();
    }
    // What is wrong with the configuration is told when it is needed.
    match config::read(config) {
        Ok(config) if !config.policy.tests.is_empty() => config.policy.tests,
        _ => vec![config.parent().unwrap_or(Path::new("")).join("tests")],
    }
}

struct Tests<'a> {
    arguments: &'a Arguments,
    json: bool,
    paths: Vec<PathBuf>,
    environment: TestEnvironment,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told<'a> {
    passed: bool,
    /// Why nothing was run.
    problems: &'a [Problem],
    #[serde(flatten)]
    report: Option<&'a Report>,
    /// Files that were written by `--bless`.
    blessed: Vec<&'a Path>,
}

impl Tests<'_> {
    /// Runs all cases once. Gives the files that the result depends on, too.
    fn once(&mut self) -> anyhow::Result<(Status, Vec<PathBuf>)> {
        let suite = match Suite::read(&self.paths) {
            Ok(suite) => suite,
            Err(problems) => {
                let files = problems.iter().map(|problem| problem.file.clone());
                let files = files.collect();
                return Ok((self.unasked(&problems)?, files));
            }
        };
        let suite = match &self.arguments.filter {
            Some(text) => suite.filter(text),
            None => suite,
        };
        let mut files: Vec<PathBuf> = suite.files().iter().cloned().collect();
        if let (Some(text), true) = (&self.arguments.filter, suite.is_empty()) {
            let message = format!("no case has \"{text}\" in its name or file");
            let problem = Problem::of_file(&self.paths[0], message, None);
            return Ok((self.unasked(&[problem])?, files));
        }
        let bar = self.bar(suite.len());
        let options = Options {
            progress: Some(progress(&bar)),
            ..Options::default()
        };
        let ran = runtime()?.block_on(suite.run(&mut self.environment, &options));
        bar.finish_and_clear();
        files.extend(self.environment.files());
        let mut report = match ran {
            Ok(report) => report,
            Err(problems) => {
                files.extend(problems.iter().map(|problem| problem.file.clone()));
                return Ok((self.unasked(&problems)?, files));
            }
        };
        let blessed = match self.arguments.bless {
            true => report.bless().context("writing an expected message")?,
            false => Vec::new(),
        };
        if let Some(file) = &self.arguments.junit {
            junit::write(&report, file)?;
        }
        self.tell(&report, &blessed)?;
        let status = if report.passed() {
            Status::Done
        } else {
            Status::No
        };
        Ok((status, files))
    }

    fn unasked(&self, problems: &[Problem]) -> anyhow::Result<Status> {
        if self.json {
            let told = Told {
                passed: false,
                problems,
                report: None,
                blessed: Vec::new(),
            };
            let mut out = Text::new();
            out.json(&told)?;
            terminal::print(&out)?;
        } else {
            show_problems(problems);
        }
        Ok(Status::NotAsked)
    }

    fn tell(&self, report: &Report, blessed: &[Blessed]) -> anyhow::Result<()> {
        if self.json {
            let told = Told {
                passed: report.passed(),
                problems: &[],
                report: Some(report),
                blessed: blessed.iter().map(path).collect(),
            };
            let mut out = Text::new();
            out.json(&told)?;
            return Ok(terminal::print(&out)?);
        }
        let mut text = terminal::text();
        report.write_failures(&mut text);
        if self.arguments.costs {
            report.write_costs(&mut text);
        }
        for blessed in blessed {
            let what = match blessed {
                Blessed::New(_) => "new",
                Blessed::Changed(_) => "changed",
            };
            writeln!(text, "wrote {} ({what})", path(blessed).display())?;
        }
        report.write_summary(&mut text);
        Ok(terminal::print(&text)?)
    }

    /// On a terminal alone.
    fn bar(&self, cases: usize) -> ProgressBar {
        let target = terminal::progress(!self.json);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}");
        let bar = ProgressBar::with_draw_target(Some(cases as u64), target);
        match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

fn progress(bar: &ProgressBar) -> Progress {
    let bar = bar.clone();
    Arc::new(move |case| {
        if !case.passed() {
            bar.set_message(format!("failed: {}", one_line(&case.name)));
        }
        bar.inc(1);
    })
}

fn path(blessed: &Blessed) -> &Path {
    match blessed {
        Blessed::New(path) | Blessed::Changed(path) => path,
    }
}
