//! R26: a thousand swaps leave no memory behind: the code and the memory images
//! of versions that are gone are given back. In a process of its own, so that
//! no other test's memory is in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use waxseal::message::{Content, Message};
use waxseal::runtime::{CacheKey, CodeCache, Facts, Limits, Sandbox, Seed, StaticFacts};

const LIMITS: Limits = Limits {
    time: Duration::from_secs(600),
    instructions: 2_000_000_000,
    memory: 64 << 20,
    decisions: 4,
};

/// Swaps that are measured, after as many of a tenth.
const SWAPS: usize = 1000;

/// Bytes that memory may grow by for each version that has gone: its code alone
/// has hundreds of thousands, its memory image a million.
const LEFT: usize = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_a_thousand_swaps_leave_no_memory_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = CodeCache::open(&folder.path().join("code"), CacheKey::new([3; 32]));
    let sandbox = Sandbox::builder(LIMITS).cache(cache.expect("a cache"));
    let sandbox = sandbox.build().expect("a sandbox");
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies/rust_minimal.wasm");
    let component: Arc<[u8]> = match std::fs::read(&path) {
        Ok(bytes) => bytes.into(),
        Err(error) => panic!("{}: {error}: `make policies` builds it", path.display()),
    };
    let settings: Vec<Arc<str>> = ["", "a = 1", "b = 2"].map(Arc::from).to_vec();
    let swap = async |number: usize| {
        let settings = Arc::clone(&settings[number % settings.len()]);
        let secret = Seed::new([7; 32]);
        let loaded = sandbox.load(Arc::clone(&component), settings, &secret);
        let policy = loaded.await.expect("loads");
        for _ in 0..5 {
            let decided = policy.decide(message(), facts(), Seed::new([1; 32])).await;
            assert!(decided.decision.is_ok(), "{decided:?}");
        }
    };
    for number in 0..SWAPS / 10 {
        swap(number).await;
    }
    let before = resident();
    for number in 0..SWAPS {
        swap(number).await;
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < SWAPS * LEFT, "{grown} bytes more than before");
}

fn message() -> Arc<Message> {
    let content = Content::new(b"From: a@acme.test\r\n\r\nHello\r\n".to_vec());
    let message = Message::builder(content, Timestamp::UNIX_EPOCH);
    Arc::new(message.queue_id("4ABC").listener("mx").build())
}

fn facts() -> Arc<dyn Facts> {
    let now = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    Arc::new(StaticFacts::at(now))
}

/// Bytes of this process that are in memory, shared pages among them (`statm`).
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages = text.split(' ').nth(1).expect("a second number");
    pages.parse::<usize>().expect("a number") * 4096
}
