//! How a command is written where a person could copy it: with the prefix that the chat listens to.
//!
//! Within the program a command is called `/release …`; the operator's own prefix takes its place
//! when an answer leaves, so that no sentence needs to know it.

use crate::app::grammar;
use crate::ports::{Block, Inline, Reply};

/// What a command begins with, unless the operator says otherwise.
pub(super) const OURS: &str = "/release";

/// The rules name commands without a prefix, `retry` for example: here they get it.
pub(super) fn in_full(sentence: &str) -> String {
    let pieces = sentence.split('`').enumerate();
    let written = pieces.map(|(at, piece)| match at % 2 == 1 && is_command(piece) {
        true => format!("{OURS} {piece}"),
        false => piece.to_owned(),
    });
    written.collect::<Vec<_>>().join("`")
}

fn is_command(code: &str) -> bool {
    !code.starts_with(['/', '-']) && grammar::parse(code).is_ok()
}

/// An answer with the operator's prefix.
pub(super) fn with(reply: Reply, prefix: &str) -> Reply {
    if prefix == OURS {
        return reply;
    }
    match reply {
        Reply::Private(mut message) => {
            message.body.iter_mut().for_each(|block| in_block(block, prefix));
            Reply::Private(message)
        }
        Reply::Form(mut form) => {
            form.text.iter_mut().for_each(|block| in_block(block, prefix));
            Reply::Form(form)
        }
    }
}

fn in_block(block: &mut Block, prefix: &str) {
    each_code(block, &mut |code| {
        let rest = code.strip_prefix(OURS);
        if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(' ')) {
            *code = format!("{prefix}{rest}");
        }
    });
}

/// What stands in a line as it would be typed.
pub(super) fn each_code(block: &mut Block, each: &mut dyn FnMut(&mut String)) {
    block.each_inline(&mut |inline| {
        if let Inline::Code(code) = inline {
            each(code);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_a_sentence_get_their_prefix_and_nothing_else_does() {
        assert_eq!(
            in_full("Say `retry`, or `outcome worked` if it did. See `--link` and `rehearse`."),
            "Say `/release retry`, or `/release outcome worked` if it did. See `--link` and \
             `rehearse`."
        );
        assert_eq!(
            in_full("I don't know `/release x`: retry."),
            "I don't know `/release x`: retry."
        );
    }

    #[test]
    fn an_answer_leaves_with_the_operators_prefix() {
        let body =
            crate::app::markup::parse("Say **`/release retry`** or `/releases`.\n\n- `/release`");
        let message = crate::ports::Message { body, ..Default::default() };
        let Reply::Private(message) = with(Reply::Private(message), "/ship") else {
            panic!("it is a message")
        };
        let said = crate::app::markup::plain(&message.body);
        assert_eq!(said, "Say /ship retry or /releases.\n\n- /ship");
    }
}
