//! R27 and R16: `waxseal test`, as those who write policies and settings run it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use waxseal_tests::wait_for;
use waxseal_tests::waxseal::{command, policy, repository};

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
            .args(["test", "some.toml"])
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        Ran::of(output.expect("waxseal"))
    }
}

struct Ran {
    code: i32,
    out: String,
    told: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: text(output.stdout),
            told: text(output.stderr),
        }
    }

    #[track_caller]
    fn has(&self, code: i32, texts: &[&str]) {
        let all = format!("{}{}", self.out, self.told);
        assert_eq!(self.code, code, "{all}");
        for text in texts {
            assert!(all.contains(text), "no {text:?} in:\n{all}");
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}\n{}", self.out))
    }
}

#[test]
fn r27_the_tests_of_the_standard_policy_pass() {
    let output = command()
        .args(["test", "--json"])
        .arg(repository("tests/policy"))
        .output();
    let ran = Ran::of(output.expect("waxseal"));
    ran.has(0, &[]);
    let report = ran.json();
    let cases = report["cases"].as_array().expect("cases");
    assert!(cases.len() > 30, "{}", cases.len());
    let counted = |case: &Value| case["instructions"].as_u64() > Some(1000);
    let untouched = cases.iter().filter(|case| !counted(case)).count();
    assert_eq!(
        untouched, 1,
        "a stranger's mail, which no policy decides on"
    );
}

#[test]
fn r27_a_case_that_fails_tells_what_was_expected_what_came_and_why() {
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
    let ran = bench.run(&[]);
    ran.has(
        1,
        &[
            "FAILED  newsletters\n        some.toml:7",
            "relay  some.toml:13",
            "expected  default-route\n      actual  bulk",
            "disclaimers  some.toml:14",
            "imprint inserted  ✗\n              legal inserted  ✗",
            "imprint skipped, since the message is list mail  ✗",
            "nonsense  ✗",
            "because  domain acme.test by author",
            "1 failed, 1 passed in ",
        ],
    );
    assert!(!ran.out.contains("FAILED  this one"), "{}", ran.out);
}

#[test]
fn r27_all_mistakes_in_a_file_are_told_at_once_with_their_lines() {
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
expect = { header = { Subject = true }, colour = "red" }
"#,
    );
    let ran = bench.run(&[]);
    ran.has(
        2,
        &[
            "`case.mesage` is not known here",
            "perhaps `message` is meant",
            "some.toml:9:1",
            "`case.user` is of type integer",
            "`case.expect.verdict` is \"acept\"",
            "\"accept\", \"reject\", \"defer\"",
            "the case \"two\" expects nothing",
            "nowhere.eml",
            "there are two cases named \"one\"",
            "`arrival` is yesterday",
            "`case.expect.colour` is not known here",
        ],
    );
}

#[test]
fn r27_what_cannot_be_run_is_told_with_the_reason() {
    let bench = Bench::with("[[case]]\nname = \"a\"\nexpect = { relay = \"bulk\" }\n");
    bench.write(
        "settings.toml",
        "[domain.\"acme.test\"]\nrelays = \"nowhere\"\n",
    );
    bench.run(&[]).has(
        2,
        &[
            "settings.toml:2",
            "there is no relay \"nowhere\"",
            "one of bulk",
        ],
    );
    bench.write(
        "some.toml",
        "[[case]]\nname = \"a\"\nmessage = \"hello.eml\"\nexpect = { relay = \"bulk\" }\n",
    );
    bench
        .run(&[])
        .has(2, &["some.toml", "waxseal.toml", "`config`, or `policy`"]);
    bench.cases("[[case]]\nname = \"a\"\nexpect = { relay = \"bulk\" }\n");
    bench
        .run(&["--filter", "zebra"])
        .has(2, &["no case has \"zebra\""]);
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
    bench
        .run(&[])
        .has(1, &["there is no such file", "--bless", "2 failed"]);
    assert!(!bench.path(golden).exists());
    bench
        .run(&["--bless"])
        .has(1, &[golden, "(new)", "1 failed, 1 passed"]);
    assert!(bench.read(golden).contains("Acme Ltd., Testland"));
    assert!(
        !bench.path("wrong.eml").exists(),
        "of a case that fails otherwise"
    );
    bench.run(&["--filter", "DISCLAIMER"]).has(0, &["1 passed"]);
    // Somebody changes the disclaimer.
    bench.write("settings.toml", &SETTINGS.replace("Testland", "Elsewhere"));
    let before = bench.read(golden);
    bench.run(&["--filter", "disclaimer"]).has(
        1,
        &[
            "-Acme Ltd., Testland",
            "+Acme Ltd., Elsewhere",
            "+++ actual",
            " Hello Bob",
        ],
    );
    assert_eq!(bench.read(golden), before);
    bench
        .run(&["--filter", "disclaimer", "--bless"])
        .has(0, &["(changed)"]);
    assert!(bench.read(golden).contains("Elsewhere"));
    let again = bench.run(&["--filter", "disclaimer", "--bless"]);
    again.has(0, &["1 passed"]);
    assert!(!again.out.contains("wrote"), "{}", again.out);
}

#[test]
fn r27_signatures_are_made_without_private_keys_and_expected_messages_hold_none() {
    let bench = Bench::with(
        "[[case]]\nname = \"signed\"\nexpect = { signatures = [\"acme.test\"], golden = \"signed.eml\", header = { DKIM-Signature = \"*d=acme.test*\" } }\n",
    );
    bench.write("settings.toml", &format!("sign = true\n{SETTINGS}"));
    bench.run(&["--bless"]).has(0, &["signed.eml (new)"]);
    assert!(
        bench
            .read("signed.eml")
            .starts_with("DKIM-Signature: d=acme.test; (ours)\n")
    );
    bench.run(&[]).has(0, &["1 passed"]);
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
        .arg("test")
        .output();
    Ran::of(output.expect("waxseal")).has(0, &["1 passed"]);
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
    let ran = bench.run(&["--json"]);
    ran.has(0, &[]);
    let report = ran.json();
    let cases = report["cases"].as_array().expect("cases");
    let names: Vec<_> = cases.iter().map(|case| case["name"].as_str()).collect();
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
name = "told"
message = "hello.eml"
header = {{ Subject = "trap" }}
expect = {{ verdict = "defer", reply = "451 *", failure = "trapped", log = ["*panicked*", "*"] }}
[[case]]
name = "not told"
message = "hello.eml"
header = {{ Subject = "loop" }}
expect = {{ verdict = "defer" }}
"#,
            policy.display()
        ),
    );
    let ran = bench.run(&[]);
    ran.has(
        1,
        &[
            "FAILED  not told",
            "out-of-instructions",
            "limits.instructions",
            "1 failed, 1 passed",
        ],
    );
}

#[test]
fn r27_build_servers_get_a_report() {
    let bench = Bench::with(
        "[[case]]\nname = \"right\"\nexpect = { relay = \"default-route\" }\n[[case]]\nname = \"wrong <&>\"\nexpect = { relay = \"bulk\" }\n",
    );
    bench.run(&["--junit", "report.xml"]).has(1, &[]);
    let report = bench.read("report.xml");
    for text in [
        "<testsuites name=\"waxseal test\" tests=\"2\" skipped=\"0\" failures=\"1\"",
        "<testsuite name=\"some.toml\"",
        "<testcase name=\"right\" classname=\"some.toml\"",
        "name=\"wrong &lt;&amp;&gt;\"",
        "not as expected: relay",
        "expected  bulk",
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
    elsewhere.has(0, &["2 passed"]);
    assert_eq!(elsewhere.told, "");
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
    ran.has(0, &["/2", "\u{2588}", "2 passed"]);
}

#[test]
fn r27_watching_runs_the_tests_again_when_the_settings_change() {
    let bench = Bench::with(
        "[[case]]\nname = \"lists\"\nheader = { List-Id = \"<a.b>\" }\nexpect = { relay = \"bulk\" }\n",
    );
    let log = bench.path("log");
    let mut watching = command()
        .current_dir(bench.folder.path())
        .args(["test", "some.toml", "--watch"])
        .stdin(Stdio::null())
        .stdout(fs::File::create(&log).expect("a log"))
        .stderr(Stdio::null())
        .spawn()
        .expect("waxseal");
    let told = |text: &'static str| {
        wait_for(text, || bench.read("log").contains(text).then_some(()));
    };
    told("1 passed");
    bench.write(
        "settings.toml",
        &SETTINGS.replace("relays = \"bulk\"", "relays = []"),
    );
    told("1 failed");
    bench.write("settings.toml", "nonsense");
    bench.write("settings.toml", SETTINGS);
    wait_for("it to pass again", || {
        (bench.read("log").matches("1 passed").count() == 2).then_some(())
    });
    watching.kill().expect("it runs");
    watching.wait().expect("it ends");
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
    .has(0, &["1 passed"]);
    authenticated(
        "{ dkim = \"none\", by.bulk = { spf = \"fail\", dmarc = \"fail\" }, by.default-route = { dmarc = \"pass\" } }",
        "",
    )
    .has(0, &["1 passed"]);
}

#[test]
fn r16_why_authentication_fails_is_said_in_words() {
    authenticated("{ dmarc = \"pass\" }", "").has(
        1,
        &[
            "authentication by bulk",
            "expected  dmarc = pass",
            "actual  dmarc = fail",
            "at bulk, SPF passes for acme.test",
            "SPF of acme.test does not allow 198.51.100.7 (fail)",
            "there is no DKIM signature",
            "DMARC fails, and acme.test asks that such mail is rejected: sign for acme.test by DKIM",
        ],
    );
    authenticated(
        "{ dmarc = \"pass\" }",
        "return-path = \"bounces@elsewhere.test\"",
    )
    .has(
        1,
        &[
            "authentication by default-route",
            "elsewhere.test has no SPF record",
        ],
    );
    authenticated("{ by.nowhere = { spf = \"pass\" } }", "").has(
        1,
        &[
            "a route of the message",
            "it may leave by bulk, default-route",
        ],
    );
}
