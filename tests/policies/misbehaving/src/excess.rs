//! Too much of everything: instructions, time, memory, stack, data, handles,
//! words.

use std::hint::black_box;
use std::time::Duration;

use waxseal_policy::{Charge, Decision, Facts, Message, Unit};

use crate::stderr::say;

/// Does what the subject names; none where it names nothing of this module.
pub(crate) fn commit(
    subject: &str,
    message: &Message,
    facts: &Facts,
) -> Option<Result<Decision, String>> {
    let decision = match subject {
        "trap" => panic!("the subject asked for it"),
        "loop" => run_for_ever(),
        "sleep" => {
            std::thread::sleep(Duration::from_secs(3600));
            Decision::accept()
        }
        "memory" => hoard(),
        "overflow" => {
            // Nobody may take this for the text of a panic.
            waxseal_policy::error!("a word before");
            Decision::accept().reason(&deeper(1).to_string())
        }
        "recursion" => Decision::accept().reason(&further(1).to_string()),
        "aliases" => aliases(),
        "absurd length" => {
            let mut decision = Decision::accept();
            decision.reasons.push(endless());
            decision
        }
        "no such case" => Decision::accept().charge(no_such_case()),
        "mojibake" => Decision::accept().reason(&no_text()),
        "lookups" => {
            let found = (0..1_000_000).filter(|_| facts.lookup("table", "key").is_some());
            Decision::accept().reason(&found.count().to_string())
        }
        "lookups without end" => loop {
            black_box(facts.lookup("table", "key"));
        },
        "gigabytes" => loop {
            black_box(message.text(u32::MAX));
        },
        "flood" => {
            for line in 0..100_000 {
                waxseal_policy::info!("line {line}");
            }
            waxseal_policy::info!("{}", "long ".repeat(100_000));
            Decision::accept()
        }
        "stderr" => {
            for _ in 0..1000 {
                say(&"words ".repeat(100));
            }
            Decision::accept()
        }
        "print" => {
            print!("half a line");
            println!(", and the rest");
            eprintln!("one line on {subject}'s stderr");
            eprint!("no end");
            Decision::accept()
        }
        "abort" => {
            say("last words");
            std::process::abort()
        }
        "exit" => std::process::exit(3),
        _ => return None,
    };
    Some(Ok(decision))
}

pub(crate) fn run_for_ever() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

fn hoard() -> Decision {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 1 << 20]);
        black_box(&hoard);
    }
}

#[expect(unconditional_recursion, reason = "it is the point")]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    deeper(depth + 1) + frame[63]
}

/// The same with next to nothing in memory.
fn further(depth: u64) -> u64 {
    if black_box(depth) == 0 {
        return 0;
    }
    further(depth.wrapping_add(1)).rotate_left(1) ^ depth
}

/// 20,000 texts of one megabyte, all of which are the same megabyte.
fn aliases() -> Decision {
    let one = "x".repeat(1 << 20).leak();
    let mut decision = Decision::accept();
    for _ in 0..20_000 {
        // SAFETY: there is none. They share their memory, and freeing the first
        // is too much already. The host stops before anything is freed.
        let alias = unsafe { String::from_raw_parts(one.as_mut_ptr(), one.len(), one.len()) };
        decision.reasons.push(alias);
    }
    decision
}

/// A text that ends far behind the end of the memory that it is in.
fn endless() -> String {
    let one = "x".repeat(16).leak();
    let length = isize::MAX as usize;
    // SAFETY: there is none. Nobody here reads it: only its place and its length
    // go to the host, which stops before anything is freed.
    unsafe { String::from_raw_parts(one.as_mut_ptr(), length, length) }
}

/// A charge whose unit is neither messages nor recipients.
fn no_such_case() -> Charge {
    let mut charge = Charge::messages("all");
    let unit: *mut Unit = &mut charge.unit;
    // SAFETY: there is none: the type has no such value. The write is volatile,
    // so that the compiler makes nothing of it.
    unsafe { unit.cast::<u8>().write_volatile(9) };
    charge
}

/// A text that is not UTF-8.
fn no_text() -> String {
    // SAFETY: there is none; it is only ever copied.
    unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, b'b']) }
}
