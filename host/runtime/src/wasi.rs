//! The WASI of policies: everything in it is empty, fixed or denied.
//!
//! No arguments, no environment, no folders. The wall clock is fixed to the message's
//! arrival and the monotonic clock to zero; randomness is a generator seeded for the
//! message; stderr is recorded for the text of a panic; stdout is discarded.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use super::deterministic_env::DeterministicEnv;
use super::limits;

/// A context for one store.
pub(super) fn context(env: DeterministicEnv, stderr: Stderr) -> WasiCtx {
    // Guests may distinguish these generators, but cannot derive the seed.
    let random = |purpose: u8| {
        let mut seed = *env.seed.as_bytes();
        seed[31] ^= purpose;
        StdRng::from_seed(seed)
    };
    let mut insecure_seed = [0; 16];
    random(2).fill_bytes(&mut insecure_seed);
    WasiCtxBuilder::new()
        .secure_random(random(0))
        .insecure_random(random(1))
        .insecure_random_seed(u128::from_le_bytes(insecure_seed))
        .max_random_size(limits::RANDOM_BYTES)
        .wall_clock(FixedClock(env.since_epoch))
        .monotonic_clock(FixedClock(Duration::ZERO))
        .stderr(stderr)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

struct FixedClock(Duration);

impl HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for FixedClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// stderr, up to a limit. The rest is dropped: an error would abort the guest before its
/// panic text is complete. Written synchronously, so that it is complete when the guest
/// traps.
#[derive(Clone, Default)]
pub(super) struct Stderr(Arc<Mutex<Vec<u8>>>);

impl Stderr {
    pub(super) fn text(&self) -> String {
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&recorded).trim().to_owned()
    }

    fn record(&self, bytes: &[u8]) {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = limits::LOG_BYTES.saturating_sub(recorded.len());
        recorded.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

impl IsTerminal for Stderr {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stderr {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Stderr {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.record(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(limits::LOG_BYTES)
    }
}

impl Pollable for Stderr {
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(std::future::ready(()))
    }
}

impl AsyncWrite for Stderr {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.record(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
