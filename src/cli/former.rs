//! Words that the fingers know from sops, and what waxseal has in their place.
//!
//! Called as waxseal the program has one grammar, its own: what sops' older one says is an error that
//! names the command to use.

use std::ffi::OsString;

/// What to type instead of words that the grammar does not know. The first is the program.
pub(super) fn instead(words: &[OsString]) -> Option<String> {
    let words: Vec<&str> = words.iter().skip(1).map(|word| word.to_str().unwrap_or("")).collect();
    let (first, rest) = words.split_first()?;
    let hint = match *first {
        "exec-env" | "exec-file" | "publish" | "groups" => {
            format!("not part of waxseal yet; `sops {first}` opens the same YAML and JSON files")
        }
        "keyservice" => "key services are not part of waxseal yet".to_owned(),
        "filestatus" => "`waxseal verify FILE` says what a file proves, and fails if it is not \
                         encrypted"
            .to_owned(),
        "view" | "cat" | "show" => "`waxseal decrypt FILE` prints a file".to_owned(),
        "version" => "`waxseal --version`".to_owned(),
        "add" | "rekey" => "recipients stand in .sops.yaml: add them there, then `waxseal \
                            updatekeys FILE...`"
            .to_owned(),
        flag if flag.starts_with('-') => root_flag(&words)?,
        file if is_file(file) => format!("`waxseal edit {file}` opens it in your editor"),
        command => flag_of(command, rest)?.to_owned(),
    };
    Some(hint)
}

/// `sops -d -i FILE`: the mode, wherever it stands.
fn root_flag(words: &[&str]) -> Option<String> {
    let is_foreign = |word: &&str| FOREIGN.contains(&word.split('=').next().unwrap_or(word));
    if words.iter().any(is_foreign) {
        return Some(UNSUPPORTED.to_owned());
    }
    let in_place = words.iter().any(|word| ["-i", "--in-place"].contains(word));
    let mode = words.iter().find_map(|word| match word.split('=').next().unwrap_or(word) {
        "-d" | "--decrypt" | "-di" | "-id" => Some("decrypt"),
        "-e" | "--encrypt" | "-ei" | "-ie" => Some("encrypt"),
        "-r" | "--rotate" | "-ri" | "-ir" => Some("rotate"),
        "--set" => Some("set"),
        "-s" | "--show-master-keys" => Some("recipients"),
        "-v" => Some("--version"),
        _ => None,
    });
    match mode {
        Some("--version") => Some("`waxseal --version`".to_owned()),
        Some("set") => Some("`waxseal set FILE INDEX VALUE`".to_owned()),
        Some(mode) if in_place && mode != "recipients" => {
            Some(format!("`waxseal {mode} --in-place FILE`"))
        }
        Some(mode) => Some(format!("`waxseal {mode} FILE`")),
        None if in_place => Some("say what is to be done: `waxseal encrypt -i FILE`".to_owned()),
        None => None,
    }
}

/// Flags of keys that are not built in.
const FOREIGN: [&str; 10] = [
    "--pgp",
    "--kms",
    "--gcp-kms",
    "--hckms",
    "--azure-kv",
    "--hc-vault-transit",
    "--aws-profile",
    "--encryption-context",
    "-p",
    "-k",
];

/// What is said of them.
const UNSUPPORTED: &str = "keys of this kind are not supported yet";

/// A flag that a command of sops knows, or one that says what the command says already.
fn flag_of(command: &str, words: &[&str]) -> Option<&'static str> {
    words.iter().find_map(|word| {
        let flag = word.split('=').next().unwrap_or(word);
        let kind = flag.strip_prefix("--add-").or(flag.strip_prefix("--rm-"));
        match (command, flag) {
            ("decrypt", "-d" | "--decrypt")
            | ("encrypt", "-e" | "--encrypt")
            | ("rotate", "-r" | "--rotate") => Some("the command says so already: leave it out"),
            ("decrypt", "-e" | "--encrypt") => Some("`waxseal encrypt FILE`"),
            ("encrypt", "-d" | "--decrypt") => Some("`waxseal decrypt FILE`"),
            ("decrypt" | "encrypt" | "rotate", "-di" | "-ei" | "-ri") => {
                Some("flags are written apart, and the command says the first: -i")
            }
            ("decrypt" | "encrypt" | "rotate" | "updatekeys", "-r" | "-R" | "--recursive") => {
                Some("name the files: `git ls-files '*.yaml'` lists those of a repository")
            }
            ("edit" | "set" | "unset" | "updatekeys", "-i" | "--in-place") => {
                Some("the command always writes in place: leave it out")
            }
            ("rotate", "--ignore-mac") => {
                Some("a file that does not verify is not rotated: `waxseal reseal` after a review")
            }
            ("decrypt" | "rotate" | "updatekeys", "--age" | "-a" | "-age") => Some(
                "the recipients stand in the file; `waxseal updatekeys` puts it under those of \
                 .sops.yaml",
            ),
            (_, "--indent") => Some("waxseal keeps the layout of a file as it is: leave it out"),
            (_, "--keyservice" | "--enable-local-keyservice") => {
                Some("key services are not part of waxseal yet")
            }
            (_, "--verbose" | "--disable-version-check" | "--check-for-updates") => {
                Some("there is nothing of that kind in waxseal: leave it out")
            }
            ("encrypt", "--ignore-mac") => {
                Some("what is not encrypted yet has no MAC: leave it out")
            }
            (_, "-s" | "--show-master-keys") => {
                Some("`waxseal recipients FILE` lists who can open a file")
            }
            (_, flag) if FOREIGN.contains(&flag) => Some(UNSUPPORTED),
            _ if kind.is_some_and(|kind| kind != "age") => Some(UNSUPPORTED),
            _ => None,
        }
    })
}

/// A word in the place of a command that looks like a file.
fn is_file(word: &str) -> bool {
    word.contains(['.', '/'])
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::instead;

    #[track_caller]
    fn check(line: &str, expect: &str) {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let hint = instead(&words);
        match expect {
            "" => assert_eq!(hint, None),
            expect => assert!(hint.as_ref().is_some_and(|it| it.contains(expect)), "{hint:?}"),
        }
    }

    #[test]
    fn the_words_of_sops_are_translated() {
        check("sops -d a.yaml", "`waxseal decrypt FILE`");
        check("sops -i -e a.yaml", "`waxseal encrypt --in-place FILE`");
        check("sops --rotate --in-place a.yaml", "`waxseal rotate --in-place FILE`");
        check("sops --output-type json -d a.yaml", "`waxseal decrypt FILE`");
        check("sops -p AB -e a.yaml", "not supported yet");
        check("sops encrypt --encryption-context a:b a.yaml", "not supported yet");
        check("sops decrypt --verbose a.yaml", "leave it out");
        check("sops encrypt -s a.yaml", "`waxseal recipients FILE`");
        check("sops secrets/a.yaml", "`waxseal edit secrets/a.yaml`");
        check("sops exec-env a.yaml true", "`sops exec-env`");
        check("sops decrypt -d a.yaml", "leave it out");
        check("sops rotate -i --add-pgp=AB a.yaml", "not supported yet");
        check("sops updatekeys -i a.yaml", "always writes in place");
    }

    #[test]
    fn other_slips_are_left_to_the_grammar() {
        for line in ["waxseal", "waxseal decryt a", "waxseal --nonsense", "waxseal encrypt --typ x"]
        {
            check(line, "");
        }
    }
}
