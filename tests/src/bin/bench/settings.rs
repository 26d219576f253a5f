//! Settings of the standard policy, for any number of domains.

use std::fmt::Write as _;

/// Types, relays, disclaimers and limits as a company has them. acme.test is one of
/// the domains: its bulk mail has no disclaimer, its other mail has.
pub(crate) fn settings(domains: usize) -> String {
    let mut text = r#"
bounce-domain = "bounce.acme.test"
return-path = "verp"
language = "en"
limit = { recipients = 4_000_000_000, full = "defer" }
user-limit = { recipients = 4_000_000_000, full = "reject" }
default-type = "individual"
users = "*"
networks = ["0.0.0.0/0", "::/0"]

[type.workflow]
when = [ { header = "X-Mail-Type", is = "workflow" } ]

[type.bulk]
when = [
  { header = "X-Mail-Type", is = "bulk" },
  { list-id = true },
  { precedence = ["bulk", "list", "junk"] },
]

[type.individual]

[domain."acme.test"]
relays = ["northwind", "bluebird"]
sign = true
disclaimers = ["confidential"]

[domain."acme.test".type.bulk]
relays = ["bluebird", "quarry"]
disclaimers = []
limit = { messages = 4_000_000_000, full = "defer" }

[domain."acme.test".type.workflow]
relays = ["northwind", { relay = "quarry", return-path = "author" }]

[disclaimer.confidential]
placement = "bottom"
[disclaimer.confidential.language.en]
text = "This message is confidential and meant for its recipients only."
html = "<p>This message is <b>confidential</b> and meant for its recipients only.</p>"
[disclaimer.confidential.language.ja]
text = "このメールは機密情報を含み、宛先の方のみを対象としています。"
"#
    .to_owned();
    for number in 1..domains {
        let relay = ["northwind", "bluebird", "quarry"][number % 3];
        let _ = writeln!(
            text,
            "[domain.\"customer-{number}.test\"]\nrelays = [\"{relay}\"]\nsign = [\"acme.test\"]"
        );
    }
    text
}
