//! The example `milter_tag`, called by a client that shares no code with it.

use std::sync::Arc;

use tokio::sync::oneshot;
use waxseal_milter::{Endpoint, Limits, ListenerSettings, Server};
use waxseal_testkit::milter::{Client, Mail, MtaProfile};

#[expect(dead_code, reason = "its main function is not called")]
#[path = "../../../host/milter/examples/milter_tag.rs"]
mod milter_tag;

use milter_tag::Tag;

#[test]
fn the_example_adds_a_header_field_and_rejects_too_many_recipients() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (stop, stopped) = oneshot::channel::<()>();
    let endpoint = "inet:127.0.0.1:0".parse().expect("an endpoint");
    let server = {
        let _guard = runtime.enter();
        let listener = ListenerSettings::new("tag", endpoint);
        let filter = Arc::new(Tag { recipients: 1 });
        Server::bind(&[listener], Limits::default(), filter).expect("a free port")
    };
    let Some(&Endpoint::Tcp(address)) = server.endpoints().next() else {
        panic!("it listens on TCP")
    };
    let serving = runtime.spawn(server.run(async { drop(stopped.await) }));
    let replies = |profile, mail: &Mail| {
        let mut client = Client::tcp(address, profile).expect("negotiated");
        client.greet().expect("greeted");
        let replies = client.send(mail).expect("answered");
        let text = |reply: &waxseal_testkit::milter::Reply| (reply.name, reply.text());
        replies.iter().map(text).collect::<Vec<_>>()
    };
    let mut mail = Mail::with_body("Hello\r\n");
    assert_eq!(
        replies(MtaProfile::postfix(), &mail),
        [
            // Index 1, in four bytes, is right below the MTA's own `Received`.
            (b'i', "|||\u{1}X-Client| 192.0.2.7; client.test|".to_owned()),
            (b'a', String::new()),
        ]
    );
    mail.recipients.push("carol@example.net".to_owned());
    let rejected = replies(MtaProfile::postfix(), &mail);
    assert_eq!(
        rejected,
        [(b'y', "554 5.5.3 more than 1 recipients|".to_owned())]
    );
    let local = replies(MtaProfile::postfix_local(), &mail);
    assert_eq!(local, [(b'a', String::new())]);
    drop(stop);
    runtime.block_on(serving).expect("no panic");
}
