//! The tests that every store of relays must pass.

use std::sync::Arc;

use crate::state::RelayStore;

/// Opens stores over the same state.
pub(crate) trait SharedRelays {
    fn open(&self) -> Arc<dyn RelayStore>;
}

/// Runs the whole suite on an empty store.
pub(crate) fn run(shared: &impl SharedRelays) {
    let set = |name: &str, text: &str| (name.to_owned(), Some(text.to_owned()));
    let names = |store: &dyn RelayStore| -> Vec<(String, String)> {
        store.load().expect("loaded").into_iter().collect()
    };
    let store = shared.open();
    assert!(names(&*store).is_empty());
    store.save(&[]).expect("saved");
    store
        .save(&[set("north", "{}"), set("south", "\u{e9}")])
        .expect("saved");
    store
        .save(&[set("north", "new"), ("absent".to_owned(), None)])
        .expect("saved");
    drop(store);
    // It is durable, and another process sees it.
    let store = shared.open();
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(
        names(&*store),
        [pair("north", "new"), pair("south", "\u{e9}")]
    );
    store.save(&[("north".to_owned(), None)]).expect("saved");
    assert_eq!(names(&*shared.open()), [pair("south", "\u{e9}")]);
}
