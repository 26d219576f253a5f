//! `waxseal postfix`: the Postfix configuration for a `waxseal.toml`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::support::Status;
use crate::postfix::{QUEUE_DIRECTORY, Setup};
use waxseal::config::Config;
use waxseal_core::printable::Text;

/// Default folder of the generated files.
const FOLDER: &str = "/etc/postfix/waxseal";

/// Print the Postfix configuration, or write it to a folder
///
/// Files of Postfix are not changed: add the lines to main.cf and master.cf, and run
/// `postfix reload`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Write main.cf, master.cf, the tables and the password maps to this folder
    /// instead of printing them
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// Queue directory of Postfix (`queue_directory`). Paths of sockets below it are
    /// printed relative to it, for services that run in a chroot
    #[arg(long, value_name = "FOLDER", default_value = QUEUE_DIRECTORY)]
    queue_directory: PathBuf,
}

pub(super) fn run(
    arguments: &Arguments,
    config: &Config,
    json: bool,
    out: &mut Text,
) -> anyhow::Result<Status> {
    let folder = arguments.write.as_deref().unwrap_or(Path::new(FOLDER));
    let folder = std::path::absolute(folder)
        .with_context(|| format!("cannot resolve the path {}", folder.display()))?;
    let queue = std::path::absolute(&arguments.queue_directory).with_context(|| {
        format!(
            "cannot resolve the path {}",
            arguments.queue_directory.display()
        )
    })?;
    let setup = Setup::of(&absolute(config)?, &folder, &queue);
    let written = match &arguments.write {
        Some(_) => setup.write()?,
        None => Vec::new(),
    };
    if json {
        out.json(&setup)?;
    } else if written.is_empty() {
        out.block(&setup.page());
    } else {
        for file in &written {
            writeln!(out, "wrote {}", file.display())?;
        }
        out.block(&setup.instructions());
    }
    Ok(Status::Done)
}

/// The configuration with absolute paths: Postfix has its own working directory.
fn absolute(config: &Config) -> anyhow::Result<Config> {
    let mut config = config.clone();
    let files = config
        .relays
        .iter_mut()
        .filter_map(|relay| relay.ca_file.as_mut());
    for path in files {
        *path = std::path::absolute(&*path)?;
    }
    for listener in &mut config.listeners {
        if let waxseal::config::ListenAddress::Unix(path) = &mut listener.address {
            *path = std::path::absolute(&*path)?;
        }
    }
    Ok(config)
}
