//! A delivery agent that stores each message in a file.
//!
//!     lmtp_store unix:/run/store/lmtp.sock /var/spool/store
//!
//! Without a directory, messages are counted and dropped. Recipients whose local
//! part starts with `unknown` are rejected.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use waxseal_lmtp::{
    Delivery, Endpoint, Handler, Limits, ListenerSettings, Receipt, Replies, Reply, Server,
};

struct Store {
    directory: Option<PathBuf>,
    next: AtomicU64,
}

impl Handler for Store {
    async fn deliver(&self, delivery: Delivery, replies: Replies) -> Receipt {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}.eml", std::process::id());
        let stored = match self.directory.clone() {
            Some(directory) => {
                let (content, name) = (delivery.content.clone(), name.clone());
                // Writing to a disk blocks.
                let store = move || store(&directory, &name, &content);
                let stored = tokio::task::spawn_blocking(store).await;
                stored.unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            None => Ok(()),
        };
        // All replies are one write.
        replies.set_many(delivery.recipients.iter().map(|recipient| {
            let reply = match &stored {
                _ if recipient.address.local_part().starts_with("unknown") => {
                    Reply::new(550, (5, 1, 1), "no such user")
                }
                Ok(()) => Reply::new(250, (2, 0, 0), format!("stored as {name}")),
                Err(error) => Reply::new(451, (4, 3, 0), format!("cannot store: {error}")),
            };
            let reply = reply.unwrap_or_else(|error| Reply::deferred(error.to_string()));
            (recipient.position, reply)
        }));
        Receipt::new(move |answers| {
            println!("{name}: {answers:?}");
        })
    }
}

/// Stores a message so that it survives a crash once this returns.
fn store(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{name}.tmp"));
    let mut file = std::fs::File::create_new(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, directory.join(name))?;
    std::fs::File::open(directory)?.sync_all()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let endpoint: Endpoint = arguments
        .next()
        .ok_or("usage: lmtp_store ENDPOINT [DIRECTORY]")?
        .parse()?;
    let store = Store {
        directory: arguments.next().map(PathBuf::from),
        next: AtomicU64::new(0),
    };
    let listener = ListenerSettings::new("store", endpoint);
    let server = Server::bind(&[listener], Limits::default(), Arc::new(store))?;
    server
        .run(async { drop(tokio::signal::ctrl_c().await) })
        .await;
    Ok(())
}
