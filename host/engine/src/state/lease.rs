//! The size of a lease: how many units to take from a counter in one step.

/// How many units to take in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Units that the caller needs. If fewer are available, none are granted.
    pub minimum: u64,
    /// Divisor of what is available: 32 requests a thirty-second of it, so that
    /// leases shrink to `minimum` as the counter fills.
    pub divisor: u64,
    /// Most units to grant, unless `minimum` is more.
    pub cap: u64,
}

impl LeaseRequest {
    /// The units to grant when `available` are left.
    pub fn grant(self, available: u64) -> u64 {
        if available < self.minimum {
            return 0;
        }
        (available / self.divisor.max(1))
            .min(self.cap)
            .max(self.minimum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_at_least_the_minimum_and_never_more_than_what_is_available() {
        for available in 0..200 {
            for minimum in 0..50 {
                let request = LeaseRequest {
                    minimum,
                    divisor: 32,
                    cap: 5,
                };
                let granted = request.grant(available);
                assert!(
                    granted <= available && (granted == 0 || granted >= minimum),
                    "{available} {minimum} {granted}"
                );
            }
        }
    }
}
