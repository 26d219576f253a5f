//! WASI's stderr, as policies in most languages write to it. What `eprintln!`
//! writes never gets there: the kit sees to that.

use std::mem::ManuallyDrop;

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package waxseal:words;
            world say { import wasi:cli/stderr@0.2.0; }
            package wasi:io@0.2.0 {
                interface error { resource error; }
                interface streams {
                    use error.{error};
                    variant stream-error { last-operation-failed(error), closed }
                    resource output-stream {
                        blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
                    }
                }
            }
            package wasi:cli@0.2.0 {
                interface stderr {
                    use wasi:io/streams@0.2.0.{output-stream};
                    get-stderr: func() -> output-stream;
                }
            }
        ",
        generate_all,
    });
}

use bindings::wasi::cli::stderr::get_stderr;
use bindings::wasi::io::streams::OutputStream;

thread_local! {
    /// Taken once and never given back, as C's library does it.
    static STREAM: ManuallyDrop<OutputStream> = ManuallyDrop::new(get_stderr());
}

/// Writes a line.
pub(crate) fn say(line: &str) {
    STREAM.with(|stream| {
        // Where it cannot be written there is nobody to tell.
        let _ = stream.blocking_write_and_flush(format!("{line}\n").as_bytes());
    });
}
