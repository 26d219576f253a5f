//! R29: inspection of components, valid policies or not.

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
async fn r29_a_report_has_contract_imports_and_exports() {
    let bytes = component("waxseal_misbehaving");
    let report = inspected(&bytes, None).await;
    assert!(report.is_fit(), "{report:?}");
    assert_eq!((report.size, report.sha256.len()), (bytes.len(), 64));
    assert_eq!(report.contract, ["0.1.0"]);
    let exports = ["waxseal:policy/setup@0.1.0", "waxseal:policy/handler@0.1.0"];
    assert_eq!(report.exports, exports);
    assert_eq!(
        access(&report, "waxseal:policy/mail@"),
        ImportAccess::Contract
    );
    assert_eq!(
        access(&report, "wasi:filesystem/types@"),
        ImportAccess::Empty
    );
    assert_eq!(access(&report, "wasi:sockets/tcp@"), ImportAccess::Denied);
    let description = report.description.expect("a description");
    assert_eq!(description.name, "waxseal-misbehaving");
    assert_eq!(report.preinit, Some(Preinit::Done));
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

/// The guard requires settings, but its inspection does not.
#[tokio::test(flavor = "multi_thread")]
async fn r29_a_policy_is_inspected_with_or_without_settings() {
    let bytes = component("guard_rust");
    let report = inspected(&bytes, None).await;
    assert!(
        report.is_fit() && report.description.is_some(),
        "{report:?}"
    );
    assert_eq!(report.preinit, Some(Preinit::Possible));
    let report = inspected(&bytes, Some("bulk-relay = \"bulk\"")).await;
    assert!(report.is_fit(), "{report:?}");
    assert_eq!(report.preinit, Some(Preinit::Done));
    let report = inspected(&bytes, Some("bulk-relay = 5\n")).await;
    assert!(!report.is_fit());
    assert_eq!(
        (report.settings.len(), report.settings[0].span.clone()),
        (1, 13..14)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_a_report_has_the_reason_why_settings_cannot_be_pre_initialized() {
    let report = inspected(&component("waxseal_misbehaving"), Some("stderr")).await;
    let Some(Preinit::Impossible(why)) = report.preinit else {
        panic!("{report:?}");
    };
    assert!(why.contains("handle"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r29_a_report_has_the_reason_why_a_component_cannot_be_loaded() {
    let foreign = importing("acme:spy/keys");
    for (bytes, problem) in [
        (&b"#!/bin/sh\n"[..], "not a WebAssembly component"),
        (CORE_MODULE, "module"),
        (COMPONENT, "waxseal:policy/setup"),
        (&foreign, "acme:spy/keys"),
    ] {
        let report = inspected(bytes, None).await;
        let came = report.problem.as_deref().unwrap_or_default();
        assert!(came.contains(problem), "{problem}: {report:?}");
        assert!(!report.is_fit());
    }
    let report = inspected(&foreign, None).await;
    assert_eq!(access(&report, "acme:spy/keys"), ImportAccess::Foreign);
}
