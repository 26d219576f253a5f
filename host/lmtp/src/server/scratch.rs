//! Reading into a buffer of the thread, so that idle connections have none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use waxseal_system::server::Transport;

/// Bytes read at once: about what the system holds for a Unix socket.
const READ: usize = 128 << 10;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// Reads what is there, and passes it to `done`: no bytes are the end of the stream.
pub(super) fn poll_read<T: Transport, R>(
    stream: &mut T,
    context: &mut Context<'_>,
    done: impl FnOnce(io::Result<&[u8]>) -> R,
) -> Poll<R> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        let Poll::Ready(read) = Pin::new(&mut *stream).poll_read(context, &mut buffer) else {
            stream.before_wait();
            return Poll::Pending;
        };
        Poll::Ready(done(read.map(|()| buffer.filled())))
    })
}
