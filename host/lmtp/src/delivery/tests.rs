//! Tests of replies between handler and connection.

use std::sync::{Arc, mpsc};

use super::board::Board;
use super::receipt::{Acknowledgement, Answers, Receipt, ReplyStatus};
use super::replies::Replies;
use crate::reply::Reply;

fn board(recipients: usize) -> (Arc<Board>, Replies) {
    let board = Arc::new(Board::new(recipients));
    (Arc::clone(&board), Replies::new(board))
}

fn taken(board: &Board) -> Vec<(u16, ReplyStatus)> {
    let taken = board.take().into_iter();
    taken
        .map(|(reply, status)| (reply.code(), status))
        .collect()
}

#[test]
fn replies_are_taken_in_the_order_of_the_recipients() {
    use ReplyStatus::Written;
    let (board, replies) = board(4);
    assert!(replies.set(2, Reply::rejected("")));
    assert_eq!(taken(&board), []);
    assert!(replies.set(0, Reply::delivered("")));
    assert_eq!(taken(&board), [(250, Written)]);
    assert!(!replies.set(0, Reply::rejected("")), "it is written");
    assert!(
        !replies.set(2, Reply::delivered("")),
        "the first one counts"
    );
    assert!(!replies.set(4, Reply::delivered("")), "there is none");
    assert_eq!(replies.set_rest(&Reply::deferred("")), 2);
    assert_eq!(
        taken(&board),
        [(451, Written), (550, Written), (451, Written)]
    );
}

#[test]
fn what_is_missing_when_it_is_closed_is_replaced() {
    use ReplyStatus::{Replaced, Written};
    let (board, replies) = board(3);
    assert!(replies.set(1, Reply::delivered("")));
    board.close(&Reply::deferred(""));
    assert!(replies.is_closed());
    assert_eq!(replies.set_rest(&Reply::delivered("")), 0);
    assert_eq!(
        taken(&board),
        [(451, Replaced), (250, Written), (451, Replaced)]
    );
}

#[test]
fn a_receipt_is_called_once_even_if_it_is_dropped() {
    let (sender, reports) = mpsc::channel();
    let receipt = |sender: &mpsc::Sender<Answers>| {
        let sender = sender.clone();
        Receipt::new(move |answers| drop(sender.send(answers)))
    };
    drop(receipt(&sender));
    let answers = Answers {
        statuses: vec![ReplyStatus::Written, ReplyStatus::Replaced],
        acknowledgement: Acknowledgement::Command,
    };
    receipt(&sender).report(answers.clone());
    drop(sender);
    let reports: Vec<Answers> = reports.into_iter().collect();
    assert_eq!(reports, [Answers::none(), answers]);
    let acknowledged = |position| reports[1].is_acknowledged(position);
    assert_eq!([0, 1, 2].map(acknowledged), [true, false, false]);
    assert!(!reports[0].is_acknowledged(0));
}
