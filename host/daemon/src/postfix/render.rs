//! Text form of the Postfix configuration.

use std::fmt::Write as _;

use super::model::{Service, Setting, Setup};

impl Setup {
    /// The lines for `main.cf`, for the values that the administrator has set.
    pub fn main_cf(&self, existing: impl Fn(&str) -> Option<String>) -> String {
        let mut text = String::new();
        for setting in &self.main {
            let value = setting.with_existing(existing(&setting.name).as_deref());
            let _ = writeln!(text, "{} = {value}", setting.name);
        }
        text
    }

    /// The services for `master.cf`, comments included.
    pub fn master_cf(&self) -> String {
        let services: Vec<String> = self.services.iter().map(entry).collect();
        services.join("\n")
    }

    /// What the administrator adds to services of `master.cf`.
    pub fn attachments(&self) -> String {
        let mut text = String::new();
        for attachment in &self.attachments {
            let _ = writeln!(
                text,
                "# Listener \"{}\" is for {}.\n# Add to them:",
                attachment.listener, attachment.services
            );
            for setting in &attachment.settings {
                let _ = writeln!(text, "#   -o {}", option(setting));
            }
        }
        text
    }

    /// The whole configuration as text, for the values of `main.cf` that the
    /// administrator has set. Passwords are not included.
    pub fn page(&self, existing: impl Fn(&str) -> Option<String>) -> String {
        let mut page = format!("# For main.cf\n{}", self.main_cf(existing));
        if !self.services.is_empty() {
            let _ = write!(page, "\n# For master.cf\n{}", self.master_cf());
        }
        if !self.attachments.is_empty() {
            let _ = write!(page, "\n{}", self.attachments());
        }
        if !self.destinations.is_empty() {
            let _ = write!(page, "\n# For {}\n", self.header_checks_file().display());
            page.push_str(&self.header_checks());
        }
        for map in &self.password_maps {
            let _ = write!(
                page,
                "\n# For {}, mode 0600: one line, written by `--write`\n# {} {}:(the password in {})\n",
                map.file.display(),
                map.key,
                map.user,
                map.password_file.display()
            );
        }
        for note in &self.notes {
            let _ = write!(page, "\n# Note: {note}\n");
        }
        page
    }
}

/// A service entry of `master.cf`: not private if it listens on a network, without
/// chroot.
fn entry(service: &Service) -> String {
    let private = if service.kind == "inet" { "n" } else { "-" };
    let mut text = format!(
        "# {}\n{} {} {private} - n - - {}\n",
        service.purpose, service.name, service.kind, service.command
    );
    for setting in &service.settings {
        let _ = writeln!(text, "  -o {}", option(setting));
    }
    text
}

/// `name=value`; in braces if the value has spaces (master(5)).
fn option(Setting { name, value, .. }: &Setting) -> String {
    if value.contains(char::is_whitespace) {
        format!("{{ {name} = {value} }}")
    } else {
        format!("{name}={value}")
    }
}
