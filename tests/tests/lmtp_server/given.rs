//! A Postfix that delivers by LMTP, and a server that takes what it delivers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use waxseal_lmtp::{
    Answers, Delivery, Endpoint, Handler, Limits, ListenerSettings, Receipt, Recipient, Replies,
    Reply, Server, UnixSocket,
};
use waxseal_testkit::guard::Guard;
use waxseal_testkit::postfix::{Postfix, Wishes};
use waxseal_testkit::test_dir::TestDir;
use waxseal_testkit::wait::DEADLINE;

/// A Postfix whose mail goes to a socket.
pub(crate) struct Mta {
    pub(crate) postfix: Postfix,
    pub(crate) socket: PathBuf,
    _guard: Guard,
    _dir: TestDir,
}

impl Mta {
    /// Starts one, with further lines for `main.cf`.
    pub(crate) fn start(name: &str, main: &str) -> Self {
        let dir = TestDir::claim(name);
        let socket = dir.path("lmtp.sock");
        let wishes = Wishes {
            main: format!(
                "default_transport = lmtp:unix:{}\n\
                 lmtp_send_xforward_command = yes\n\
                 lmtp_line_length_limit = 0\n\
                 lmtp_destination_recipient_limit = 1000\n\
                 smtputf8_enable = yes\n{main}",
                socket.display()
            ),
            master: "lmtp unix - - n - - lmtp\n".into(),
            ..Wishes::default()
        };
        let guard = Guard::of(dir.folder());
        Self {
            postfix: Postfix::start(&dir, &wishes),
            socket,
            _guard: guard,
            _dir: dir,
        }
    }
}

/// The answer to a recipient.
type Answer = dyn Fn(&Recipient) -> Reply + Send + Sync;

struct Taking {
    answer: Arc<Answer>,
    delivered: Sender<Delivery>,
    answered: Sender<Answers>,
}

impl Handler for Taking {
    async fn deliver(&self, delivery: Delivery, replies: Replies) -> Receipt {
        let answers = delivery
            .recipients
            .iter()
            .map(|recipient| (recipient.position, (self.answer)(recipient)));
        replies.set_many(answers);
        let _ = self.delivered.send(delivery);
        let answered = self.answered.clone();
        Receipt::new(move |answers| drop(answered.send(answers)))
    }
}

/// A running server.
pub(crate) struct Serving {
    socket: PathBuf,
    answer: Arc<Answer>,
    delivered: Receiver<Delivery>,
    answered: Receiver<Answers>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Everything is taken.
pub(crate) fn all_delivered(_: &Recipient) -> Reply {
    Reply::delivered("taken")
}

/// The socket, which only Postfix's group may use.
pub(crate) fn endpoint(path: &Path) -> Endpoint {
    let id = Command::new("id").args(["-g", "postfix"]).output();
    let id = String::from_utf8(id.expect("id").stdout).expect("digits");
    let mut socket = UnixSocket::new(path);
    socket.group = Some(id.trim().parse().expect("a group id"));
    Endpoint::Unix(socket)
}

impl Serving {
    pub(crate) fn start(
        socket: &Path,
        answer: impl Fn(&Recipient) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(socket, Arc::new(answer))
    }

    fn start_with(socket: &Path, answer: Arc<Answer>) -> Self {
        let (delivered, deliveries) = mpsc::channel();
        let (answered, answers) = mpsc::channel();
        let handler = Arc::new(Taking {
            answer: Arc::clone(&answer),
            delivered,
            answered,
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let server = {
            let _guard = runtime.enter();
            let listener = ListenerSettings::new("test", endpoint(socket));
            Server::bind(&[listener], Limits::default(), handler).expect("bound")
        };
        let thread = std::thread::spawn(move || {
            runtime.block_on(server.run(async { drop(stopped.await) }));
        });
        Self {
            socket: socket.to_owned(),
            answer,
            delivered: deliveries,
            answered: answers,
            stop,
            thread,
        }
    }

    /// The next message.
    pub(crate) fn delivery(&mut self) -> Delivery {
        self.delivered.recv_timeout(DEADLINE).expect("a message")
    }

    /// Messages that have come and were not looked at.
    pub(crate) fn delivered(&mut self) -> Vec<Delivery> {
        self.delivered.try_iter().collect()
    }

    /// What happened to the replies to the next message.
    pub(crate) fn answers(&mut self) -> Answers {
        self.answered.recv_timeout(DEADLINE).expect("answers")
    }

    /// Stops it, and starts another one in its place; `last` sees what the first one
    /// took.
    pub(crate) fn restart(self, last: &mut dyn FnMut(&mut Self)) -> Self {
        let Self {
            socket,
            answer,
            delivered,
            answered,
            stop,
            thread,
        } = self;
        drop(stop);
        thread.join().expect("no panic");
        let mut next = Self::start_with(&socket, answer);
        let new = std::mem::replace(&mut next.delivered, delivered);
        last(&mut next);
        next.delivered = new;
        drop(answered);
        next
    }
}
