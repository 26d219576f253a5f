//! Compiling in a process of its own.
//!
//! The daemon's memory does not grow by what a compiler takes (half a gigabyte
//! for a policy in Python), mail has the processor first, and a component that
//! brings the compiler down brings nothing else down. The process is given its
//! order on stdin, answers on stdout, and knows nothing else: no configuration,
//! no environment, and no files, sockets or programs ([`confine`]). It is one at a
//! time, and is killed when nobody waits for its answer any more.
//!
//! All compiling of the daemon and of the commands is done there, however small the component: a
//! process costs some ten milliseconds of half a second, and a rule without
//! exceptions needs no guess of what a component will take.

mod confine;
mod worker;

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::compile::{CompileRequest, Compiled};
use super::engine::{Code, Fingerprint};
use super::error::LoadError;
use super::inspect::Inspection;
use super::state::Seed;
use super::{framing, limits, run};

pub use worker::{WorkerError, run_compile_worker};

/// That the kernel lacks a part of the sandbox has been logged, once for all.
static UNCONFINED: AtomicBool = AtomicBool::new(false);

/// A program that compiles: `PROGRAM compile`, which is the `waxseal` command,
/// or any that calls [`run_compile_worker`]. It gets to say what code this process
/// runs, so it has to be trusted as this one is.
#[derive(Clone, Debug)]
pub struct Compiler {
    program: PathBuf,
    /// The memory that compiling may take is the memory of one.
    one: Arc<Semaphore>,
}

/// What is to be compiled; the component and the settings stand behind it.
#[derive(Serialize, Deserialize)]
struct WorkerRequest {
    fingerprint: Fingerprint,
    code: Code,
    seed: Seed,
    memory: usize,
    /// Bytes of the component. The rest are the settings.
    component: usize,
    task: Task,
}

/// What is to be done with it.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Task {
    /// Compile it for service.
    Compile,
    /// Tell what it is.
    Inspect {
        /// Settings were given; none are not the same as an empty file of them.
        with_settings: bool,
    },
}

/// What that process replies; code stands behind it.
#[derive(Serialize, Deserialize)]
struct WorkerReply {
    answer: WorkerOutcome,
    /// What of its sandbox the kernel does not have.
    unconfined: Vec<String>,
}

/// What came of it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WorkerOutcome {
    Compiled(Compiled),
    Refused(LoadError),
    Inspected(Inspection),
    /// Code of that program would not run here: it is another version.
    OtherEngine,
}

/// Why there is no code.
pub(super) enum CompileFailure {
    /// There is no such process: it can be compiled here.
    NotStarted(String),
    /// It would not be compiled here either, or had better not.
    Refused(LoadError),
}

impl Compiler {
    /// `program`, with `compile` as its only argument.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            one: Arc::new(Semaphore::new(1)),
        }
    }

    /// The program that runs now, where that is one that [compiles](Self). Its
    /// file may have been replaced by another version since it was started:
    /// this is still the old one.
    pub fn this_program() -> Self {
        Self::new("/proc/self/exe")
    }

    pub(super) async fn compile(
        &self,
        request: &CompileRequest,
        code: Code,
        fingerprint: &Fingerprint,
    ) -> Result<Compiled, CompileFailure> {
        let order = WorkerRequest {
            fingerprint: *fingerprint,
            code,
            seed: request.seed,
            memory: request.memory,
            component: request.component.len(),
            task: Task::Compile,
        };
        match self
            .ask(&order, &request.component, &request.settings)
            .await?
        {
            (WorkerOutcome::Compiled(compiled), code) => Ok(Compiled { code, ..compiled }),
            (WorkerOutcome::Refused(error), _) => Err(CompileFailure::Refused(error)),
            (WorkerOutcome::OtherEngine, _) => Err(CompileFailure::NotStarted(format!(
                "{} is another version of this program",
                self.program.display()
            ))),
            (WorkerOutcome::Inspected(_), _) => Err(CompileFailure::Refused(LoadError::Compiler(
                "it answered another question".to_owned(),
            ))),
        }
    }

    /// Tells what a component is, as [`inspect`](super::inspect()) does, in that
    /// process: within its limits, and in its sandbox.
    pub async fn inspect(
        &self,
        component: &[u8],
        settings: Option<&str>,
        memory: usize,
    ) -> Inspection {
        let order = WorkerRequest {
            fingerprint: Fingerprint::default(),
            code: Code::Quick,
            seed: Seed::default(),
            memory,
            component: component.len(),
            task: Task::Inspect {
                with_settings: settings.is_some(),
            },
        };
        let asked = self.ask(&order, component, settings.unwrap_or_default());
        let failed = match asked.await {
            Ok((WorkerOutcome::Inspected(inspection), _)) => return inspection,
            Ok(_) => "the process that inspects it answered another question".to_owned(),
            Err(CompileFailure::NotStarted(why)) => why,
            Err(CompileFailure::Refused(error)) => error.to_string(),
        };
        Inspection::failed(component, failed)
    }

    /// Has an order carried out by a process of its own.
    async fn ask(
        &self,
        order: &WorkerRequest,
        component: &[u8],
        settings: &str,
    ) -> Result<(WorkerOutcome, Bytes), CompileFailure> {
        let told = |what: String| CompileFailure::Refused(LoadError::Compiler(what));
        let given = [component, settings.as_bytes()].concat();
        let order = framing::encode(order, &given).map_err(|error| told(error.to_string()))?;
        drop(given);
        // The semaphore is never closed.
        let _one = self.one.acquire().await;
        let child = self.start().map_err(|error| {
            CompileFailure::NotStarted(format!("{} compile: {error}", self.program.display()))
        })?;
        let ended = timeout(limits::COMPILE_TIME, exchange(child, order)).await;
        let ended = match ended {
            Ok(ended) => ended.map_err(|error| told(error.to_string()))?,
            Err(_) => {
                let limit = limits::COMPILE_TIME;
                return Err(told(format!("it took longer than {limit:?}")));
            }
        };
        let Some((reply, code)) = framing::decode::<WorkerReply>(&ended.answer) else {
            return Err(told(ended.describe_exit()));
        };
        if !reply.unconfined.is_empty() && !UNCONFINED.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the process that compiles policies is less confined than it could be: {}",
                reply.unconfined.join("; ")
            );
        }
        Ok((reply.answer, code))
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

/// What a process left behind.
struct Ended {
    status: ExitStatus,
    answer: Bytes,
    stderr: Vec<u8>,
}

impl Ended {
    /// Why there is no answer.
    fn describe_exit(&self) -> String {
        let words = run::brief(String::from_utf8_lossy(&self.stderr).trim());
        match words.as_str() {
            "" => format!("it ended without an answer ({})", self.status),
            words => format!("it ended without an answer ({}): {words}", self.status),
        }
    }
}

/// Gives a process its order, and takes what it says to the end.
async fn exchange(mut child: Child, order: Vec<u8>) -> std::io::Result<Ended> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let give = async move {
        if let Some(mut stdin) = stdin {
            // A process that does not listen to the end has its reasons, and
            // tells them.
            let _ = stdin.write_all(&order).await;
        }
    };
    let ((), answer, stderr) = tokio::join!(
        give,
        read_capped(stdout, limits::COMPILED),
        read_capped(stderr, limits::COMPILER_WORDS),
    );
    Ok(Ended {
        status: child.wait().await?,
        answer: answer?.into(),
        stderr: stderr?,
    })
}

/// All that is said, and the beginning of it kept.
async fn read_capped(from: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(most).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}
