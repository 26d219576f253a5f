//! Access to the payload for the fuzz targets: no part of the interface.

use super::{ContentDigest, Plan, PlanNonce, payload};

/// The plan in a payload, as if it were authentic, and the payload of that plan.
pub fn read_payload(bytes: &[u8]) -> Option<(Plan, Vec<u8>)> {
    let (plan, content) = payload::decode(PlanNonce([0; 16]), bytes)?;
    let again = payload::encode(&plan, &content).ok()?;
    Some((plan, again))
}

/// A digest for any text.
pub fn digest(byte: u8) -> ContentDigest {
    ContentDigest([byte; 32])
}
