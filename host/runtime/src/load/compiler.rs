//! Compilation in a separate process.
//!
//! It bounds what a compiler costs the daemon: its memory (half a gigabyte for a
//! policy in Python) is freed with the process, mail has priority for the processor,
//! and a component that crashes the compiler crashes nothing else. The process reads
//! its request from stdin, writes its reply to stdout, and has no configuration, no
//! environment, files, sockets or programs ([`confine`](super::confine)). One runs at a
//! time. It is killed when its caller is dropped.
//!
//! The daemon and the commands compile everything there, however small the component:
//! starting the process takes about ten milliseconds of half a second.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::compile::{CompileRequest, Compiled};
use super::framing;
use super::protocol::{Task, WorkerOutcome, WorkerReply, WorkerRequest};
use crate::deterministic_env::Seed;
use crate::engine::{Code, Fingerprint};
use crate::error::LoadError;
use crate::inspect::Inspection;
use crate::{call, limits};

/// Whether it was logged that the kernel lacks a part of the sandbox.
static UNCONFINED_LOGGED: AtomicBool = AtomicBool::new(false);

/// A program that compiles: `PROGRAM compile`, which is the `waxseal` command or any
/// program that calls [`run_compile_worker`](super::run_compile_worker). It provides the
/// machine code that this process runs, so it must be as trusted as this one.
#[derive(Clone, Debug)]
pub struct Compiler {
    program: PathBuf,
    /// Processes at a time: one, which bounds their memory.
    processes: Arc<Semaphore>,
}

/// Why there is no compiled code.
pub(super) enum CompileFailure {
    /// The process could not be started: this process can compile instead.
    NotStarted(String),
    /// The policy cannot be compiled, or this process should not try.
    Refused(LoadError),
}

impl Compiler {
    /// `program`, with `compile` as its only argument.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            processes: Arc::new(Semaphore::new(1)),
        }
    }

    /// The running program, if that [compiles](Self). Its file may have been replaced
    /// by another version since it was started: this still is the running version.
    pub fn this_program() -> Self {
        Self::new("/proc/self/exe")
    }

    pub(super) async fn compile(
        &self,
        request: &CompileRequest,
        code: Code,
        fingerprint: &Fingerprint,
    ) -> Result<Compiled, CompileFailure> {
        let message = WorkerRequest {
            fingerprint: *fingerprint,
            code,
            seed: request.seed,
            memory: request.memory,
            component: request.component.len(),
            task: Task::Compile,
        };
        match self
            .request(&message, &request.component, &request.settings)
            .await?
        {
            (WorkerOutcome::Compiled(compiled), code) => Ok(Compiled { code, ..compiled }),
            (WorkerOutcome::Refused(error), _) => Err(CompileFailure::Refused(error)),
            (WorkerOutcome::OtherEngine, _) => Err(CompileFailure::NotStarted(format!(
                "{} is another version of this program",
                self.program.display()
            ))),
            (WorkerOutcome::Inspected(_), _) => Err(CompileFailure::Refused(LoadError::Compiler(
                "unexpected reply".to_owned(),
            ))),
        }
    }

    /// Inspects a component in the separate process, as
    /// [`inspect`](crate::inspect()) does in this one.
    pub async fn inspect(
        &self,
        component: &[u8],
        settings: Option<&str>,
        memory: usize,
    ) -> Inspection {
        let message = WorkerRequest {
            fingerprint: Fingerprint::default(),
            code: Code::Quick,
            seed: Seed::default(),
            memory,
            component: component.len(),
            task: Task::Inspect {
                with_settings: settings.is_some(),
            },
        };
        let reply = self.request(&message, component, settings.unwrap_or_default());
        let problem = match reply.await {
            Ok((WorkerOutcome::Inspected(inspection), _)) => return inspection,
            Ok(_) => "inspecting the policy in a separate process: unexpected reply".to_owned(),
            Err(CompileFailure::NotStarted(reason)) => reason,
            Err(CompileFailure::Refused(error)) => error.to_string(),
        };
        Inspection::failed(component, problem)
    }

    /// Sends a request to a new process and reads its reply.
    async fn request(
        &self,
        message: &WorkerRequest,
        component: &[u8],
        settings: &str,
    ) -> Result<(WorkerOutcome, Bytes), CompileFailure> {
        let failed = |reason: String| CompileFailure::Refused(LoadError::Compiler(reason));
        let payload = [component, settings.as_bytes()].concat();
        let frame =
            framing::encode(message, &payload).map_err(|error| failed(error.to_string()))?;
        drop(payload);
        // The semaphore is never closed.
        let _process = self.processes.acquire().await;
        let child = self.start().map_err(|error| {
            CompileFailure::NotStarted(format!("{} compile: {error}", self.program.display()))
        })?;
        let exit = timeout(limits::COMPILE_TIME, exchange(child, frame)).await;
        let exit = match exit {
            Ok(exit) => exit.map_err(|error| failed(error.to_string()))?,
            Err(_) => {
                let limit = limits::COMPILE_TIME;
                return Err(failed(format!("time limit of {limit:?} exceeded")));
            }
        };
        let Some((reply, code)) = framing::decode::<WorkerReply>(&exit.output) else {
            return Err(failed(exit.describe_exit()));
        };
        if !reply.unconfined.is_empty() && !UNCONFINED_LOGGED.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the sandbox of the process that compiles policies is incomplete: {}",
                reply.unconfined.join("; ")
            );
        }
        Ok((reply.outcome, code))
    }

    fn start(&self) -> std::io::Result<Child> {
        Command::new(&self.program)
            .arg0("waxseal")
            .arg("compile")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }
}

/// Exit status and output of a process.
struct Exit {
    status: ExitStatus,
    output: Bytes,
    stderr: Vec<u8>,
}

impl Exit {
    /// Describes why there is no reply.
    fn describe_exit(&self) -> String {
        let stderr = call::brief(String::from_utf8_lossy(&self.stderr).trim());
        match stderr.as_str() {
            "" => format!("it ended without a reply ({})", self.status),
            stderr => format!("it ended without a reply ({}): {stderr}", self.status),
        }
    }
}

/// Writes a request to a process and reads everything it writes until it ends.
async fn exchange(mut child: Child, request: Vec<u8>) -> std::io::Result<Exit> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async move {
        if let Some(mut stdin) = stdin {
            // A process that stops reading reports the reason itself.
            let _ = stdin.write_all(&request).await;
        }
    };
    let ((), output, stderr) = tokio::join!(
        write,
        read_capped(stdout, limits::COMPILED),
        read_capped(stderr, limits::COMPILER_STDERR),
    );
    Ok(Exit {
        status: child.wait().await?,
        output: output?.into(),
        stderr: stderr?,
    })
}

/// Reads to the end and returns at most the first `limit` bytes.
async fn read_capped(from: Option<impl AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(limit).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}
