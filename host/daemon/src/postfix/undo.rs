//! Removal of Waxseal from a Postfix configuration, and release of the mail that
//! waits for its services.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::installation::{ConfigFile, Installation};
use super::model::PASSWORD_MAP;
use super::setup::HEADER_CHECKS;
use super::write::{Written, files_in, replace};
use waxseal::relay::TRANSPORT_PREFIX;

/// Errors of undoing.
#[derive(Debug, Error)]
pub enum UndoError {
    /// A file cannot be changed or removed.
    #[error("cannot change {path}: {error}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// A program of Postfix cannot be run, or fails.
    #[error(
        "`{command}` failed: {message}. Waxseal is removed from the configuration; repeat the command to release mail that waits for it"
    )]
    Program {
        /// The command.
        command: String,
        /// What it printed.
        message: String,
    },
}

/// What was released.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Released {
    /// Whether Postfix was running and has reloaded its configuration.
    pub reloaded: bool,
    /// Queue ids of messages that were queued again, without Waxseal's route.
    pub requeued: Vec<String>,
    /// Queue ids of messages on hold that have a route of Waxseal.
    pub held: Vec<String>,
}

impl Installation {
    /// Removes our blocks, tables and maps.
    ///
    /// # Errors
    ///
    /// When a file cannot be changed.
    pub fn remove(&self) -> Result<Vec<Written>, UndoError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| UndoError::File { path, error }
        };
        let mut changes = Vec::new();
        for file in [&self.main, &self.master] {
            let ConfigFile { path, mode, .. } = file;
            let changed = file.file.block.is_some();
            if changed {
                replace(path, &file.file.rest, *mode).map_err(failed(path))?;
            }
            changes.push(Written {
                path: path.clone(),
                changed,
            });
        }
        let ours = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name == HEADER_CHECKS)
                || path.extension().is_some_and(|it| it == PASSWORD_MAP)
        };
        let tables = Self::tables_in(&self.folder);
        for path in files_in(&tables).filter(ours) {
            fs::remove_file(&path).map_err(failed(&path))?;
            changes.push(Written {
                path,
                changed: true,
            });
        }
        // Files of the administrator keep the folder.
        let _ = fs::remove_dir(&tables);
        Ok(changes)
    }

    /// Has a running Postfix reload its configuration, and queues messages again
    /// whose route leads to a service of ours: they take the default route.
    /// Messages on hold stay on hold.
    ///
    /// # Errors
    ///
    /// When a program of Postfix fails.
    pub fn release(&self) -> Result<Released, UndoError> {
        let mut released = Released::default();
        if self.run("postfix", ["status"])?.status.success() {
            self.run_well("postfix", ["reload"])?;
            released.reloaded = true;
        }
        for message in self.queued()? {
            if !self.is_routed(&message.queue_id)? {
                continue;
            }
            match message.queue_name.as_str() {
                "hold" => released.held.push(message.queue_id),
                _ => released.requeued.push(message.queue_id),
            }
        }
        self.requeue(&released.requeued)?;
        if released.reloaded && !released.requeued.is_empty() {
            // pickup(8) would look for them within a minute.
            self.run("postkick", ["public", "pickup", "W"])?;
        }
        Ok(released)
    }

    /// The messages in the queue.
    fn queued(&self) -> Result<Vec<Queued>, UndoError> {
        let listed = self.run_well("postqueue", ["-j"])?;
        let lines = BufReader::new(&listed.stdout[..]).lines();
        let messages = lines
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str(&line).ok());
        Ok(messages.collect())
    }

    /// Whether a message has a route that Waxseal has given it. One that was
    /// delivered meanwhile has none.
    fn is_routed(&self, queue_id: &str) -> Result<bool, UndoError> {
        let shown = self.run("postcat", ["-e", "-q", queue_id])?;
        let text = String::from_utf8_lossy(&shown.stdout);
        Ok(text.lines().any(|line| {
            line.strip_prefix("content_filter:")
                .is_some_and(|filter| filter.trim().starts_with(TRANSPORT_PREFIX))
        }))
    }

    fn requeue(&self, queue_ids: &[String]) -> Result<(), UndoError> {
        if queue_ids.is_empty() {
            return Ok(());
        }
        let command = "postsuper -r -";
        let failed = |error: io::Error| UndoError::Program {
            command: command.into(),
            message: error.to_string(),
        };
        let mut child = self
            .command("postsuper")
            .args(["-r", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut input) = child.stdin.take() {
            let list = queue_ids.join("\n") + "\n";
            input.write_all(list.as_bytes()).map_err(failed)?;
        }
        let output = child.wait_with_output().map_err(failed)?;
        successful(command, output).map(drop)
    }

    fn run<const N: usize>(
        &self,
        program: &str,
        arguments: [&str; N],
    ) -> Result<Output, UndoError> {
        let output = self.command(program).args(arguments).output();
        output.map_err(|error| UndoError::Program {
            command: program.to_owned(),
            message: error.to_string(),
        })
    }

    fn run_well<const N: usize>(
        &self,
        program: &str,
        arguments: [&str; N],
    ) -> Result<Output, UndoError> {
        successful(program, self.run(program, arguments)?)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let folder: &OsStr = self.folder.as_os_str();
        command.arg("-c").arg(folder);
        command
    }
}

/// A message of `postqueue -j`.
#[derive(Debug, Deserialize)]
struct Queued {
    queue_name: String,
    queue_id: String,
}

fn successful(command: &str, output: Output) -> Result<Output, UndoError> {
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(UndoError::Program {
        command: command.to_owned(),
        message: text.lines().last().unwrap_or("no output").to_owned(),
    })
}
