//! Memory for one decision.
//!
//! An instance decides one message and is thrown away, so that nothing that a
//! decision allocates need ever be given back. And what costs an instance most
//! is not its instructions but the pages that it writes to, each of which the
//! host has to restore: an allocator that looks for free blocks among what
//! reading the settings left behind writes to many. So while the settings are
//! read the standard allocator serves; `decide` gets an arena of fresh memory,
//! from which it takes one piece behind the other, and what does not fit goes to
//! the standard allocator again.
//!
//! It saves the standard policy a tenth of the time of a decision with 200
//! domains in its settings and a sixth with 2,000, and a third of the
//! instructions; `make bench` measures it, and without the feature `arena` the
//! standard allocator does it all. An allocator cannot be written without unsafe
//! code, and this is the one file of the kit that has any. What it rests on is
//! said where it stands.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

/// Bytes of an arena. Most decisions take a few thousand; pages that are not
/// written to cost nothing.
const ROOM: usize = 64 << 10;

/// The allocator of a component.
///
/// Atomics stand in for cells, as a static must be `Sync`; there is one thread.
pub(crate) struct Arena {
    /// Where the room begins; null before it is set aside.
    room: AtomicPtr<u8>,
    /// Bytes of the room that are in use.
    used: AtomicUsize,
    /// Bytes of the room that may be used: none before the decision begins.
    open: AtomicUsize,
}

impl Arena {
    pub(crate) const fn new() -> Self {
        Self {
            room: AtomicPtr::new(ptr::null_mut()),
            used: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        }
    }

    /// Sets room aside, once, when the settings have been read: it is then part
    /// of the memory that each instance begins with, and is not asked of the
    /// host for each message.
    pub(crate) fn set_aside(&self) {
        if self.room.load(Relaxed).is_null() {
            let layout = Layout::from_size_align(ROOM, 16).expect("a layout");
            // SAFETY: the layout is not of size zero.
            self.room
                .store(unsafe { System.alloc_zeroed(layout) }, Relaxed);
        }
    }

    /// From here on the room is used. It stays open, so that whatever a second
    /// decision of the same instance may find of the first is still there.
    pub(crate) fn open(&self) {
        if !self.room.load(Relaxed).is_null() {
            self.open.store(ROOM, Relaxed);
        }
    }

    /// Takes bytes from the room; none where they do not fit.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let room = self.room.load(Relaxed);
        let used = self.used.load(Relaxed);
        // The padding is counted from the address, not from the offset.
        let padding = (room.addr() + used).wrapping_neg() & (layout.align() - 1);
        let begin = used.checked_add(padding)?;
        let end = begin.checked_add(layout.size())?;
        if end > self.open.load(Relaxed) {
            return None;
        }
        self.used.store(end, Relaxed);
        Some(room.wrapping_add(begin))
    }

    /// Offset in the room of a piece that was taken from it.
    fn offset(&self, piece: *mut u8) -> Option<usize> {
        let offset = piece.addr().wrapping_sub(self.room.load(Relaxed).addr());
        (offset < self.open.load(Relaxed)).then_some(offset)
    }

    /// Gives a piece that was taken last another size in its place.
    fn resize_last(&self, piece: *mut u8, old: usize, new: usize) -> bool {
        let Some(begin) = self.offset(piece) else {
            return false;
        };
        let end = begin.saturating_add(new);
        let fits = begin + old == self.used.load(Relaxed) && end <= self.open.load(Relaxed);
        if fits {
            self.used.store(end, Relaxed);
        }
        fits
    }
}

// SAFETY: pieces of the room do not overlap, as `used` grows by each, and
// shrinks only by the piece that was taken last and is given back or resized;
// they lie within the room, are aligned, and stay valid for ever, as the room is
// never given back. Whether a piece is the room's is told by its address, so that
// it returns to the allocator it came from. Wasm has one thread here.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(piece) => piece,
            // SAFETY: the caller's promise is handed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if self.offset(piece).is_none() {
            // SAFETY: it is not of the room, so it came from `System`.
            unsafe { System.dealloc(piece, layout) }
        } else {
            self.resize_last(piece, layout.size(), 0);
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.offset(piece).is_none() {
            // SAFETY: it is not of the room, so it came from `System`.
            return unsafe { System.realloc(piece, layout, size) };
        }
        if self.resize_last(piece, layout.size(), size) || size <= layout.size() {
            return piece;
        }
        // SAFETY: the caller promises that the new size is not zero and does not
        // overflow; the new piece is another one, and both have room for what
        // is copied.
        unsafe {
            let other = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !other.is_null() {
                ptr::copy_nonoverlapping(piece, other, size.min(layout.size()));
            }
            other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    fn opened() -> Arena {
        let arena = Arena::new();
        arena.set_aside();
        arena.open();
        arena
    }

    /// Allocates and fills.
    fn filled(arena: &Arena, size: usize, align: usize, byte: u8) -> *mut u8 {
        // SAFETY: no size here is zero, and the piece has that many bytes.
        unsafe {
            let piece = arena.alloc(layout(size, align));
            assert!(!piece.is_null());
            piece.write_bytes(byte, size);
            piece
        }
    }

    fn holds(piece: *mut u8, size: usize, byte: u8) -> bool {
        // SAFETY: callers pass pieces that they filled and did not give back.
        unsafe { std::slice::from_raw_parts(piece, size) }
            .iter()
            .all(|&found| found == byte)
    }

    #[test]
    fn before_a_decision_begins_the_standard_allocator_serves() {
        let arena = Arena::new();
        arena.open();
        assert_eq!(arena.take(layout(8, 8)), None);
        arena.set_aside();
        assert_eq!(arena.take(layout(8, 8)), None);
        let piece = filled(&arena, 100, 8, 1);
        assert_eq!(arena.offset(piece), None);
        // SAFETY: it was allocated with this layout.
        unsafe { arena.dealloc(piece, layout(100, 8)) };
    }

    #[test]
    fn pieces_are_aligned_lie_apart_and_keep_what_they_hold() {
        let arena = opened();
        let mut pieces = Vec::new();
        for number in 0..200_u8 {
            let (size, align) = (1 + usize::from(number) % 37, 1 << (number % 6));
            let piece = filled(&arena, size, align, number);
            assert!(piece.addr().is_multiple_of(align) && arena.offset(piece).is_some());
            pieces.push((piece, size, number));
        }
        assert!(
            pieces
                .iter()
                .all(|&(piece, size, byte)| holds(piece, size, byte))
        );
    }

    #[test]
    fn the_last_piece_grows_in_place_and_others_move() {
        let arena = opened();
        let first = filled(&arena, 10, 1, 1);
        let last = filled(&arena, 10, 1, 2);
        // SAFETY: both are allocated with these layouts.
        let (grown, moved) = unsafe {
            (
                arena.realloc(last, layout(10, 1), 1000),
                arena.realloc(first, layout(10, 1), 50),
            )
        };
        assert_eq!(grown, last);
        assert_ne!(moved, first);
        assert!(holds(grown, 10, 2) && holds(moved, 10, 1));
        let used = arena.used.load(Relaxed);
        // SAFETY: it has this layout since it was moved.
        unsafe { arena.dealloc(moved, layout(50, 1)) };
        assert_eq!(arena.used.load(Relaxed), used - 50);
    }

    #[test]
    fn what_does_not_fit_goes_to_the_standard_allocator() {
        let arena = opened();
        let large = filled(&arena, ROOM + 1, 1, 7);
        assert_eq!(arena.offset(large), None);
        let small = filled(&arena, ROOM - 100, 1, 8);
        assert!(arena.offset(small).is_some());
        // SAFETY: it was allocated with this layout.
        let moved = unsafe { arena.realloc(small, layout(ROOM - 100, 1), ROOM + 5) };
        assert_eq!(arena.offset(moved), None);
        assert!(holds(moved, ROOM - 100, 8));
        // SAFETY: both came with these layouts.
        unsafe {
            arena.dealloc(moved, layout(ROOM + 5, 1));
            arena.dealloc(large, layout(ROOM + 1, 1));
        }
    }
}
