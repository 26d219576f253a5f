//! Mail of programs on this machine, handed in by `sendmail`.

use waxseal_testkit::Rig;

use crate::mail::{acme, plain};

#[test]
fn r20_mail_of_local_programs_is_outgoing_where_loopback_is_listed() {
    let rig = Rig::builder("local")
        .relay("northwind", "")
        .networks("\"127.0.0.1\"")
        .settings(&acme("relays = [\"northwind\"]\nsign = true"))
        .config("[dkim]\ngenerate = true")
        .start();
    rig.postfix.sendmail(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "local"),
    );
    let delivery = {
        rig.waited_for("northwind");
        rig.only("northwind")
    };
    assert_eq!(delivery.recipients, ["bob@outside.test"]);
    assert_eq!(delivery.header("DKIM-Signature").len(), 1);
}

#[test]
fn mail_of_local_programs_waits_while_waxseal_is_away() {
    let mut rig = Rig::builder("local-away")
        .relay("northwind", "")
        .networks("\"127.0.0.1\"")
        .settings(&acme("relays = [\"northwind\"]"))
        .prepare();
    rig.postfix.sendmail(
        "alice@acme.test",
        &["bob@outside.test"],
        &plain("alice@acme.test", "away"),
    );
    waxseal_testkit::wait_for("Postfix to miss its milter", || {
        rig.postfix
            .log()
            .contains("connect to Milter service")
            .then_some(())
    });
    assert_eq!(rig.sink("northwind").count(), 0);
    rig.waxseal.start();
    rig.postfix.flush();
    rig.waited_for("northwind");
    rig.only("northwind");
}
