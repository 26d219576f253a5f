//! A milter that collects every message and changes nothing: the cost of the server
//! itself, for comparison with other milters.
//!
//! `milter_noop inet:ADDRESS:PORT | unix:PATH [--pass] [--edit]`; with `--pass`
//! messages are not collected, with `--edit` a header field of 300 bytes, the size of
//! a signature, is added.

use std::sync::Arc;

use waxseal_milter::{
    Edits, EnvelopeInfo, Filter, HeaderEdit, Interest, Limits, Listener, ListenerSettings,
    Response, Server, Submission,
};

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
        Response::accept().with_edits(Edits {
            headers,
            ..Edits::default()
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let endpoint = arguments.first().ok_or("missing argument: endpoint")?;
    let listener = ListenerSettings::new("noop", endpoint.parse()?);
    let interest = if has("--pass") {
        Interest::Pass
    } else {
        Interest::Decide
    };
    let filter = Arc::new(Noop {
        interest,
        edit: has("--edit"),
    });
    let server = Server::bind(&[listener], Limits::default(), filter)?;
    server
        .run(async {
            // Without a signal handler it runs until it is killed.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
