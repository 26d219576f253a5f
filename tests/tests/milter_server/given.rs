//! A filter that does what a message asks for, and a server around it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use waxseal::decision::Verdict;
use waxseal::edit::{Edits, HeaderEdit};
use waxseal::message::ReversePath;
use waxseal_milter::{
    Endpoint, EnvelopeInfo, Executor, Filter, Interest, Job, Limits, Listener, ListenerSettings,
    NotProcessed, Receipt, ReplyStatus, Response, Server, Submission, UnixSocket,
};
use waxseal_testkit::milter::{Client, MtaProfile, Reply};

/// Does what the message's body asks for.
pub(crate) struct ScriptedFilter {
    pub(crate) seen: Mutex<Vec<Submission>>,
    pub(crate) processing: mpsc::Sender<()>,
    pub(crate) resume: Arc<Notify>,
    pub(crate) receipts: mpsc::Sender<ReplyStatus>,
}

impl Filter for ScriptedFilter {
    type Transaction = ();

    fn begin(&self, _: &Listener) {}

    fn wants(&self, (): &(), envelope: &EnvelopeInfo<'_>) -> Interest {
        match envelope.sender.as_ref().map(ReversePath::as_str) {
            Ok("pass@example.org") => Interest::Pass,
            Ok("panic@example.org") => panic!("asked to panic at the envelope"),
            _ => Interest::Decide,
        }
    }

    async fn filter(&self, (): (), submission: Submission) -> Response {
        let body = submission.content.body();
        let receipts = self.receipts.clone();
        let mut answer = Response::accept().with_receipt(Receipt::new(move |status| {
            let _ = receipts.send(status);
        }));
        if body.starts_with(b"panic") {
            panic!("asked to panic");
        } else if body.starts_with(b"wait") {
            // From here on a call to go on is not missed.
            let resume = self.resume.notified();
            let _ = self.processing.send(());
            resume.await;
            // This decision takes a minimum of time.
            tokio::task::yield_now().await;
        } else if body.starts_with(b"null sender") {
            answer.edits.sender = Some(ReversePath::Null);
        } else if body.starts_with(b"edit") {
            answer.edits = Edits {
                headers: vec![HeaderEdit::Prepend {
                    name: "X".into(),
                    value: b" y".to_vec(),
                }],
                body: Some(vec![b'n'; 100_000]),
                ..Edits::default()
            };
        } else if body.starts_with(b"discard") {
            answer.verdict = Verdict::Discard;
        }
        self.seen.lock().expect("lock").push(submission);
        answer
    }
}

/// Processes each message in a task of its own, which is not canceled with the message.
struct Spawned;

impl Executor for Spawned {
    async fn run<T: Send + 'static>(
        &self,
        job: Job,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, NotProcessed> {
        let deadline = tokio::time::Instant::from_std(job.deadline);
        match tokio::time::timeout_at(deadline, tokio::spawn(work)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(NotProcessed::new("too late")),
        }
    }
}

/// A server on threads of its own; stops when dropped.
pub(crate) struct Running {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) filter: Arc<ScriptedFilter>,
    pub(crate) processing: mpsc::Receiver<()>,
    pub(crate) receipts: mpsc::Receiver<ReplyStatus>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) stopped: mpsc::Receiver<()>,
    pub(crate) socket: PathBuf,
    pub(crate) _folder: tempfile::TempDir,
}

pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

impl Running {
    pub(crate) fn start(limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("milter.sock");
        let (at_work_tx, processing) = mpsc::channel();
        let (receipts_tx, receipts) = mpsc::channel();
        let filter = Arc::new(ScriptedFilter {
            seen: Mutex::default(),
            processing: at_work_tx,
            resume: Arc::new(Notify::new()),
            receipts: receipts_tx,
        });
        let (stop, stopping) = oneshot::channel();
        let (stopped_tx, stopped) = mpsc::channel();
        let (endpoints_tx, endpoints) = mpsc::channel();
        let listeners = [
            listener("tcp", Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))),
            listener("unix", unix(&socket)),
        ];
        let shared = Arc::clone(&filter);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let server =
                    Server::bind_with(&listeners, limits, shared, Spawned).expect("free endpoints");
                endpoints_tx
                    .send(server.endpoints().cloned().collect())
                    .expect("a test");
                server.run(async { drop(stopping.await) }).await;
            });
            let _ = stopped_tx.send(());
        });
        Self {
            endpoints: endpoints.recv().expect("the server is up"),
            filter,
            processing,
            receipts,
            stop: Some(stop),
            stopped,
            socket,
            _folder: folder,
        }
    }

    pub(crate) fn tcp(&self, profile: MtaProfile) -> Client {
        let Endpoint::Tcp(address) = self.endpoints[0] else {
            panic!("TCP comes first")
        };
        let mut client = Client::tcp(address, profile).expect("negotiated");
        client.greet().expect("greeted");
        client
    }

    pub(crate) fn unix(&self, profile: MtaProfile) -> Client {
        let mut client = Client::unix(&self.socket, profile).expect("negotiated");
        client.greet().expect("greeted");
        client
    }

    pub(crate) fn seen(&self) -> Vec<Submission> {
        std::mem::take(&mut *self.filter.seen.lock().expect("lock"))
    }

    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    pub(crate) fn receipt(&self) -> ReplyStatus {
        self.receipts.recv_timeout(TIMEOUT).expect("a receipt")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        self.filter.resume.notify_waiters();
    }
}

pub(crate) fn listener(name: &str, endpoint: Endpoint) -> ListenerSettings {
    ListenerSettings::new(name, endpoint)
}

pub(crate) fn unix(path: &Path) -> Endpoint {
    let mut socket = UnixSocket::new(path);
    socket.mode = 0o640;
    Endpoint::Unix(socket)
}

pub(crate) fn accepted() -> Vec<Reply> {
    vec![Reply::bare(b'a')]
}

pub(crate) fn text_of(replies: &[Reply]) -> String {
    replies.last().expect("a reply").text()
}
