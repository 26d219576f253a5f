//! The sandbox of the process that compiles.
//!
//! It runs a compiler on bytes that somebody else wrote, and the guest's `configure`. Should either be made to
//! do something else, it finds no file to open, no socket to make and no program to start: the process can
//! compute, use memory, start threads of its own, and use the descriptors that it was given. Landlock takes
//! files, ports and signals to other processes away, seccomp every system call that compiling does not need.
//! Both are for good, and include `no_new_privs`.
//!
//! What it returns is still machine code that the daemon runs. The sandbox keeps a component from reaching
//! further *while it is compiled*; that the code does what the component says rests on the compiler.

use std::collections::BTreeMap;

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use thiserror::Error;

/// Why the process is not confined.
#[derive(Debug, Error)]
pub(super) enum ConfineError {
    /// No Landlock (before Linux 5.13, or switched off).
    #[error("files: Landlock: {0}")]
    Landlock(#[from] RulesetError),
    /// The kernel has no Landlock.
    #[error("files: the kernel has no Landlock")]
    NoLandlock,
    /// No seccomp, or a processor that the library does not know.
    #[error("system calls: seccomp: {0}")]
    Seccomp(String),
}

/// Confines this process for good. What the kernel has not is left out, and what that was is returned.
pub(super) fn confine() -> Vec<ConfineError> {
    [take_files(), take_calls()]
        .into_iter()
        .filter_map(Result::err)
        .collect()
}

/// No file is opened, no port bound or connected to, no process outside signalled.
fn take_files() -> Result<(), ConfineError> {
    // The newest of what the library knows, as far as the kernel knows it.
    let abi = ABI::V6;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(ConfineError::NoLandlock),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

/// What compiling needs of the kernel.
const NEEDED: &[c_long] = &[
    // Descriptors that are open: the order, the answer, words about a failure.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // Threads.
    libc::SYS_futex,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals of its own: traps of the guest are some.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_sysinfo,
    // These two are as good as unknown: see `UNKNOWN`.
    libc::SYS_clone3,
    libc::SYS_memfd_create,
];

/// Calls that have another way: the C library starts threads by `clone`, whose flags can be looked at, where
/// there is no `clone3`; wasmtime copies memory images where there are no files in memory.
const UNKNOWN: [c_long; 2] = [libc::SYS_clone3, libc::SYS_memfd_create];

fn take_calls() -> Result<(), ConfineError> {
    let unknown = UNKNOWN.into_iter().map(|call| (call, Vec::new())).collect();
    let enosys = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    // Of two filters the stricter counts. The one that leaves little comes last: it would not let another be
    // installed.
    for (calls, otherwise, listed) in [
        (unknown, SeccompAction::Allow, enosys),
        (needed()?, eperm, SeccompAction::Allow),
    ] {
        let processor = std::env::consts::ARCH.try_into().map_err(seccomp)?;
        let filter = SeccompFilter::new(calls, otherwise, listed, processor).map_err(seccomp)?;
        let program: BpfProgram = filter.try_into().map_err(seccomp)?;
        seccompiler::apply_filter(&program).map_err(seccomp)?;
    }
    Ok(())
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn needed() -> Result<Rules, ConfineError> {
    let mut rules: Rules = NEEDED.iter().map(|call| (*call, Vec::new())).collect();
    let own = u64::from(std::process::id());
    let thread = libc::CLONE_THREAD.unsigned_abs().into();
    let set_name = libc::PR_SET_NAME.unsigned_abs().into();
    let get_flags = libc::F_GETFD.unsigned_abs().into();
    for (call, conditions) in [
        // Threads, and no processes.
        (
            libc::SYS_clone,
            vec![(0, SeccompCmpOp::MaskedEq(thread), thread)],
        ),
        // Aborting.
        (libc::SYS_tgkill, vec![(0, SeccompCmpOp::Eq, own)]),
        // Names of threads.
        (libc::SYS_prctl, vec![(0, SeccompCmpOp::Eq, set_name)]),
        // Rust looks whether a descriptor is one before it closes it.
        (libc::SYS_fcntl, vec![(1, SeccompCmpOp::Eq, get_flags)]),
        // Reading limits of its own: sizes of stacks.
        (
            libc::SYS_prlimit64,
            vec![(0, SeccompCmpOp::Eq, 0), (2, SeccompCmpOp::Eq, 0)],
        ),
    ] {
        let conditions: Result<Vec<_>, _> = conditions
            .into_iter()
            .map(|(argument, operator, value)| {
                SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)
            })
            .collect();
        let rule = SeccompRule::new(conditions.map_err(seccomp)?).map_err(seccomp)?;
        rules.insert(call, vec![rule]);
    }
    Ok(rules)
}

fn seccomp(error: impl std::fmt::Display) -> ConfineError {
    ConfineError::Seccomp(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};
    use std::{env, io, thread};

    use super::*;

    /// Says that this process is the child of the test below.
    const CHILD: &str = "WAXSEAL_TEST_CONFINED";

    fn refused<T>(what: &str, done: io::Result<T>) -> Option<String> {
        match done {
            Ok(_) => Some(format!("{what}: done")),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => None,
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => None,
            Err(error) => Some(format!("{what}: {error}")),
        }
    }

    /// What works in spite of it, and what the child is refused.
    fn misbehave() -> Vec<String> {
        let parent = rustix::process::getppid();
        let mut wrong: Vec<String> = confine().iter().map(ToString::to_string).collect();
        wrong.extend(refused("reading a file", File::open("/etc/passwd")));
        wrong.extend(refused(
            "making a file",
            File::create("/tmp/waxseal-confined"),
        ));
        wrong.extend(refused("listing a folder", fs::read_dir("/")));
        wrong.extend(refused(
            "removing a file",
            fs::remove_file("/tmp/waxseal-none"),
        ));
        wrong.extend(refused("listening", TcpListener::bind("127.0.0.1:0")));
        wrong.extend(refused("sending", UdpSocket::bind("127.0.0.1:0")));
        wrong.extend(refused("connecting", UnixStream::connect("/run/none")));
        let started = Command::new("/bin/true").stdin(Stdio::inherit()).spawn();
        wrong.extend(refused("starting a program", started));
        let signalled = parent
            .map(|parent| rustix::process::kill_process(parent, rustix::process::Signal::CONT));
        if let Some(Ok(())) = signalled {
            wrong.push("a signal to the parent: done".to_owned());
        }
        // A thread, with memory, time and chance.
        let counted = thread::Builder::new().name("works".into()).spawn(|| {
            let memory = vec![1_u8; 50 << 20];
            thread::sleep(std::time::Duration::from_millis(1));
            memory.iter().map(|&byte| usize::from(byte)).sum::<usize>()
        });
        match counted.map(thread::JoinHandle::join) {
            Ok(Ok(count)) if count == 50 << 20 => {}
            _ => wrong.push("a thread does not work".to_owned()),
        }
        wrong
    }

    /// The child: the test below starts this one in a process of its own.
    #[test]
    fn a_child_of_the_next_test() {
        if env::var_os(CHILD).is_none() {
            return;
        }
        let wrong = misbehave();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn l10_the_process_that_compiles_opens_no_file_makes_no_socket_and_starts_no_program() {
        let ended = Command::new(env::current_exe().expect("this program"))
            .args(["load::confine::tests::a_child_of_the_next_test", "--exact"])
            .args(["--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .expect("a child");
        let said = String::from_utf8_lossy(&ended.stdout);
        let words = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{said}{words}");
        assert!(said.contains("1 passed"), "it was run: {said}");
    }
}
