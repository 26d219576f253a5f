//! Languages that a policy can be written in.

use clap::ValueEnum;

/// Language of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Rust, built with `cargo`
    Rust,
    /// JavaScript, built with `componentize-js` from npm
    Javascript,
    /// Python, built with `componentize-py` from PyPI
    Python,
}

impl Language {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Javascript => "JavaScript",
            Self::Python => "Python",
        }
    }

    pub(super) fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Javascript => "policy.js",
            Self::Python => "policy.py",
        }
    }

    pub(super) fn needs(self) -> &'static str {
        match self {
            Self::Rust => {
                "Requires rustup, which installs the toolchain in `rust-toolchain.toml`. `vendor/` contains copies of Waxseal's own crates."
            }
            Self::Javascript => {
                "Requires Node.js 20.19, 22.13 or later with npm; `package-lock.json` pins all dependencies."
            }
            Self::Python => {
                "Requires Python 3.9 or later with venv; `requirements.txt` pins all dependencies."
            }
        }
    }
}
