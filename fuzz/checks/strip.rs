//! Removal of setup functions from a component.

use wasmparser::{Validator, WasmFeatures};
use waxseal::runtime::fuzzing::strip_setup;

use crate::cost::Cost;

/// Exports to remove: the names of the contract, and short ones that a fuzzer finds.
const SETUP: [&str; 4] = [
    "waxseal:policy/setup@0.1.0#describe",
    "waxseal:policy/setup@0.1.0#configure",
    "setup",
    "a",
];

pub(crate) fn check(component: &[u8]) {
    let names = SETUP.map(str::to_owned);
    let strip = || strip_setup(component, &names);
    let Some(lighter) = Cost::MANY_PASSES.hold("stripping", component.len(), strip) else {
        return;
    };
    if is_valid(component) {
        assert!(
            is_valid(&lighter),
            "a valid component became an invalid one"
        );
        assert!(
            lighter.len() <= component.len() + 64,
            "a lighter component that is larger"
        );
        let again = strip_setup(&lighter, &names).expect("what was made by it");
        assert_eq!(again, lighter, "it can be made lighter still");
    }
}

fn is_valid(component: &[u8]) -> bool {
    Validator::new_with_features(WasmFeatures::default())
        .validate_all(component)
        .is_ok()
}
