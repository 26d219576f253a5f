//! Requests and answers of the control socket.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use waxseal_daemon::admin::api::{
    ActivationResponse, ErrorBody, StartShadowRequest, StatusResponse, Swap,
};

use crate::cost::Cost;
use crate::input::Input;

/// The text is the body of each request and response.
pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let text = input.text();
    Cost::PASSES.hold("a request", text.len(), || {
        is_written_again::<Swap>(&text);
        is_written_again::<StartShadowRequest>(&text);
        is_written_again::<ActivationResponse>(&text);
        is_written_again::<ErrorBody>(&text);
        is_written_again::<StatusResponse>(&text);
    });
}

/// Checks that a parsed value is serialized to the same value.
fn is_written_again<T: Serialize + DeserializeOwned + Debug>(text: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(text) else {
        return;
    };
    let json = serde_json::to_string(&read).expect("JSON");
    let again: T = serde_json::from_str(&json).expect("what was written");
    let again = serde_json::to_string(&again).expect("JSON");
    assert_eq!(json, again, "the value is read differently");
}
