//! The process that compiles: it serves one request.
//!
//! It first lowers its priority, limits its memory and processor time whatever the
//! component is, and enters a [sandbox](confine). A process that reaches a limit is
//! killed, which its parent reports as a failed compilation.

use std::io::{self, Read, Write};

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use thiserror::Error;

use super::compile::{self, CompileRequest};
use super::confine::confine;
use super::framing;
use super::protocol::{Task, WorkerOutcome, WorkerReply, WorkerRequest};
use crate::{engine, limits};

/// Why a request got no reply.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Reading the request or writing the reply failed.
    #[error("compile worker: {0}")]
    Io(#[from] io::Error),
    /// The input is not a request.
    #[error("invalid compile request (this command is run by the daemon)")]
    InvalidRequest,
    /// A resource limit could not be set.
    #[error("compile worker: cannot set a resource limit: {0}")]
    Limits(#[from] rustix::io::Errno),
    /// The reply could not be encoded.
    #[error("compile worker: cannot encode the reply: {0}")]
    Json(#[from] serde_json::Error),
}

/// Serves one request of a [`Compiler`](super::Compiler): reads it from `input` and
/// writes the reply to `output`. For a program that does nothing else and has one
/// thread so far: priority and limits are permanent.
///
/// # Errors
///
/// When there is no reply. That a policy cannot be loaded is a reply.
pub fn run_compile_worker(input: impl Read, mut output: impl Write) -> Result<(), WorkerError> {
    // New threads inherit the priority. If it cannot be changed, compiling goes on.
    let _ = nice(limits::COMPILER_NICE);
    let mut frame = Vec::new();
    input.take(limits::COMPILED).read_to_end(&mut frame)?;
    let (request, payload) =
        framing::decode::<WorkerRequest>(&frame.into()).ok_or(WorkerError::InvalidRequest)?;
    limit(request.memory)?;
    let unconfined = confine().iter().map(ToString::to_string).collect();
    let outcome = match request.task {
        Task::Compile => compile(&request, &payload)?,
        Task::Inspect { with_settings } => inspect(&request, &payload, with_settings)?,
    };
    let code = match &outcome {
        WorkerOutcome::Compiled(compiled) => compiled.code.clone(),
        _ => Bytes::new(),
    };
    let reply = WorkerReply {
        outcome,
        unconfined,
    };
    output.write_all(&framing::encode(&reply, &code)?)?;
    Ok(output.flush()?)
}

/// The component and the settings that follow a request.
fn parts<'a>(
    request: &WorkerRequest,
    payload: &'a Bytes,
) -> Result<(&'a [u8], &'a str), WorkerError> {
    let (component, settings) = payload
        .split_at_checked(request.component)
        .ok_or(WorkerError::InvalidRequest)?;
    let settings = str::from_utf8(settings).map_err(|_| WorkerError::InvalidRequest)?;
    Ok((component, settings))
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
}

fn inspect(
    request: &WorkerRequest,
    payload: &Bytes,
    with_settings: bool,
) -> Result<WorkerOutcome, WorkerError> {
    let (component, settings) = parts(request, payload)?;
    let settings = with_settings.then_some(settings);
    let inspection = crate::inspect(component, settings, request.memory);
    Ok(WorkerOutcome::Inspected(runtime()?.block_on(inspection)))
}

fn compile(request: &WorkerRequest, payload: &Bytes) -> Result<WorkerOutcome, WorkerError> {
    let (component, settings) = parts(request, payload)?;
    let compile_request = CompileRequest {
        component: component.into(),
        settings: settings.into(),
        seed: request.seed,
        memory: request.memory,
    };
    let runtime = runtime()?;
    let compiled = engine::compiler(request.code).and_then(|engine| {
        if engine::fingerprint(&engine) != request.fingerprint {
            return Ok(None);
        }
        let compiled = runtime.block_on(compile::compile(&engine, &compile_request));
        compiled.map(Some)
    });
    Ok(match compiled {
        Ok(Some(compiled)) => WorkerOutcome::Compiled(compiled),
        Ok(None) => WorkerOutcome::OtherEngine,
        Err(error) => WorkerOutcome::Refused(error),
    })
}

/// Sets the limits of this process. Address space is not limited: wasmtime reserves
/// gigabytes of it that it never uses.
fn limit(memory: usize) -> Result<(), rustix::io::Errno> {
    let data = limits::COMPILER_MEMORY + 2 * memory as u64;
    for (resource, most) in [
        (Resource::Data, data),
        (Resource::Cpu, limits::COMPILER_PROCESSOR.as_secs()),
        // A core dump would contain the settings.
        (Resource::Core, 0),
    ] {
        // A lower limit that is already set stays.
        let allowed = getrlimit(resource).maximum;
        let most = Some(allowed.map_or(most, |allowed| allowed.min(most)));
        setrlimit(
            resource,
            Rlimit {
                current: most,
                maximum: most,
            },
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers `waxseal compile < FILE`. The error precedes all limits, so that the
    /// test process gets none.
    #[test]
    fn an_invalid_request_is_rejected() {
        for given in [&b""[..], b"\0asm", &[0xff; 100]] {
            let mut answer = Vec::new();
            let refused = run_compile_worker(given, &mut answer);
            assert!(
                matches!(refused, Err(WorkerError::InvalidRequest)),
                "{refused:?}"
            );
            assert!(answer.is_empty());
        }
    }

    /// Errors are the same as from a compilation in this process.
    #[test]
    fn errors_of_a_policy_are_unchanged_by_the_protocol() {
        use crate::error::{LoadError, PolicyError, SettingsProblem, SetupCall};
        let errors = [
            LoadError::UnknownImport("acme:spy/keys".into()),
            LoadError::Setup {
                call: SetupCall::Configure,
                error: PolicyError::TimedOut(limits::SETUP_TIME),
            },
            LoadError::Setup {
                call: SetupCall::Describe,
                error: PolicyError::Trapped("at a\nplace".into()),
            },
            LoadError::Settings(vec![SettingsProblem {
                span: 3..8,
                message: "no such relay".into(),
                expected: Some("one of these".into()),
            }]),
        ];
        for error in errors {
            let expected = format!("{error:?}");
            let reply = WorkerReply {
                outcome: WorkerOutcome::Refused(error),
                unconfined: Vec::new(),
            };
            let frame = framing::encode(&reply, &[]).expect("packed");
            let unpacked = framing::decode::<WorkerReply>(&frame.into());
            match unpacked.map(|(reply, _)| reply.outcome) {
                Some(WorkerOutcome::Refused(error)) => assert_eq!(format!("{error:?}"), expected),
                _ => panic!("{expected} was not returned"),
            }
        }
    }
}
