//! The `waxseal` command.

fn main() -> std::process::ExitCode {
    waxseal_daemon::cli::main()
}
