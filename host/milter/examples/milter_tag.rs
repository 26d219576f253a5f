//! A milter that adds `X-Client: ADDRESS; NAME` above the header of each message
//! with an SMTP client, and rejects recipients beyond a number.
//!
//! `milter_tag inet:ADDRESS:PORT | unix:PATH [MAXIMUM RECIPIENTS]`
//!
//! With Postfix, in `main.cf`:
//!
//! ```text
//! smtpd_milters = { inet:127.0.0.1:8891, default_action=tempfail }
//! ```

use std::sync::Arc;

use waxseal_milter::{
    EnvelopeInfo, Filter, Interest, Limits, Listener, ListenerSettings, Reply, Response, Server,
    Submission, Verdict,
};

pub(crate) struct Tag {
    pub(crate) recipients: usize,
}

impl Filter for Tag {
    type Transaction = ();

    fn begin(&self, _: &Listener) {}

    fn wants(&self, (): &(), envelope: &EnvelopeInfo<'_>) -> Interest {
        // A rejected message of the `sendmail` command would stay in the queue.
        if envelope.submitted_locally {
            return Interest::Pass;
        }
        Interest::Header
    }

    async fn filter(&self, (): (), message: Submission) -> Response {
        if message.recipients.len() > self.recipients {
            return Response::new(Verdict::Reject(Reply {
                code: 554,
                enhanced: "5.5.3".to_owned(),
                text: format!("more than {} recipients", self.recipients),
            }));
        }
        let address = message.client.address.map(|address| address.to_string());
        let address = address.unwrap_or_else(|| "unknown".to_owned());
        let name = message.client.name.as_deref().unwrap_or("unknown");
        Response::accept().with_header("X-Client", format!("{address}; {name}"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().ok_or("missing argument: endpoint")?;
    let recipients = arguments.next().map_or(Ok(100), |most| most.parse())?;
    let listener = ListenerSettings::new("tag", endpoint.parse()?);
    let server = Server::bind(&[listener], Limits::default(), Arc::new(Tag { recipients }))?;
    for endpoint in server.endpoints() {
        println!("listening on {endpoint}");
    }
    server
        .run(async {
            // Without a signal handler it runs until it is killed.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
