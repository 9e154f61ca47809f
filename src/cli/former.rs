//! Words that the fingers know from sops, and what waxseal has in their place.
//!
//! Called as waxseal the program has one grammar, its own: what sops' older one says is an error that
//! names the command to use.

use crate::os::shell::word;
use crate::shown::Show;

/// What to type instead of words that the grammar does not know. `command`: the first word that it
/// does know as a command.
pub(super) fn instead(words: &[&str], command: Option<&str>) -> Option<String> {
    let (first, _) = words.split_first()?;
    let hint = match *first {
        "exec-env" | "exec-file" | "groups" => {
            format!("not part of waxseal yet; `sops {first}` works on the same YAML and JSON files")
        }
        "keyservice" => {
            "sops has it; waxseal does not: it neither serves keys nor asks a service for \
                         them"
                .to_owned()
        }
        "filestatus" => "`waxseal verify FILE` says what a file proves, and fails if it is not \
                         encrypted"
            .to_owned(),
        "view" | "cat" | "show" => "`waxseal decrypt FILE` prints a file".to_owned(),
        "version" => "`waxseal --version`".to_owned(),
        "add" | "rekey" => "recipients stand in .sops.yaml: add them there, then `waxseal \
                            updatekeys FILE...`"
            .to_owned(),
        flag if flag.starts_with('-') => {
            root_flag(words).or_else(|| flag_of(command.unwrap_or(""), words).map(str::to_owned))?
        }
        file if command.is_none() && is_file(file) => {
            format!("`waxseal edit {}` opens it in your editor", word(&file.shown()))
        }
        _ => flag_of(command?, words)?.to_owned(),
    };
    Some(hint)
}

/// `sops -d -i FILE`: the mode, wherever it stands.
fn root_flag(words: &[&str]) -> Option<String> {
    let in_place = words.iter().any(|word| ["-i", "--in-place"].contains(word));
    let mode = words.iter().find_map(|word| match name_of(word) {
        "-d" | "--decrypt" | "-di" | "-id" => Some("decrypt"),
        "-e" | "--encrypt" | "-ei" | "-ie" => Some("encrypt"),
        "-r" | "--rotate" | "-ri" | "-ir" => Some("rotate"),
        "--set" => Some("set"),
        "-s" | "--show-master-keys" => Some("recipients"),
        "-v" => Some("--version"),
        _ => None,
    })?;
    let other_keys = words.iter().any(|word| is_other_kind(name_of(word)));
    match mode {
        "--version" => Some("`waxseal --version`".to_owned()),
        "set" => Some("`waxseal set FILE INDEX VALUE`".to_owned()),
        "encrypt" if other_keys => Some(OTHER_KIND.to_owned()),
        "recipients" => Some("`waxseal recipients FILE`".to_owned()),
        mode if in_place => Some(format!("`waxseal {mode} --in-place FILE`")),
        mode => Some(format!("`waxseal {mode} FILE`")),
    }
}

/// A flag without its value.
fn name_of(word: &str) -> &str {
    word.split('=').next().unwrap_or(word)
}

/// Flags that name keys of kinds that are not built in.
fn is_other_kind(flag: &str) -> bool {
    let of_rotate = flag.strip_prefix("--add-").or(flag.strip_prefix("--rm-"));
    let kinds = ["pgp", "kms", "gcp-kms", "hckms", "azure-kv"];
    let kind = of_rotate.or(flag.strip_prefix("--"));
    ["-p", "-k"].contains(&flag) || kind.is_some_and(|kind| kinds.contains(&kind))
}

const OTHER_KIND: &str =
    "keys of this kind (PGP, KMS) are not supported yet: age, SSH and Vault keys are";

/// A flag that a command of sops knows, or one that says what the command says already. `command` is
/// empty where there is none yet.
fn flag_of(command: &str, words: &[&str]) -> Option<&'static str> {
    words.iter().find_map(|word| match (command, name_of(word)) {
        ("decrypt", "-d" | "--decrypt")
        | ("encrypt", "-e" | "--encrypt")
        | ("rotate", "-r" | "--rotate") => Some("the command says so already: leave it out"),
        ("decrypt", "-e" | "--encrypt") => Some("`waxseal encrypt FILE`"),
        ("encrypt", "-d" | "--decrypt") => Some("`waxseal decrypt FILE`"),
        ("", "-i" | "--in-place") => Some("say what is to be done: `waxseal encrypt -i FILE`"),
        ("decrypt" | "encrypt" | "rotate", "-di" | "-ei" | "-ri") => {
            Some("flags are written apart, and the command says the first: -i")
        }
        ("decrypt" | "encrypt" | "rotate" | "updatekeys", "-r" | "-R" | "--recursive") => {
            Some("name the files: `git ls-files '*.yaml'` lists those of a repository")
        }
        ("edit" | "set" | "unset" | "updatekeys", "-i" | "--in-place") => {
            Some("the command always writes in place: leave it out")
        }
        (_, "-s" | "--show-master-keys") => {
            Some("`waxseal recipients FILE` lists who can open a file")
        }
        ("rotate", "--ignore-mac") => {
            Some("a file that does not verify is not rotated: `waxseal reseal` after a review")
        }
        ("encrypt", "--ignore-mac") => Some("a plaintext has no MAC: leave it out"),
        ("decrypt" | "rotate" | "updatekeys", "--age" | "-a" | "-age") => Some(
            "the recipients stand in the file; `waxseal updatekeys` puts it under those of \
             .sops.yaml",
        ),
        (_, "--indent") => Some("waxseal keeps the layout of a file as it is: leave it out"),
        (_, "--keyservice" | "--enable-local-keyservice" | "--aws-profile") => {
            Some("key services are not part of waxseal yet")
        }
        (_, "--encryption-context") => {
            Some("sops has it, for KMS keys; waxseal does not: age and SSH keys have no context")
        }
        (_, "--verbose") => Some("sops has it; waxseal does not: its errors say all that it knows"),
        (_, "--disable-version-check" | "--check-for-updates") => {
            Some("sops has it; waxseal does not: it never looks for newer versions")
        }
        (_, flag) if is_other_kind(flag) => Some(OTHER_KIND),
        _ => None,
    })
}

/// A word in the place of a command that looks like a file.
fn is_file(word: &str) -> bool {
    word.contains(['.', '/'])
}

#[cfg(test)]
mod tests {
    use super::instead;

    #[track_caller]
    fn check(line: &str, expect: &str) {
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        let known = ["decrypt", "encrypt", "rotate", "updatekeys", "set"];
        let hint = instead(&words, words.iter().copied().find(|word| known.contains(word)));
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
        check("sops secrets/a.yaml", "`waxseal edit secrets/a.yaml`");
        check("sops exec-env a.yaml true", "`sops exec-env`");
        check("sops keyservice", "neither serves keys");
        check("sops -p AB -e a.yaml", "not supported yet");
        check("sops --kms=arn -e a.yaml", "not supported yet");
        check("sops --verbose -d a.yaml", "`waxseal decrypt FILE`");
        check("sops --verbose decrypt a.yaml", "errors say all");
        check("sops encrypt --encryption-context a:b a.yaml", "no context");
        check("sops encrypt --ignore-mac a.yaml", "leave it out");
        check("sops decrypt -s a.yaml", "`waxseal recipients FILE`");
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
