//! A milter that wants everything and changes nothing: what the server itself
//! costs, to be compared with other milters.
//!
//! `milter_noop inet:ADDRESS:PORT | unix:PATH [--pass] [--edit]`; `--pass` does
//! not collect messages at all, `--edit` prepends a header field of 300 bytes,
//! as long as a signature.

use std::sync::Arc;

use waxseal::edit::{Edits, HeaderEdit};
use waxseal::milter::{
    EarlyAccept, Endpoint, EnvelopeInfo, Filter, Interest, Limits, Listener, ListenerSettings,
    Response, Server, Submission, UnixSocket,
};
use waxseal::pool::Pool;

struct Noop {
    interest: Interest,
    edit: bool,
}

impl Filter for Noop {
    type Transaction = ();

    fn begin(&self, _: &Listener) {}

    fn wants(&self, (): &(), _: &EnvelopeInfo<'_>) -> Interest {
        self.interest
    }

    async fn filter(&self, (): (), submission: Submission) -> Response {
        std::hint::black_box(submission.content.bytes().len());
        if !self.edit {
            return Response::accept();
        }
        let value = [b" ".as_slice(), &[b's'; 300]].concat();
        let headers = vec![HeaderEdit::Prepend {
            name: "X-Null-Signature".into(),
            value,
        }];
        Response {
            edits: Edits {
                headers,
                ..Edits::default()
            },
            ..Response::default()
        }
    }
}

fn endpoint(text: &str) -> Result<Endpoint, Box<dyn std::error::Error>> {
    Ok(match text.split_once(':') {
        Some(("inet", address)) => Endpoint::Tcp(address.parse()?),
        Some(("unix", path)) => Endpoint::Unix(UnixSocket {
            path: path.into(),
            mode: 0o660,
            owner: None,
            group: None,
        }),
        _ => return Err("an endpoint is inet:ADDRESS:PORT or unix:PATH".into()),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let listener = ListenerSettings {
        name: "noop".into(),
        endpoint: endpoint(arguments.first().ok_or("no endpoint is given")?)?,
        early_accept: EarlyAccept::Off,
        connections: None,
    };
    let interest = if has("--pass") {
        Interest::Pass
    } else {
        Interest::Decide
    };
    let filter = Arc::new(Noop {
        interest,
        edit: has("--edit"),
    });
    let server = Server::bind(&[listener], Limits::default(), Pool::new(), filter)?;
    server
        .run(async {
            // Without a signal to wait for it runs until it is killed.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
