//! A cache of compiled code on disk, which loads in milliseconds.
//!
//! Compiled code runs with all rights of the daemon, so each entry is checked whenever
//! it is read:
//!
//! - Folder and file belong to the user of this process, and nobody else may read or
//!   write them. Root does not accept files of another user.
//! - An entry has an HMAC (its key is derived from the host's secret) over its content
//!   and everything it was compiled from. It is verified before wasmtime reads it, on
//!   an immutable copy in memory.
//! - The code is for the same wasmtime with the same settings on the same kind of
//!   processor, by the same version of this crate.
//!
//! An entry that fails a check is logged, compiled again and replaced. A policy's own
//! file is never used as compiled code.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac;
use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::compile::{CompileRequest, Compiled};
use super::framing;
use crate::limits;
use waxseal_system::secure_fs::{self, PrivateFileError};

/// Name of the daemon's cache in its folder of state.
pub const CODE_FOLDER: &str = "code";

/// Version of the format. Changes with the content of entries or the way they are made.
const MAGIC: &[u8; 8] = b"waxcode2";

/// Length of an HMAC, and of a name, in bytes.
const TAG: usize = 32;

/// File name extension of entries.
const EXTENSION: &str = "code";

/// Number of entries that are retained, the most recently used ones: several versions of
/// a policy, earlier ones for a rollback, and as many again for trials.
const MAX_ENTRIES: usize = 32;

/// Bytes that are retained. The standard policy takes about two megabytes, one in Python
/// a hundred; the most recently used entry is retained whatever its size.
const MAX_BYTES: u64 = 512 << 20;

/// Age at which a temporary file is removed: a killed process left it.
const TEMPORARY_FILE_AGE: Duration = Duration::from_secs(3600);

/// A folder of compiled code.
#[derive(Clone, Debug)]
pub struct CodeCache {
    folder: PathBuf,
    key: CacheKey,
    writes: bool,
}

/// The key of the HMAC in each entry. With it and write access to the folder, code can be
/// run in the daemon.
#[derive(Clone)]
pub struct CacheKey(hmac::Key);

impl CacheKey {
    /// A key of these bytes, which must be secret.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    fn tag(&self, data: &[u8]) -> hmac::Tag {
        hmac::sign(&self.0, data)
    }

    /// Verifies in constant time.
    fn check(&self, data: &[u8], tag: &[u8; TAG]) -> bool {
        hmac::verify(&self.0, data, tag).is_ok()
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheKey(…)")
    }
}

/// Name of an entry: a digest of everything that its code depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryName([u8; TAG]);

impl EntryName {
    /// The name of the code for an engine with that fingerprint.
    pub(super) fn new(request: &CompileRequest, sha256: &[u8; 32], fingerprint: &[u8; 32]) -> Self {
        let mut context = Context::new(&SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_le_bytes());
            context.update(bytes);
        };
        part(MAGIC);
        part(env!("CARGO_PKG_VERSION").as_bytes());
        part(fingerprint);
        part(sha256);
        part(request.settings.as_bytes());
        part(request.seed.as_bytes());
        part(&(request.memory as u64).to_le_bytes());
        let mut name = [0; TAG];
        name.copy_from_slice(context.finish().as_ref());
        Self(name)
    }
}

impl CodeCache {
    /// A cache in a folder, which is created (0700) if it is missing.
    ///
    /// # Errors
    ///
    /// If it cannot be created, or others could have written to it.
    pub fn open(folder: &Path, key: impl Into<CacheKey>) -> Result<Self, PrivateFileError> {
        secure_fs::make_folder(folder).map_err(|error| PrivateFileError::Read {
            path: folder.to_owned(),
            error,
        })?;
        secure_fs::check_own_folder(folder)?;
        Ok(Self {
            writes: true,
            ..Self::read_only(folder, key)
        })
    }

    /// As [`CodeCache::open`], but read-only: entries are read and none is added. The folder
    /// may be missing.
    pub fn read_only(folder: &Path, key: impl Into<CacheKey>) -> Self {
        Self {
            folder: folder.to_owned(),
            key: key.into(),
            writes: false,
        }
    }

    /// Whether new code is written to the cache.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }

    /// The entry with that name, if it is valid.
    pub(super) fn get(&self, name: &EntryName) -> Option<Compiled> {
        let path = self.path(name);
        match self.read(&path, name) {
            Ok(found) => found,
            Err(why) => {
                let file = path.display();
                tracing::warn!("cannot use the cached code {file}, compiling again: {why}");
                None
            }
        }
    }

    /// Writes code under that name. A failure is only logged: the code is then compiled again
    /// at the next start.
    pub(super) fn put(&self, name: &EntryName, compiled: &Compiled) {
        if !self.writes {
            return;
        }
        let path = self.path(name);
        let written = match self.encode_entry(name, compiled) {
            Ok(entry) => secure_fs::check_own_folder(&self.folder)
                .map_err(|error| error.to_string())
                .and_then(|()| {
                    secure_fs::replace(&path, &entry).map_err(|error| error.to_string())
                }),
            Err(error) => Err(error.to_string()),
        };
        match written {
            Ok(()) => self.gc(),
            Err(error) => tracing::warn!(
                "cannot write the compiled code to the cache, it will be compiled again: {}: {error}",
                path.display()
            ),
        }
    }

    fn path(&self, name: &EntryName) -> PathBuf {
        let name = HEXLOWER.encode(&name.0);
        self.folder.join(name).with_extension(EXTENSION)
    }

    /// An entry: the format version, the tag, and the data that the tag covers, which are the
    /// name and a frame.
    fn encode_entry(&self, name: &EntryName, compiled: &Compiled) -> serde_json::Result<Vec<u8>> {
        let frame = framing::encode(compiled, &compiled.code)?;
        let body = [&name.0[..], &frame].concat();
        Ok([&MAGIC[..], self.key.tag(&body).as_ref(), &body].concat())
    }

    fn read(&self, path: &Path, name: &EntryName) -> Result<Option<Compiled>, String> {
        let text = |error: PrivateFileError| error.to_string();
        let mut file = match secure_fs::open_own(path, limits::COMPILED) {
            Err(PrivateFileError::Read { error, .. })
                if error.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(None);
            }
            opened => opened.map_err(text)?,
        };
        secure_fs::check_own_folder(&self.folder).map_err(text)?;
        let mut entry = Vec::new();
        let failed = |error: std::io::Error| error.to_string();
        file.read_to_end(&mut entry).map_err(failed)?;
        let compiled = self
            .decode_entry(&entry.into(), name)
            .ok_or("it is damaged, or was written with another key")?;
        if self.writes {
            // The modification time orders entries by their last use.
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(Some(compiled))
    }

    fn decode_entry(&self, entry: &Bytes, name: &EntryName) -> Option<Compiled> {
        let (magic, rest) = entry.split_first_chunk()?;
        let (tag, body) = rest.split_first_chunk::<TAG>()?;
        let ours = magic == MAGIC && self.key.check(body, tag) && body.starts_with(&name.0);
        if !ours {
            return None;
        }
        let frame = entry.slice(MAGIC.len() + TAG + name.0.len()..);
        let (compiled, code) = framing::decode::<Compiled>(&frame)?;
        Some(Compiled { code, ..compiled })
    }

    /// Removes the least recently used entries, and stale temporary files.
    fn gc(&self) {
        let is_entry = |path: &Path| path.extension().is_some_and(|it| it == EXTENSION);
        let (mut entries, temporary): (Vec<_>, Vec<_>) =
            self.listed().partition(|(path, ..)| is_entry(path));
        entries.sort_by_key(|(_, _, used)| std::cmp::Reverse(*used));
        let mut bytes = 0;
        let excess = entries.iter().enumerate().filter(|(at, (_, length, _))| {
            bytes += length;
            *at > 0 && (*at >= MAX_ENTRIES || bytes > MAX_BYTES)
        });
        let excess = excess.map(|(_, (path, ..))| path);
        let left = temporary.iter().filter_map(|(path, _, written)| {
            let old = written.elapsed().is_ok_and(|age| age > TEMPORARY_FILE_AGE);
            old.then_some(path)
        });
        for path in excess.chain(left) {
            let _ = fs::remove_file(path);
        }
    }

    /// Files of the folder, with their length and the time of their last use.
    fn listed(&self) -> impl Iterator<Item = (PathBuf, u64, SystemTime)> + use<> {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        files.filter_map(|file| {
            let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((file.path(), metadata.len(), metadata.modified().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::describe::{Configured, Description};
    use crate::deterministic_env::Seed;

    fn key() -> CacheKey {
        CacheKey::new([3; 32])
    }

    fn request(settings: &str) -> CompileRequest {
        let (request, _) = CompileRequest::new(
            b"component"[..].into(),
            settings.into(),
            &Seed::new([7; 32]),
            1 << 20,
        );
        request
    }

    fn name(settings: &str) -> EntryName {
        EntryName::new(&request(settings), &[1; 32], &[2; 32])
    }

    fn compiled(code: &[u8]) -> Compiled {
        Compiled {
            description: Description {
                name: "standard".into(),
                version: "1".into(),
                settings_schema: None,
            },
            configured: Configured::default(),
            not_preinitialized: None,
            code: Bytes::copy_from_slice(code),
        }
    }

    /// A cache with one entry, and the path of that entry.
    fn filled() -> (tempfile::TempDir, CodeCache, PathBuf) {
        let root = tempfile::tempdir().expect("a folder");
        let cache = CodeCache::open(&root.path().join("code"), key()).expect("a cache");
        cache.put(&name(""), &compiled(b"machine code"));
        let path = cache.path(&name(""));
        (root, cache, path)
    }

    #[test]
    fn an_entry_is_found_by_its_name_only() {
        let (_root, cache, path) = filled();
        assert_eq!(cache.get(&name("")), Some(compiled(b"machine code")));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&cache.folder)), (0o600, 0o700));
        assert_eq!(cache.get(&name("a = 1")), None);
        let other_engine = EntryName::new(&request(""), &[1; 32], &[9; 32]);
        let other_component = EntryName::new(&request(""), &[9; 32], &[2; 32]);
        let mut other_seed = request("");
        other_seed.seed = Seed::new([8; 32]);
        let other_seed = EntryName::new(&other_seed, &[1; 32], &[2; 32]);
        let mut other_memory = request("");
        other_memory.memory += 1;
        let other_memory = EntryName::new(&other_memory, &[1; 32], &[2; 32]);
        for other in [other_engine, other_component, other_seed, other_memory] {
            assert_ne!(other, name(""));
            assert_eq!(cache.get(&other), None);
        }
    }

    #[test]
    fn an_entry_that_was_altered_anywhere_is_not_used() {
        let (_root, cache, path) = filled();
        let sound = fs::read(&path).expect("read");
        for at in 0..sound.len() {
            let mut altered = sound.clone();
            altered[at] ^= 1;
            fs::write(&path, &altered).expect("written");
            assert_eq!(cache.get(&name("")), None, "byte {at}");
        }
        for length in 0..sound.len() {
            fs::write(&path, &sound[..length]).expect("written");
            assert_eq!(cache.get(&name("")), None, "cut at {length}");
        }
        fs::write(&path, &sound).expect("written");
        assert!(cache.get(&name("")).is_some());
    }

    #[test]
    fn a_valid_entry_under_another_name_is_not_used() {
        let (_root, cache, path) = filled();
        fs::copy(&path, cache.path(&name("a = 1"))).expect("copied");
        assert_eq!(cache.get(&name("a = 1")), None);
    }

    #[test]
    fn an_entry_of_another_host_is_not_used() {
        let (root, _, _) = filled();
        let other = CacheKey::new([4; 32]);
        let cache = CodeCache::open(&root.path().join("code"), other).expect("a cache");
        assert_eq!(cache.get(&name("")), None);
        cache.put(&name(""), &compiled(b"our own"));
        assert_eq!(cache.get(&name("")), Some(compiled(b"our own")));
    }

    #[test]
    fn entries_that_others_can_write_are_not_used() {
        let (_root, cache, path) = filled();
        let chmod = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
        };
        for mode in [0o660, 0o602, 0o640] {
            chmod(&path, mode);
            assert_eq!(cache.get(&name("")), None, "{mode:o}");
        }
        chmod(&path, 0o600);
        for mode in [0o770, 0o702, 0o755] {
            chmod(&cache.folder, mode);
            assert_eq!(cache.get(&name("")), None, "{mode:o}");
            let refused = CodeCache::open(&cache.folder, key());
            assert!(matches!(refused, Err(PrivateFileError::Open { .. })));
        }
        chmod(&cache.folder, 0o700);
        assert!(cache.get(&name("")).is_some());
        let elsewhere = cache.folder.join("elsewhere");
        fs::rename(&path, &elsewhere).expect("moved");
        std::os::unix::fs::symlink(&elsewhere, &path).expect("linked");
        assert_eq!(cache.get(&name("")), None, "through a link");
    }

    /// Only root can change the owner of a file, so this test needs root.
    #[test]
    fn root_does_not_use_entries_of_another_user() {
        let (_root, cache, path) = filled();
        if !rustix::process::geteuid().is_root() {
            return;
        }
        std::os::unix::fs::chown(&path, Some(65534), None).expect("chown");
        assert_eq!(cache.get(&name("")), None);
        std::os::unix::fs::chown(&cache.folder, Some(65534), None).expect("chown");
        let refused = CodeCache::open(&cache.folder, key());
        assert!(matches!(refused, Err(PrivateFileError::NotOurs { .. })));
    }

    #[test]
    fn the_most_recently_used_entries_are_retained() {
        let (_root, cache, path) = filled();
        let long_ago = |path: &Path, seconds| {
            let then = SystemTime::now() - Duration::from_secs(seconds);
            let file = File::open(path).expect("opened");
            file.set_modified(then).expect("dated");
        };
        long_ago(&path, 100_000);
        for number in 1..MAX_ENTRIES {
            let name = name(&number.to_string());
            cache.put(&name, &compiled(b"more"));
            long_ago(&cache.path(&name), 50_000 - number as u64);
        }
        let draft = cache.folder.join("draft.new");
        fs::write(&draft, b"unfinished").expect("written");
        long_ago(&draft, 7200);
        // The oldest is read, so that the one after it is removed.
        assert!(cache.get(&name("")).is_some());
        cache.put(&name("last"), &compiled(b"last"));
        assert_eq!(cache.listed().count(), MAX_ENTRIES);
        assert!(cache.get(&name("")).is_some() && cache.get(&name("last")).is_some());
        assert!(cache.get(&name("1")).is_none() && cache.get(&name("2")).is_some());
    }

    #[test]
    fn a_read_only_cache_changes_nothing() {
        let (root, cache, path) = filled();
        let reader = CodeCache::read_only(&cache.folder, key());
        let before = fs::metadata(&path)
            .expect("there")
            .modified()
            .expect("date");
        assert!(reader.get(&name("")).is_some());
        reader.put(&name("a = 1"), &compiled(b"more"));
        assert_eq!(cache.listed().count(), 1);
        let after = fs::metadata(&path)
            .expect("there")
            .modified()
            .expect("date");
        assert_eq!(before, after);
        let nowhere = root.path().join("nowhere");
        assert_eq!(CodeCache::read_only(&nowhere, key()).get(&name("")), None);
        assert!(!nowhere.exists());
    }
}
