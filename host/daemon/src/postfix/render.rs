//! Text form of the Postfix configuration.

use std::fmt::Write as _;

use super::model::{Service, Setting, Setup};

impl Setup {
    /// The lines for `main.cf`, comments included.
    pub fn main_cf(&self) -> String {
        let mut text = String::from(
            "# For main.cf. If a parameter is already set, extend its value:\n\
             # if a parameter is set twice, the last value is used.\n",
        );
        for Setting { name, value } in &self.main {
            let _ = writeln!(text, "{name} = {value}");
        }
        text
    }

    /// The services for `master.cf`, comments included.
    pub fn master_cf(&self) -> String {
        let mut text = String::from("# For master.cf.\n");
        for service in &self.services {
            text.push('\n');
            text.push_str(&entry(service));
        }
        for attachment in &self.attachments {
            let _ = write!(
                text,
                "\n# Listener \"{}\" is for {}.\n# Add to them:\n",
                attachment.listener, attachment.services
            );
            for setting in &attachment.settings {
                let _ = writeln!(text, "#   -o {}", option(setting));
            }
        }
        text
    }

    /// Instructions for the written files.
    pub fn instructions(&self) -> String {
        let folder = self.folder.display();
        let mut text = format!(
            "\nNext steps, as root:\n\
             \x20 1. Add the lines of {folder}/main.cf to /etc/postfix/main.cf.\n\
             \x20 2. Add the entries of {folder}/master.cf to /etc/postfix/master.cf,\n\
             \x20    replacing those of an earlier run.\n\
             \x20 3. postfix check && postfix reload\n"
        );
        for note in &self.notes {
            let _ = write!(text, "\nNote: {note}\n");
        }
        text
    }

    /// The whole configuration as text. Passwords are not included.
    pub fn page(&self) -> String {
        let mut page = self.main_cf();
        page.push('\n');
        page.push_str(&self.master_cf());
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
fn option(Setting { name, value }: &Setting) -> String {
    if value.contains(char::is_whitespace) {
        format!("{{ {name} = {value} }}")
    } else {
        format!("{name}={value}")
    }
}
