//! R26: code that was compiled once is loaded in no time, and never from a place
//! where somebody else could have put it. Compiling leaves the mail alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use waxseal::runtime::{
    Builder, CacheKey, CodeCache, Compiler, LoadError, Policy, PolicyError, Sandbox,
};

use crate::given::{LIMITS, SEED, answer, component, decide};

/// The `waxseal` command, which compiles.
const WAXSEAL: &str = env!("CARGO_BIN_EXE_waxseal");

/// A program that is there and compiles nothing: what loads with it was in the
/// cache.
const NO_COMPILER: &str = "/bin/false";

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn code(&self) -> PathBuf {
        self.folder.path().join("code")
    }

    /// A sandbox that begins with an empty head each time, as after a restart.
    fn sandbox(&self) -> Builder {
        let cache = CodeCache::open(&self.code(), CacheKey::new([3; 32]));
        Sandbox::builder(LIMITS).cache(cache.expect("a cache"))
    }

    /// One that tries things out beside a daemon.
    fn trial(&self) -> Builder {
        let cache = CodeCache::read_only(&self.code(), CacheKey::new([3; 32]));
        Sandbox::builder(LIMITS).for_trials().cache(cache)
    }

    /// One that has nothing but the cache.
    fn cache_alone(&self) -> Sandbox {
        built(self.sandbox().compiler(Compiler::new(NO_COMPILER)))
    }

    fn entries(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.code()).expect("a folder");
        files.map(|file| file.expect("a file").path()).collect()
    }

    fn only_entry(&self) -> PathBuf {
        let entries = self.entries();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.into_iter().next().expect("an entry")
    }
}

fn built(builder: Builder) -> Sandbox {
    builder.build().expect("a sandbox")
}

async fn load(sandbox: &Sandbox, settings: &str) -> Result<Policy, LoadError> {
    let component = component("waxseal_misbehaving");
    sandbox.load(component, settings.into(), &SEED).await
}

fn is_compilers(loaded: Result<Policy, LoadError>) -> bool {
    matches!(loaded, Err(LoadError::Compiler(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn r26_code_that_was_compiled_once_is_loaded_from_the_cache() {
    let place = Place::new();
    let first = load(&built(place.sandbox()), "words").await.expect("loads");
    let again = load(&place.cache_alone(), "words").await.expect("is there");
    assert_eq!(first.description(), again.description());
    assert_eq!(first.configured(), again.configured());
    assert_eq!(first.digest(), again.digest());
    assert!(again.is_preinitialized());
    assert_eq!(answer(&again, "settings").await, "words");
    for subject in ["well", "lookups", "trap"] {
        let (a, b) = (decide(&first, subject).await, decide(&again, subject).await);
        assert_eq!(a.decision, b.decision, "{subject}");
        assert_eq!(a.instructions, b.instructions, "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r26_other_settings_are_other_code() {
    let place = Place::new();
    load(&built(place.sandbox()), "words").await.expect("loads");
    assert!(is_compilers(load(&place.cache_alone(), "others").await));
    let other = load(&built(place.sandbox()), "others")
        .await
        .expect("loads");
    assert_eq!(answer(&other, "settings").await, "others");
    let first = load(&place.cache_alone(), "words").await.expect("is there");
    assert_eq!(answer(&first, "settings").await, "words");
    assert_eq!(place.entries().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r26_a_policy_that_is_not_baked_is_kept_with_its_settings_apart() {
    let place = Place::new();
    load(&built(place.sandbox()), "stderr")
        .await
        .expect("loads");
    let again = load(&place.cache_alone(), "stderr")
        .await
        .expect("is there");
    assert!(!again.is_preinitialized());
    assert_eq!(answer(&again, "settings").await, "stderr");
}

/// Altered code is not run but compiled again, and the new code is valid.
#[tokio::test(flavor = "multi_thread")]
async fn r26_code_that_was_tampered_with_is_never_run() {
    let place = Place::new();
    load(&built(place.sandbox()), "").await.expect("loads");
    let entry = place.only_entry();
    let sound = fs::read(&entry).expect("read");
    let altered = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    for bytes in [
        altered(sound.len() / 2),
        altered(sound.len() - 1),
        sound[..sound.len() / 2].to_vec(),
        Vec::new(),
    ] {
        fs::write(&entry, &bytes).expect("written");
        assert!(is_compilers(load(&place.cache_alone(), "").await));
        let reloaded = load(&built(place.sandbox()), "").await.expect("loads");
        assert_eq!(answer(&reloaded, "well").await, "nothing asked for");
        load(&place.cache_alone(), "").await.expect("sound again");
    }
}

/// Code compiled by wasmtime is not accepted as a policy: a policy's file is always
/// compiled here.
#[tokio::test(flavor = "multi_thread")]
async fn r26_compiled_code_is_not_taken_for_a_policy() {
    let place = Place::new();
    let sandbox = built(place.sandbox());
    load(&sandbox, "").await.expect("loads");
    let entry = fs::read(place.only_entry()).expect("read");
    let elf = entry.windows(4).position(|at| at == b"\x7fELF");
    let code: Arc<[u8]> = entry[elf.expect("machine code")..].into();
    let refused = sandbox.load(code, "".into(), &SEED).await;
    assert!(matches!(refused, Err(LoadError::NotAComponent(_))));
}

/// `waxseal try` takes what the daemon compiled, and leaves the cache alone.
#[tokio::test(flavor = "multi_thread")]
async fn r26_a_trial_takes_the_code_of_the_daemon_and_keeps_none() {
    let place = Place::new();
    let served = load(&built(place.sandbox()), "words").await.expect("loads");
    let trial = built(place.trial().compiler(Compiler::new(NO_COMPILER)));
    let tried = load(&trial, "words").await.expect("is there");
    let (a, b) = (decide(&served, "well").await, decide(&tried, "well").await);
    assert_eq!((a.decision, a.instructions), (b.decision, b.instructions));
    load(&built(place.trial()), "others").await.expect("loads");
    place.only_entry();
}

/// `waxseal test` has a cache of its own.
#[tokio::test(flavor = "multi_thread")]
async fn r27_code_of_trials_is_kept_where_they_may_write() {
    let place = Place::new();
    let first = load(&built(place.sandbox().for_trials()), "words").await;
    let alone = place.sandbox().for_trials();
    let alone = built(alone.compiler(Compiler::new(NO_COMPILER)));
    let again = load(&alone, "words").await.expect("is there");
    let first = first.expect("loads");
    let (a, b) = (decide(&first, "well").await, decide(&again, "well").await);
    assert_eq!((a.decision, a.instructions), (b.decision, b.instructions));
}

#[tokio::test(flavor = "multi_thread")]
async fn r26_what_another_process_compiled_decides_the_same() {
    let here = load(&built(Sandbox::builder(LIMITS)), "words").await;
    let here = here.expect("loads");
    let there = Sandbox::builder(LIMITS).compiler(Compiler::new(WAXSEAL));
    let there = load(&built(there), "words").await.expect("loads");
    assert_eq!(here.description(), there.description());
    assert!(there.is_preinitialized());
    for subject in ["settings", "lookups", "trap"] {
        let (a, b) = (decide(&here, subject).await, decide(&there, subject).await);
        assert_eq!(a.decision, b.decision, "{subject}");
        assert_eq!(a.instructions, b.instructions, "{subject}");
    }
}

/// The same text as for compilation in this process.
#[tokio::test(flavor = "multi_thread")]
async fn r26_an_error_of_the_compiler_process_is_the_same_error() {
    let here = built(Sandbox::builder(LIMITS));
    let there = built(Sandbox::builder(LIMITS).compiler(Compiler::new(WAXSEAL)));
    for (bytes, settings) in [
        (component("waxseal_misbehaving"), "panic"),
        (component("waxseal_misbehaving"), "problems"),
        (b"#!/bin/sh\n"[..].into(), ""),
        (b"\0asm\x0d\0\x01\0"[..].into(), ""),
    ] {
        let error = async |sandbox: &Sandbox| {
            let bytes = Arc::clone(&bytes);
            let refused = sandbox.load(bytes, settings.into(), &SEED).await;
            format!("{:?}", refused.expect_err("an error"))
        };
        assert_eq!(error(&there).await, error(&here).await);
    }
    let small = Sandbox::builder(waxseal::runtime::Limits {
        memory: 1 << 18,
        ..LIMITS
    });
    let small = built(small.compiler(Compiler::new(WAXSEAL)));
    let error = load(&small, "").await.expect_err("an error");
    assert!(
        matches!(
            error,
            LoadError::Setup {
                error: PolicyError::OutOfMemory(262_144),
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r26_where_no_process_can_be_started_this_one_compiles() {
    let nowhere = Compiler::new("/nonexistent/waxseal");
    let sandbox = built(Sandbox::builder(LIMITS).compiler(nowhere));
    let policy = load(&sandbox, "words").await.expect("loads");
    assert_eq!(answer(&policy, "settings").await, "words");
}

/// It is not compiled in this process, which could fail in the same way.
#[tokio::test(flavor = "multi_thread")]
async fn r28_a_crash_of_the_compiler_process_is_reported_and_has_no_other_effect() {
    let place = Place::new();
    for (script, reason) in [
        (
            "echo memory allocation failed >&2; kill -6 $$",
            "(signal: 6 (SIGABRT)",
        ),
        ("cat > /dev/null; echo nonsense", "(exit status: 0)"),
        ("exit 3", "(exit status: 3)"),
    ] {
        let compiler = place.script(script);
        let sandbox = built(place.sandbox().compiler(compiler));
        let failed = load(&sandbox, "").await.expect_err("an error");
        let text = failed.to_string();
        assert!(matches!(failed, LoadError::Compiler(_)), "{text}");
        assert!(text.contains(reason), "{text}");
    }
    assert!(place.entries().is_empty());
}

impl Place {
    /// A program of these lines of shell.
    fn script(&self, lines: &str) -> Compiler {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join("compiler");
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("chmod");
        Compiler::new(path)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r26_a_load_that_is_given_up_stops_compiling() {
    let place = Place::new();
    let number = place.folder.path().join("number");
    let lines = format!("echo $$ > '{}'\nexec sleep 600", number.display());
    let sandbox = built(Sandbox::builder(LIMITS).compiler(place.script(&lines)));
    let process = tokio::select! {
        _ = load(&sandbox, "") => panic!("it sleeps"),
        process = begun(&number) => process,
    };
    // The waiting task is gone, and so is the process: its number is free, or a
    // corpse's until it is collected.
    while is_running(&process) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The folder of a process in `/proc`, once it has written its number.
async fn begun(number: &Path) -> PathBuf {
    loop {
        let text = fs::read_to_string(number).unwrap_or_default();
        if text.ends_with('\n') {
            return Path::new("/proc").join(text.trim());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn is_running(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with('Z')
}
