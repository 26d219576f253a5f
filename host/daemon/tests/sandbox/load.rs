//! R25, R29: what is loaded, and what is refused with the reason.

use std::sync::Arc;

use waxseal::runtime::{Limits, LoadError, PolicyError, Sandbox};

use crate::given::{LIMITS, SEED, answer, component, decide, sandbox};

/// A component in binary (the component model's `Binary.md`) that imports an
/// empty instance.
pub(crate) fn importing(name: &str) -> Vec<u8> {
    let mut bytes = COMPONENT.to_vec();
    // Type section: one type, an instance type without declarations.
    bytes.extend([7, 3, 1, 0x42, 0]);
    // Import section: one import, a name and an instance of type 0.
    let length = u8::try_from(name.len()).expect("a short name");
    bytes.extend([10, length + 5, 1, 0, length]);
    bytes.extend(name.as_bytes());
    bytes.extend([5, 0]);
    bytes
}

pub(crate) const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
pub(crate) const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

async fn refused(bytes: impl Into<Arc<[u8]>>) -> LoadError {
    match sandbox().load(bytes.into(), "".into(), &SEED).await {
        Ok(policy) => panic!("{:?} was loaded", policy.description()),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_a_component_is_loaded_and_says_what_it_is() {
    let bytes = component("rust_minimal");
    let policy = sandbox()
        .load(bytes, "".into(), &SEED)
        .await
        .expect("loads");
    assert_eq!(policy.description().name, "rust-minimal");
    assert_eq!(policy.description().version, "0.1.0");
    assert_eq!(policy.digest().len(), 64);
    assert!(policy.is_preinitialized());
    assert!(decide(&policy, "hello").await.decision.is_ok());
}

/// What the standard library of any language brings along is linked, and what
/// it never calls costs nothing: this one imports files and sockets.
#[tokio::test(flavor = "multi_thread")]
async fn r29_a_component_that_imports_all_of_wasi_is_loaded() {
    let bytes = component("waxseal_misbehaving");
    for import in [
        "wasi:sockets/tcp@",
        "wasi:filesystem/types@",
        "wasi:clocks/",
    ] {
        assert!(
            bytes
                .windows(import.len())
                .any(|at| at == import.as_bytes()),
            "{import} is not imported"
        );
    }
    let policy = sandbox()
        .load(bytes, "".into(), &SEED)
        .await
        .expect("loads");
    assert_eq!(answer(&policy, "well").await, "nothing asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_a_file_that_is_not_a_component_is_rejected() {
    let whole = component("rust_minimal");
    let cut = &whole[..whole.len() / 2];
    for bytes in [&b""[..], b"#!/bin/sh\n", CORE_MODULE, cut] {
        let error = refused(bytes).await;
        assert!(matches!(error, LoadError::NotAComponent(_)), "{error:?}");
    }
    let error = refused(CORE_MODULE).await.to_string();
    assert!(error.contains("module"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_a_component_of_another_world_is_refused() {
    let error = refused(COMPONENT).await;
    assert!(matches!(error, LoadError::WrongWorld(_)), "{error:?}");
    assert!(
        error.to_string().contains("waxseal:policy/setup"),
        "{error}"
    );
    // Linked, but to what does not exist there.
    let error = refused(importing("waxseal:policy/future@0.9.0")).await;
    assert!(matches!(error, LoadError::WrongWorld(_)), "{error:?}");
}

/// It has all functions of our world, and a field of its decision has another
/// name.
#[tokio::test(flavor = "multi_thread")]
async fn r25_a_policy_that_decides_in_other_types_is_refused_when_it_is_loaded() {
    let mut bytes = component("rust_minimal").to_vec();
    let (field, other) = (b"reasons", b"motives");
    let places: Vec<usize> = (0..bytes.len() - field.len())
        .filter(|&at| bytes[at..].starts_with(field))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + other.len()].copy_from_slice(other);
    }
    let LoadError::WrongWorld(text) = refused(bytes).await else {
        panic!("for its types");
    };
    assert!(text.contains("`decide`"), "{text}");
    assert!(text.contains("motives"), "which differ here: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r25_a_component_that_imports_a_foreign_package_is_refused_with_its_name() {
    let error = refused(importing("acme:spy/keys")).await;
    assert!(
        matches!(&error, LoadError::UnknownImport(name) if name == "acme:spy/keys"),
        "{error:?}"
    );
    let error = refused(importing("waxseal:other/keys")).await;
    assert!(matches!(error, LoadError::UnknownImport(_)), "{error:?}");
}

/// WASI beyond what is linked is no reason to refuse: only its calls are denied.
#[tokio::test(flavor = "multi_thread")]
async fn r29_a_component_that_imports_other_wasi_is_refused_for_its_world_only() {
    let error = refused(importing("wasi:http/types@0.2.0")).await;
    let LoadError::WrongWorld(text) = error else {
        panic!("{error:?}");
    };
    assert!(!text.contains("wasi:http"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_component_that_needs_more_memory_than_there_is_is_not_loaded() {
    let small = Sandbox::new(Limits {
        memory: 1 << 18,
        ..LIMITS
    })
    .expect("a sandbox");
    let bytes = component("rust_minimal");
    let error = small
        .load(bytes, "".into(), &SEED)
        .await
        .expect_err("an error");
    assert!(
        matches!(
            error,
            LoadError::Setup {
                error: PolicyError::OutOfMemory(262_144),
                ..
            }
        ),
        "{error:?}"
    );
}
