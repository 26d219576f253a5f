//! The process that compiles: it takes one order, and gives one answer.
//!
//! It begins by making itself small: low priority, limits on memory and
//! processor time that hold whatever the component is, and a [sandbox](confine).
//! When it reaches a limit it is dead, and that is an answer, too.

use std::io::{self, Read, Write};

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use thiserror::Error;

use super::confine::confine;
use super::{Task, WorkerOutcome, WorkerReply, WorkerRequest};
use crate::runtime::compile::{self, CompileRequest};
use crate::runtime::{engine, framing, inspect, limits};

/// Why there is no answer to an order.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// It cannot be read, or the answer not be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is none.
    #[error("this is no order to compile: they are given by the daemon")]
    InvalidRequest,
    /// A limit cannot be set.
    #[error("limiting this process: {0}")]
    Limits(#[from] rustix::io::Errno),
    /// The answer cannot be written down.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// Compiles what a [`Compiler`](super::Compiler) orders on `input`, and answers
/// on `output`. For a program that does nothing else and has one thread so far:
/// priority and limits are set for good.
///
/// # Errors
///
/// When there is no answer; that a policy is refused is one.
pub fn run_compile_worker(input: impl Read, mut output: impl Write) -> Result<(), WorkerError> {
    // Threads have the priority of the one that makes them. Where priorities
    // may not be changed at all, it is compiled all the same.
    let _ = nice(limits::COMPILER_NICE);
    let mut order = Vec::new();
    input.take(limits::COMPILED).read_to_end(&mut order)?;
    let (order, given) =
        framing::decode::<WorkerRequest>(&order.into()).ok_or(WorkerError::InvalidRequest)?;
    limit(order.memory)?;
    let unconfined = confine().iter().map(ToString::to_string).collect();
    let answer = match order.task {
        Task::Compile => compiled(&order, &given)?,
        Task::Inspect { with_settings } => inspected(&order, &given, with_settings)?,
    };
    let code = match &answer {
        WorkerOutcome::Compiled(compiled) => compiled.code.clone(),
        _ => Bytes::new(),
    };
    let answer = framing::encode(&WorkerReply { answer, unconfined }, &code);
    output.write_all(&answer?)?;
    Ok(output.flush()?)
}

/// The component and the settings that stand behind an order.
fn parts<'a>(order: &WorkerRequest, given: &'a Bytes) -> Result<(&'a [u8], &'a str), WorkerError> {
    let (component, settings) = given
        .split_at_checked(order.component)
        .ok_or(WorkerError::InvalidRequest)?;
    let settings = str::from_utf8(settings).map_err(|_| WorkerError::InvalidRequest)?;
    Ok((component, settings))
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
}

fn inspected(
    order: &WorkerRequest,
    given: &Bytes,
    with_settings: bool,
) -> Result<WorkerOutcome, WorkerError> {
    let (component, settings) = parts(order, given)?;
    let settings = with_settings.then_some(settings);
    let inspected = inspect::inspect(component, settings, order.memory);
    Ok(WorkerOutcome::Inspected(runtime()?.block_on(inspected)))
}

fn compiled(order: &WorkerRequest, given: &Bytes) -> Result<WorkerOutcome, WorkerError> {
    let (component, settings) = parts(order, given)?;
    let request = CompileRequest {
        component: component.into(),
        settings: settings.into(),
        seed: order.seed,
        memory: order.memory,
    };
    let runtime = runtime()?;
    let compiled = engine::compiler(order.code).and_then(|engine| {
        if engine::fingerprint(&engine) != order.fingerprint {
            return Ok(None);
        }
        let compiled = runtime.block_on(compile::compile(&engine, &request));
        compiled.map(Some)
    });
    Ok(match compiled {
        Ok(Some(compiled)) => WorkerOutcome::Compiled(compiled),
        Ok(None) => WorkerOutcome::OtherEngine,
        Err(error) => WorkerOutcome::Refused(error),
    })
}

/// Limits of this process. Address space is none of them: wasmtime reserves
/// gigabytes of it that it never uses.
fn limit(memory: usize) -> Result<(), rustix::io::Errno> {
    let data = limits::COMPILER_MEMORY + 2 * memory as u64;
    for (resource, most) in [
        (Resource::Data, data),
        (Resource::Cpu, limits::COMPILER_PROCESSOR.as_secs()),
        // Settings are nobody else's business.
        (Resource::Core, 0),
    ] {
        // No more than we may: whoever set a lower limit had reasons.
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

    /// Whoever types `waxseal compile < FILE` is told what it is. It comes
    /// before any limit, so that this process goes on without.
    #[test]
    fn what_is_no_order_is_refused() {
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

    /// Settings problems and traps are told as they are in the same process.
    #[test]
    fn errors_of_a_policy_survive_the_way() {
        use crate::runtime::error::{LoadError, PolicyError, SettingsProblem, SetupCall};
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
            let told = format!("{error:?}");
            let reply = WorkerReply {
                answer: WorkerOutcome::Refused(error),
                unconfined: Vec::new(),
            };
            let frame = framing::encode(&reply, &[]).expect("packed");
            let unpacked = framing::decode::<WorkerReply>(&frame.into());
            match unpacked.map(|(reply, _)| reply.answer) {
                Some(WorkerOutcome::Refused(error)) => assert_eq!(format!("{error:?}"), told),
                _ => panic!("{told} came to something else"),
            }
        }
    }
}
