//! Where another parser may say something else, and why.

use super::{oracle, shape};

/// What two parsers say differently about a text.
#[derive(Debug)]
pub(super) enum Difference {
    /// For this reason, which is listed below.
    Known(&'static str),
    /// Something else.
    New(String),
}

/// What we say of a text, what they say, and why. Empty: it is accepted; else part of a message.
type Listed = (&'static str, &'static str, &'static str);

const GRANIT: [Listed; 15] = [
    ("outside of quotes, where YAML versions disagree", "", "on purpose: U+0085, U+2028, U+2029"),
    ("a byte order mark (U+FEFF) inside", "", "on purpose: granit takes one before a document"),
    (
        "a map or list that starts behind something on its line",
        "",
        "`: : x`: a collection behind an empty key; YAML has compact ones behind `- ? :` after `?`",
    ),
    ("a tab as indentation of a key or list item", "", "`\\t- x`: YAML indents by spaces only"),
    (
        "a tab as indentation in brackets",
        "",
        "granit sees such a tab behind `[`, but not behind the first plain scalar",
    ),
    (
        "text where a key is expected",
        "",
        "`- &a` and a line with a tab: the same behind a property",
    ),
    (
        "a line that is indented like no",
        "",
        "a comment behind a tab ends a plain scalar of more lines",
    ),
    ("or closing bracket is missing before", "", "a comment behind a tab ends a plain scalar"),
    ("a space is needed behind an anchor", "", "`&a[x]`: YAML separates properties from the node"),
    ("a - or ? alone inside of brackets", "", "`[?]`: no plain scalar can start so"),
    ("a %TAG line names a handle", "", "`%TAG !a!x`: YAML has a space between handle and prefix"),
    ("a comment needs a space before its #", "", "`{\"a\":# c`: a # right behind a `:` of JSON"),
    (
        "",
        "did not find expected ',' or '}'",
        "`{\"a\"\\n# c\\n:b}`: YAML allows comments before this `:`",
    ),
    ("", "while parsing an implicit flow mapping", "`[? : x]`: an explicit pair without a key"),
    ("", "byte limit", "granit limits the length of directives"),
];

const SAPHYR: [Listed; 1] = [(
    "",
    "invalid indentation",
    "saphyr wants lines in quotes and brackets indented, libyaml does not",
)];

/// Against granit-parser: verdict, structure, spans, comments.
pub(super) fn with_granit(text: &str) -> Option<Difference> {
    match (oracle::ours(text), oracle::granit(text)) {
        (Ok((mut ours, document)), Ok(mut theirs)) => {
            theirs.align(&mut ours, &document);
            if ours == theirs {
                return None;
            }
            let lines = ours.lines.iter().zip(&theirs.lines).find(|(ours, theirs)| ours != theirs);
            Some(Difference::New(format!("first other line {lines:?}, or other comments")))
        }
        (Err(_), Err(_)) => None,
        (Ok(_), Err(theirs)) => Some(listed(&GRANIT, "", &theirs)),
        (Err(ours), Ok(_)) => Some(listed(&GRANIT, &ours.to_string(), "")),
    }
}

/// Against saphyr-parser: verdict and shape.
pub(super) fn with_saphyr(text: &str) -> Option<Difference> {
    match (oracle::ours(text), shape::saphyr(text)) {
        (Ok((ours, _)), Ok(mut theirs)) => {
            if theirs.is_empty() {
                theirs.push("document".to_owned());
            }
            let ours = shape::of_reading(&ours);
            if ours == theirs {
                return None;
            }
            let lines = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
            Some(Difference::New(format!("first other token {lines:?}")))
        }
        (Err(_), Err(_)) => None,
        (Ok(_), Err(theirs)) => Some(listed(&SAPHYR, "", &theirs)),
        (Err(ours), Ok(_)) => Some(listed(&SAPHYR, &ours.to_string(), "")),
    }
}

fn listed(list: &[Listed], ours: &str, theirs: &str) -> Difference {
    let matches =
        |part: &str, message: &str| part.is_empty() == message.is_empty() && message.contains(part);
    list.iter()
        .find(|(our_part, their_part, _)| matches(our_part, ours) && matches(their_part, theirs))
        .map_or_else(
            || Difference::New(format!("we: {ours:?}, they: {theirs:?}")),
            |&(_, _, reason)| Difference::Known(reason),
        )
}
