//! `waxseal test`: one run, or runs until the command is interrupted.

use super::arguments::Arguments;
use super::session::Tests;
use super::watch;
use std::path::{Path, PathBuf};

use crate::cli::support::{Status, quiet_log};
use crate::testing::TestEnvironment;
use waxseal::config;
use waxseal::crypto::Secret;
use waxseal_runtime::{CODE_FOLDER, CodeCache, Compiler};

pub(in crate::cli) fn run(
    arguments: &Arguments,
    config: &Path,
    json: bool,
) -> anyhow::Result<Status> {
    quiet_log();
    let environment =
        TestEnvironment::new(config.to_owned()).with_compiler(Compiler::this_program());
    let mut tests = Tests {
        arguments,
        json,
        paths: paths(arguments, config),
        environment: match code_cache() {
            Some(cache) => environment.with_code_cache(cache),
            None => environment,
        },
    };
    if arguments.watch {
        return watch::watch(&mut tests);
    }
    tests.once().map(|(status, _)| status)
}

/// The code cache of the user who runs tests, in `XDG_CACHE_HOME` or `~/.cache`,
/// sealed with its own secret. `None` if there is no such folder: the cache is
/// optional.
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
    // Problems of the configuration are reported when it is used.
    match config::read(config) {
        Ok(config) if !config.policy.tests.is_empty() => config.policy.tests,
        _ => vec![config.parent().unwrap_or(Path::new("")).join("tests")],
    }
}
