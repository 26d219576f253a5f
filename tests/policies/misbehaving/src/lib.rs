//! Fails in the way that the subject names, for the tests of R28: `trap`,
//! `loop`, `memory`, `error`, `invalid`. All other mail is accepted.

use waxseal_policy::{Decision, Facts, Message};

fn decide(message: &Message, _: &Facts) -> Result<Decision, String> {
    let subject = message
        .header("subject")
        .into_iter()
        .next()
        .unwrap_or_default();
    match subject.trim() {
        "trap" => panic!("the subject asked for it"),
        "loop" => loop {
            std::hint::black_box(&subject);
        },
        "memory" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
                std::hint::black_box(&hoard);
            }
        }
        "error" => Err("the subject asked for an error".into()),
        "invalid" => Ok(Decision::accept().relay("no-such-relay")),
        _ => Ok(Decision::accept().reason("nothing asked for")),
    }
}
waxseal_policy::export!(fn decide);
