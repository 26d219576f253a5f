//! From files to versions: what is tried, what stays out, what a restart finds.

use std::sync::Arc;

use waxseal::pipeline::InputDigests;
use waxseal::rollout::{
    ActivationReason, ActiveVersion, PinReason, PolicyManager, PolicyService, Trigger,
};

use crate::given::{
    Place, component, now, process, process_of, sandbox, secrets, service, settings, start,
};

/// What a manager has in service, by its settings.
async fn serving(manager: &Arc<PolicyManager>) -> String {
    let service: Arc<PolicyService> = service(Arc::clone(manager.versions()));
    settings(&service, &service.begin()).await
}

/// Changes the settings and lets the manager look.
async fn change(
    manager: &Arc<PolicyManager>,
    place: &Place,
    settings: &str,
) -> Option<Arc<ActiveVersion>> {
    place.write("settings.txt", settings);
    let tried = manager.files_changed(now()).await?;
    tried.ok()
}

fn kept(manager: &PolicyManager) -> Option<PinReason> {
    manager.status(now()).pin.map(|pin| pin.reason)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_changed_files_go_in_service_and_unchanged_ones_do_not() {
    let place = Place::new("");
    let manager = start(&place).await;
    place.write("settings.txt", "first");
    assert!(
        manager.files_changed(now()).await.is_none(),
        "written again"
    );
    let version = change(&manager, &place, "second").await.expect("a version");
    assert_eq!(
        (version.number(), version.reason()),
        (2, &ActivationReason::FilesChanged)
    );
    assert_eq!(serving(&manager).await, "second");
    assert_eq!(kept(&manager), None);
}

/// Each gate, and what it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_a_version_that_fails_a_gate_is_refused_once_and_the_old_one_stays() {
    let place = Place::new("");
    let manager = start(&place).await;
    let whole = std::fs::read(place.path("policy.wasm")).expect("a component");
    let half = &whole[..whole.len() / 2];
    let hostile = b"problems".as_slice();
    let text = b"no component".as_slice();
    let cases: [(&str, &[u8], &str); 4] = [
        ("policy.wasm", half, "not a WebAssembly component"),
        ("policy.wasm", text, "not a WebAssembly component"),
        ("settings.txt", hostile, "settings.txt:1:"),
        ("settings.txt", b"panic", "the settings asked for it"),
    ];
    for (name, bytes, expected) in cases {
        let before = std::fs::read(place.path(name)).expect("a file");
        std::fs::write(place.path(name), bytes).expect("written");
        let rejection = match manager.files_changed(now()).await {
            Some(Err(rejection)) => rejection,
            Some(Ok(_)) => panic!("{expected}: in service"),
            None => panic!("{expected}: not tried"),
        };
        let problems = rejection.problems.join("\n");
        assert!(problems.contains(expected), "{expected}: {problems}");
        assert_eq!(rejection.trigger, Trigger::FilesChanged);
        assert!(
            manager.files_changed(now()).await.is_none(),
            "reported once"
        );
        assert_eq!(serving(&manager).await, "first");
        assert_eq!(manager.status(now()).rejected, Some(rejection));
        assert_eq!(kept(&manager), Some(PinReason::Rejected));
        std::fs::write(place.path(name), before).expect("written");
        assert!(manager.files_changed(now()).await.is_none(), "as it was");
        assert_eq!(manager.status(now()).rejected, None);
        assert_eq!(kept(&manager), None);
    }
    std::fs::remove_file(place.path("policy.wasm")).expect("removed");
    let missing = manager.files_changed(now()).await.expect("tried");
    let rejection = missing.expect_err("refused");
    assert!(rejection.problems.concat().contains("policy.wasm"));
    assert_eq!(manager.versions().active().number(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_a_version_that_fails_its_own_tests_is_refused() {
    let place = Place::new("tests = [\"tests.toml\"]");
    place.write(
        "mail.eml",
        "From: a@acme.test\r\nTo: b@b.test\r\nSubject: settings\r\n\r\nHello\r\n",
    );
    place.write(
        "tests.toml",
        "[[case]]\nname = \"says first\"\nmessage = \"mail.eml\"\n\
         [case.expect]\nreasons = [\"first\"]\n",
    );
    let manager = start(&place).await;
    place.write("settings.txt", "second");
    let tried = manager.files_changed(now()).await.expect("tried");
    let rejection = tried.expect_err("refused");
    let problems = rejection.problems.concat();
    for expected in ["tests.toml:", "\"says first\" fails", "second"] {
        assert!(problems.contains(expected), "{expected}: {problems}");
    }
    assert_eq!(serving(&manager).await, "first");
    let manager = start(&place).await;
    assert_eq!(serving(&manager).await, "first", "after a restart, too");
    // Where there is nothing else, mail does not wait until tests are mended.
    std::fs::remove_dir_all(place.path("state")).expect("removed");
    let manager = start(&place).await;
    assert_eq!(serving(&manager).await, "second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_tables_are_files_of_the_policy_too() {
    let place = Place::new("[table.vip]\nfile = \"vip\"");
    place.write("vip", "a b\n");
    let manager = start(&place).await;
    place.write("vip", "a b\na c\n");
    let refused = manager.files_changed(now()).await.expect("tried");
    let rejection = refused.expect_err("refused");
    assert!(
        rejection.problems.concat().contains("vip:2:1"),
        "{rejection:?}"
    );
    place.write("vip", "a c\n");
    manager
        .files_changed(now())
        .await
        .expect("tried")
        .expect("in service");
    // The table of the version before comes back with it, over a restart too.
    manager
        .roll_back(None, now())
        .await
        .expect("a version before");
    let again = start(&place).await;
    let inputs = |manager: &PolicyManager| manager.versions().active().snapshot().inputs().clone();
    assert_eq!(inputs(&again), inputs(&manager));
    assert_ne!(
        inputs(&again),
        InputDigests::read(&place.config()).expect("read")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_files_that_were_rolled_back_from_stay_unused_over_restarts_until_they_change() {
    let place = Place::new("");
    let manager = start(&place).await;
    change(&manager, &place, "second").await.expect("a version");
    manager
        .roll_back(None, now())
        .await
        .expect("a version before");
    assert!(manager.files_changed(now()).await.is_none());
    for _ in 0..2 {
        let manager = start(&place).await;
        assert_eq!(serving(&manager).await, "first");
        assert_eq!(kept(&manager), Some(PinReason::RolledBack));
        // A reload is no change of the policy's files.
        manager
            .reload(place.config(), now())
            .await
            .expect("reloaded");
        assert_eq!(serving(&manager).await, "first");
        assert_eq!(kept(&manager), Some(PinReason::RolledBack));
    }
    let manager = start(&place).await;
    change(&manager, &place, "third").await.expect("a version");
    assert_eq!(serving(&manager).await, "third");
    assert_eq!(kept(&manager), None);
    assert_eq!(serving(&start(&place).await).await, "third");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_files_that_changed_while_the_host_was_down_are_tried() {
    let place = Place::new("");
    let manager = start(&place).await;
    change(&manager, &place, "second").await.expect("a version");
    manager
        .roll_back(None, now())
        .await
        .expect("a version before");
    place.write("settings.txt", "third");
    let manager = start(&place).await;
    assert_eq!(serving(&manager).await, "third");
    assert_eq!(kept(&manager), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_files_that_were_refused_do_not_keep_the_host_from_starting() {
    let place = Place::new("");
    let manager = start(&place).await;
    assert!(change(&manager, &place, "panic").await.is_none());
    let manager = start(&place).await;
    assert_eq!(serving(&manager).await, "first");
    let status = manager.status(now());
    assert_eq!(
        status.rejected.map(|rejection| rejection.trigger),
        Some(Trigger::Start)
    );
    // A host that has never run has nothing to fall back to.
    let other = Place::new("");
    other.write("settings.txt", "panic");
    let refused = PolicyManager::start(
        sandbox().clone(),
        secrets(),
        Vec::new(),
        other.config(),
        now(),
    )
    .await;
    assert!(refused.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_a_swap_by_command_holds_until_the_named_files_change() {
    let place = Place::new("");
    let manager = start(&place).await;
    place.write("other.txt", "other");
    let file = component("waxseal_misbehaving");
    let other = Some(place.path("other.txt"));
    manager
        .swap(file, other.clone(), now())
        .await
        .expect("in service");
    assert_eq!(serving(&manager).await, "other");
    let manager = start(&place).await;
    assert_eq!(serving(&manager).await, "other");
    assert_eq!(kept(&manager), Some(PinReason::Swapped));
    let refused = manager.swap(place.path("none.wasm"), None, now()).await;
    assert!(refused.is_err());
    assert_eq!(kept(&manager), Some(PinReason::Swapped));
    // The files that are named bring themselves back.
    manager
        .swap(place.path("policy.wasm"), None, now())
        .await
        .expect("in service");
    assert_eq!(serving(&manager).await, "first");
    assert_eq!(kept(&manager), None);
    assert_eq!(serving(&start(&place).await).await, "first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_what_is_damaged_in_the_state_folder_is_not_used() {
    let place = Place::new("");
    let manager = start(&place).await;
    change(&manager, &place, "second").await.expect("a version");
    manager
        .roll_back(None, now())
        .await
        .expect("a version before");
    for entry in std::fs::read_dir(place.path("state/policies")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none() {
            std::fs::write(&path, "first?").expect("written");
        }
    }
    let manager = start(&place).await;
    assert_eq!(serving(&manager).await, "second", "what the files say");
    assert_eq!(kept(&manager), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r28_what_the_host_left_by_itself_stays_out_over_a_restart() {
    let place = Place::new("roll-back-after = 2");
    let manager = start(&place).await;
    let keeping = tokio::spawn(Arc::clone(&manager).watch());
    let service = service(Arc::clone(manager.versions()));
    process(&service, "well", "1").await;
    change(&manager, &place, "trap on poison")
        .await
        .expect("a version");
    for text in ["2", "3"] {
        process_of(&service, text, "poison", text).await;
    }
    while kept(&manager) != Some(PinReason::Failed) {
        tokio::task::yield_now().await;
    }
    keeping.abort();
    let _ = keeping.await;
    assert_eq!(serving(&start(&place).await).await, "first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_changed_files_are_noticed_by_themselves() {
    let place = Place::new("");
    let manager = start(&place).await;
    let keeping = tokio::spawn(Arc::clone(&manager).watch());
    let mut changes = manager.versions().changes();
    changes.mark_unchanged();
    place.write("new.txt", "second");
    std::fs::rename(place.path("new.txt"), place.path("settings.txt")).expect("renamed");
    changes.changed().await.expect("a change");
    assert_eq!(serving(&manager).await, "second");
    // A file that is missing for a moment is no reason to say anything.
    std::fs::remove_file(place.path("settings.txt")).expect("removed");
    place.write("settings.txt", "third");
    changes.changed().await.expect("a change");
    assert_eq!(serving(&manager).await, "third");
    assert_eq!(manager.status(now()).rejected, None);
    keeping.abort();
}
