//! A policy that sends bulk mail by the relay `bulk`, and all other mail by the
//! default route.
use waxseal_policy::{Decision, Facts, Message};

fn decide(message: &Message, _: &Facts) -> Result<Decision, String> {
    match message.has_trait("bulk") {
        true => Ok(Decision::accept().relay("bulk").reason("it is bulk mail")),
        false => Ok(Decision::accept()),
    }
}
waxseal_policy::export!(fn decide);
