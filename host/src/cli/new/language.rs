//! Languages that a policy can be written in.

use clap::ValueEnum;

/// What a policy can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// A component by `cargo`.
    Rust,
    /// A component by `componentize-js`, from npm.
    Javascript,
    /// A component by `componentize-py`, from PyPI.
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
                "It needs rustup, which installs what `rust-toolchain.toml` names. What stands in `vendor/` is Waxseal's own, copied."
            }
            Self::Javascript => {
                "It needs Node.js 18 or later with npm; `package-lock.json` pins everything that is fetched."
            }
            Self::Python => {
                "It needs Python 3.9 or later with venv; `requirements.txt` pins everything that is fetched."
            }
        }
    }
}
