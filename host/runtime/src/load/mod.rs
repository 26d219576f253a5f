//! Loading a policy: from the bytes of a component to a linked policy, from the
//! cache of compiled code or by compiling in a separate process.

mod cache;
mod compile;
mod compiler;
mod confine;
mod framing;
mod loader;
mod protocol;
mod worker;

pub use cache::{CODE_FOLDER, CacheKey, CodeCache};
pub use compiler::Compiler;
pub(super) use loader::{LoadedComponent, Loader};
pub use worker::{WorkerError, run_compile_worker};
