//! One run of policy tests, and its output.

use super::arguments::Arguments;
use super::junit;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::support::{Status, runtime, show_problems};
use crate::cli::terminal;
use crate::testing::{self, Blessed, Options, Progress, Report, Suite, TestEnvironment};
use waxseal::config::Problem;
use waxseal_core::printable::{Text, one_line};

pub(super) struct Tests<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) json: bool,
    pub(super) paths: Vec<PathBuf>,
    pub(super) environment: TestEnvironment,
}

/// The JSON object of `waxseal test --json`.
#[derive(Serialize)]
struct Output<'a> {
    passed: bool,
    /// Why no case was run.
    problems: &'a [Problem],
    #[serde(flatten)]
    report: Option<&'a Report>,
    /// Golden files updated by `--bless`.
    blessed: Vec<&'a Path>,
}

impl Tests<'_> {
    /// Runs all cases once. Also returns the files that the result depends on.
    pub(super) fn once(&mut self) -> anyhow::Result<(Status, Vec<PathBuf>)> {
        let suite = match Suite::read(&self.paths) {
            Ok(suite) => suite,
            Err(problems) => {
                let files = problems.iter().map(|problem| problem.file.clone());
                let files = files.collect();
                return Ok((self.report_problems(&problems)?, files));
            }
        };
        let suite = match &self.arguments.filter {
            Some(text) => suite.filter(text),
            None => suite,
        };
        let mut files: Vec<PathBuf> = suite.files().iter().cloned().collect();
        if let (Some(text), true) = (&self.arguments.filter, suite.is_empty()) {
            let message = format!("no case matches the filter \"{text}\"");
            let problem = Problem::of_file(&self.paths[0], message, None);
            return Ok((self.report_problems(&[problem])?, files));
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
                return Ok((self.report_problems(&problems)?, files));
            }
        };
        let blessed = match self.arguments.bless {
            true => testing::bless(&mut report).context("writing a golden file")?,
            false => Vec::new(),
        };
        if let Some(file) = &self.arguments.junit {
            junit::write(&report, file)?;
        }
        self.print_report(&report, &blessed)?;
        let status = if report.passed() {
            Status::Done
        } else {
            Status::Negative
        };
        Ok((status, files))
    }

    fn report_problems(&self, problems: &[Problem]) -> anyhow::Result<Status> {
        if self.json {
            let output = Output {
                passed: false,
                problems,
                report: None,
                blessed: Vec::new(),
            };
            let mut out = Text::new();
            out.json(&output)?;
            terminal::print(&out)?;
        } else {
            show_problems(problems);
        }
        Ok(Status::Failed)
    }

    fn print_report(&self, report: &Report, blessed: &[Blessed]) -> anyhow::Result<()> {
        if self.json {
            let output = Output {
                passed: report.passed(),
                problems: &[],
                report: Some(report),
                blessed: blessed.iter().map(path).collect(),
            };
            let mut out = Text::new();
            out.json(&output)?;
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

    /// A progress bar, visible on a terminal only.
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
