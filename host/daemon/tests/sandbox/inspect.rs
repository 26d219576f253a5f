//! R29: what is told of a component that may or may not be a policy.

use waxseal::runtime::{ImportAccess, Inspection, Preinit, inspect};

use crate::given::component;
use crate::load::{COMPONENT, CORE_MODULE, importing};

const MEMORY: usize = 64 << 20;

async fn inspected(bytes: &[u8], settings: Option<&str>) -> Inspection {
    inspect(bytes, settings, MEMORY).await
}

fn access(inspection: &Inspection, name: &str) -> ImportAccess {
    let mut imports = inspection.imports.iter();
    let import = imports.find(|import| import.name.starts_with(name));
    import.unwrap_or_else(|| panic!("no {name}")).access
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_a_policy_is_told_with_its_contract_imports_and_exports() {
    let bytes = component("waxseal_misbehaving");
    let told = inspected(&bytes, None).await;
    assert!(told.is_fit(), "{told:?}");
    assert_eq!((told.size, told.sha256.len()), (bytes.len(), 64));
    assert_eq!(told.contract, ["0.1.0"]);
    let exports = ["waxseal:policy/setup@0.1.0", "waxseal:policy/handler@0.1.0"];
    assert_eq!(told.exports, exports);
    assert_eq!(
        access(&told, "waxseal:policy/mail@"),
        ImportAccess::Contract
    );
    assert_eq!(access(&told, "wasi:filesystem/types@"), ImportAccess::Empty);
    assert_eq!(access(&told, "wasi:sockets/tcp@"), ImportAccess::Denied);
    let description = told.description.expect("a description");
    assert_eq!(description.name, "waxseal-misbehaving");
    assert_eq!(told.preinit, Some(Preinit::Done));
}

/// The SDK's feature `quiet-wasi`: linking WASI takes two thirds of the time that an
/// instance takes.
#[tokio::test(flavor = "multi_thread")]
async fn f10_a_small_policy_in_rust_imports_nothing_of_wasi() {
    let inspection = inspected(&component("rust_minimal"), None).await;
    assert!(inspection.is_fit(), "{inspection:?}");
    assert!(!inspection.imports.is_empty());
    for import in &inspection.imports {
        assert_eq!(import.access, ImportAccess::Contract, "{}", import.name);
    }
}

/// The standard policy takes no empty settings: that is no fault of its own.
#[tokio::test(flavor = "multi_thread")]
async fn r29_a_policy_is_told_whether_or_not_it_is_tried_with_settings() {
    let bytes = component("guard_rust");
    let told = inspected(&bytes, None).await;
    assert!(told.is_fit() && told.description.is_some(), "{told:?}");
    assert_eq!(told.preinit, Some(Preinit::Possible));
    let told = inspected(&bytes, Some("bulk-relay = \"bulk\"")).await;
    assert!(told.is_fit(), "{told:?}");
    assert_eq!(told.preinit, Some(Preinit::Done));
    let told = inspected(&bytes, Some("bulk-relay = 5\n")).await;
    assert!(!told.is_fit());
    assert_eq!(
        (told.settings.len(), told.settings[0].span.clone()),
        (1, 13..14)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_settings_that_cannot_be_baked_in_are_told_with_the_reason() {
    let told = inspected(&component("waxseal_misbehaving"), Some("stderr")).await;
    let Some(Preinit::Impossible(why)) = told.preinit else {
        panic!("{told:?}");
    };
    assert!(why.contains("handle"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_what_is_no_policy_is_told_with_what_keeps_it_from_being_one() {
    let foreign = importing("acme:spy/keys");
    for (bytes, problem) in [
        (&b"#!/bin/sh\n"[..], "not a WebAssembly component"),
        (CORE_MODULE, "module"),
        (COMPONENT, "waxseal:policy/setup"),
        (&foreign, "acme:spy/keys"),
    ] {
        let told = inspected(bytes, None).await;
        let came = told.problem.as_deref().unwrap_or_default();
        assert!(came.contains(problem), "{problem}: {told:?}");
        assert!(!told.is_fit());
    }
    let told = inspected(&foreign, None).await;
    assert_eq!(access(&told, "acme:spy/keys"), ImportAccess::Foreign);
}
