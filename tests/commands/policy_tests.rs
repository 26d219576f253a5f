//! R27 and R16: `waxseal test`, as those who write policies and settings run it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use waxseal_testkit::process::Process;
use waxseal_testkit::wait_for;
use waxseal_testkit::waxseal::{command, policy, repository};

/// Settings and sample mail of its own, and the command.
struct Bench {
    folder: tempfile::TempDir,
}

const SETTINGS: &str = r#"
[type.bulk]
when = { list-id = true }
relays = "bulk"

[type.individual]

[domain."acme.test"]
disclaimers = ["imprint"]

[disclaimer.imprint]
text = "Acme Ltd., Testland"
"#;

const MESSAGE: &str = "From: Ann <ann@acme.test>\r\nTo: bob@outside.test\r\nSubject: Hello\r\n\
    Date: Mon, 05 Oct 2026 09:01:00 +0900\r\nMessage-ID: <1@acme.test>\r\n\r\nHello Bob\r\n";

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        bench.write("settings.toml", SETTINGS);
        bench.write("hello.eml", MESSAGE);
        bench
    }

    /// With a test file that has these cases.
    fn with(cases: &str) -> Self {
        let bench = Self::new();
        bench.cases(cases);
        bench
    }

    fn cases(&self, cases: &str) {
        let policy = policy("waxseal_standard");
        let head = format!(
            "policy = {:?}\nsettings = \"settings.toml\"\n[relay.bulk]\n[defaults]\nmessage = \"hello.eml\"\n",
            policy.display()
        );
        self.write("some.toml", &format!("{head}{cases}"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let output = command()
            .current_dir(self.folder.path())
            .args(["test", "some.toml", "--json"])
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        Ran::of(output.expect("waxseal"))
    }
}

/// The result of a run.
struct Ran {
    code: i32,
    out: String,
    errors: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self {
            code: output.status.code().expect("an exit code"),
            out: text(output.stdout),
            errors: text(output.stderr),
        }
    }

    /// The report of a run with `--json` that ended with this exit code.
    #[track_caller]
    fn report(&self, code: i32) -> Report {
        assert_eq!(self.code, code, "{}{}", self.out, self.errors);
        let json = serde_json::from_str(&self.out);
        Report(json.unwrap_or_else(|error| panic!("{error}\n{}", self.out)))
    }

    /// The report of a run in which this many cases passed, and no other ran.
    #[track_caller]
    fn passed(&self, cases: usize) -> Report {
        let report = self.report(0);
        assert_eq!(report.counts(), (cases, 0), "{}", report.0);
        report
    }
}

/// The JSON object of `waxseal test --json`.
struct Report(Value);

impl Report {
    fn cases(&self) -> &[Value] {
        self.0["cases"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Number of passed and of failed cases.
    fn counts(&self) -> (usize, usize) {
        let failed = |case: &&Value| {
            case["failures"]
                .as_array()
                .is_some_and(|all| !all.is_empty())
        };
        let failures = self.cases().iter().filter(failed).count();
        (self.cases().len() - failures, failures)
    }

    #[track_caller]
    fn case(&self, name: &str) -> &Value {
        let mut cases = self.cases().iter();
        let found = cases.find(|case| case["name"] == name);
        found.unwrap_or_else(|| panic!("no case {name}: {}", self.0))
    }

    /// The failure of a case for an expectation.
    #[track_caller]
    fn failure(&self, case: &str, what: &str) -> &Value {
        let failures = self.case(case)["failures"].as_array();
        let found = failures.into_iter().flatten().find(|it| it["what"] == what);
        found.unwrap_or_else(|| panic!("no failure of {what}: {}", self.0))
    }

    /// File and line of each error.
    fn errors(&self) -> Vec<(&str, u64)> {
        let problems = self.0["problems"].as_array().into_iter().flatten();
        problems
            .filter(|it| it["severity"] == "error")
            .map(|it| {
                let file = it["file"].as_str().expect("a file");
                (file, it["line"].as_u64().unwrap_or(0))
            })
            .collect()
    }

    fn blessed(&self) -> Vec<&str> {
        let files = self.0["blessed"].as_array().into_iter().flatten();
        files.filter_map(Value::as_str).collect()
    }
}

#[test]
fn r27_the_tests_of_the_standard_policy_pass() {
    let output = command()
        .args(["test", "--json"])
        .arg(repository("tests/policy"))
        .output();
    let report = Ran::of(output.expect("waxseal")).report(0);
    let cases = report.cases();
    assert!(cases.len() > 30, "{}", cases.len());
    let counted = |case: &Value| case["instructions"].as_u64() > Some(1000);
    let untouched = cases.iter().filter(|case| !counted(case)).count();
    assert_eq!(
        untouched, 1,
        "a stranger's mail, which no policy decides on"
    );
}

#[test]
fn r27_a_failed_case_is_reported_with_expected_and_actual_values() {
    let bench = Bench::with(
        r#"
[[case]]
name = "newsletters"
header = { List-Id = "<news.acme.test>" }

[case.expect]
verdict = "accept"
relay = "default-route"
disclaimers = ["imprint", "legal"]
reasons = ["type bulk: *", "nonsense", "*"]

[[case]]
name = "this one passes"
expect = { relay = "default-route", text = "Acme Ltd." }
"#,
    );
    let report = bench.run(&[]).report(1);
    assert_eq!(report.counts(), (1, 1));
    let case = report.case("newsletters");
    assert_eq!(
        (&case["file"], &case["line"]),
        (&"some.toml".into(), &7.into())
    );
    let relay = report.failure("newsletters", "relay");
    assert_eq!(relay["line"], 13);
    assert_eq!(
        (&relay["expected"], &relay["actual"]),
        (&"default-route".into(), &"bulk".into())
    );
    let disclaimers = report.failure("newsletters", "disclaimers");
    assert_eq!(disclaimers["line"], 14);
    let lines = |failure: &Value, key: &str| {
        let text = failure[key].as_str().expect("text");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let expected = lines(disclaimers, "expected");
    assert_eq!(expected.len(), 2, "{disclaimers}");
    assert!(expected[1].starts_with("legal "), "{disclaimers}");
    let actual = lines(disclaimers, "actual");
    assert_eq!(actual.len(), 1, "{disclaimers}");
    assert!(actual[0].starts_with("imprint skipped"), "{disclaimers}");
    let reasons = lines(report.failure("newsletters", "reasons"), "expected");
    let unmatched: Vec<_> = reasons.iter().filter(|line| line.ends_with('✗')).collect();
    assert_eq!(unmatched.len(), 1, "{reasons:?}");
    assert!(unmatched[0].starts_with("nonsense"), "{reasons:?}");
    assert!(!case["reasons"].as_array().expect("a list").is_empty());
    assert_eq!(
        report.case("this one passes")["failures"],
        serde_json::json!([])
    );
}

#[test]
fn r27_all_problems_of_a_file_are_reported_with_their_lines() {
    let bench = Bench::with(
        r#"
[[case]]
name = "one"
mesage = "hello.eml"
user = 5
expect = { verdict = "acept", relay = "bulk" }

[[case]]
name = "two"
message = "nowhere.eml"

[[case]]
name = "one"
arrival = "yesterday"
expect = { header = { Subject = true }, color = "red" }
"#,
    );
    let report = bench.run(&[]).report(2);
    assert_eq!(report.cases().len(), 0);
    let mut lines: Vec<u64> = report.errors().iter().map(|(_, line)| *line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [9, 10, 11, 13, 15, 17, 19, 20], "{}", report.0);
}

#[test]
fn r27_problems_of_settings_and_of_the_selection_are_reported() {
    let bench = Bench::with("[[case]]\nname = \"a\"\nexpect = { relay = \"bulk\" }\n");
    bench.write(
        "settings.toml",
        "[domain.\"acme.test\"]\nrelays = \"nowhere\"\n",
    );
    let report = bench.run(&[]).report(2);
    assert_eq!(report.errors(), [("settings.toml", 2)], "{}", report.0);
    bench.write(
        "some.toml",
        "[[case]]\nname = \"a\"\nmessage = \"hello.eml\"\nexpect = { relay = \"bulk\" }\n",
    );
    let report = bench.run(&[]).report(2);
    assert_eq!(report.errors(), [("some.toml", 0)], "{}", report.0);
    bench.cases("[[case]]\nname = \"a\"\nexpect = { relay = \"bulk\" }\n");
    let report = bench.run(&["--filter", "zebra"]).report(2);
    assert_eq!(report.errors(), [("some.toml", 0)], "{}", report.0);
}

#[test]
fn r27_expected_messages_are_written_by_bless_and_by_nothing_else() {
    let bench = Bench::with(
        r#"
[[case]]
name = "A disclaimer, inserted"
expect = { golden = true }

[[case]]
name = "not right otherwise"
expect = { golden = "wrong.eml", relay = "bulk" }
"#,
    );
    let golden = "golden/some/a-disclaimer-inserted.eml";
    let report = bench.run(&[]).report(1);
    assert_eq!(report.counts(), (0, 2));
    assert_eq!(report.blessed(), [""; 0]);
    assert!(!bench.path(golden).exists());
    let report = bench.run(&["--bless"]).report(1);
    assert_eq!((report.counts(), report.blessed()), ((1, 1), vec![golden]));
    assert!(bench.read(golden).contains("Acme Ltd., Testland"));
    assert!(
        !bench.path("wrong.eml").exists(),
        "of a case that fails otherwise"
    );
    bench.run(&["--filter", "DISCLAIMER"]).passed(1);
    // Somebody changes the disclaimer.
    bench.write("settings.toml", &SETTINGS.replace("Testland", "Elsewhere"));
    let before = bench.read(golden);
    let report = bench.run(&["--filter", "disclaimer"]).report(1);
    let diff = report.cases()[0]["failures"][0]["diff"].as_str();
    let diff = diff.expect("a diff");
    for line in [
        "-Acme Ltd., Testland",
        "+Acme Ltd., Elsewhere",
        " Hello Bob",
    ] {
        assert!(diff.lines().any(|it| it == line), "{line}: {diff}");
    }
    assert_eq!(bench.read(golden), before);
    let report = bench.run(&["--filter", "disclaimer", "--bless"]).passed(1);
    assert_eq!(report.blessed(), [golden]);
    assert!(bench.read(golden).contains("Elsewhere"));
    let again = bench.run(&["--filter", "disclaimer", "--bless"]).passed(1);
    assert_eq!(again.blessed(), [""; 0]);
}

#[test]
fn r27_signatures_are_made_without_private_keys_and_expected_messages_hold_none() {
    let bench = Bench::with(
        "[[case]]\nname = \"signed\"\nexpect = { signatures = [\"acme.test\"], golden = \"signed.eml\", header = { DKIM-Signature = \"*d=acme.test*\" } }\n",
    );
    bench.write("settings.toml", &format!("sign = true\n{SETTINGS}"));
    assert_eq!(bench.run(&["--bless"]).passed(1).blessed(), ["signed.eml"]);
    assert!(
        bench
            .read("signed.eml")
            .starts_with("DKIM-Signature: d=acme.test; (ours)\n")
    );
    bench.run(&[]).passed(1);
    let mut names: Vec<_> = fs::read_dir(bench.folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["hello.eml", "settings.toml", "signed.eml", "some.toml"]
    );
}

#[test]
fn r27_without_a_path_the_tests_of_the_configuration_are_run() {
    let bench = Bench::new();
    let config = format!(
        "hostname = \"mail.acme.test\"\n[policy]\nfile = {:?}\nsettings = \"settings.toml\"\ntests = [\"gate\"]\n\
         [relay.bulk]\nhost = \"bulk.test\"\n",
        policy("waxseal_standard").display()
    );
    bench.write("waxseal.toml", &config);
    fs::create_dir(bench.path("gate")).expect("a folder");
    bench.write(
        "gate/one.toml",
        "[[case]]\nname = \"a\"\nmessage = \"../hello.eml\"\nexpect = { relay = \"default-route\" }\n",
    );
    let output = command()
        .current_dir(bench.folder.path())
        .args(["test", "--json"])
        .output();
    Ran::of(output.expect("waxseal")).passed(1);
}

#[test]
fn r27_one_message_is_expected_against_a_table_of_cases() {
    let bench = Bench::with(
        r#"
[[case]]
name = "types"
expect = { verdict = "accept", relay = "default-route" }
row = [
  { },
  { name = "a list", header = { List-Id = "<a.b>" }, expect = { relay = "bulk" } },
  { name = "a list, its relay off", header = { List-Id = "<a.b>" }, relays = { bulk = "off" } },
]
"#,
    );
    let report = bench.run(&[]).passed(3);
    let names: Vec<_> = report
        .cases()
        .iter()
        .map(|case| case["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            Some("types: 1"),
            Some("types: a list"),
            Some("types: a list, its relay off")
        ]
    );
}

#[test]
fn r27_a_policy_that_fails_fails_its_case_unless_that_is_expected() {
    let bench = Bench::new();
    let policy = policy("waxseal_misbehaving");
    bench.write(
        "some.toml",
        &format!(
            r#"policy = {:?}
[[case]]
name = "expected"
message = "hello.eml"
header = {{ Subject = "trap" }}
expect = {{ verdict = "defer", reply = "451 *", failure = "trapped", log = ["*panicked*", "*"] }}
[[case]]
name = "unexpected"
message = "hello.eml"
header = {{ Subject = "loop" }}
expect = {{ verdict = "defer" }}
"#,
            policy.display()
        ),
    );
    let report = bench.run(&[]).report(1);
    assert_eq!(report.counts(), (1, 1));
    let failure = report.failure("unexpected", "failure");
    // Which of the two limits ends a loop depends on what else the machine does.
    let actual = &failure["actual"];
    assert!(
        actual == "out-of-instructions" || actual == "timed-out",
        "{actual}"
    );
}

#[test]
fn r27_build_servers_get_a_report() {
    let bench = Bench::with(
        "[[case]]\nname = \"right\"\nexpect = { relay = \"default-route\" }\n[[case]]\nname = \"wrong <&>\"\nexpect = { relay = \"bulk\" }\n",
    );
    bench.run(&["--junit", "report.xml"]).report(1);
    let report = bench.read("report.xml");
    for text in [
        "<testsuites name=\"waxseal test\" tests=\"2\" skipped=\"0\" failures=\"1\"",
        "<testsuite name=\"some.toml\"",
        "<testcase name=\"right\" classname=\"some.toml\"",
        "name=\"wrong &lt;&amp;&gt;\"",
    ] {
        assert!(report.contains(text), "no {text:?} in:\n{report}");
    }
}

/// `script` (of Debian's base system) is the terminal.
#[test]
fn r27_on_a_terminal_there_is_a_progress_bar_and_elsewhere_none() {
    let bench = Bench::with(
        "[[case]]\nname = \"one\"\nexpect = { verdict = \"accept\" }\nrow = [{}, {}]\n",
    );
    let elsewhere = bench.run(&[]);
    elsewhere.passed(2);
    assert_eq!(elsewhere.errors, "");
    let waxseal = command();
    let program = waxseal.get_program().to_str().expect("a path in UTF-8");
    let output = Command::new("script")
        .envs(
            waxseal
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("TERM", "xterm")
        .current_dir(bench.folder.path())
        .args(["--quiet", "--return", "--command"])
        .arg(format!("'{program}' test some.toml"))
        .arg("/dev/null")
        .stdin(Stdio::null())
        .output();
    let ran = Ran::of(output.expect("script"));
    assert_eq!(ran.code, 0, "{}", ran.out);
    for part in ["/2", "\u{2588}"] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}

#[test]
fn r27_watching_runs_the_tests_again_when_the_settings_change() {
    let bench = Bench::with(
        "[[case]]\nname = \"lists\"\nheader = { List-Id = \"<a.b>\" }\nexpect = { relay = \"bulk\" }\n",
    );
    let log = bench.path("log");
    let mut command = command();
    command
        .current_dir(bench.folder.path())
        .args(["test", "some.toml", "--watch", "--json"])
        .stdin(Stdio::null())
        .stdout(fs::File::create(&log).expect("a log"))
        .stderr(Stdio::null());
    let _watching = Process::start(&mut command).expect("waxseal");
    // One JSON object a run.
    let runs = || {
        let log = bench.read("log");
        let runs = serde_json::Deserializer::from_str(&log).into_iter::<Value>();
        let passed = runs.map_while(Result::ok).map(|run| run["passed"] == true);
        passed.collect::<Vec<_>>()
    };
    let last_is = |passed: bool| {
        wait_for("a run", || (runs().last() == Some(&passed)).then_some(()));
    };
    last_is(true);
    bench.write(
        "settings.toml",
        &SETTINGS.replace("relays = \"bulk\"", "relays = []"),
    );
    last_is(false);
    bench.write("settings.toml", "nonsense");
    bench.write("settings.toml", SETTINGS);
    last_is(true);
}

/// Mail by a relay, with a return path of ours that its SPF cannot know.
const ROUTES: &str = r#"
[dns]
"acme.test" = "v=spf1 ip4:192.0.2.1 -all"
"_dmarc.acme.test" = "v=DMARC1; p=reject"
[sends-from]
default-route = "192.0.2.1"
bulk = "198.51.100.7"
"#;

fn authenticated(expected: &str, settings: &str) -> Ran {
    let bench = Bench::with(&format!(
        "{ROUTES}\n[[case]]\nname = \"a\"\nheader = {{ List-Id = \"<a.b>\" }}\nexpect.authentication = {expected}\n"
    ));
    bench.write("settings.toml", &format!("{settings}\n{SETTINGS}"));
    bench.run(&[])
}

#[test]
fn r16_what_a_recipient_would_see_is_worked_out_for_every_route() {
    authenticated(
        "{ at-relay = \"pass\", dkim = \"pass\", dmarc = \"pass\", by.bulk.spf = \"fail\", by.default-route.spf = \"pass\" }",
        "sign = true",
    )
    .passed(1);
    authenticated(
        "{ dkim = \"none\", by.bulk = { spf = \"fail\", dmarc = \"fail\" }, by.default-route = { dmarc = \"pass\" } }",
        "",
    )
    .passed(1);
}

#[test]
fn r16_each_route_on_which_authentication_fails_is_reported() {
    let report = authenticated("{ dmarc = \"pass\" }", "").report(1);
    let failure = report.failure("a", "authentication by bulk");
    assert_eq!(failure["expected"], "dmarc = pass");
    assert_eq!(failure["actual"], "dmarc = fail");
    let note = failure["note"].as_str().expect("an explanation");
    for fact in ["198.51.100.7", "acme.test", "p=reject"] {
        assert!(note.contains(fact), "{fact}: {note}");
    }
    let elsewhere = "return-path = \"bounces@elsewhere.test\"";
    let report = authenticated("{ dmarc = \"pass\" }", elsewhere).report(1);
    let failure = report.failure("a", "authentication by default-route");
    let note = failure["note"].as_str().expect("an explanation");
    assert!(note.contains("elsewhere.test"), "{note}");
    let report = authenticated("{ by.nowhere = { spf = \"pass\" } }", "").report(1);
    let failure = report.failure("a", "authentication.by.nowhere");
    let routes = failure["actual"].as_str().expect("the routes");
    assert!(routes.ends_with("bulk, default-route"), "{routes}");
}
