//! Tests of the server over Unix sockets.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Limits, ListenerSettings, Server};
use crate::delivery::{Acknowledgement, Answers, Delivery, Handler, Receipt, Replies, ReplyStatus};
use crate::reply::Reply;

/// A timeout that a test lets pass.
const SHORT: Duration = Duration::from_millis(50);

/// Does what the local part of each recipient says.
struct Scripted {
    /// A permit lets one `wait` go on.
    go_on: Semaphore,
    answers: mpsc::UnboundedSender<Answers>,
    /// Whether a reply was accepted after a `wait`.
    accepted: AtomicBool,
    finished: mpsc::UnboundedSender<()>,
}

impl Handler for Scripted {
    async fn deliver(&self, delivery: Delivery, replies: Replies) -> Receipt {
        for recipient in &delivery.recipients {
            let position = recipient.position;
            match recipient.address.local_part() {
                "skip" => continue,
                "panic" => panic!("requested"),
                "wait" => self.go_on.acquire().await.expect("open").forget(),
                _ => {}
            }
            let reply = Reply::delivered(recipient.address.as_str());
            let accepted = replies.set(position, reply);
            self.accepted.store(accepted, Ordering::Relaxed);
        }
        drop(delivery);
        let _ = self.finished.send(());
        let answers = self.answers.clone();
        Receipt::new(move |report| drop(answers.send(report)))
    }
}

struct Running {
    path: PathBuf,
    handler: Arc<Scripted>,
    answers: mpsc::UnboundedReceiver<Answers>,
    finished: mpsc::UnboundedReceiver<()>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(set: impl FnOnce(&mut Limits)) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("lmtp.sock");
        let (answers, answered) = mpsc::unbounded_channel();
        let (finished, has_finished) = mpsc::unbounded_channel();
        let handler = Arc::new(Scripted {
            go_on: Semaphore::new(0),
            answers,
            accepted: AtomicBool::new(false),
            finished,
        });
        let mut limits = Limits::default();
        set(&mut limits);
        let endpoint = format!("unix:{}", path.display()).parse().expect("valid");
        let listener = ListenerSettings::new("test", endpoint);
        let server = Server::bind(&[listener], limits, Arc::clone(&handler)).expect("bound");
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(server.run(async { drop(stopped.await) }));
        Self {
            path,
            handler,
            answers: answered,
            finished: has_finished,
            stop: Some(stop),
            server,
            _folder: folder,
        }
    }

    async fn client(&self) -> Client {
        let mut client = Client::connect(&self.path).await;
        assert_eq!(client.reply().await.as_deref(), Some("220 localhost LMTP"));
        client.say("LHLO test\r\n").await;
        while client
            .reply()
            .await
            .is_some_and(|line| line.as_bytes()[3] == b'-')
        {}
        client
    }

    async fn answers(&mut self) -> Answers {
        self.answers.recv().await.expect("answers")
    }

    fn stop(&mut self) {
        drop(self.stop.take());
    }
}

struct Client(BufReader<UnixStream>);

impl Client {
    async fn connect(path: &Path) -> Self {
        Self(BufReader::new(
            UnixStream::connect(path).await.expect("there"),
        ))
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("written");
    }

    /// A line, or the end.
    async fn reply(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).await;
        read.is_ok_and(|read| read > 0)
            .then(|| line.trim_end().to_owned())
    }

    /// Sends a message, and reads all replies but those to the message.
    async fn send(&mut self, recipients: &[&str], then: &str) {
        let recipients: Vec<String> = recipients
            .iter()
            .map(|recipient| format!("RCPT TO:<{recipient}@test>\r\n"))
            .collect();
        let recipients_text = recipients.concat();
        self.say(&format!("MAIL FROM:<>\r\n{recipients_text}DATA\r\n"))
            .await;
        for _ in 0..recipients.len() + 2 {
            let reply = self.reply().await.expect("a reply");
            assert!(
                reply.starts_with("250") || reply.starts_with("354"),
                "{reply}"
            );
        }
        self.say(&format!("text\r\n.\r\n{then}")).await;
    }

    async fn code(&mut self) -> String {
        let reply = self.reply().await.unwrap_or_default();
        reply.get(..3).unwrap_or_default().to_owned()
    }

    async fn codes(&mut self, count: usize) -> String {
        let mut codes = Vec::new();
        for _ in 0..count {
            codes.push(self.code().await);
        }
        codes.join(" ")
    }

    async fn is_closed(&mut self) -> bool {
        !matches!(self.0.read(&mut [0; 1]).await, Ok(1..))
    }
}

async fn eventually<F: Future<Output = bool>>(mut condition: impl FnMut() -> F) {
    while !condition().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn written(statuses: &[ReplyStatus], acknowledgement: Acknowledgement) -> Answers {
    Answers {
        statuses: statuses.to_vec(),
        acknowledgement,
    }
}

use Acknowledgement::{Close, Command, None as Unknown};
use ReplyStatus::{NotWritten, Replaced, Written};

#[tokio::test]
async fn replies_are_written_as_they_are_known_and_acknowledged_by_the_next_command() {
    let mut running = Running::start(|_| {});
    let mut client = running.client().await;
    client.send(&["a", "wait", "b"], "").await;
    assert_eq!(client.reply().await.as_deref(), Some("250 2.0.0 a@test"));
    running.handler.go_on.add_permits(1);
    assert_eq!(client.reply().await.as_deref(), Some("250 2.0.0 wait@test"));
    assert_eq!(client.reply().await.as_deref(), Some("250 2.0.0 b@test"));
    running.finished.recv().await.expect("finished");
    client.say("RSET\r\n").await;
    assert_eq!(client.code().await, "250");
    assert_eq!(running.answers().await, written(&[Written; 3], Command));
    client.send(&["a"], "").await;
    assert_eq!(client.code().await, "250");
    client.say("QUIT\r\n").await;
    assert_eq!(client.code().await, "221");
    assert!(client.is_closed().await);
    assert_eq!(running.answers().await, written(&[Written], Command));
}

#[tokio::test]
async fn a_recipient_without_reply_gets_451_also_after_a_panic() {
    let mut running = Running::start(|_| {});
    let mut client = running.client().await;
    client.send(&["a", "skip", "b"], "").await;
    assert_eq!(client.codes(3).await, "250 451 250");
    client.send(&["a", "panic", "b"], "").await;
    assert_eq!(client.codes(3).await, "250 451 451");
    let answers = running.answers().await;
    assert_eq!(answers, written(&[Written, Replaced, Written], Command));
    client.send(&["a"], "").await;
    assert_eq!(client.code().await, "250", "the connection goes on");
}

#[tokio::test]
async fn a_late_handler_gets_451_for_the_rest_and_may_finish() {
    let mut running = Running::start(|limits| limits.handler_timeout = SHORT);
    let mut client = running.client().await;
    client.send(&["a", "wait", "b"], "").await;
    assert_eq!(client.codes(3).await, "250 451 451");
    running.handler.go_on.add_permits(1);
    running.finished.recv().await.expect("finished");
    assert!(!running.handler.accepted.load(Ordering::Relaxed));
    client.say("NOOP\r\n").await;
    assert_eq!(client.code().await, "250");
    let answers = running.answers().await;
    assert_eq!(answers, written(&[Written, Replaced, Replaced], Command));
}

#[tokio::test]
async fn a_handler_that_never_ends_is_dropped_after_its_grace() {
    let running = Running::start(|limits| {
        limits.handler_timeout = SHORT;
        limits.handler_grace = SHORT;
    });
    let mut client = running.client().await;
    client.send(&["wait"], "").await;
    assert_eq!(client.code().await, "451");
    client.say("NOOP\r\n").await;
    assert_eq!(client.code().await, "250");
}

#[tokio::test]
async fn a_handler_finishes_when_the_client_is_gone_and_learns_it() {
    let mut running = Running::start(|_| {});
    let mut client = running.client().await;
    client.send(&["a", "wait", "b"], "").await;
    assert_eq!(client.code().await, "250");
    drop(client);
    // It goes on as soon as the connection knows.
    tokio::time::sleep(SHORT).await;
    running.handler.go_on.add_permits(1);
    let answers = running.answers().await;
    assert_eq!(
        answers,
        written(&[Written, NotWritten, NotWritten], Unknown)
    );
    assert!(!running.handler.accepted.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_client_that_sends_quit_with_the_message_acknowledges_by_closing() {
    let mut running = Running::start(|_| {});
    // It reads its replies and closes.
    let mut client = running.client().await;
    client.send(&["a"], "QUIT\r\n").await;
    assert_eq!(client.code().await, "250");
    drop(client);
    assert_eq!(running.answers().await, written(&[Written], Close));
    // It waits for the reply to QUIT.
    let mut client = running.client().await;
    client.send(&["a"], "QUIT\r\n").await;
    assert_eq!(client.codes(2).await, "250 221");
    drop(client);
    assert_eq!(running.answers().await, written(&[Written], Close));
    // It closes and reads nothing.
    let mut client = running.client().await;
    client.send(&["wait"], "QUIT\r\n").await;
    running.handler.go_on.add_permits(1);
    running.finished.recv().await.expect("finished");
    running.finished.recv().await.expect("finished");
    running.finished.recv().await.expect("finished");
    tokio::time::sleep(SHORT).await;
    drop(client);
    assert_eq!(running.answers().await.acknowledgement, Unknown);
}

#[tokio::test]
async fn a_client_that_closes_acknowledges_if_it_has_read_its_replies() {
    let mut running = Running::start(|_| {});
    let mut client = running.client().await;
    client.send(&["a"], "").await;
    assert_eq!(client.code().await, "250");
    drop(client);
    assert_eq!(running.answers().await, written(&[Written], Close));
    let mut client = running.client().await;
    client.send(&["wait"], "").await;
    running.handler.go_on.add_permits(1);
    for _ in 0..2 {
        running.finished.recv().await.expect("finished");
    }
    tokio::time::sleep(SHORT).await;
    drop(client);
    assert_eq!(running.answers().await.acknowledgement, Unknown);
}

#[tokio::test]
async fn a_message_that_gets_no_memory_is_deferred_and_memory_comes_back() {
    let mut running = Running::start(|limits| {
        limits.memory = 4096;
        limits.memory_wait = SHORT;
    });
    // Two messages that the handler holds: of one byte budget, and of its overdraft.
    let mut holders = Vec::new();
    for _ in 0..2 {
        let mut client = running.client().await;
        client.send(&["wait"], "").await;
        holders.push(client);
    }
    // One write, so that it arrives in one piece: the content waits for memory.
    let mut client = running.client().await;
    client.say("MAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\n").await;
    assert_eq!(client.codes(3).await, "250 250 354");
    client.say(&format!("{}\r\n.\r\n", "x".repeat(5000))).await;
    assert_eq!(client.code().await, "452");
    running.handler.go_on.add_permits(2);
    for mut holder in holders {
        assert_eq!(holder.code().await, "250");
        running.finished.recv().await.expect("finished");
    }
    let mut client = running.client().await;
    client.send(&["a"], "").await;
    assert_eq!(client.code().await, "250");
}

#[tokio::test]
async fn a_stop_ends_idle_connections_with_421_and_lets_open_messages_end() {
    let mut running = Running::start(|_| {});
    let mut idle = running.client().await;
    let mut busy = running.client().await;
    busy.send(&["wait"], "").await;
    let mut sending = running.client().await;
    sending.say("MAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\n").await;
    assert_eq!(sending.codes(3).await, "250 250 354");
    running.stop();
    assert_eq!(idle.code().await, "421");
    assert!(idle.is_closed().await);
    let path = running.path.clone();
    eventually(|| async { !path.exists() }).await;
    running.handler.go_on.add_permits(1);
    assert_eq!(busy.codes(2).await, "250 421");
    sending.say(".\r\n").await;
    assert_eq!(sending.codes(2).await, "250 421");
    (&mut running.server).await.expect("ended");
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_it_may() {
    let mut running = Running::start(|limits| limits.shutdown_timeout = SHORT);
    let mut client = running.client().await;
    client.send(&["a", "wait"], "").await;
    assert_eq!(client.code().await, "250");
    running.stop();
    (&mut running.server).await.expect("ended");
    assert_eq!(client.reply().await, None);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let running = Running::start(|limits| limits.connections = 1);
    let first = running.client().await;
    let mut second = Client::connect(&running.path).await;
    let waiting = tokio::time::timeout(SHORT, second.reply()).await;
    assert!(waiting.is_err());
    drop(first);
    assert_eq!(second.code().await, "220");
}

#[tokio::test]
async fn a_client_that_is_silent_is_closed_for_others_and_in_time() {
    let running = Running::start(|limits| limits.connections = 1);
    let mut silent = Client::connect(&running.path).await;
    assert_eq!(silent.code().await, "220");
    let _second = running.client().await;
    assert!(silent.is_closed().await);

    let running = Running::start(|limits| limits.greeting_timeout = SHORT);
    let mut silent = Client::connect(&running.path).await;
    assert_eq!(silent.codes(2).await, "220 421");
    assert!(silent.is_closed().await);

    let running = Running::start(|limits| limits.command_timeout = SHORT);
    let mut client = running.client().await;
    assert_eq!(client.code().await, "421");

    let running = Running::start(|limits| limits.data_idle_timeout = SHORT);
    let mut client = running.client().await;
    client.say("MAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\nx").await;
    assert_eq!(client.codes(4).await, "250 250 354 421");
}

#[tokio::test]
async fn a_client_that_makes_errors_is_closed_with_421() {
    let running = Running::start(|limits| limits.session.errors = 2);
    let mut client = running.client().await;
    client.say("X\r\nX\r\nNOOP\r\n").await;
    assert_eq!(client.codes(3).await, "500 500 421");
    assert!(client.is_closed().await);
}
