//! The types behind the resource handles of a policy.
//!
//! Each decision has one message and one set of facts, which are in the store's
//! data: their handles are constants.

/// Type of the handle of `resource message`.
#[expect(unreachable_pub, reason = "the generated code exports it")]
pub struct MessageHandle;

/// Type of the handle of `resource facts`.
#[expect(unreachable_pub, reason = "the generated code exports it")]
pub struct FactsHandle;

/// The only handle of each type.
pub(super) const HANDLE: u32 = 1;
