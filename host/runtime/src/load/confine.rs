//! The sandbox of the process that compiles.
//!
//! The process runs a compiler on untrusted bytes, and the guest's `configure`. If either is exploited, it cannot
//! open files, create sockets or start programs: it can compute, use memory, start threads, and use the descriptors
//! that it inherited. Landlock denies files, ports and signals to other processes; seccomp denies every system call
//! that compiling does not need. Both are permanent, and include `no_new_privs`.
//!
//! Its result is still machine code that the daemon runs. The sandbox confines a component *while it is compiled*;
//! that the code does what the component says depends on the compiler.

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
    /// No Landlock (before Linux 5.13, or disabled).
    #[error("files: Landlock: {0}")]
    Landlock(#[from] RulesetError),
    /// The kernel has no Landlock.
    #[error("files: the kernel has no Landlock")]
    NoLandlock,
    /// No seccomp, or a processor that the library does not support.
    #[error("system calls: seccomp: {0}")]
    Seccomp(String),
}

/// Confines this process permanently. Returns what the kernel does not support.
pub(super) fn confine() -> Vec<ConfineError> {
    [deny_files(), deny_system_calls()]
        .into_iter()
        .filter_map(Result::err)
        .collect()
}

/// Denies opening files, binding and connecting ports, and signaling other processes.
fn deny_files() -> Result<(), ConfineError> {
    // The newest version that the library supports, as far as the kernel supports it.
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

/// System calls that compiling needs.
const NEEDED_CALLS: &[c_long] = &[
    // Open descriptors: the request, the reply, error messages.
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
    // Signals of this process: traps of the guest use some.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time and randomness.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_sysinfo,
    // These two fail as if they did not exist: see `UNKNOWN`.
    libc::SYS_clone3,
    libc::SYS_memfd_create,
];

/// Calls with an alternative: without `clone3` the C library starts threads by `clone`, whose flags can be checked;
/// without files in memory, wasmtime copies memory images.
const UNKNOWN: [c_long; 2] = [libc::SYS_clone3, libc::SYS_memfd_create];

fn deny_system_calls() -> Result<(), ConfineError> {
    let unknown = UNKNOWN.into_iter().map(|call| (call, Vec::new())).collect();
    let enosys = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    // The stricter of two filters applies. The one that permits little is installed last: it does not permit
    // another installation.
    for (calls, otherwise, listed) in [
        (unknown, SeccompAction::Allow, enosys),
        (permitted_calls()?, eperm, SeccompAction::Allow),
    ] {
        let processor = std::env::consts::ARCH.try_into().map_err(seccomp)?;
        let filter = SeccompFilter::new(calls, otherwise, listed, processor).map_err(seccomp)?;
        let program: BpfProgram = filter.try_into().map_err(seccomp)?;
        seccompiler::apply_filter(&program).map_err(seccomp)?;
    }
    Ok(())
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn permitted_calls() -> Result<Rules, ConfineError> {
    let mut rules: Rules = NEEDED_CALLS
        .iter()
        .map(|call| (*call, Vec::new()))
        .collect();
    let own = u64::from(std::process::id());
    let thread = libc::CLONE_THREAD.unsigned_abs().into();
    let set_name = libc::PR_SET_NAME.unsigned_abs().into();
    let get_flags = libc::F_GETFD.unsigned_abs().into();
    for (call, conditions) in [
        // Threads, but no processes.
        (
            libc::SYS_clone,
            vec![(0, SeccompCmpOp::MaskedEq(thread), thread)],
        ),
        // Aborting.
        (libc::SYS_tgkill, vec![(0, SeccompCmpOp::Eq, own)]),
        // Names of threads.
        (libc::SYS_prctl, vec![(0, SeccompCmpOp::Eq, set_name)]),
        // Rust checks that a descriptor is valid before closing it.
        (libc::SYS_fcntl, vec![(1, SeccompCmpOp::Eq, get_flags)]),
        // Reading the process's own limits: sizes of stacks.
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

    /// Marks this process as the child of the test below.
    const CHILD: &str = "WAXSEAL_TEST_CONFINED";

    fn denied<T>(what: &str, done: io::Result<T>) -> Option<String> {
        match done {
            Ok(_) => Some(format!("{what}: done")),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => None,
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => None,
            Err(error) => Some(format!("{what}: {error}")),
        }
    }

    /// Operations that wrongly succeed or fail in the confined child.
    fn check_confinement() -> Vec<String> {
        let parent = rustix::process::getppid();
        let mut wrong: Vec<String> = confine().iter().map(ToString::to_string).collect();
        wrong.extend(denied("reading a file", File::open("/etc/passwd")));
        wrong.extend(denied(
            "making a file",
            File::create("/tmp/waxseal-confined"),
        ));
        wrong.extend(denied("listing a folder", fs::read_dir("/")));
        wrong.extend(denied(
            "removing a file",
            fs::remove_file("/tmp/waxseal-none"),
        ));
        wrong.extend(denied("listening", TcpListener::bind("127.0.0.1:0")));
        wrong.extend(denied("sending", UdpSocket::bind("127.0.0.1:0")));
        wrong.extend(denied("connecting", UnixStream::connect("/run/none")));
        let started = Command::new("/bin/true").stdin(Stdio::inherit()).spawn();
        wrong.extend(denied("starting a program", started));
        let signaled = parent
            .map(|parent| rustix::process::kill_process(parent, rustix::process::Signal::CONT));
        if let Some(Ok(())) = signaled {
            wrong.push("a signal to the parent: done".to_owned());
        }
        // A thread, with memory, time and randomness.
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

    /// The child: the test below runs this one in a process of its own.
    #[test]
    fn child_of_the_next_test() {
        if env::var_os(CHILD).is_none() {
            return;
        }
        let wrong = check_confinement();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn l10_the_compiling_process_cannot_open_files_or_sockets_or_start_programs() {
        let ended = Command::new(env::current_exe().expect("this program"))
            .args(["load::confine::tests::child_of_the_next_test", "--exact"])
            .args(["--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .expect("a child");
        let stdout = String::from_utf8_lossy(&ended.stdout);
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{stdout}{stderr}");
        assert!(stdout.contains("1 passed"), "it was run: {stdout}");
    }
}
