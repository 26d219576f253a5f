//! Dispatch to the supported versions.

use wasmtime::Result;
use wasmtime::component::{InstancePre, Linker};

use super::exports::Exports;
use super::v0_1_0;
use crate::state::State;

/// Adds the imports of all versions.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    v0_1_0::add_to_linker(linker)
}

/// Finds the exports of a policy.
///
/// # Errors
///
/// What is missing or has another type. With several versions, for the newest.
pub(crate) fn find_exports(pre: &InstancePre<State>) -> Result<Box<dyn Exports>> {
    Ok(Box::new(v0_1_0::PolicyExports::find(pre)?))
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload};

    use super::*;
    use crate::contract::CONTRACT_VERSIONS;
    use crate::contract::exports::setup_functions;
    use crate::strip_setup::strip_setup;

    fn bytes_of_code(component: &[u8]) -> usize {
        let mut bytes = 0;
        for payload in Parser::new(0).parse_all(component) {
            if let Payload::CodeSectionEntry(body) = payload.expect("a component") {
                bytes += body.as_bytes().len();
            }
        }
        bytes
    }

    #[test]
    fn r29_the_functions_of_setup_are_found_in_a_component_of_each_version() {
        for (version, setup) in CONTRACT_VERSIONS.iter().zip([v0_1_0::SETUP]) {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
            let witness = std::fs::read(format!("{folder}/witness-{version}.wasm"));
            let witness = witness.expect("a frozen component");
            let stripped = strip_setup(&witness, &setup_functions(setup)).expect("stripped");
            let (whole, left) = (bytes_of_code(&witness), bytes_of_code(&stripped));
            assert!(left < whole, "{version}: {left} of {whole}");
            let same = strip_setup(&witness, &setup_functions("other")).expect("the same");
            assert_eq!(bytes_of_code(&same), whole, "{version}");
        }
    }
}
