//! JUnit reports.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use quick_junit::{
    NonSuccessKind, Property, Report as Document, TestCase, TestCaseStatus, TestSuite,
};

use crate::testing::{CaseReport, Report};

/// Writes a report with one suite for each test file.
pub(super) fn write(report: &Report, file: &Path) -> anyhow::Result<()> {
    let mut document = Document::new("waxseal test");
    document.set_time(report.time);
    let mut rest = report.cases.as_slice();
    while let [first, ..] = rest {
        let of_file = rest.iter().take_while(|case| case.file == first.file);
        let (cases, others) = rest.split_at(of_file.count());
        let mut suite = TestSuite::new(first.file.display().to_string());
        suite.set_time(cases.iter().map(|case| case.time).sum());
        suite.add_test_cases(cases.iter().map(of_case));
        document.add_test_suite(suite);
        rest = others;
    }
    let text = document.to_string().context("serializing the report")?;
    fs::write(file, text).with_context(|| format!("writing the report to {}", file.display()))
}

fn of_case(case: &CaseReport) -> TestCase {
    let mut status = TestCaseStatus::success();
    if !case.passed() {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let what: Vec<&str> = case
            .failures
            .iter()
            .map(|failure| failure.what.as_str())
            .collect();
        status
            .set_message(format!("not as expected: {}", what.join(", ")))
            .set_description(case.text());
    }
    let mut test = TestCase::new(case.name.clone(), status);
    let figure = |name: &str, value: u64| Property::new(name, value.to_string());
    test.set_classname(case.file.display().to_string())
        .set_time(case.time)
        .add_property(figure("line", case.line as u64))
        .add_property(figure("instructions", case.instructions))
        .add_property(figure("memory", case.memory as u64));
    test
}
