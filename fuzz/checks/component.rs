//! Components of policy authors.

use waxseal::runtime::inspect;

/// Maximum size of a component: compiling takes milliseconds for each ten kilobytes.
const LARGEST: usize = 1 << 17;

/// Limit on the linear memory of a component.
const MEMORY: usize = 16 << 20;

pub(crate) fn check(component: &[u8]) {
    if component.len() > LARGEST {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let inspection = runtime.block_on(inspect(component, None, MEMORY));
    assert_eq!(inspection.size, component.len());
    if inspection.is_fit() {
        assert!(
            inspection.description.is_some(),
            "fit, and says nothing of itself"
        );
        assert!(!inspection.contract.is_empty(), "fit without the contract");
    }
    // One line, as all messages about a policy.
    if let Some(problem) = inspection.problem {
        assert!(
            !problem.is_empty() && problem.len() < 10_000,
            "{} bytes",
            problem.len()
        );
    }
}
